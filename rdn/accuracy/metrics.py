"""Image quality: luma, PSNR and SSIM as super-resolution papers report them."""

from __future__ import annotations

import numpy as np

# RDN-pytorch's luma, with which its 38.18 dB and the guide's 38.27 dB were computed: the usual
# 65.738, 129.057, 25.064 with one digit mistyped. A comparison with those figures must share it.
RDN_PYTORCH = np.array([64.738, 129.057, 25.064]) / 256
# ITU-R BT.601, studio range; about 0.04 dB less on Set5.
BT601 = np.array([65.481, 128.553, 24.966]) / 255
DEFAULT_LUMA = 'rdn-pytorch'  # of the published figures
LUMA = {DEFAULT_LUMA: RDN_PYTORCH, 'bt601': BT601}
# What a figure is measured on: a luma, or all three colours, as the DIV2K challenge does.
PLANES = {**LUMA, 'rgb': np.eye(3)}


def luma(rgb: np.ndarray, coefficients: np.ndarray = RDN_PYTORCH) -> np.ndarray:
    """Y of YCbCr, 16...235: (3, H, W) RGB of 0...255 -> (H, W) float64, not rounded; with three rows (3, H, W).

    Y = 16 + c . RGB; Poynton, Digital Video and HD, for BT.601's c.
    """
    return 16 + np.tensordot(coefficients, np.asarray(rgb, np.float64), 1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of 0...255: 10 log10(255^2 / MSE); inf if equal."""
    mse = np.mean(np.square(np.asarray(a, np.float64) - b))
    return float(10 * np.log10(255**2 / mse)) if mse else float('inf')


def sr_psnr(sr: np.ndarray, hr: np.ndarray, crop_border: int, coefficients: np.ndarray = RDN_PYTORCH) -> float:
    """PSNR in dB as SR papers define it: on luma, without the outermost `crop_border` pixels of each
    side, which are as many as the scale.

    sr, hr: (3, H, W), RGB, 0...1; values outside are clipped, none is rounded. coefficients: one of PLANES.
    Raises ValueError when the shapes differ or nothing is left inside the border.
    """
    if sr.shape != hr.shape:
        raise ValueError(f'prediction {sr.shape} and label {hr.shape} differ in shape')
    if min(sr.shape[1:]) <= 2 * crop_border:
        raise ValueError(f'{sr.shape} is too small to shave {crop_border} pixels from each side')
    return psnr(*(_inner_luma(x, crop_border, coefficients) for x in (sr, hr)))


def _inner_luma(rgb: np.ndarray, crop_border: int, coefficients: np.ndarray) -> np.ndarray:
    """What both figures compare: (3, H, W), 0...1, clipped -> luma without the border, 16...235."""
    inner = np.clip(rgb, 0, 1)[:, crop_border:-crop_border, crop_border:-crop_border]
    return luma(inner.astype(np.float64) * 255, coefficients)


def sr_ssim(sr: np.ndarray, hr: np.ndarray, crop_border: int) -> float:
    """Structural similarity of the lumas without the outermost `crop_border` pixels, by scikit-image with a Gaussian window.

    sr, hr: (3, H, W), RGB, 0...1. Wang et al., Image quality assessment, IEEE TIP 2004. nan where the
    picture is smaller than the window of 11 x 11.
    """
    from skimage.metrics import structural_similarity  # a second that only this costs

    a, b = (_inner_luma(x, crop_border, RDN_PYTORCH) for x in (sr, hr))
    if min(a.shape) < 11:
        return float('nan')
    return float(
        structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    )
