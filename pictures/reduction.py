"""A picture in float32 brought to a smaller size by Pillow's LANCZOS, some rows at a time.

LANCZOS works on the numbers as the file has them (in gamma, not in linear light), as Pillow does with 8 bits.
"""

from __future__ import annotations

import math
from typing import Iterator

from pictures import channel_roles, upscaler
from pictures.formats import pixels

import numpy as np
from PIL import Image

STRIP_PIXELS = 1 << 22  # of the source, at a time
LANCZOS_RADIUS = 3  # pixels of the result
VISIBLE = 1e-5  # an alpha below this shows nothing in 16 bits either


def reduce(
    planes: np.ndarray, size: tuple[int, int], cutting: upscaler.Cutting = upscaler.USUAL
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, planes (C, h, width)) of the reduced picture from top to bottom: 0...1, not clipped.

    Colours are weighted by alpha, so what is invisible does not colour the edges, unless alpha is data.

    Args:
        planes: (C, H, W), float32 of 0...1, uint8 or uint16; C as in pictures/formats/pixels.py.
        size: (width, height) of the result, at most (W, H).
        cutting: its wraps, whether opposite edges meet, and alpha.
    """
    width, height = size
    ratio = planes.shape[1] / height
    margin = math.ceil(LANCZOS_RADIUS * ratio) + 1
    count = max(1, int(STRIP_PIXELS / (planes.shape[2] * ratio)))
    around = math.ceil(LANCZOS_RADIUS * planes.shape[2] / width) + 1 if cutting.wraps else 0
    for start in range(0, height, count):
        stop = min(height, start + count)
        first, last = math.floor(start * ratio) - margin, math.ceil(stop * ratio) + margin
        if not cutting.wraps:
            first, last = max(0, first), min(planes.shape[1], last)
        # In coordinates of the strip: Pillow holds a box in float32, which is coarse for large numbers.
        box = (around, start * ratio - first, around + planes.shape[2], min(stop * ratio - first, last - first))
        strip = upscaler.as_floats(_strip(planes, first, last, around))
        yield slice(start, stop), _resize(strip, (width, stop - start), box, cutting.alpha == channel_roles.OPACITY)


def _strip(planes: np.ndarray, first: int, last: int, around: int) -> np.ndarray:
    """Rows of planes (C, H, W), with columns `around` them; what lies beyond an edge is that of the opposite side."""
    if not around:
        return planes[:, first:last]
    rows = np.take(planes, range(first, last), 1, mode='wrap')
    return np.take(rows, range(-around, planes.shape[2] + around), 2, mode='wrap')


def _resize(
    strip: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float], is_weighted: bool
) -> np.ndarray:
    def resized(planes: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(Image.fromarray(each).resize(size, Image.LANCZOS, box)) for each in planes])

    if not is_weighted or len(strip) not in pixels.ALPHA or strip[-1].min() == 1:
        return resized(strip)
    alpha = resized(strip[-1:])
    is_visible = alpha[0] > VISIBLE
    weighted = resized(strip[:-1] * strip[-1])
    colour = resized(strip[:-1])
    np.divide(weighted, alpha, out=colour, where=np.broadcast_to(is_visible, colour.shape))
    return np.concatenate([colour, alpha])
