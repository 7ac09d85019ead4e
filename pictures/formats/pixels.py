"""Pixels as they come out of picture files, brought to one form.

That is (H, W, C), uint8 or uint16, C 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha); alpha is not multiplied in.
"""

from __future__ import annotations

from pictures.metadata import exif

import numpy as np

ALPHA = {2, 4}  # numbers of channels of which the last is alpha


def as_planes_last(array: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) -> (H, W, C). Raises ValueError for arrays of other kinds, of several frames say."""
    if array.ndim not in (2, 3):
        raise ValueError(f'its pixels have {array.ndim} axes')
    return array if array.ndim == 3 else array[:, :, np.newaxis]


def scale(array: np.ndarray, largest: int) -> np.ndarray:
    """Whole numbers 0...largest, which is 65535 at most, as uint8, or where that needs more as uint16.

    The largest becomes 255 or 65535, what is between is rounded to the nearest. Raises ValueError for a number beyond
    the largest.
    """
    full = 255 if largest <= 255 else 65535
    kind = np.uint8 if full == 255 else np.uint16
    if largest == np.iinfo(array.dtype).max:
        return array.astype(kind, copy=False)  # of another byte order, perhaps
    if array.size and int(array.max()) > largest:
        raise ValueError(f'holds numbers beyond its largest, {largest}')
    if largest == full:
        return array.astype(kind)
    table = ((np.arange(largest + 1, dtype=np.uint32) * full + largest // 2) // largest).astype(kind)
    return table[array]


def fits(array: np.ndarray, bits: int) -> bool:
    """Return whether all values, of any shape, come from whole numbers of so many bits. bits: 8 to 16."""
    if array.dtype == np.uint8:
        return True
    is_possible = np.zeros(65536, bool)
    is_possible[scale(np.arange(1 << bits, dtype=np.uint16), (1 << bits) - 1).astype(np.uint16)] = True
    return bool(is_possible[array].all())


def upright(array: np.ndarray, orientation: int | None) -> np.ndarray:
    """(H, W, C) turned and flipped as EXIF's orientation (1 to 8) says that the camera was held."""
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
    """Associated alpha (colours multiplied by it) as unassociated: (H, W, 2 or 4) -> the same.

    Rounded to the nearest; where nothing is visible the colour is 0.
    """
    top = np.iinfo(array.dtype).max
    result = np.empty_like(array)
    rows = max(1, (1 << 22) // max(1, array[0].size))  # some at a time: the numbers in between are of 64 bits
    for start in range(0, len(array), rows):
        part = array[start : start + rows].astype(np.uint64)
        alpha = part[:, :, -1:]
        colour = (part[:, :, :-1] * top + alpha // 2) // np.maximum(alpha, 1)
        result[start : start + rows, :, :-1] = np.where(alpha > 0, np.minimum(colour, top), 0)
    result[:, :, -1] = array[:, :, -1]
    return result


def to_8_bits(array: np.ndarray) -> np.ndarray:
    """uint16 as uint8, rounded to the nearest; uint8 as it is."""
    if array.dtype == np.uint8:
        return array
    table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return table[array]
