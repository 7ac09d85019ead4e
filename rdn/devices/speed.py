"""A speed from a tool's log, and the search for its figures in the text.

A figure counts only if its line is complete: a line break must follow, or the text that always follows the figure.
Otherwise the digits at the end of a truncated log would be a wrong number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# A figure with a decimal comma does not match, because the digits before the comma would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'


# The precision of the guide's own command, `trtexec --fp16`, whose log need not repeat it.
GUIDES_PRECISION = 'fp16'
# The precisions that a GPU's log may name: types, which may be joined with +, or the model's own types.
TYPES = ('fp32', 'tf32', 'fp16', 'bf16', 'int8', 'fp8', 'int4', 'fp4', 'best')
STRONGLY_TYPED = 'strongly-typed'
_TYPE = f'(?:{"|".join(TYPES)})'
KNOWN_PRECISION = re.compile(
    rf'{_TYPE}(?: ?\+ ?{_TYPE})*(?: \((?:obey|prefer) precision constraints\))?|strongly[- ]typed|fp32 \(strongly typed\)'
)


class Speed(NamedTuple):
    """The speed in a log.

    Attributes:
        tool: the name of the tool that wrote the log.
        batch: images in a batch; a fraction if the log has the mean of several sizes; None if the log does not say.
        rate: images/s.
        devices: the number of devices that reached this rate together; usually 1.
        device: the name of the device, in the log's words; None if the log does not say.
        precision: the precision, in the log's words, or GUIDES_PRECISION; None if the log does not say.
        unnamed_device: a description of the device, if the log does not name it but shows that it is not the tool's
            assumed chip; else None.
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
        """Whether all batches had the same number of images, according to the log."""
        return self.batch is None or self.batch == int(self.batch)

    def describe_precision(self) -> str:
        """Return ', FP32' for example; empty if the precision is unknown or that of the guide's own command."""
        return '' if self.precision in (None, GUIDES_PRECISION) else f', {self.precision}'


def plain_precision(words: str) -> str:
    """Return the standard form of a precision: small letters, sorted, without the fp32 that trtexec adds to the others.

    Constraints on the precision of layers stay, because they change the result. Examples:

    - 'FP32' -> 'fp32'
    - 'FP32+FP16' and 'FP16' -> 'fp16'
    - 'FP16 + INT8' and 'int8+fp16' -> 'fp16+int8'
    - 'FP32 (Strongly Typed)' and 'strongly-typed' -> 'strongly typed'
    """
    words = words.strip().lower().replace('-', ' ')
    if 'strongly typed' in words:
        return 'strongly typed'
    name, _, note = words.partition(' (')
    parts = [part.strip() for part in name.split('+')]
    parts = sorted(part for part in parts if part != 'fp32') or ['fp32']
    return '+'.join(parts) + (f' ({note}' if 'constraints' in note else '')


def is_precision(words: str) -> bool:
    """Return whether a text names a precision, in a log's spelling ('FP32+FP16') or in the flag's ('fp16')."""
    return bool(KNOWN_PRECISION.fullmatch(words.strip().lower()))


def is_close(a: float, b: float) -> bool:
    """Return whether two figures are equal up to rounding, that is, differ by at most half a percent."""
    return abs(a - b) <= 0.005 * max(a, b)


def find_number(pattern: str, text: str, what: str) -> float:
    """Return the number that a pattern finds in a text.

    Args:
        pattern: a regular expression with a group for the number; several groups are alternatives.
        text: the log.
        what: the name of the figure, for messages.

    Raises:
        ValueError: the number is missing, has several values, or is 0 or infinite.
    """
    matches = re.finditer(pattern, text, re.MULTILINE)
    numbers = sorted({float(next(filter(None, match.groups()))) for match in matches})
    if not numbers:
        raise ValueError(f'{what} is missing or truncated')
    if len(numbers) > 1:
        raise ValueError(
            f'{what} has several values, {numbers[0]:g} and {numbers[1]:g}; the log may contain several runs'
        )
    if not 0 < numbers[0] < float('inf'):
        raise ValueError(f'{what} is {numbers[0]}')
    return numbers[0]
