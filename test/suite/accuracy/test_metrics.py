"""metrics.py, compared with closed forms and scikit-image."""

import math

from rdn.accuracy import metrics

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio


@pytest.mark.parametrize('offset', [1, 2.5, 255])
def test_constant_offset_has_the_closed_form(offset):
    a = np.zeros((7, 9))
    assert math.isclose(metrics.psnr(a, a + offset), 20 * math.log10(255 / offset), abs_tol=1e-12)


def test_the_psnr_of_equal_arrays_is_infinite():
    assert metrics.psnr(np.ones((4, 4)), np.ones((4, 4))) == float('inf')


def test_psnr_equals_that_of_scikit_image():
    a, b = np.random.RandomState(0).rand(2, 50, 40) * 255
    assert math.isclose(metrics.psnr(a, b), peak_signal_noise_ratio(a, b, data_range=255), rel_tol=1e-9)


def test_luma_of_the_primaries_has_the_published_coefficients():
    colours = np.eye(3)[:, :, None] * 255  # (3, 3, 1): red, green, blue pixels in a column
    assert np.allclose(metrics.luma(colours)[:, 0], [16 + 255 * c / 256 for c in (64.738, 129.057, 25.064)])
    assert np.allclose(metrics.luma(colours, metrics.BT601)[:, 0], [81.481, 144.553, 40.966])


def test_bt601_luma_of_white_is_235():
    assert math.isclose(metrics.luma(np.full((3, 1, 1), 255.0), metrics.BT601)[0, 0], 235, abs_tol=1e-9)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_border_of_scale_pixels_does_not_count(scale):
    hr = np.full((3, 20, 20), 0.5, np.float32)
    sr = hr.copy()
    sr[:, :scale] = sr[:, -scale:] = sr[:, :, :scale] = sr[:, :, -scale:] = 0
    assert metrics.sr_psnr(sr, hr, scale) == float('inf')
    sr[:, scale, scale] = 0
    assert metrics.sr_psnr(sr, hr, scale) < 60


def test_values_outside_the_range_are_clipped_and_nothing_is_rounded():
    hr = np.ones((3, 10, 10), np.float32)
    assert metrics.sr_psnr(hr * 1.7, hr, 2) == float('inf')
    assert metrics.sr_psnr(hr - np.float32(1e-4), hr, 2) < float('inf')


def test_the_psnr_of_photographs_equals_pixelwise_arithmetic(prepared):
    hr = prepared[1]['coffee']
    sr = np.clip(hr + np.random.RandomState(1).normal(0, 0.02, hr.shape), -1, 2).astype(np.float32)
    total = 0.0
    for y in range(2, 226):
        for x in range(2, 226):
            a, b = ([min(max(float(v), 0), 1) * 255 for v in image[:, y, x]] for image in (sr, hr))
            total += sum(c * (p - q) / 256 for c, p, q in zip((64.738, 129.057, 25.064), a, b)) ** 2
    assert math.isclose(metrics.sr_psnr(sr, hr, 2), 10 * math.log10(255**2 / (total / 224**2)), abs_tol=1e-6)


@pytest.mark.parametrize('a, b', [((3, 9, 9), (3, 9, 8)), ((3, 4, 9), (3, 4, 9))])
def test_shapes_that_cannot_be_compared_are_errors(a, b):
    with pytest.raises(ValueError):
        metrics.sr_psnr(np.zeros(a), np.zeros(b), 2)
