"""What all picture formats share: a name, endings, how a file of it is known, read and written."""

from __future__ import annotations

from typing import Any, BinaryIO, Callable, NamedTuple, Tuple

from pictures.formats import frames
from pictures.metadata import exif, metadata
from rdn import images

import numpy as np

HEAD_BYTES = 1 << 16  # of a file: enough to know its format and size
ALL_FRAMES = ': --all-frames enlarges all'  # behind notes that only the first one is enlarged
QUALITY = 95  # of JPEG, WebP and AVIF, unless something else is asked for

# The pixels as pixels.py has them, what the file says beside them, and EXIF's orientation if they still have to be turned.
Content = Tuple[np.ndarray, metadata.Metadata, Any]


class Settings(NamedTuple):
    """How a picture is written. quality: 1 to 100, of JPEG, WebP and AVIF; lossless: of WebP; compression: of PNG."""

    quality: int = QUALITY
    lossless: bool = False
    compression: str = 'fast'


def size_by_pillow(path: str) -> tuple[int, int]:
    """(width, height) by Pillow, which reads the header alone."""
    with images.open_image(path) as image:
        return image.size


def size_by_head(parse: Callable[[bytes], tuple[int, int]]) -> Callable[[str], tuple[int, int]]:
    """A reader of a path's size from one of a file's first bytes."""

    def size(path: str) -> tuple[int, int]:
        with open(path, 'rb') as file:
            return parse(file.read(HEAD_BYTES))

    return size


def unknown_size(path: str) -> tuple[int, int]:
    """(0, 0), of formats whose header takes a whole library to read."""
    return 0, 0


def is_never_lossless(path: str) -> bool:
    """Return False: the default for formats that have no lossless setting to keep."""
    return False


class Format(NamedTuple):
    """A picture format.

    Attributes:
        name: for messages.
        endings: of file names, in lower case; the first is the usual one.
        written: those of the endings that results may have; empty if the format is only read.
        is_mine: whether a file is of this format, from its first bytes; None: let Pillow identify it.
        read: from a path and a list for notes, which it extends. Raises any kind of error for a broken file.
        size: (width, height) of a file by its header; (0, 0) if that is not known.
        save: 8-bit pixels, a PIL image, into a binary file, open for reading too, with what was said and notes; None if it
            is only read.
        save_8_bits: pixels (H, W, C), uint8, into a binary file, with what was said; None: as a PIL image.
        save_16_bits: the same of uint16; None if it holds 8 bits.
        max_side: pixels; None for as many as one likes.
        has_grey: whether grey stays grey.
        has_alpha: whether it holds transparency.
        has_colour_chunks: whether it holds PNG's chunks on colour; all others get them as a profile.
        has_loss: whether it always loses something.
        is_lossless: whether a file is stored without loss, so that the result must be too.
        read_frames: all frames or pages of a path, with a list for notes; None if only the first one is read.
        save_frames: frames or pages into a binary file, open for reading too, with a list for notes; None if it is only
            written with one picture.
        holds: the kind of frames that it holds, as of frames.Sequence; empty for one picture.
    """

    name: str
    endings: tuple[str, ...]
    is_mine: Callable[[bytes], bool] | None
    read: Callable[[str, list[str]], Content]
    size: Callable[[str], tuple[int, int]] = size_by_pillow
    written: tuple[str, ...] = ()
    save: Callable[..., None] | None = None
    save_8_bits: Callable[[BinaryIO, np.ndarray, metadata.Metadata, Settings], None] | None = None
    save_16_bits: Callable[[BinaryIO, np.ndarray, metadata.Metadata, Settings], None] | None = None
    max_side: int | None = None
    has_grey: bool = True
    has_alpha: bool = True
    has_colour_chunks: bool = False
    has_loss: bool = False
    is_lossless: Callable[[str], bool] = is_never_lossless
    read_frames: Callable[[str, list[str]], frames.Sequence] | None = None
    save_frames: Callable[[BinaryIO, frames.Sequence, Settings, list[str]], None] | None = None
    holds: str = ''


def whole(read: Callable[[bytes, list[str]], Content]) -> Callable[[str, list[str]], Content]:
    """A reader of a path from one of a file's content."""

    def read_path(path: str, notes: list[str]) -> Content:
        with open(path, 'rb') as file:
            return read(file.read(), notes)

    return read_path


def exif_block(said: metadata.Metadata) -> bytes:
    """EXIF as JPEG, WebP and AVIF hold it; empty without tags."""
    return exif.HEADER + exif.serialise(said.exif) if said.exif else b''
