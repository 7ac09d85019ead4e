"""A speed, as a tool's log gives it, and how its figures are found in a text.

A figure counts only if its line is complete: a line break, or the text that always follows the figure, comes after it.
The digits at the end of a truncated log would be a wrong number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A figure with a decimal comma is not one: the digits before it would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'


# The precision of the guide's own command, `trtexec --fp16`, whose log need not repeat it.
GUIDES_PRECISION = 'fp16'
# The precisions that a GPU's log may name: the types of numbers, which may be joined with +, and the model's own types.
TYPES = ('fp32', 'tf32', 'fp16', 'bf16', 'int8', 'fp8', 'int4', 'fp4', 'best')
STRONGLY_TYPED = 'strongly-typed'
_TYPE = f'(?:{"|".join(TYPES)})'
KNOWN_PRECISION = re.compile(
    rf'{_TYPE}(?: ?\+ ?{_TYPE})*(?: \((?:obey|prefer) precision constraints\))?|strongly[- ]typed|fp32 \(strongly typed\)'
)


class Speed(NamedTuple):
    """What a speed log says.

    Attributes:
        tool: the name of the tool that wrote it.
        batch: images in a batch; a fraction if the log gives the mean of several sizes; None if it does not say.
        rate: images/s.
        devices: how many devices the rate is of; 1 except for a log of several.
        device: the name of the device, in the log's words; None if the log does not say.
        precision: the precision, in the log's words, or GUIDES_PRECISION; None if the log does not say.
        unnamed_device: a description of a device that the log does not name and that is not the tool's assumed chip.
    """

    tool: str
    batch: float | None
    rate: float
    devices: int = 1
    device: str | None = None
    precision: str | None = None
    unnamed_device: str | None = None

    @property
    def is_of_one_batch_size(self) -> bool:
        """Whether all batches had the same number of images, as far as the log says."""
        return self.batch is None or self.batch == int(self.batch)

    def describe_precision(self) -> str:
        """', FP32'; nothing where the log does not say, or only repeats the guide's own command."""
        return '' if self.precision in (None, GUIDES_PRECISION) else f', {self.precision}'


def plain_precision(words: str) -> str:
    """A precision in small letters, without the fp32 that trtexec names beside each other one.

    'FP32' -> 'fp32'; 'FP32+FP16' and 'FP16' -> 'fp16'; 'FP16 + INT8' -> 'fp16+int8'; 'FP32 (Strongly Typed)' and
    'strongly-typed' -> 'strongly typed'; 'int8+fp16' -> 'fp16+int8'. Constraints on the precision of layers stay, as they
    change it.
    """
    words = words.strip().lower().replace('-', ' ')
    if 'strongly typed' in words:
        return 'strongly typed'
    name, _, note = words.partition(' (')
    parts = [part.strip() for part in name.split('+')]
    parts = sorted(part for part in parts if part != 'fp32') or ['fp32']
    return '+'.join(parts) + (f' ({note}' if 'constraints' in note else '')


def is_precision(words: str) -> bool:
    """Whether these are words for a precision, in a log's spelling or that of the flag: 'FP32+FP16', 'fp16'."""
    return bool(KNOWN_PRECISION.fullmatch(words.strip().lower()))


def is_close(a: float, b: float) -> bool:
    """Whether two figures of a log are the same one, rounded: they differ by half a percent at most."""
    return abs(a - b) <= 0.005 * max(a, b)


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
