"""JPEG: read by Pillow, and written by it, with XMP put in here."""

from __future__ import annotations

import contextlib
import io
import re
import struct
from typing import Any, BinaryIO

from pictures.formats import base, pillow, stderr_capture
from pictures.metadata import exif, metadata

import numpy as np
from PIL import Image

# Of libjpeg's messages; bytes too many before other markers than those between and after pixels do no harm.
JPEG_DAMAGE = re.compile(r'Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0x(?!d[0-79a]))')
MAX_SEGMENT_BYTES = 65533 - len(exif.HEADER)
MAX_JFIF_DPI = 65535


def read(path: str, notes: list[str]) -> base.Content:
    """Read by Pillow; damage is noted."""
    content = pillow.read(path, notes)
    with open(path, 'rb') as file:
        _note_damage(file.read(), notes)
    return content


def _note_damage(data: bytes, notes: list[str]) -> None:
    """Say that a JPEG's data are damaged: libjpeg goes on with what it can, and of all libraries OpenCV alone tells.

    OpenCV does not open the file itself, because a name that is not UTF-8 crashes it.
    """
    import cv2  # imported here because processes that read other formats never need it

    with stderr_capture.overheard() as lines, contextlib.suppress(cv2.error):
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)  # an eighth of the size: quick
    if any(map(JPEG_DAMAGE.match, lines)):
        notes.append('its data are damaged: parts of it may look wrong')


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L or RGB."""
    options: dict[str, Any] = {}
    block = base.exif_block(said)
    if len(block) <= MAX_SEGMENT_BYTES:
        options['exif'] = block
    else:
        notes.append('without its EXIF, which is too large for JPEG')
    if said.icc_profile:
        options['icc_profile'] = said.icc_profile
    if said.dpi and max(said.dpi) <= MAX_JFIF_DPI:
        options['dpi'] = tuple(max(1, round(x)) for x in said.dpi)
    encoded = io.BytesIO()
    image.save(encoded, 'JPEG', quality=how.quality, subsampling=0, **options)
    content = encoded.getbuffer()
    behind_jfif = 4 + int.from_bytes(content[4:6], 'big')
    file.write(content[:behind_jfif])
    if said.xmp and len(said.xmp) <= MAX_SEGMENT_BYTES - len(metadata.XMP_HEADER):
        segment = metadata.XMP_HEADER + said.xmp
        file.write(b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment)  # Pillow of Python 3.7 writes none
    elif said.xmp:
        notes.append('without its XMP, which is too large for JPEG')
    file.write(content[behind_jfif:])


FORMAT = base.Format(
    'JPEG',
    ('.jpg', '.jpeg', '.jfif'),
    lambda head: head.startswith(b'\xff\xd8\xff'),
    read,
    written=('.jpg', '.jpeg'),
    save=save,
    max_side=65500,
    has_alpha=False,
    has_loss=True,
)
