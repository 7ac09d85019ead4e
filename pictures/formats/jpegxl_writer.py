"""Writing JPEG XL: imagecodecs (libjxl) codes the pixels; this module adds colours, EXIF and XMP (ISO 18181-1 and -2).

libjxl's lossy coding uses XYB, a model of human vision, for which it must know the picture's colour space. imagecodecs
does not pass one, so libjxl assumes sRGB for 8 bits and linear light for 16 bits. Therefore only 8 bits in sRGB are
coded with loss. All other pixels are coded without loss, in their own colour space.
"""

from __future__ import annotations

from typing import BinaryIO

from pictures.formats import base, boxes, jpegxl_colour, pixels
from pictures.metadata import cicp, colour, exif, metadata

import numpy as np
from PIL import Image

CODESTREAM = b'\xff\x0a'  # the start of the codestream
SIGNATURE = b'\0\0\0\x0cJXL \r\n\x87\n'
FILE_TYPE = b'\0\0\0\x14ftypjxl \0\0\0\0jxl '
LEAST_PROFILE_BYTES = 132
NO_LOSS = 100  # the quality that means lossless coding


def write(file: BinaryIO, array: np.ndarray, said: metadata.Metadata, how: base.Settings) -> None:
    """Write a JPEG XL file.

    It is lossy only if the pixels have 8 bits and are in sRGB, and the settings allow it.

    Args:
        file: a binary file.
        array: pixels (H, W, C), uint8 or uint16.
        said: the metadata.
        how: the settings.
    """
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
    """Return a file's content for pixels; a quality of 100 is lossless."""
    import imagecodecs

    plain = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    if quality == NO_LOSS:
        try:
            return bytes(imagecodecs.jpegxl_encode(plain, lossless=True))
        except TypeError:  # the imagecodecs for Python 3.7 has no such argument, and is lossless by default
            return bytes(imagecodecs.jpegxl_encode(plain))
    try:
        return bytes(imagecodecs.jpegxl_encode(plain, lossless=False, distance=distance_of(quality)))
    except TypeError:
        return bytes(imagecodecs.jpegxl_encode(plain, level=0, distance=distance_of(quality)))


def _in_boxes(codestream: bytes, array: np.ndarray, said: metadata.Metadata) -> bytes:
    """Return a file of boxes with EXIF and XMP (ISO 18181-2); only the codestream if no box is needed."""
    level = [(b'jxll', b'\x0a')] if array.dtype == np.uint16 else []  # 16 bits need level 10
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
    """Write a PIL image in L, LA, RGB or RGBA to a binary file, as `write` does."""
    write(file, pixels.as_planes_last(np.asarray(image)), said, how)


def is_lossless(path: str) -> bool:
    """Return whether a file stores its pixels in their own colour space, as all lossless files do.

    False for a file that contains a recompressed JPEG, and for a file whose header cannot be read.
    """
    with open(path, 'rb') as file:
        data = file.read()
    if boxes.content_of(data, b'jbrd') is not None:
        return False
    try:
        return jpegxl_colour.is_in_own_colours(codestream_of(data))
    except ValueError:
        return False


def codestream_of(data: bytes) -> bytes:
    """Return the codestream in a file's content, with or without boxes; empty if there is none."""
    if data.startswith(CODESTREAM):
        return data
    return boxes.content_of(data, b'jxlc') or b''.join(part[4:] for part in boxes.contents_of(data, b'jxlp'))


def distance_of(quality: int) -> float:
    """Return the distance for a quality, by the formula of libjxl's JxlEncoderDistanceFromQuality.

    Args:
        quality: 1 to 100.

    Returns:
        libjxl's measure of the loss: 0 is lossless, 1 is hardly visible.
    """
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25
