"""BMP: Pillow reads and writes the pixels; this module reads and writes the ICC profile in a BITMAPV5HEADER."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from pictures.formats import base, pillow
from pictures.metadata import metadata

from PIL import Image

FILE_HEADER_BYTES, INFO_BYTES, V5_BYTES = 14, 40, 124
EMBEDDED = b'DEBM'  # a value of bV5CSType: the letters MBED as a little-endian number
RELATIVE = 2  # a value of bV5Intent: LCS_GM_GRAPHICS, which ICC calls relative colorimetric
MAX_PROFILE_BYTES = 1 << 24


def read(path: str, notes: list[str]) -> base.Content:
    """Read a BMP file with the profile in its BITMAPV5HEADER.

    Args:
        path: of the file.
        notes: receives notes on the parts of the file that are left out.

    Returns:
        The pixels (H, W, C), uint8; the metadata; None, because BMP stores no orientation.

    Raises:
        ValueError: the file is not supported.
    """
    array, said, orientation = pillow.read(path, notes)
    with open(path, 'rb') as file:
        return array, said._replace(icc_profile=_profile_of(file)), orientation


def _profile_of(file: BinaryIO) -> bytes | None:
    """Return the profile that is embedded in an open file; None if there is none."""
    head = file.read(FILE_HEADER_BYTES + V5_BYTES)
    if len(head) < FILE_HEADER_BYTES + V5_BYTES or int.from_bytes(head[14:18], 'little') < V5_BYTES:
        return None
    start, size = struct.unpack_from('<II', head, FILE_HEADER_BYTES + 112)
    if head[FILE_HEADER_BYTES + 56 : FILE_HEADER_BYTES + 60] != EMBEDDED or size > MAX_PROFILE_BYTES:
        return None
    file.seek(FILE_HEADER_BYTES + start)
    profile = file.read(size)
    return profile if len(profile) == size and size > 128 else None


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L or RGB to a binary file, with the resolution and the profile in its metadata."""
    options = {'dpi': said.dpi} if said.dpi else {}
    if not said.icc_profile:
        image.save(file, 'BMP', **options)
        return
    encoded = io.BytesIO()
    image.save(encoded, 'BMP', **options)
    file.write(_with_profile(encoded.getbuffer(), said.icc_profile))


def _with_profile(content: memoryview, profile: bytes) -> bytes:
    """Replace a file's BITMAPINFOHEADER by a BITMAPV5HEADER, and append the profile after the pixels."""
    growth = V5_BYTES - INFO_BYTES
    padding = -len(content) % 4
    size = len(content) + padding + growth + len(profile)
    start = int.from_bytes(content[10:14], 'little') + growth
    head = struct.pack('<2sIII', b'BM', size, 0, start)
    info = struct.pack('<I', V5_BYTES) + bytes(content[18 : FILE_HEADER_BYTES + INFO_BYTES])
    # Channel masks (unused with 8 and 24 bits per pixel), the kind of colour space, its primaries and gamma values.
    info += bytes(16) + EMBEDDED + bytes(48)
    info += struct.pack('<IIII', RELATIVE, size - len(profile) - FILE_HEADER_BYTES, len(profile), 0)
    return head + info + bytes(content[FILE_HEADER_BYTES + INFO_BYTES :]) + bytes(padding) + profile


FORMAT = base.Format(
    'BMP',
    ('.bmp', '.dib'),
    lambda head: head[:2] == b'BM',
    read,
    written=('.bmp', '.dib'),
    save=save,
    holds=frozenset(('dpi', 'icc_profile')),
    has_alpha=False,
    has_grey_profile=False,
)
