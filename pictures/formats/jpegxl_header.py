"""The header of a JPEG XL file, with the meaning of its channels (ISO 18181-1, annex D).

This module parses it, because no Python wrapper of libjxl returns the meaning of the channels.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pictures.formats import boxes, jpegxl_bits

CODESTREAM = b'\xff\x0a'  # the start of the codestream, which is in a box or is the whole file
HEADER_BYTES = 4096  # at the start of the codestream; enough for the header with the names of channels
# Fields of four choices, as in jpegxl_bits.py.
FLOAT_BITS = ((0, 32), (0, 16), (0, 24), (6, 1))
PREVIEW_EIGHTHS = ((0, 16), (0, 32), (5, 1), (9, 33))
PREVIEW_SIDE = ((6, 1), (8, 65), (10, 321), (12, 1345))
TICKS = ((0, 100), (0, 1000), (10, 1), (30, 1))
TICKS_DIVIDED_BY = ((0, 1), (0, 1001), (8, 1), (10, 1))
LOOPS = ((0, 0), (3, 0), (16, 0), (32, 0))
CFA_CHANNEL = ((0, 1), (2, 0), (4, 3), (8, 19))
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
ALPHA, SPOT, BLACK, CFA = 0, 2, 4, 5  # types of extra channels
GREY = 1  # a value of ColourSpace
BITS_AS_12 = 2  # the index of 12 in jpegxl_bits.BITS


class Extra(NamedTuple):
    """A channel in addition to grey or RGB.

    Attributes:
        kind: its type: ALPHA, SPOT, BLACK, CFA or another number.
        is_premultiplied: whether the colours are multiplied by it.
    """

    kind: int
    is_premultiplied: bool = False


class StreamHeader(NamedTuple):
    """A JPEG XL file's header.

    Attributes:
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        bits: the bits per channel.
        bits_place: the offset, in bits, of the field for the bits per channel; None if this is not the short form of 8.
        is_float: whether the numbers are floating-point numbers.
        extras: the channels in addition to grey or RGB.
        is_xyb: whether the pixels are stored in XYB, a model of human vision, from which libjxl computes their colours.
        has_profile: whether the colour space is an ICC profile.
        is_grey: whether there is one colour channel.
        is_animated: whether there can be several frames.
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
        """The first alpha channel; None if there is none."""
        return next((extra for extra in self.extras if extra.kind == ALPHA), None)


def codestream_of(data: bytes) -> bytes:
    """Return the codestream, the part of a file's content that contains the pixels.

    Args:
        data: the file's content, or its start.

    Returns:
        The codestream; its start if `data` is only the start of a file.

    Raises:
        ValueError: there is no codestream.
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
    """Return the header of a codestream.

    Raises:
        ValueError: the header is truncated.
    """
    bits = jpegxl_bits.HeaderBits(codestream[:HEADER_BYTES])
    header = StreamHeader(*_size(bits))
    if bits.take(1):  # all other fields have their default values
        return header
    if bits.take(1):
        header = _with_extra_fields(header, bits)
    if bits.take(1):
        bits.choose(FLOAT_BITS)
        bits.take(4)
        header = header._replace(is_float=True)
    else:
        place, number = bits.position, bits.choose(jpegxl_bits.BITS)
        is_usual = number == 8 and bits.position == place + 2
        header = header._replace(bits=number, bits_place=place if is_usual else None)
    bits.take(1)  # whether 16-bit buffers are sufficient for decoding
    header = header._replace(extras=tuple(_extra(bits) for _ in range(bits.choose(jpegxl_bits.EXTRA_CHANNELS))))
    header = header._replace(is_xyb=bool(bits.take(1)))
    if bits.take(1):  # sRGB
        return header
    return header._replace(has_profile=bool(bits.take(1)), is_grey=bits.choose(jpegxl_bits.ENUM) == GREY)


def with_12_bits(codestream: bytes, header: StreamHeader) -> bytes:
    """Return an XYB codestream with 8 bits, in which the header asks libjxl for 12 bits.

    XYB itself has more bits. The number in the header determines only the bits of libjxl's output.

    Args:
        codestream: in XYB, with a header in which `bits_place` is not None.
        header: its header.
    """
    assert header.is_xyb and header.bits_place is not None
    place, shift = divmod(header.bits_place, 8)
    changed = int.from_bytes(codestream[place : place + 2], 'little') | BITS_AS_12 << shift
    return codestream[:place] + changed.to_bytes(2, 'little') + codestream[place + 2 :]


def _size(bits: jpegxl_bits.HeaderBits) -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.choose(jpegxl_bits.SIDE)

    height, ratio = side(), bits.take(3)
    if not ratio:
        return side(), height
    across, down = RATIOS[ratio - 1]
    return height * across // down, height


def _with_extra_fields(header: StreamHeader, bits: jpegxl_bits.HeaderBits) -> StreamHeader:
    """Read the fields that few files have, and return the header with their values."""
    orientation = 1 + bits.take(3)
    if bits.take(1):  # the size at which the picture should be shown
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


def _extra(bits: jpegxl_bits.HeaderBits) -> Extra:
    if bits.take(1):  # an alpha channel with default values
        return Extra(ALPHA)
    kind = bits.choose(jpegxl_bits.ENUM)
    if bits.take(1):
        bits.choose(FLOAT_BITS)
        bits.take(4)
    else:
        bits.choose(jpegxl_bits.BITS)
    bits.choose(jpegxl_bits.SHIFT)
    bits.take(8 * bits.choose(jpegxl_bits.NAME_LENGTH))
    if kind == SPOT:
        bits.take(4 * 16)
    if kind == CFA:
        bits.choose(CFA_CHANNEL)
    return Extra(kind, kind == ALPHA and bool(bits.take(1)))
