"""The roles of a picture's channels: grey stored as RGB, colours hidden by alpha, alpha as opacity or as data."""

from __future__ import annotations

import cv2
import numpy as np

OPACITY, DATA = 'opacity', 'data'  # meanings of an alpha channel
ALPHAS = (OPACITY, DATA)
FLAT_RADIUS = 3  # pixels; an alpha that is constant this far around a pixel keeps its exact value there
COMPARED_PIXELS = 1 << 16  # at a time: the first rows are usually enough to see that a picture has colours


def narrowed(pixels: np.ndarray) -> np.ndarray:
    """Return the pixels with one grey channel if red, green and blue are equal in the whole picture.

    Args:
        pixels: (H, W, C); C as in pictures/formats/pixels.py.

    Returns:
        A view: (H, W, 1) for such an RGB picture, (H, W, 2) for one with alpha; other pictures are unchanged.
    """
    return pixels[:, :, 2:] if pixels.shape[2] > 2 and _has_equal_channels(pixels) else pixels


def _has_equal_channels(pixels: np.ndarray) -> bool:
    rows = max(1, COMPARED_PIXELS // pixels.shape[1])
    parts = (pixels[start : start + rows] for start in range(0, len(pixels), rows))
    return all((part[:, :, 1:3] == part[:, :, :1]).all() for part in parts)


def widened(part: np.ndarray, count: int) -> np.ndarray:
    """Undo `narrowed`: return pixels with the number of channels that the picture had before.

    Args:
        part: pixels (h, w, C) of the narrowed picture, or of its result.
        count: number of channels before `narrowed`: C, or 3 or 4 if the picture became grey.

    Returns:
        Pixels (h, w, count).
    """
    return part if part.shape[2] == count else part[:, :, [0, 0, 0, 1][:count]]


def has_alpha(planes: np.ndarray) -> bool:
    """Return whether the last of the planes (C, h, w) is alpha."""
    return len(planes) in (2, 4)


def keep_flat(output: np.ndarray, alpha: np.ndarray, scale: int) -> np.ndarray:
    """Restore the exact values of an alpha after enlargement, except near edges.

    Args:
        output: the model's output for the alpha, (3, scale*h, scale*w).
        alpha: the original alpha, (h, w), 0...1.
        scale: how many times the model enlarges.

    Returns:
        The enlarged alpha, (3, scale*h, scale*w).
    """
    flat, same = (x.repeat(scale, 0).repeat(scale, 1) for x in (flat_alpha(alpha), alpha))
    return np.where(flat, same, output)


def flat_alpha(alpha: np.ndarray) -> np.ndarray:
    """Return a mask (h, w) of the pixels around which an alpha (h, w) is constant for FLAT_RADIUS pixels."""
    kernel = np.ones((2 * FLAT_RADIUS + 1, 2 * FLAT_RADIUS + 1), np.uint8)
    return cv2.erode(alpha, kernel) == cv2.dilate(alpha, kernel)


def bleed(colour: np.ndarray, alpha: np.ndarray, reach: float = np.inf) -> np.ndarray:
    """Give each invisible pixel near a visible one the colour of the nearest visible pixel.

    The colour of an invisible pixel is arbitrary, mostly black. Enlarged, it would darken the edges of the visible parts.
    Invisible pixels that are farther away are unchanged, because their colours may be data.

    Args:
        colour: planes (C, h, w).
        alpha: (h, w); 0 is invisible.
        reach: largest distance, in pixels, between a changed pixel and a visible one.

    Returns:
        Planes (C, h, w).
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
