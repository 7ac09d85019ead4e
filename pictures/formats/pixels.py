"""Conversion of the pixels of all formats to one form: (H, W, C), uint8 or uint16.

C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha). The colours are not multiplied by alpha.
"""

from __future__ import annotations

from pictures.metadata import exif

import numpy as np

ALPHA = {2, 4}  # numbers of channels; the last channel is alpha


def as_planes_last(array: np.ndarray) -> np.ndarray:
    """Return an array (H, W) or (H, W, C) as (H, W, C).

    Raises:
        ValueError: the array has another number of axes, because it contains several frames, for example.
    """
    if array.ndim not in (2, 3):
        raise ValueError(f'its pixels have {array.ndim} axes instead of 2 or 3')
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def scale(array: np.ndarray, largest: int) -> np.ndarray:
    """Scale whole numbers to the full range of uint8 or uint16, rounded to the nearest.

    Args:
        array: numbers from 0 to `largest`, of any shape.
        largest: the number that becomes 255 or 65535; at most 65535.

    Returns:
        The same shape: uint8 if `largest` is at most 255, else uint16.

    Raises:
        ValueError: a number is greater than `largest`.
    """
    full = 255 if largest <= 255 else 65535
    kind = np.uint8 if full == 255 else np.uint16
    if largest == np.iinfo(array.dtype).max:
        return array.astype(kind, copy=False)  # its byte order may have to change
    if array.size and int(array.max()) > largest:
        raise ValueError(f'contains values above its maximum, {largest}')
    if largest == full:
        return array.astype(kind)
    table = ((np.arange(largest + 1, dtype=np.uint32) * full + largest // 2) // largest).astype(kind)
    return table[array]


def fits(array: np.ndarray, bits: int) -> bool:
    """Return whether a number of bits can store all values without loss.

    Args:
        array: values of any shape, uint8 or uint16, scaled to the full range as by `scale`.
        bits: 8 to 16.
    """
    if array.dtype == np.uint8:
        return True
    is_possible = np.zeros(65536, bool)
    is_possible[scale(np.arange(1 << bits, dtype=np.uint16), (1 << bits) - 1).astype(np.uint16)] = True
    return bool(is_possible[array].all())


def upright(array: np.ndarray, orientation: int | None) -> np.ndarray:
    """Return pixels (H, W, C) turned and flipped by EXIF's orientation (1 to 8); with another value, unchanged."""
    if orientation not in range(2, 9):
        return array
    if orientation in exif.QUARTER_TURNS:
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def divide_by_alpha(array: np.ndarray) -> np.ndarray:
    """Divide colours by alpha, for files that store colours multiplied by alpha (premultiplied, associated alpha).

    Args:
        array: (H, W, 2 or 4), uint8 or uint16; the last channel is alpha.

    Returns:
        The same shape and dtype. The colours are rounded to the nearest and limited to the dtype's maximum; where alpha
        is 0, they are 0.
    """
    top = np.iinfo(array.dtype).max
    result = np.empty_like(array)
    rows = max(1, (1 << 22) // max(1, array[0].size))  # a few at a time, because intermediate values have 64 bits
    for start in range(0, len(array), rows):
        part = array[start : start + rows].astype(np.uint64)
        alpha = part[:, :, -1:]
        colour = (part[:, :, :-1] * top + alpha // 2) // np.maximum(alpha, 1)
        result[start : start + rows, :, :-1] = np.where(alpha > 0, np.minimum(colour, top), 0)
    result[:, :, -1] = array[:, :, -1]
    return result


def to_8_bits(array: np.ndarray) -> np.ndarray:
    """Return uint16 values as uint8, rounded to the nearest; uint8 values unchanged."""
    if array.dtype == np.uint8:
        return array
    table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return table[array]
