"""JPEG XL written: pixels by imagecodecs (libjxl), colours, EXIF and XMP put in here (ISO 18181-1, 18181-2).

libjxl codes with loss in the colours of the eye (XYB), for which it has to know the picture's colour space; imagecodecs
lets it take 8 bits for sRGB and 16 bits for linear light. So all else is coded without loss, in its own colours.
"""

from __future__ import annotations

from typing import BinaryIO

from pictures.formats import base, boxes, jpegxl_colour, pixels
from pictures.metadata import cicp, colour, exif, metadata

import numpy as np
from PIL import Image

CODESTREAM = b'\xff\x0a'  # with which the pixels begin
SIGNATURE = b'\0\0\0\x0cJXL \r\n\x87\n'
FILE_TYPE = b'\0\0\0\x14ftypjxl \0\0\0\0jxl '
LEAST_PROFILE_BYTES = 132
NO_LOSS = 100  # a quality


def write(file: BinaryIO, array: np.ndarray, said: metadata.Metadata, how: base.Settings) -> None:
    """Write (H, W, C), uint8 or uint16, to a binary file."""
    numbers = cicp.numbers_of(said.png_colour)
    profile = said.icc_profile if not numbers and len(said.icc_profile or b'') >= LEAST_PROFILE_BYTES else None
    is_srgb = numbers in (None, cicp.SRGB) and (not profile or colour.is_srgb(profile))
    if is_srgb and array.dtype == np.uint8 and not how.lossless and how.quality < NO_LOSS:
        content = _encode(array, how.quality)
    else:
        codestream = codestream_of(_encode(array, NO_LOSS))
        content = jpegxl_colour.with_colour(codestream, profile, None if profile else numbers or cicp.SRGB)
    file.write(_in_boxes(codestream_of(content), array, said))


def _encode(array: np.ndarray, quality: int) -> bytes:
    """The file's content of pixels, without loss for a quality of 100."""
    import imagecodecs

    plain = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    if quality == NO_LOSS:
        try:
            return bytes(imagecodecs.jpegxl_encode(plain, lossless=True))
        except TypeError:  # of Python 3.7's time: without loss unless told otherwise
            return bytes(imagecodecs.jpegxl_encode(plain))
    try:
        return bytes(imagecodecs.jpegxl_encode(plain, lossless=False, distance=distance_of(quality)))
    except TypeError:
        return bytes(imagecodecs.jpegxl_encode(plain, level=0, distance=distance_of(quality)))


def _in_boxes(codestream: bytes, array: np.ndarray, said: metadata.Metadata) -> bytes:
    """A file of boxes, with EXIF and XMP (ISO 18181-2)."""
    level = [(b'jxll', b'\x0a')] if array.dtype == np.uint16 else []  # 16 bits are of level 10
    block = base.exif_block_with_dpi(said)
    texts = [(b'Exif', bytes(4) + block[len(exif.HEADER) :])] if block else []
    texts += [(b'xml ', said.xmp)] if said.xmp else []
    if not (level or texts):
        return codestream
    content = [SIGNATURE, FILE_TYPE]
    for name, part in [*level, *texts, (b'jxlc', codestream)]:
        content += [boxes.box(name, part)]
    return b''.join(content)


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L, LA, RGB or RGBA."""
    write(file, pixels.as_planes_last(np.asarray(image)), said, how)


def is_lossless(path: str) -> bool:
    """Whether a file stores its pixels in their own colours, as all do that are coded without loss; not a packed JPEG."""
    with open(path, 'rb') as file:
        data = file.read()
    if boxes.content_of(data, b'jbrd') is not None:
        return False
    try:
        return jpegxl_colour.is_in_own_colours(codestream_of(data))
    except ValueError:
        return False


def codestream_of(data: bytes) -> bytes:
    """The codestream of a file, in boxes or not; empty where it has none."""
    if data.startswith(CODESTREAM):
        return data
    return boxes.content_of(data, b'jxlc') or b''.join(part[4:] for part in boxes.contents_of(data, b'jxlp'))


def distance_of(quality: int) -> float:
    """libjxl's distance, 0 for none, 1 for hardly visible, of a quality from 1 to 100 (JxlEncoderDistanceFromQuality)."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25
