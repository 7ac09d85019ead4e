"""The size that a person asks for: three times as large, 3840 pixels wide, 24 megapixels."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

# The field of a TargetSize, as flag and keyword, and the letters of its suffix: _x3, _w3840, _h2160, _max4000, _mp24.
LETTERS = {'scale': 'x', 'width': 'w', 'height': 'h', 'max_side': 'max', 'megapixels': 'mp'}
MOST_TIMES = 1000
MOST_PIXELS = 1_000_000  # of a side
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
        """Return the result's (width, height) for an upright picture, each rounded to the nearest and 1 at least."""
        if self.unit == 'megapixels':
            factor = math.sqrt(self.amount * 1e6 / (width * height))
        elif self.unit == 'scale':
            factor = self.amount
        else:
            factor = self.amount / {'width': width, 'height': height, 'max_side': max(width, height)}[self.unit]
        return max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5))


def of_keywords(**wanted: float | None) -> TargetSize | None:
    """Return the size that one keyword asks for, None where each of them is None or there are none.

    Args:
        wanted: `scale`, `width`, `height`, `max_side` or `megapixels`.

    Raises:
        TypeError: another keyword, or more than one.
        ValueError: an amount that makes no sense.
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
    """Return the amount; raise ValueError for one that makes no sense. The arguments are as in TargetSize."""
    if unit == 'scale' and not 1 < amount <= MOST_TIMES:
        raise ValueError(f'{amount:g}: above 1, since this enlarges, up to {MOST_TIMES}')
    if unit == 'megapixels' and not 1e-6 <= amount <= MOST_MEGAPIXELS:
        raise ValueError(f'{amount:g}: a number above 0, up to {MOST_MEGAPIXELS}')
    if unit in ('width', 'height', 'max_side') and not (1 <= amount <= MOST_PIXELS and amount == int(amount)):
        raise ValueError(f'{amount:g}: a whole number of pixels from 1 to {MOST_PIXELS}')
    return amount


def suffix_of(size: TargetSize | None, scale: int) -> str:
    """Return what the names of results end with: '_x3', '_w3840'.

    Args:
        size: that is asked for; None: as much as the model enlarges.
        scale: how many times the model enlarges.
    """
    if size is None:
        return f'_x{scale}'
    number = f'{size.amount:.6f}'.rstrip('0').rstrip('.')
    return f'_{LETTERS[size.unit]}{number}'


def suffix_in(stem: str) -> str:
    """Return the usual suffix that a name ends with, without its ending: '_x2' of 'photo_x2'; '' where there is none."""
    found = SUFFIX.search(stem)
    return found.group() if found else ''
