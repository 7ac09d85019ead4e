"""JPEG XL: read by imagecodecs and pillow-jxl-plugin; written by jpegxl_writer.py.

jpegxl_header.py says what the channels are, since neither of the two does.
"""

from __future__ import annotations

import io

from pictures.formats import base, boxes, jpegxl_colour, jpegxl_header, jpegxl_writer, pixels, stderr_capture
from pictures.metadata import metadata
from rdn import images

import numpy as np
from PIL import Image

SIGNATURES = jpegxl_header.CODESTREAM, b'\0\0\0\x0cJXL \r\n\x87\n'
LINEAR_NAME = '_Lin'.encode('utf-16-be')  # in the names of libjxl's own profiles of linear light
MIN_LINEAR_BITS = 10  # of linear light, so that dark levels stay apart


def read(data: bytes, notes: list[str]) -> base.Content:
    """Read a file's content, turned upright by libjxl itself."""
    try:
        import imagecodecs
        import pillow_jxl  # noqa: F401 - Pillow knows JPEG XL then
    except ImportError:
        raise ValueError('JPEG XL is read on Python 3.10 and later, with pillow-jxl-plugin: save it as PNG')
    codestream = jpegxl_header.codestream_of(data)
    header = jpegxl_header.parse(codestream)
    _check(header)
    with Image.open(io.BytesIO(data)) as image:
        profile = image.info.get('icc_profile')
    is_linear = header.is_xyb and header.has_profile  # libjxl does not compute the colours of a profile
    coded = data
    if is_linear and header.bits_place is not None:
        coded, header = jpegxl_header.with_12_bits(codestream, header), header._replace(bits=12)
    with stderr_capture.libraries():
        array = _first_frame(imagecodecs.jpegxl_decode(coded), header, notes)
    array = pixels.scale(array, (1 << header.bits) - 1)
    if header.alpha and header.alpha.is_premultiplied:
        array = pixels.divide_by_alpha(array)
    if is_linear:
        array, profile = _linear_to_srgb(array, profile, header.bits_place is not None), None
        notes.append('converted to sRGB, colours beyond it are cut off: libjxl does not know its colour space')
    block = boxes.content_of(data, b'Exif')
    tags = metadata.read_exif(block[4:], notes) if block else None
    return array, metadata.Metadata(tags, boxes.content_of(data, b'xml '), profile), None


def size_of(head: bytes) -> tuple[int, int]:
    """(width, height) by the first bytes of a file."""
    return jpegxl_header.parse(jpegxl_header.codestream_of(head))[:2]


def _check(header: jpegxl_header.StreamHeader) -> None:
    """Raises ValueError for a file that would be read wrongly."""
    images.check_pixels(header.width, header.height)
    if header.is_float or header.bits > 16:
        raise ValueError('JPEG XL of numbers that are not whole, or of more than 16 bits, is not read')
    if any(extra.kind == jpegxl_header.BLACK for extra in header.extras):
        raise ValueError('JPEG XL in CMYK is not read: save it as RGB')
    is_linear = header.is_xyb and header.has_profile
    if is_linear and header.bits < MIN_LINEAR_BITS and header.bits_place is None:
        raise ValueError(f'JPEG XL of {header.bits} bits in a colour space of its own is not read: save it as PNG')


def _first_frame(array: np.ndarray, header: jpegxl_header.StreamHeader, notes: list[str]) -> np.ndarray:
    """(H, W, C) of libjxl's pixels, which may be of several frames, or have planes first."""
    channels = (1 if header.is_grey else 3) + (header.alpha is not None)
    shape = (header.height, header.width, channels)
    expected = shape if channels > 1 else shape[:2]
    if array.shape[1:] == expected and array.ndim > len(expected):
        if header.is_animated:
            notes.append(f'the first of {len(array)} frames')
        array = array[0]
    if array.shape != expected or array.dtype not in (np.uint8, np.uint16):
        raise ValueError('JPEG XL of these channels is not read')
    if any(extra.kind not in (jpegxl_header.ALPHA, jpegxl_header.SPOT) for extra in header.extras):
        notes.append('without channels of unknown meaning')
    return array.reshape(shape)


def _linear_to_srgb(array: np.ndarray, profile: bytes | None, has_8_bits: bool) -> np.ndarray:
    """uint16 of linear light (H, W, C) as sRGB (IEC 61966-2-1), with 8 bits or 16. Raises ValueError for other pixels."""
    if not profile or LINEAR_NAME not in profile:
        raise ValueError('JPEG XL in a colour space that libjxl does not know is not read: save it as PNG')
    light = np.arange(65536) / 65535
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    result = array.copy()
    colours = result.shape[2] - (result.shape[2] in pixels.ALPHA)
    result[:, :, :colours] = np.rint(coded * 65535).astype(np.uint16)[array[:, :, :colours]]
    return pixels.to_8_bits(result) if has_8_bits else result


FORMAT = base.Format(
    'JPEG XL',
    ('.jxl',),
    lambda head: head.startswith(SIGNATURES),
    base.whole(read),
    size=base.size_by_head(size_of),
    may_crash=True,
    written=('.jxl',),
    save=jpegxl_writer.save,
    save_8_bits=jpegxl_writer.write,
    save_16_bits=jpegxl_writer.write,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi')),
    holds_numbers=jpegxl_colour.holds_numbers,
    is_lossless=jpegxl_writer.is_lossless,
)
