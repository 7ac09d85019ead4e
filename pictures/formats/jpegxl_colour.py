"""Writing a colour space into the header of a JPEG XL: H.273 numbers or an ICC profile (ISO 18181-1, annexes D and E).

No library in this project can write them. In a codestream that is not in XYB, the colour space is only a label, so the
pixels need no change. The header is before the first frame, which starts at a whole byte.
"""

from __future__ import annotations

import struct

from pictures.formats import jpegxl_bits

D65 = 1  # JPEG XL's value of a white point
PRIMARIES = {1: 1, 9: 9, 12: 11}  # H.273's values: JPEG XL's, for BT.709, BT.2100, Display P3
TRANSFERS = (1, 8, 13, 16, 18)  # BT.709, linear, sRGB, PQ, HLG: the same values in H.273 and JPEG XL
RGB, GREY = 0, 1
ALPHA = 0
# The first 128 bytes of a profile are stored as differences to these (E.4.3).
USUAL_HEADER = (
    bytes(8)
    + b'\4\0\0\0mntrRGB XYZ '
    + bytes(12)
    + b'acsp'
    + bytes(28)
    + b'\0\0\xf6\xd6\0\1\0\0\0\0\xd3\x2d'
    + bytes(48)
)
INSERT = 1  # the command that inserts bytes unchanged


def holds_numbers(primaries: int, transfer: int) -> bool:
    """Return whether JPEG XL has values for the primaries and the transfer function of H.273."""
    return primaries in PRIMARIES and transfer in TRANSFERS


def is_in_own_colours(codestream: bytes) -> bool:
    """Return whether pixels are stored in the colour space that the header names, not in XYB.

    Lossless files always store them so.

    Raises:
        ValueError: the header is not one that libjxl writes for a still picture.
    """
    header = jpegxl_bits.HeaderBits(codestream)
    return not _skip_to_colour(header)


