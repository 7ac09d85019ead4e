"""WebP: read and written by Pillow; a lossless file stays lossless.

An animation is written frame by frame: Pillow compresses each frame, and this module writes the container, because
Pillow's own writer keeps all frames in memory (https://developers.google.com/speed/webp/docs/riff_container).
"""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO, Iterator

from pictures.formats import base, frames, pillow, pixels
from pictures.metadata import metadata
from rdn import images

import numpy as np
from PIL import Image

HAS_PROFILE, HAS_ALPHA, HAS_EXIF, HAS_XMP, IS_ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02  # flags of VP8X
NO_BLENDING = 0x02  # flag of ANMF: a frame's pixels replace those below
CODED = (b'ALPH', b'VP8 ', b'VP8L')  # the chunks that contain pixels
MAX_MILLISECONDS = (1 << 24) - 1  # of a frame
MAX_PLAYS = 65535
MAX_SIDE = 16383


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in RGB or RGBA to a binary file.

    Colours where alpha is 0 are kept, because in textures they may be data.
    """
    options = {'exif': base.exif_block_with_dpi(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    image.save(file, 'WEBP', quality=how.quality, lossless=how.lossless, exact=True, **given)


def is_mine(head: bytes) -> bool:
    """Return whether a file's first bytes are those of WebP."""
    return head[:4] == b'RIFF' and head[8:12] == b'WEBP'


def is_lossless(path: str) -> bool:
    """Return whether all frames of a file are coded without loss."""
    with open(path, 'rb') as file:
        head = file.read(12)
        names = set()
        while head[:4] == b'RIFF' and head[8:12] == b'WEBP':
            chunk = file.read(8)
            if len(chunk) < 8:
                break
            names.add(chunk[:4])
            size = int.from_bytes(chunk[4:], 'little')
            file.seek(16 if chunk[:4] == b'ANMF' else size + size % 2, os.SEEK_CUR)  # ANMF contains a frame's chunks
    return b'VP8L' in names and b'VP8 ' not in names


def read_frames(path: str, notes: list[str]) -> frames.Sequence:
    """Read all frames of a file; libwebp composes them.

    Args:
        path: of the file.
        notes: receives notes on damaged metadata.

    Raises:
        ValueError: the file is damaged, or the picture is too large.
    """
    with images.open_image(path) as image:
        images.check_pixels(*image.size)
        count, size, loops = getattr(image, 'n_frames', 1), image.size, image.info.get('loop', 1)
        said = pillow.read_info(image, notes)
    return frames.Sequence(frames.ANIMATION, [size] * count, lambda: _compose(path, said), loops, is_lossless(path))


def _compose(path: str, said: metadata.Metadata) -> Iterator[frames.Frame]:
    orientation = metadata.orientation_of(said)
    with images.open_image(path) as image:
        for index in range(getattr(image, 'n_frames', 1)):
            image.seek(index)
            image.load()
            array = np.asarray(pillow.to_plain_mode(image))
            yield frames.turned(array, said, orientation, image.info.get('duration', 0))


def save_frames(file: BinaryIO, film: frames.Sequence, how: base.Settings, notes: list[str]) -> None:
    """Write an animation; each frame stores only the part that differs from the frame before it.

    Args:
        file: a binary file, in which this function seeks.
        film: the frames.
        how: the settings.
        notes: not used.
    """
    before: np.ndarray | None = None
    flags, said, size = IS_ANIMATION, metadata.Metadata(), (0, 0)
    elapsed = written = 0.0  # sums of the exact and the rounded times, so that rounding errors do not add up
    for frame in film.frames():
        if before is None:
            said, size = frame.said, (frame.pixels.shape[1], frame.pixels.shape[0])
            _write_head(file, size, said, film.plays)
            flags |= HAS_ALPHA if frame.pixels.shape[2] in pixels.ALPHA else 0
        elapsed += frame.milliseconds
        shown = max(0, round(elapsed - written))
        written += shown
        _write_frame(file, frame.pixels, before, min(MAX_MILLISECONDS, shown), how)
        before = frame.pixels
    for name, block, flag in ((b'EXIF', base.exif_block_with_dpi(said), HAS_EXIF), (b'XMP ', said.xmp, HAS_XMP)):
        if block:
            file.write(_chunk(name, block))
            flags |= flag
    flags |= HAS_PROFILE if said.icc_profile else 0
    length = file.tell()
    file.seek(0)
    file.write(b'RIFF' + struct.pack('<I', length - 8) + b'WEBP' + _chunk(b'VP8X', _header(flags, size)))
    file.seek(length)


def _write_head(file: BinaryIO, size: tuple[int, int], said: metadata.Metadata, plays: int) -> None:
    """Write the part before the frames; `save_frames` writes the length and the flags again at the end."""
    file.write(b'RIFF\0\0\0\0WEBP' + _chunk(b'VP8X', _header(0, size)))
    if said.icc_profile:
        file.write(_chunk(b'ICCP', said.icc_profile))
    file.write(_chunk(b'ANIM', struct.pack('<IH', 0, min(MAX_PLAYS, plays))))


def _header(flags: int, size: tuple[int, int]) -> bytes:
    return struct.pack('<I', flags) + _three_bytes(size[0] - 1) + _three_bytes(size[1] - 1)


def _write_frame(
    file: BinaryIO, array: np.ndarray, before: np.ndarray | None, milliseconds: int, how: base.Settings
) -> None:
    left, top, right, bottom = frames.changed_box(before, array)
    left, top = left - left % 2, top - top % 2  # the container stores half of each, as a whole number
    part = np.ascontiguousarray(frames.crop(array, (left, top, right, bottom)))
    buffer = io.BytesIO()
    image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
    image.convert('RGBA' if part.shape[2] in pixels.ALPHA else 'RGB').save(
        buffer, 'WEBP', quality=how.quality, lossless=how.lossless
    )
    coded = b''.join(_chunk(name, content) for name, content in _chunks_of(buffer.getvalue()) if name in CODED)
    places = b''.join(_three_bytes(x) for x in (left // 2, top // 2, right - left - 1, bottom - top - 1, milliseconds))
    file.write(_chunk(b'ANMF', places + bytes([NO_BLENDING]) + coded))


def _three_bytes(number: int) -> bytes:
    return number.to_bytes(3, 'little')


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack('<I', len(content)) + content + b'\0' * (len(content) % 2)


def _chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        size = struct.unpack_from('<I', data, position + 4)[0]
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


FORMAT = base.Format(
    'WEBP',
    ('.webp',),
    is_mine,
    pillow.read,
    written=('.webp',),
    save=save,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi')),
    max_side=MAX_SIDE,
    has_grey=False,
    is_lossless=is_lossless,
    read_frames=read_frames,
    save_frames=save_frames,
    frame_kind=frames.ANIMATION,
)
