"""JPEG XL: imagecodecs and pillow-jxl-plugin read it, jpegxl_writer.py writes it.

jpegxl_header.py finds the meaning of the channels, which the two libraries do not return.
"""

from __future__ import annotations

import io

from pictures.formats import base, boxes, jpegxl_colour, jpegxl_header, jpegxl_writer, pixels, stderr_capture
from pictures.metadata import metadata
from rdn import images

import numpy as np
from PIL import Image

SIGNATURES = jpegxl_header.CODESTREAM, b'\0\0\0\x0cJXL \r\n\x87\n'
LINEAR_NAME = '_Lin'.encode('utf-16-be')  # part of the names of libjxl's own linear-light profiles
MIN_LINEAR_BITS = 10  # with fewer bits of linear light, different dark values would become equal


def read(data: bytes, notes: list[str]) -> base.Content:
    """Read the first frame in a file's content; libjxl turns it upright.

    Args:
        data: the file's content.
        notes: receives notes on the parts of the file that are left out or converted.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; None, because the pixels are upright.

    Raises:
        ValueError: the file is damaged or not supported, or pillow-jxl-plugin is missing.
    """
    try:
        import imagecodecs
        import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow
    except ImportError:
        raise ValueError('JPEG XL needs Python 3.10 or later and pillow-jxl-plugin: install them, or save it as PNG')
    codestream = jpegxl_header.codestream_of(data)
    header = jpegxl_header.parse(codestream)
    _check(header)
    with Image.open(io.BytesIO(data)) as image:
        profile = image.info.get('icc_profile')
    is_linear = header.is_xyb and header.has_profile  # libjxl cannot convert XYB to a profile's colours
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
        notes.append('converted to sRGB and clipped to it: libjxl does not support its colour space')
    block = boxes.content_of(data, b'Exif')
    tags = metadata.read_exif(block[4:], notes) if block else None
    return array, metadata.Metadata(tags, boxes.content_of(data, b'xml '), profile), None


def size_of(head: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels, upright, from the first bytes of a file."""
    return jpegxl_header.parse(jpegxl_header.codestream_of(head))[:2]


def _check(header: jpegxl_header.StreamHeader) -> None:
    """Raise ValueError for a file that would be read wrongly."""
    images.check_pixels(header.width, header.height)
    if header.is_float or header.bits > 16:
        raise ValueError(
            'JPEG XL with floating-point numbers or more than 16 bits is not supported: save it with 16 bits'
        )
    if any(extra.kind == jpegxl_header.BLACK for extra in header.extras):
        raise ValueError('JPEG XL in CMYK is not supported: save it as RGB')
    is_linear = header.is_xyb and header.has_profile
    if is_linear and header.bits < MIN_LINEAR_BITS and header.bits_place is None:
        raise ValueError(f'lossy JPEG XL with {header.bits} bits and a profile is not supported: save it as PNG')


def _first_frame(array: np.ndarray, header: jpegxl_header.StreamHeader, notes: list[str]) -> np.ndarray:
    """Return the first frame (H, W, C) of libjxl's array, which may contain several frames."""
    channels = (1 if header.is_grey else 3) + (header.alpha is not None)
    shape = (header.height, header.width, channels)
    expected = shape if channels > 1 else shape[:2]
    if array.shape[1:] == expected and array.ndim > len(expected):
        if header.is_animated:
            notes.append(f'the first of {len(array)} frames')
        array = array[0]
    if array.shape != expected or array.dtype not in (np.uint8, np.uint16):
        raise ValueError('JPEG XL with these channels is not supported: save it as PNG')
    if any(extra.kind not in (jpegxl_header.ALPHA, jpegxl_header.SPOT) for extra in header.extras):
        notes.append('without channels of unknown meaning')
    return array.reshape(shape)


def _linear_to_srgb(array: np.ndarray, profile: bytes | None, has_8_bits: bool) -> np.ndarray:
    """Convert linear light (H, W, C), uint16, to sRGB (IEC 61966-2-1) with 8 or 16 bits; fail for another profile."""
    if not profile or LINEAR_NAME not in profile:
        raise ValueError('JPEG XL in a colour space that libjxl does not support: save it as PNG')
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
