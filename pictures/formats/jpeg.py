"""JPEG: Pillow reads and writes the pixels, jpeg_segments.py the other segments."""

from __future__ import annotations

import contextlib
import fractions
import io
import re
import struct
from typing import Any, BinaryIO

from pictures.formats import base, jpeg_segments, pillow, stderr_capture
from pictures.metadata import exif, metadata, pixel_tags
from rdn import images

import numpy as np
from PIL import Image

# libjpeg's messages on damage. Extra bytes are harmless, except before the markers between and after the pixels.
JPEG_DAMAGE = re.compile(r'Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0x(?!d[0-79a]))')
MAX_EXIF_BYTES = jpeg_segments.MAX_BYTES - len(exif.HEADER)
MAX_JFIF_DPI = 65535
ENDINGS = ('.jpg', '.jpeg', '.jfif', '.jpe', '.jif', '.mpo')


def read(path: str, notes: list[str]) -> base.Content:
    """Read a JPEG file.

    Args:
        path: of the file.
        notes: receives notes on damage and on the parts of the file that are left out.

    Returns:
        The pixels (H, W, C), uint8; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the file is not supported.
    """
    array, said, orientation = pillow.read(path, notes)
    with open(path, 'rb') as file:
        data = file.read()
    _note_damage(data, notes)
    _note_lost_pictures(path, data, notes)
    said = jpeg_segments.read(said, data, notes)
    return array, said, orientation or metadata.orientation_of(said)


def _note_lost_pictures(path: str, data: bytes, notes: list[str]) -> None:
    """Add a note if the file lists further pictures but Pillow cannot find them; if it can, there is a note already."""
    if jpeg_segments.has_list_of_pictures(data):
        with images.open_image(path) as image:
            if image.format == 'JPEG' and not _has_gain_map(image):
                notes.append('only the first picture: the list of the other ones is damaged')


def _has_gain_map(image: Image.Image) -> bool:
    """Return whether the further picture is a gain map for HDR screens; Pillow uses the same test to ignore it."""
    return any(name == 'APP1' and b' hdrgm:Version="' in content for name, content in image.applist)


def _note_damage(data: bytes, notes: list[str]) -> None:
    """Add a note if a JPEG's data are damaged.

    libjpeg decodes damaged data without an error, and only OpenCV shows its warnings. OpenCV does not open the file
    itself, because a file name that is not UTF-8 crashes it.
    """
    import cv2  # imported here because processes that read other formats never need it

    with stderr_capture.overheard() as lines, contextlib.suppress(cv2.error):
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)  # an eighth of the size is faster
    if any(map(JPEG_DAMAGE.match, lines)):
        notes.append('its data are damaged: parts of it may look wrong')


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L or RGB.

    Args:
        file: a binary file.
        image: of 8 bits per channel.
        said: the metadata.
        how: the settings.
        notes: receives notes on metadata that is too large for JPEG.
    """
    options: dict[str, Any] = {'exif': _exif_block(said, notes)}
    if said.icc_profile:
        options['icc_profile'] = said.icc_profile
    if said.dpi and max(said.dpi) <= MAX_JFIF_DPI:
        options['dpi'] = tuple(max(1, round(x)) for x in said.dpi)
    encoded = io.BytesIO()
    image.save(encoded, 'JPEG', quality=how.quality, subsampling=0, **options)
    content = bytearray(encoded.getbuffer())
    behind_jfif = 4 + int.from_bytes(content[4:6], 'big')
    if said.pixel_aspect and not said.dpi:
        content[13:18] = struct.pack('>BHH', 0, *_small_ratio(said.pixel_aspect))
    file.write(content[:behind_jfif])
    for segment in jpeg_segments.segments_for(said, notes):  # the Pillow for Python 3.7 cannot write them
        file.write(segment)
    file.write(content[behind_jfif:])


def _exif_block(said: metadata.Metadata, notes: list[str]) -> bytes:
    block = base.exif_block(said)
    if len(block) > MAX_EXIF_BYTES and said.exif:
        said = said._replace(exif=pixel_tags.without_lost_note(said.exif, False, notes))
        block = base.exif_block(said)
    if len(block) > MAX_EXIF_BYTES:
        notes.append('without its EXIF, which is too large for JPEG')
        return b''
    return block


def _small_ratio(pair: tuple[float, float]) -> tuple[int, int]:
    """Return two whole numbers of at most 16 bits in about the same ratio."""
    ratio = fractions.Fraction(pair[0] / pair[1]).limit_denominator(255)
    return max(1, min(65535, ratio.numerator)), ratio.denominator


FORMAT = base.Format(
    'JPEG',
    ENDINGS,
    lambda head: head.startswith(b'\xff\xd8\xff'),
    read,
    written=ENDINGS,
    save=save,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi', 'pixel_aspect', 'text', 'photoshop')),
    max_side=65500,
    has_alpha=False,
    has_loss=True,
)
