"""Correct enlargements of a label are accepted; other pictures and displaced ones are detected."""

from rdn import images
from rdn.accuracy import plausibility, scoring

import numpy as np
import pytest
from PIL import Image


def test_enlargements_of_any_quality_are_accepted(prepared):
    for stem, hr in prepared[1].items():
        bicubic = scoring.bicubic_of_label(hr, 2)
        noisy = hr + np.random.RandomState(0).normal(0, 0.2, hr.shape)
        nearest = prepared[0][stem].repeat(2, 1).repeat(2, 2)
        assert all(
            plausibility.mismatch_reason(sr, hr) is None for sr in (hr, bicubic, noisy, nearest, hr + 0.1, hr * 0.7)
        ), stem


def test_pictures_without_content_are_accepted():
    grey, black = np.full((3, 40, 40), 0.5), np.zeros((3, 40, 40))
    noise = np.random.RandomState(0).rand(3, 60, 60)
    assert plausibility.mismatch_reason(black, grey) is plausibility.mismatch_reason(noise, 1 - noise) is None
    assert plausibility.mismatch_reason(np.zeros((3, 5, 5)), np.zeros((3, 5, 5))) is None


def at_size(path, side, fit):
    """Return the label of the image after a reduction to side x side pixels: (3, 228, 228), 0...1."""
    with Image.open(path) as image:
        small = image.convert('RGB').resize((side, side), Image.BICUBIC)
    fitted = {'crop': images.crop_center, 'letterbox': images.letterbox}[fit](small, 228, 228)
    return np.asarray(fitted).transpose(2, 0, 1) / 255


@pytest.mark.parametrize('side', [230, 240])
def test_outputs_of_another_fit_are_detected_by_their_displacement(photos, side):
    """Crop and letterbox of an image slightly larger than the label look alike, but every pixel is displaced."""
    for path in photos:
        crop, letterbox = at_size(path, side, 'crop'), at_size(path, side, 'letterbox')
        assert plausibility.mismatch_reason(letterbox, crop) and plausibility.mismatch_reason(crop, letterbox), path
        assert plausibility.mismatch_reason(np.roll(crop, 1, 2), crop)