def with_colour(codestream: bytes, icc_profile: bytes | None, numbers: tuple[int, int] | None) -> bytes:
    """Return a codestream with another colour space.

    Args:
        codestream: of a still picture without a profile, not in XYB.
        icc_profile: the new colour space, if `numbers` is None.
        numbers: the new colour space as H.273 numbers: primaries, transfer function.

    Raises:
        ValueError: the codestream is in XYB or has an unexpected header.
    """
    header = jpegxl_bits.HeaderBits(codestream)
    if _skip_to_colour(header):
        raise ValueError('the encoder wrote XYB')
    start = header.position
    space = _skip_colour(header)
    if header.take(2) or not header.take(1):  # extensions, or transforms that are not the default
        raise ValueError('the encoder wrote an unexpected header')
    frames = codestream[(header.position + 7) // 8 :]
    bits = _Writer()
    bits.put(int.from_bytes(codestream, 'little') & ((1 << start) - 1), start)
    bits.put(0, 1)  # the colour space is not the default
    bits.put(int(numbers is None), 1)  # whether there is a profile
    bits.choose(space)
    if numbers:
        bits.choose(D65)
        if space == RGB:
            bits.choose(PRIMARIES[numbers[0]])
        bits.put(0, 1)  # the transfer function is a number, not a gamma value
        bits.choose(numbers[1])
        bits.choose(1)  # the rendering intent: relative
    bits.put(0b100, 3)  # no extensions, the default transforms
    if not numbers:
        _put_profile(bits, icc_profile or b'')
    return bits.content() + frames


def _skip_to_colour(header: jpegxl_bits.HeaderBits) -> int:
    """Read the header up to the colour space; return 1 if the pixels are in XYB, else 0."""
    is_small = header.take(1)
    header.take(5) if is_small else header.choose(jpegxl_bits.SIDE)
    if not header.take(3):
        header.take(5) if is_small else header.choose(jpegxl_bits.SIDE)
    if header.take(1):  # all other fields have their default values
        return 1
    if header.take(1):
        raise ValueError('the encoder wrote an unexpected header')
    _skip_depth(header)
    header.take(1)
    for _ in range(header.choose(jpegxl_bits.EXTRA_CHANNELS)):
        _skip_extra_channel(header)
    return header.take(1)


def _skip_depth(header: jpegxl_bits.HeaderBits) -> None:
    if header.take(1):
        raise ValueError('the encoder wrote floating-point numbers')
    header.choose(jpegxl_bits.BITS)


def _skip_extra_channel(header: jpegxl_bits.HeaderBits) -> None:
    if header.take(1):
        return
    if header.choose(jpegxl_bits.ENUM) != ALPHA:
        raise ValueError('the encoder wrote an extra channel that is not alpha')
    _skip_depth(header)
    header.choose(jpegxl_bits.SHIFT)
    header.take(8 * header.choose(jpegxl_bits.NAME_LENGTH))
    header.take(1)


def _skip_colour(header: jpegxl_bits.HeaderBits) -> int:
    """Read a colour space without a profile; return RGB or GREY."""
    if header.take(1):
        return RGB
    if header.take(1):
        raise ValueError('the encoder wrote a profile')
    space, white = header.choose(jpegxl_bits.ENUM), header.choose(jpegxl_bits.ENUM)
    primaries = header.choose(jpegxl_bits.ENUM) if space == RGB else 0
    if space not in (RGB, GREY) or 2 in (white, primaries):
        raise ValueError('the encoder wrote an unexpected colour space')
    header.take(24) if header.take(1) else header.choose(jpegxl_bits.ENUM)
    header.choose(jpegxl_bits.ENUM)
    return space


class _Writer:
    """A writer that joins bits; the lowest bit of each number comes first."""

    def __init__(self) -> None:
        self._bits: list[str] = []  # strings of 0 and 1, the lowest bit first

    def put(self, value: int, count: int) -> None:
        self._bits.append(format(value, f'0{count}b')[::-1] if count else '')

    def choose(self, value: int) -> None:
        """Append a value in the form of ENUM."""
        selector = 0 if value == 0 else 1 if value == 1 else 2 if value < 18 else 3
        self.put(selector, 2)
        self.put(value - jpegxl_bits.ENUM[selector][1], jpegxl_bits.ENUM[selector][0])

    def put_u64(self, value: int) -> None:
        """Append a number of up to 64 bits, in the last of the four forms that JPEG XL allows (B.2.3)."""
        self.put(3, 2)
        self.put(value & 0xFFF, 12)
        value >>= 12
        while value:
            self.put(1, 1)
            self.put(value & 0xFF, 8)
            value >>= 8
        self.put(0, 1)

    def content(self) -> bytes:
        text = ''.join(self._bits)
        return int(text[::-1], 2).to_bytes((len(text) + 7) // 8, 'little')


def _put_profile(bits: _Writer, profile: bytes) -> None:
    """Append a profile without compression: each byte has a code of eight bits (E.4)."""
    stream = _profile_stream(profile)
    bits.put_u64(len(stream))
    bits.put(0, 1)  # no LZ77
    bits.put(0b001, 3)  # a simple context map: all contexts have the same code
    bits.put(1, 1)  # prefix codes
    bits.put(8, 4)  # each number below 2**8 is a symbol
    bits.put(0, 4)
    bits.put(0, 4)
    bits.put(1, 1)  # more than one symbol
    bits.put(7, 4)
    bits.put(127, 7)  # 1 + 128 + 127 = 256 symbols
    _put_flat_code(bits)
    for byte in stream:
        bits.put(int(f'{byte:08b}'[::-1], 2), 8)  # reversed, because a code starts with its highest bit


def _put_flat_code(bits: _Writer) -> None:
    """Append the description of a code with 256 symbols of eight bits each (RFC 7932, 3.5)."""
    bits.put(0, 2)  # no length is omitted
    # The lengths of the symbols' codes are coded, too. These are the lengths of their codes, in the order of the symbol
    # lengths 1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9 and so on. Only length 8 is used.
    for length in [0] * 10 + [1] + [0] * 7:
        bits.put(*{0: (0b00, 2), 1: (0b0111, 4)}[length])


def _profile_stream(profile: bytes) -> bytes:
    """Return a profile as JPEG XL has it before entropy coding: the header as differences, then the rest unchanged."""
    usual = bytearray(struct.pack('>I', len(profile)) + USUAL_HEADER[4:])
    usual[80:84] = profile[4:8]
    usual[41:44] = {b'A': b'PPL', b'M': b'SFT'}.get(profile[40:41], bytes(usual[41:44]))
    usual[42:44] = {b'SG': b'I ', b'SU': b'NW'}.get(profile[40:42], bytes(usual[42:44]))
    head = bytes((a - b) & 255 for a, b in zip(profile[:128], usual))
    commands = _variable(0) + bytes([INSERT]) + _variable(len(profile) - 128)  # no list of tags, then one insertion
    return _variable(len(profile)) + _variable(len(commands)) + commands + head + profile[128:]


def _variable(value: int) -> bytes:
    """Return a number in groups of seven bits; the lowest group comes first."""
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    return bytes(content + bytes([value]))
