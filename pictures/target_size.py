"""The size that the user chooses: for example three times as large, 3840 pixels wide, or 24 megapixels."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

# Each unit of a TargetSize, and its letters in suffixes: _x3, _w3840, _h2160, _max4000, _mp24.
LETTERS = {'scale': 'x', 'width': 'w', 'height': 'h', 'max_side': 'max', 'megapixels': 'mp'}
MOST_TIMES = 1000
MOST_PIXELS = 1_000_000  # a side
MOST_MEGAPIXELS = 1_000_000
SUFFIX = re.compile(r'_(?:x|w|h|max|mp)\d+(?:\.\d+)?$')


class TargetSize(NamedTuple):
    """The size of a result; the sides keep their ratio.

    Attributes:
        unit: 'scale' (times each side), 'width', 'height' or 'max_side' (pixels of the result; the other side follows),
            or 'megapixels' (millions of pixels of the result).
        amount: how many of the unit.
    """

    unit: str
    amount: float

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of the result of an upright picture.

        Args:
            width: width of the picture in pixels.
            height: height of the picture in pixels.

        Returns:
            (width, height) in pixels, each rounded to the nearest whole number and at least 1.
        """
        if self.unit == 'megapixels':
            factor = math.sqrt(self.amount * 1e6 / (width * height))
        elif self.unit == 'scale':
            factor = self.amount
        else:
            factor = self.amount / {'width': width, 'height': height, 'max_side': max(width, height)}[self.unit]
        return max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5))


def of_keywords(**wanted: float | None) -> TargetSize | None:
    """Return the size that a keyword argument names.

    Args:
        wanted: one of `scale`, `width`, `height`, `max_side` and `megapixels`; None counts as not given.

    Returns:
        The size; None if no keyword is given.

    Raises:
        TypeError: a keyword is unknown, or several are given.
        ValueError: the amount is out of range.
    """
    given = {unit: amount for unit, amount in wanted.items() if amount is not None}
    if len(given) > 1 or set(given) - set(LETTERS):
        raise TypeError(f'{", ".join(given)}: expected one of {", ".join(LETTERS)}')
    for unit, amount in given.items():
        try:
            return TargetSize(unit, checked(unit, amount))
        except ValueError as error:
            raise ValueError(f'{unit} {error}')
    return None


def checked(unit: str, amount: float) -> float:
    """Return an amount if it is in the range of its unit.

    Args:
        unit: as in TargetSize.
        amount: as in TargetSize.

    Raises:
        ValueError: the amount is out of range.
    """
    if unit == 'scale' and not 1 < amount <= MOST_TIMES:
        raise ValueError(f'{amount:g}: expected a number above 1, up to {MOST_TIMES}')
    if unit == 'megapixels' and not 1e-6 <= amount <= MOST_MEGAPIXELS:
        raise ValueError(f'{amount:g}: expected a number above 0, up to {MOST_MEGAPIXELS}')
    if unit in ('width', 'height', 'max_side') and not (1 <= amount <= MOST_PIXELS and amount == int(amount)):
        raise ValueError(f'{amount:g}: expected a whole number of pixels from 1 to {MOST_PIXELS}')
    return amount


def suffix_of(size: TargetSize | None, scale: int) -> str:
    """Return the usual suffix of results, for example '_x3' or '_w3840'.

    Args:
        size: the size of the results; None: the model runs once.
        scale: how many times the model enlarges each side.
    """
    if size is None:
        return f'_x{scale}'
    number = f'{size.amount:.6f}'.rstrip('0').rstrip('.')
    return f'_{LETTERS[size.unit]}{number}'


def suffix_in(stem: str) -> str:
    """Return the usual suffix at the end of a stem: '_x2' of 'photo_x2', '' of 'photo'."""
    found = SUFFIX.search(stem)
    return found.group() if found else ''
