"""People's picture files, of any mode, depth and orientation, with what the file says beside its pixels.

Each format has one way in (registry.py). What would not be read rightly is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from pictures.formats import base, decoders, frames, pillow, pixels, registry
from pictures.metadata import metadata
from rdn import escaping, files

import numpy as np

MAX_FILE_BYTES = 1 << 32  # of a picture that is read as a whole


class Picture(NamedTuple):
    """A picture as read, upright. pixels: (H, W, C) as pictures/formats/pixels.py says; said: what the file says beside them.

    is_lossless: whether the file holds them without loss. notes: what a person should know of how it was read.
    """

    pixels: np.ndarray
    said: metadata.Metadata
    is_lossless: bool
    notes: list[str]


def is_picture_name(name: str) -> bool:
    """Whether a file's ending is that of a picture."""
    return name.lower().endswith(registry.READABLE)


def read_size(path: str) -> tuple[int, int]:
    """(width, height) of a picture by its header; (0, 0) if that cannot be read, which reading it will say."""
    try:
        found = _format_of(path)
        return found.size(path) if found else base.size_by_pillow(path)
    except Exception:  # the libraries raise anything for a broken file
        return 0, 0


def read_picture(path: str) -> Picture:
    """A Picture from a file. Raises ValueError, with the file's name, for one that cannot be read rightly."""
    files.check_plain(path, MAX_FILE_BYTES)
    notes: list[str] = []
    found = _format_of(path)
    try:
        if found and found.may_crash:
            array, said, orientation = decoders.read(found, path, notes)
        else:
            array, said, orientation = (found.read if found else pillow.read)(path, notes)
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # the libraries raise anything for a broken file
        if str(error).startswith(path):
            raise ValueError(str(error))
        reason = escaping.one_line(error) or type(error).__name__
        raise ValueError(f'{path}: cannot be used as an image: {reason}')
    said = metadata.of_file(said, orientation, *array.shape[1::-1])
    array = pixels.upright(array, orientation)
    return Picture(array, said, found is not None and found.is_lossless(path), notes)


def read_frames(path: str) -> frames.Sequence | None:
    """All frames or pages of a file; None for a format of which only the first is read.

    Raises ValueError, with the file's name, for one that cannot be read rightly.
    """
    files.check_plain(path, MAX_FILE_BYTES)
    notes: list[str] = []
    found = _format_of(path)
    try:
        return found.read_frames(path, notes)._replace(notes=notes) if found and found.read_frames else None
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # the libraries raise anything for a broken file
        raise ValueError(f'{path}: cannot be used as an image: {escaping.one_line(error) or type(error).__name__}')


def _format_of(path: str) -> base.Format | None:
    with open(path, 'rb') as file:
        return registry.of_head(file.read(base.HEAD_BYTES))
