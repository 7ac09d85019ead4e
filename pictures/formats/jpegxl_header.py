"""The header of a JPEG XL file: what its channels are, which no wrapper of libjxl tells (ISO 18181-1, annex D)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pictures.formats import boxes

CODESTREAM = b'\xff\x0a'  # with which the pixels begin, in a file of boxes or alone
HEADER_BYTES = 4096  # of the codestream: the names of channels are in it, too
# How many bits a number has, and what is added to it, for each of the four choices that a field has.
SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
FLOAT_BITS = ((0, 32), (0, 16), (0, 24), (6, 1))
PREVIEW_EIGHTHS = ((0, 16), (0, 32), (5, 1), (9, 33))
PREVIEW_SIDE = ((6, 1), (8, 65), (10, 321), (12, 1345))
TICKS = ((0, 100), (0, 1000), (10, 1), (30, 1))
TICKS_DIVIDED_BY = ((0, 1), (0, 1001), (8, 1), (10, 1))
LOOPS = ((0, 0), (3, 0), (16, 0), (32, 0))
EXTRA_CHANNELS = ((0, 0), (0, 1), (4, 2), (12, 1))
ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
SHIFT = ((0, 0), (0, 3), (0, 4), (3, 1))
NAME_LENGTH = ((0, 0), (4, 0), (5, 16), (10, 48))
CFA_CHANNEL = ((0, 1), (2, 0), (4, 3), (8, 19))
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # of the width to the height
ALPHA, SPOT, BLACK, CFA = 0, 2, 4, 5  # types of extra channels
GREY = 1  # a value of ColourSpace
BITS_AS_12 = 2  # a choice of BITS


class Extra(NamedTuple):
    """A channel beside grey or RGB. kind: its type in the file; is_premultiplied: whether colours are multiplied by it."""

    kind: int
    is_premultiplied: bool = False


class StreamHeader(NamedTuple):
    """A JPEG XL file's header.

    Attributes:
        width: in pixels, upright.
        height: in pixels, upright.
        bits: a channel.
        bits_place: where a field says that `bits` are 8 as usual: the number of bits before it; None without one.
        is_float: whether the numbers are not whole.
        extras: the channels beside grey or RGB.
        is_xyb: whether the pixels are stored as the eye sees them, so that libjxl computes their colours.
        has_profile: whether an ICC profile says the colour space.
        is_grey: whether there is one colour channel.
        is_animated: whether there may be several frames.
    """

    width: int
    height: int
    bits: int = 8
    bits_place: int | None = None
    is_float: bool = False
    extras: tuple[Extra, ...] = ()
    is_xyb: bool = True
    has_profile: bool = False
    is_grey: bool = False
    is_animated: bool = False

    @property
    def alpha(self) -> Extra | None:
        """The first channel of transparency."""
        return next((extra for extra in self.extras if extra.kind == ALPHA), None)


class _Bits:
    """Numbers of some bits each, the lowest first."""

    def __init__(self, data: bytes):
        self._number, self._room = int.from_bytes(data, 'little'), 8 * len(data)
        self.place = 0

    def take(self, count: int) -> int:
        self.place += count
        if self.place > self._room:
            raise ValueError('is cut off')
        return (self._number >> (self.place - count)) & ((1 << count) - 1)

    def choose(self, choices: tuple[tuple[int, int], ...]) -> int:
        count, offset = choices[self.take(2)]
        return self.take(count) + offset


def codestream_of(data: bytes) -> bytes:
    """The part of a file's content that holds the pixels. Raises ValueError where there is none.

    Of the beginning of a file it is the beginning.
    """
    if data.startswith(CODESTREAM):
        return data
    whole = boxes.content_of(data, b'jxlc') or b''.join(part[4:] for part in boxes.contents_of(data, b'jxlp'))
    begin = re.search(rb'jxlc(?=\xff\x0a)|jxlp....(?=\xff\x0a)', data, re.DOTALL)
    found = whole or (data[begin.end() :] if begin else b'')
    if not found.startswith(CODESTREAM):
        raise ValueError('JPEG XL without pixels')
    return found


def parse(codestream: bytes) -> StreamHeader:
    """The header of a codestream. Raises ValueError for a broken one."""
    bits = _Bits(codestream[:HEADER_BYTES])
    bits.take(8 * len(CODESTREAM))
    header = StreamHeader(*_size(bits))
    if bits.take(1):  # all is as usual
        return header
    if bits.take(1):
        header = _with_extra_fields(header, bits)
    if bits.take(1):
        bits.choose(FLOAT_BITS)
        bits.take(4)
        header = header._replace(is_float=True)
    else:
        place, number = bits.place, bits.choose(BITS)
        is_usual = number == 8 and bits.place == place + 2
        header = header._replace(bits=number, bits_place=place if is_usual else None)
    bits.take(1)  # whether 16 bits are enough to compute with
    header = header._replace(extras=tuple(_extra(bits) for _ in range(bits.choose(EXTRA_CHANNELS))))
    header = header._replace(is_xyb=bool(bits.take(1)))
    if bits.take(1):  # sRGB
        return header
    return header._replace(has_profile=bool(bits.take(1)), is_grey=bits.choose(ENUM) == GREY)


def with_12_bits(codestream: bytes, header: StreamHeader) -> bytes:
    """The codestream of a file of 8 bits and XYB, with a header that asks libjxl for 12 bits.

    The number says only how the pixels are to be put out, since XYB itself has more bits.
    """
    assert header.is_xyb and header.bits_place is not None
    place, shift = divmod(header.bits_place, 8)
    changed = int.from_bytes(codestream[place : place + 2], 'little') | BITS_AS_12 << shift
    return codestream[:place] + changed.to_bytes(2, 'little') + codestream[place + 2 :]


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.choose(SIDE)

    height, ratio = side(), bits.take(3)
    if not ratio:
        return side(), height
    across, down = RATIOS[ratio - 1]
    return height * across // down, height


def _with_extra_fields(header: StreamHeader, bits: _Bits) -> StreamHeader:
    """The header with what fields say that few files have."""
    orientation = 1 + bits.take(3)
    if bits.take(1):  # the size that it is meant to be shown in
        _size(bits)
    if bits.take(1):
        sides = PREVIEW_EIGHTHS if bits.take(1) else PREVIEW_SIDE
        bits.choose(sides)
        if not bits.take(3):
            bits.choose(sides)
    if bits.take(1):
        for choices in (TICKS, TICKS_DIVIDED_BY, LOOPS):
            bits.choose(choices)
        bits.take(1)
        header = header._replace(is_animated=True)
    return header._replace(width=header.height, height=header.width) if orientation > 4 else header


def _extra(bits: _Bits) -> Extra:
    if bits.take(1):  # transparency of 8 bits
        return Extra(ALPHA)
    kind = bits.choose(ENUM)
    if bits.take(1):
        bits.choose(FLOAT_BITS)
        bits.take(4)
    else:
        bits.choose(BITS)
    bits.choose(SHIFT)
    bits.take(8 * bits.choose(NAME_LENGTH))
    if kind == SPOT:
        bits.take(4 * 16)
    if kind == CFA:
        bits.choose(CFA_CHANNEL)
    return Extra(kind, kind == ALPHA and bool(bits.take(1)))
