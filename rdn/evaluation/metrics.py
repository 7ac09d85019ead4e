"""Image quality: luma and PSNR as super-resolution papers report them."""

import numpy as np

# RDN-pytorch's luma, with which its 38.18 dB and the guide's 38.27 dB were computed: the usual
# 65.738, 129.057, 25.064 with one digit mistyped. A comparison with those figures must share it.
RDN_PYTORCH = np.array([64.738, 129.057, 25.064]) / 256
# ITU-R BT.601, studio range; about 0.04 dB less on Set5.
BT601 = np.array([65.481, 128.553, 24.966]) / 255
LUMA = {'rdn-pytorch': RDN_PYTORCH, 'bt601': BT601}


def luma(rgb, coefficients=RDN_PYTORCH):
    """Y of YCbCr, 16...235: (3, H, W) RGB of 0...255 -> (H, W) float64, not rounded.

    Y = 16 + c . RGB; Poynton, Digital Video and HD, for BT.601's c.
    """
    return 16 + np.tensordot(coefficients, np.asarray(rgb, np.float64), 1)


def psnr(a, b):
    """Peak signal-to-noise ratio in dB of two arrays of 0...255: 10 log10(255^2 / MSE); inf if equal."""
    mse = np.mean(np.square(np.asarray(a, np.float64) - b))
    return float(10 * np.log10(255**2 / mse)) if mse else float('inf')


def sr_psnr(sr, hr, scale, coefficients=RDN_PYTORCH):
    """PSNR in dB as SR papers define it: on luma, without the outermost `scale` pixels of each side.

    sr, hr: (3, H, W), RGB, 0...1; values outside are clipped, none is rounded.
    Raises ValueError when the shapes differ or nothing is left inside the border.
    """
    if sr.shape != hr.shape:
        raise ValueError('prediction %s and label %s differ in shape' % (sr.shape, hr.shape))
    if min(sr.shape[1:]) <= 2 * scale:
        raise ValueError('%s is too small to shave %d pixels from each side' % (sr.shape, scale))
    return psnr(*(_inner_luma(x, scale, coefficients) for x in (sr, hr)))


def _inner_luma(rgb, scale, coefficients):
    """What both figures compare: (3, H, W), 0...1, clipped -> luma without the border, 16...235."""
    return luma(np.clip(rgb, 0, 1).astype(np.float64) * 255, coefficients)[scale:-scale, scale:-scale]


def sr_ssim(sr, hr, scale):
    """SSIM of the same lumas inside the same border, by scikit-image with the paper's Gaussian window.

    sr, hr: (3, H, W), RGB, 0...1. Wang et al., Image quality assessment, IEEE TIP 2004. nan where the
    picture is smaller than the window of 11 x 11.
    """
    from skimage.metrics import structural_similarity  # a second that only this costs

    a, b = (_inner_luma(x, scale, RDN_PYTORCH) for x in (sr, hr))
    if min(a.shape) < 11:
        return float('nan')
    return float(
        structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    )
