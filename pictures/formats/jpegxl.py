"""JPEG XL: read by imagecodecs and pillow-jxl-plugin; written by jpegxl_writer.py.

The header is read here, since libjxl's wrapper leaves out how many bits a channel has (ISO 18181-1, annex D).
"""

from __future__ import annotations

import io

from pictures.formats import base, boxes, jpegxl_colour, jpegxl_writer, pixels, stderr_capture
from pictures.metadata import metadata
from rdn import images

import numpy as np
from PIL import Image

CODESTREAM = b'\xff\x0a'  # with which the pixels begin, in a file of boxes or alone
# How many bits a number has, and what is added to it, for each of the four choices that a field has.
SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
BITS = ((0, 8), (0, 10), (0, 12), (6, 1))
PREVIEW_EIGHTHS = ((0, 16), (0, 32), (5, 1), (9, 33))
PREVIEW_SIDE = ((6, 1), (8, 65), (10, 321), (12, 1345))
TICKS = ((0, 100), (0, 1000), (10, 1), (30, 1))
TICKS_DIVIDED_BY = ((0, 1), (0, 1001), (8, 1), (10, 1))
LOOPS = ((0, 0), (3, 0), (16, 0), (32, 0))


class _Bits:
    """Numbers of some bits each, the lowest first."""

    def __init__(self, data: bytes):
        self._number, self._room = int.from_bytes(data, 'little'), 8 * len(data)

    def take(self, count: int) -> int:
        self._room -= count
        if self._room < 0:
            raise ValueError('is cut off')
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value

    def choose(self, choices: tuple[tuple[int, int], ...]) -> int:
        count, offset = choices[self.take(2)]
        return self.take(count) + offset


def bits_of(data: bytes) -> int:
    """Bits a channel of a file's content. Raises ValueError for numbers that are not whole, and a broken header."""
    if not data.startswith(CODESTREAM):
        data = boxes.content_of(data, b'jxlc') or (boxes.content_of(data, b'jxlp') or b'')[4:]
    bits = _Bits(data[2:130])
    if not data.startswith(CODESTREAM):
        raise ValueError('JPEG XL without pixels')
    _skip_size(bits)
    if bits.take(1):  # all is as usual
        return 8
    if bits.take(1):
        _skip_extra_fields(bits)
    if bits.take(1):
        raise ValueError('JPEG XL of numbers that are not whole is not read')
    return bits.choose(BITS)


def _skip_size(bits: _Bits) -> None:
    is_small = bits.take(1)
    bits.take(5) if is_small else bits.choose(SIDE)
    if not bits.take(3):  # no usual ratio: the width, too
        bits.take(5) if is_small else bits.choose(SIDE)


def _skip_extra_fields(bits: _Bits) -> None:
    bits.take(3)  # orientation
    if bits.take(1):  # the size that it is meant to be shown in
        _skip_size(bits)
    if bits.take(1):
        sides = PREVIEW_EIGHTHS if bits.take(1) else PREVIEW_SIDE
        bits.choose(sides)
        if not bits.take(3):
            bits.choose(sides)
    if bits.take(1):
        for choices in (TICKS, TICKS_DIVIDED_BY, LOOPS):
            bits.choose(choices)
        bits.take(1)


def read(data: bytes, notes: list[str]) -> base.Content:
    """Turned upright by libjxl itself; its colour profile is read by pillow-jxl-plugin."""
    try:
        import imagecodecs
        import pillow_jxl  # noqa: F401 - Pillow knows JPEG XL then
    except ImportError:
        raise ValueError('JPEG XL is read on Python 3.10 and later, with pillow-jxl-plugin: save it as PNG')
    with Image.open(io.BytesIO(data)) as image:
        images.check_pixels(*image.size)
        profile = image.info.get('icc_profile')
    with stderr_capture.libraries():
        array = imagecodecs.jpegxl_decode(data)
    if array.ndim == 4 or array.ndim == 3 and array.shape[2] > 4 and array.shape[0] > 1:
        notes.append(f'the first of {len(array)} frames')
        array = array[0]
    array = pixels.as_planes_last(array)
    if array.dtype not in (np.uint8, np.uint16) or array.shape[2] > 4:
        raise ValueError('JPEG XL of these channels, or of numbers that are not whole, is not read')
    block = boxes.content_of(data, b'Exif')
    tags = metadata.read_exif(block[4:], notes) if block else None
    array = pixels.scale(array, (1 << bits_of(data)) - 1)
    return array, metadata.Metadata(tags, boxes.content_of(data, b'xml '), profile), None


FORMAT = base.Format(
    'JPEG XL',
    ('.jxl',),
    lambda head: head.startswith((CODESTREAM, b'\0\0\0\x0cJXL \r\n\x87\n')),
    base.whole(read),
    size=base.unknown_size,
    written=('.jxl',),
    save=jpegxl_writer.save,
    save_8_bits=jpegxl_writer.write,
    save_16_bits=jpegxl_writer.write,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi')),
    holds_numbers=jpegxl_colour.holds_numbers,
    is_lossless=jpegxl_writer.is_lossless,
)
