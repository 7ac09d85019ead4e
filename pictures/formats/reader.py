"""Read a user's picture file, of any mode, depth and orientation, with its metadata.

registry.py finds the function that reads a format. A file that would be read wrongly is refused.
"""

from __future__ import annotations

import contextlib
from typing import Iterator, NamedTuple

from pictures.formats import base, decoders, frames, pillow, pixels, registry
from pictures.metadata import metadata
from rdn import escaping, files

import numpy as np

MAX_FILE_BYTES = 1 << 32  # because formats read the whole file into memory


class Picture(NamedTuple):
    """A picture as it was read, upright.

    Attributes:
        pixels: (H, W, C) in the form of pictures/formats/pixels.py.
        said: the file's metadata.
        is_lossless: whether the file stores the pixels without loss.
        notes: what the user should know about how the file was read.
    """

    pixels: np.ndarray
    said: metadata.Metadata
    is_lossless: bool
    notes: list[str]


def is_picture_name(name: str) -> bool:
    """Return whether a file's name has the ending of a picture."""
    return name.lower().endswith(registry.READABLE)


def read_size(path: str) -> tuple[int, int]:
    """Return (width, height) of a picture in pixels, from its header.

    (0, 0) if the header cannot be read; the error is reported when the picture is read.
    """
    try:
        found = _format_of(path)
        return found.size(path) if found else base.size_by_pillow(path)
    except Exception:  # for a damaged file, the libraries raise exceptions of all kinds
        return 0, 0


def read_picture(path: str) -> Picture:
    """Read a picture from a file.

    Raises:
        ValueError: the file cannot be read correctly; the message contains its name.
        OSError: the file cannot be opened.
        MemoryError: the picture is too large for this machine.
    """
    files.check_plain(path, MAX_FILE_BYTES)
    notes: list[str] = []
    found = _format_of(path)
    with _errors_of_reading(path):
        if found and found.may_crash:
            array, said, orientation = decoders.read(found, path, notes)
        else:
            array, said, orientation = (found.read if found else pillow.read)(path, notes)
    said = metadata.of_file(said, orientation, *array.shape[1::-1])
    array = pixels.upright(array, orientation)
    return Picture(array, said, found is not None and found.is_lossless(path), notes)


def read_frames(path: str) -> frames.Sequence | None:
    """Read all frames or pages of a file.

    Returns:
        The frames or pages; None for a format of which only the first picture is read.

    Raises:
        ValueError: the file cannot be read correctly; the message contains its name.
        OSError: the file cannot be opened.
        MemoryError: the picture is too large for this machine.
    """
    files.check_plain(path, MAX_FILE_BYTES)
    notes: list[str] = []
    found = _format_of(path)
    with _errors_of_reading(path):
        return found.read_frames(path, notes)._replace(notes=notes) if found and found.read_frames else None


@contextlib.contextmanager
def _errors_of_reading(path: str) -> Iterator[None]:
    """Raise a ValueError that names the file once if a library cannot read it, whatever the library raises."""
    try:
        yield
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # for a damaged file, the libraries raise exceptions of all kinds
        if str(error).startswith(path):
            raise ValueError(str(error))
        reason = escaping.one_line(error) or type(error).__name__
        raise ValueError(f'{path}: cannot be used as an image: {reason}')


def _format_of(path: str) -> base.Format | None:
    with open(path, 'rb') as file:
        return registry.of_head(file.read(base.HEAD_BYTES))
