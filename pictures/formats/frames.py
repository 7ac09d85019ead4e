"""A file that contains several pictures: the frames of an animation, or the pages of a TIFF.

Frames are read, enlarged and written one after the other, so memory does not grow with their number. A frame is the
whole picture as a viewer shows it, including the parts that remain from earlier frames.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Tuple

from pictures.formats import pixels
from pictures.metadata import metadata

import numpy as np

ANIMATION, PAGES = 'frame', 'page'  # kinds of sequences; each value is also the word for one picture
Box = Tuple[int, int, int, int]  # left, top, right, bottom, in pixels


class Frame(NamedTuple):
    """One picture of a file.

    Attributes:
        pixels: (H, W, C) in the form of pixels.py, upright. All frames of an animation have the same shape and dtype.
        said: the metadata; all frames of an animation have the same.
        milliseconds: how long an animation shows the frame.
    """

    pixels: np.ndarray
    said: metadata.Metadata
    milliseconds: float = 0


def turned(array: np.ndarray, said: metadata.Metadata, orientation: Any, milliseconds: float = 0) -> Frame:
    """Return a Frame whose pixels are turned upright.

    Args:
        array: pixels (H, W, C) as the file stores them.
        said: the file's metadata.
        orientation: EXIF's (1 to 8); for another value the pixels are not turned.
        milliseconds: how long an animation shows the frame.
    """
    said = metadata.of_file(said, orientation, *array.shape[1::-1])
    return Frame(pixels.upright(array, orientation), said, milliseconds)


class Sequence(NamedTuple):
    """All pictures of a file.

    Attributes:
        kind: ANIMATION or PAGES.
        sizes: (width, height) of each frame in pixels, as the file stores it.
        frames: yields the frames, each time from the first one; raises ValueError for a damaged frame.
        plays: how many times an animation is shown; 0: forever.
        is_lossless: whether the file stores the pixels without loss.
        notes: what the user should know about how the file was read; frames that are read later can add to it.
    """

    kind: str
    sizes: list[tuple[int, int]]
    frames: Callable[[], Iterator[Frame]]
    plays: int = 1
    is_lossless: bool = False
    notes: list[str] = []

    @property
    def megapixels(self) -> float:
        """The number of pixels of all frames, in millions."""
        return sum(width * height for width, height in self.sizes) / 1e6


def changed_box(before: np.ndarray | None, after: np.ndarray) -> Box:
    """Return the smallest box that contains all pixels which differ; one pixel if all are equal.

    Args:
        before: pixels (H, W, C); None: all pixels count as different.
        after: pixels of the same shape.
    """
    if before is None:
        return (0, 0, after.shape[1], after.shape[0])
    return box_of((before != after).any(2))


def box_of(mask: np.ndarray) -> Box:
    """Return the smallest box that contains all true values of a mask (H, W); one pixel if all are false."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0, 0, 1, 1)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def crop(array: np.ndarray, box: Box) -> np.ndarray:
    """Return the part (h, w, …) of an array (H, W, …)."""
    left, top, right, bottom = box
    return array[top:bottom, left:right]
