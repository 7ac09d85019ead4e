"""Measure image quality as super-resolution papers do: luma, PSNR and SSIM."""

from __future__ import annotations

import numpy as np

# RDN-pytorch's luma: the usual 65.738, 129.057, 25.064 with one digit mistyped. RDN-pytorch's 38.18 dB and the guide's
# 38.27 dB were computed with it, so a comparison with them must use it too.
RDN_PYTORCH = np.array([64.738, 129.057, 25.064]) / 256
# ITU-R BT.601, studio range. On Set5, PSNR is about 0.04 dB lower than with RDN_PYTORCH.
BT601 = np.array([65.481, 128.553, 24.966]) / 255
DEFAULT_LUMA = 'rdn-pytorch'  # the published figures use it
LUMA = {DEFAULT_LUMA: RDN_PYTORCH, 'bt601': BT601}
# A figure is measured on luma or, as in the DIV2K challenge, on all three colours.
PLANES = {**LUMA, 'rgb': np.eye(3)}


def luma(rgb: np.ndarray, coefficients: np.ndarray = RDN_PYTORCH) -> np.ndarray:
    """Compute Y of YCbCr: Y = 16 + c . RGB.

    BT.601's coefficients c are in Poynton, Digital Video and HD.

    Args:
        rgb: (3, H, W), 0...255.
        coefficients: one of PLANES, of shape (3,) or (3, 3).

    Returns:
        Y of 16...235, float64 (H, W), not rounded; (3, H, W) for coefficients (3, 3).
    """
    return 16 + np.tensordot(coefficients, np.asarray(rgb, np.float64), 1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the peak signal-to-noise ratio in dB: 10 log10(255^2 / MSE); inf if the arrays are equal.

    Args:
        a: any shape, 0...255.
        b: the same shape, 0...255.
    """
    mse = np.mean(np.square(np.asarray(a, np.float64) - b))
    return float(10 * np.log10(255**2 / mse)) if mse else float('inf')


def sr_psnr(sr: np.ndarray, hr: np.ndarray, crop_border: int, coefficients: np.ndarray = RDN_PYTORCH) -> float:
    """Compute PSNR in dB as SR papers define it: on luma, without a border.

    Values outside 0...1 are clipped; nothing is rounded.

    Args:
        sr: super-resolved image (3, H, W), RGB, 0...1.
        hr: its label, of the same shape.
        crop_border: pixels to ignore at each side. In papers, the scale.
        coefficients: one of PLANES.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    if sr.shape != hr.shape:
        raise ValueError(f'prediction {sr.shape} and label {hr.shape} differ in shape')
    if min(sr.shape[1:]) <= 2 * crop_border:
        raise ValueError(f'{sr.shape} is too small to shave {crop_border} pixels from each side')
    return psnr(*(_inner_luma(x, crop_border, coefficients) for x in (sr, hr)))


def _inner_luma(rgb: np.ndarray, crop_border: int, coefficients: np.ndarray) -> np.ndarray:
    """Return the luma, 16...235, of a clipped image (3, H, W), 0...1, without its border."""
    inner = np.clip(rgb, 0, 1)[:, crop_border:-crop_border, crop_border:-crop_border]
    return luma(inner.astype(np.float64) * 255, coefficients)


def sr_ssim(sr: np.ndarray, hr: np.ndarray, crop_border: int) -> float:
    """Compute structural similarity on luma, without a border, with scikit-image and a Gaussian window of 11 x 11.

    Wang et al., Image quality assessment, IEEE TIP 2004.

    Args:
        sr: super-resolved image (3, H, W), RGB, 0...1.
        hr: its label, of the same shape.
        crop_border: pixels to ignore at each side.

    Returns:
        The mean similarity, at most 1; nan if the picture inside the border is smaller than the window.
    """
    from skimage.metrics import structural_similarity  # takes a second to import, and only this function needs it

    a, b = (_inner_luma(x, crop_border, RDN_PYTORCH) for x in (sr, hr))
    if min(a.shape) < 11:
        return float('nan')
    return float(
        structural_similarity(a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    )
