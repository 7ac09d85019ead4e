"""Reduce a picture in float32 to a smaller size with Pillow's LANCZOS, some rows at a time.

LANCZOS works on the stored values (gamma-encoded, not linear light), as Pillow does with 8 bits.
"""

from __future__ import annotations

import math
from typing import Iterable, Iterator

from pictures import upscaler
from pictures.formats import pixels

import numpy as np
from PIL import Image

BAND_PIXELS = 1 << 22  # pixels of the source that are reduced at a time
LANCZOS_RADIUS = 3  # pixels of the result
VISIBLE = 1e-5  # a lower alpha is less than one step of 16 bits


def reduce(
    bands: Iterable[np.ndarray], source_height: int, size: tuple[int, int], is_weighted: bool = True
) -> Iterator[tuple[slice, np.ndarray]]:
    """Reduce a picture from top to bottom.

    Args:
        bands: the picture from top to bottom, each (C, any height, W), float32, 0...1; C as in pictures/formats/pixels.py.
        source_height: height of all bands together, in pixels.
        size: (width, height) of the result, at most (W, source_height).
        is_weighted: whether alpha weights the colours, so that invisible pixels do not colour the edges.

    Yields:
        (rows, planes (C, h, width)) of the result: values about 0...1, not clipped.
    """
    width, height = size
    ratio = source_height / height
    margin = math.ceil(LANCZOS_RADIUS * ratio) + 1
    start = first = 0  # next row of the result; first row of the source in `held`
    held = None
    for band in bands:
        held = band if held is None else np.concatenate([held, band], 1)
        end = first + held.shape[1]
        stop = height if end == source_height else int((end - margin) / ratio)
        if stop <= start:
            continue
        # In coordinates of `held`: Pillow stores the box in float32, which is coarse for large numbers.
        box = (0, start * ratio - first, held.shape[2], min(stop * ratio - first, held.shape[1]))
        yield slice(start, stop), _resize(held, (width, stop - start), box, is_weighted)
        keep = max(first, math.floor(stop * ratio) - margin)
        held, start, first = held[:, keep - first :].copy(), stop, keep


def reduce_wrapped(
    planes: np.ndarray, size: tuple[int, int], is_weighted: bool = True
) -> Iterator[tuple[slice, np.ndarray]]:
    """Reduce a picture whose opposite edges meet, from top to bottom.

    Args:
        planes: (C, H, W), float32 of 0...1, uint8 or uint16.
        size: (width, height) of the result, at most (W, H).
        is_weighted: as in `reduce`.

    Yields:
        As `reduce`.
    """
    width, height = size
    ratio = planes.shape[1] / height
    margin = math.ceil(LANCZOS_RADIUS * ratio) + 1
    around = math.ceil(LANCZOS_RADIUS * planes.shape[2] / width) + 1
    count = max(1, int(BAND_PIXELS / (planes.shape[2] * ratio)))
    for start in range(0, height, count):
        stop = min(height, start + count)
        first, last = math.floor(start * ratio) - margin, math.ceil(stop * ratio) + margin
        box = (around, start * ratio - first, around + planes.shape[2], stop * ratio - first)
        rows = np.take(planes, range(first, last), 1, mode='wrap')
        strip = np.take(rows, range(-around, planes.shape[2] + around), 2, mode='wrap')
        yield slice(start, stop), _resize(upscaler.as_floats(strip), (width, stop - start), box, is_weighted)


def bands_of(planes: np.ndarray) -> Iterator[np.ndarray]:
    """Cut planes (C, H, W), float32 of 0...1, uint8 or uint16, into the bands that `reduce` takes."""
    count = max(1, BAND_PIXELS // planes.shape[2])
    for start in range(0, planes.shape[1], count):
        yield upscaler.as_floats(planes[:, start : start + count])


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
