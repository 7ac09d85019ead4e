"""A speed, as a tool's log gives it, and how its figures are found in a text.

A figure counts only if its line is complete: a line break, or the text that always follows the figure, comes after it.
The digits at the end of a truncated log would be a wrong number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A figure with a decimal comma is not one: the digits before it would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'


class Speed(NamedTuple):
    """What a speed log says.

    Attributes:
        tool: the name of the tool that wrote it.
        batch: images in a batch; None if the log does not say.
        rate: images/s.
        devices: how many devices the rate is of; 1 except for a log of several.
    """

    tool: str
    batch: int | None
    rate: float
    devices: int = 1


def find_number(pattern: str, text: str, what: str) -> float:
    """Return the one number that a pattern finds.

    Raises:
        ValueError: there is none, there are several values, or it is 0.
    """
    matches = re.finditer(pattern, text, re.MULTILINE)
    numbers = sorted({float(next(filter(None, match.groups()))) for match in matches})
    if not numbers:
        raise ValueError(f'{what} not found in it, or cut short')
    if len(numbers) > 1:
        raise ValueError(
            f'{what} has several values, {numbers[0]:g} and {numbers[1]:g}; the log may contain several runs'
        )
    if not 0 < numbers[0] < float('inf'):
        raise ValueError(f'{what} is {numbers[0]}')
    return numbers[0]
