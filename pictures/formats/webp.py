"""WebP: read and written by Pillow; a file without loss stays so."""

from __future__ import annotations

import os
from typing import BinaryIO

from pictures.formats import base, pillow
from pictures.metadata import metadata

from PIL import Image


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in RGB or RGBA. The colours under alpha 0 stay, too: they may be data."""
    options = {'exif': base.exif_block_with_dpi(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    image.save(file, 'WEBP', quality=how.quality, lossless=how.lossless, exact=True, **given)


def is_mine(head: bytes) -> bool:
    """Whether a file's first bytes are those of WebP."""
    return head[:4] == b'RIFF' and head[8:12] == b'WEBP'


def is_lossless(path: str) -> bool:
    """Whether all frames of a file are coded without loss."""
    with open(path, 'rb') as file:
        head = file.read(12)
        names = set()
        while head[:4] == b'RIFF' and head[8:12] == b'WEBP':
            chunk = file.read(8)
            if len(chunk) < 8:
                break
            names.add(chunk[:4])
            size = int.from_bytes(chunk[4:], 'little')
            file.seek(size + size % 2, os.SEEK_CUR)
    return b'VP8L' in names and b'VP8 ' not in names


FORMAT = base.Format(
    'WEBP',
    ('.webp',),
    is_mine,
    pillow.read,
    written=('.webp',),
    save=save,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi')),
    max_side=16383,
    has_grey=False,
    is_lossless=is_lossless,
)
