"""A picture's channels: grey that is stored as RGB, colours that alpha hides, alpha that is opacity or data."""

from __future__ import annotations

import cv2
import numpy as np

OPACITY, DATA = 'opacity', 'data'  # what an alpha channel holds
ALPHAS = (OPACITY, DATA)
FLAT_RADIUS = 3  # pixels around that have to be alike for an alpha to stay exactly as it is
COMPARED_PIXELS = 1 << 16  # at a time: a colour picture is known by its first rows


def narrowed(pixels: np.ndarray) -> np.ndarray:
    """Return RGB pixels with equal channels everywhere as grey, all others as they are.

    Args:
        pixels: (H, W, C) as in pictures/formats/pixels.py.

    Returns:
        A view of them: (H, W, 1) or, with alpha, (H, W, 2) where red, green and blue are equal in the whole picture.
    """
    return pixels[:, :, 2:] if pixels.shape[2] > 2 and _has_equal_channels(pixels) else pixels


def _has_equal_channels(pixels: np.ndarray) -> bool:
    rows = max(1, COMPARED_PIXELS // pixels.shape[1])
    parts = (pixels[start : start + rows] for start in range(0, len(pixels), rows))
    return all((part[:, :, 1:3] == part[:, :, :1]).all() for part in parts)


def widened(part: np.ndarray, count: int) -> np.ndarray:
    """Return pixels of a picture that `narrowed` returned with the number of channels that it had before.

    Args:
        part: (h, w, C).
        count: of the channels; 3 or 4 where the picture became grey.
    """
    return part if part.shape[2] == count else part[:, :, [0, 0, 0, 1][:count]]


def has_alpha(planes: np.ndarray) -> bool:
    """Return whether the last of planes (C, h, w) is alpha."""
    return len(planes) in (2, 4)


def keep_flat(output: np.ndarray, alpha: np.ndarray, scale: int) -> np.ndarray:
    """Return an enlarged alpha that far from edges is exactly what it was.

    Args:
        output: the model's, (3, scale*h, scale*w).
        alpha: (h, w), 0...1.
        scale: how many times the model enlarges.
    """
    flat, same = (x.repeat(scale, 0).repeat(scale, 1) for x in (flat_alpha(alpha), alpha))
    return np.where(flat, same, output)


def flat_alpha(alpha: np.ndarray) -> np.ndarray:
    """Return where an alpha (h, w) is the same for FLAT_RADIUS pixels around, and so has to stay as it is."""
    kernel = np.ones((2 * FLAT_RADIUS + 1, 2 * FLAT_RADIUS + 1), np.uint8)
    return cv2.erode(alpha, kernel) == cv2.dilate(alpha, kernel)


def bleed(colour: np.ndarray, alpha: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """Return colours in which invisible pixels near visible ones have the colour of the nearest of these.

    The colour of an invisible pixel is arbitrary, black mostly, and would darken the edges of what is visible. Farther
    away it stays as it is: it may be data.

    Args:
        colour: (C, h, w).
        alpha: (h, w); 0 is invisible.
        reach: how far from a visible pixel an invisible one changes, in pixels.
    """
    invisible = alpha == 0
    if not invisible.any() or invisible.all():
        return colour
    distances, labels = cv2.distanceTransformWithLabels(
        invisible.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((len(colour), labels.max() + 1), colour.dtype)
    table[:, labels[~invisible]] = colour[:, ~invisible]
    return np.where(distances <= reach, table[:, labels], colour)
