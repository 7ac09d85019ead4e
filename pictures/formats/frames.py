"""A file with several pictures in it: the frames of an animation, or the pages of a TIFF.

Frames are read, enlarged and written one after the other, so the memory does not grow with their number. A frame is
the whole picture as a viewer shows it, with what earlier frames left of it.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Tuple

from pictures.formats import pixels
from pictures.metadata import metadata

import numpy as np

ANIMATION, PAGES = 'frame', 'page'  # kinds, and the words for one picture of them
Box = Tuple[int, int, int, int]  # left, top, right, bottom, in pixels


class Frame(NamedTuple):
    """One picture of a file.

    Attributes:
        pixels: (H, W, C) as in pixels.py, upright. All frames of an animation have one shape and type.
        said: what the file says beside the pixels; of an animation the same for all frames.
        milliseconds: how long an animation shows it.
    """

    pixels: np.ndarray
    said: metadata.Metadata
    milliseconds: float = 0


def turned(array: np.ndarray, said: metadata.Metadata, orientation: Any, milliseconds: float = 0) -> Frame:
    """Return a Frame of pixels (H, W, C) as the file holds them. orientation: EXIF's, which still has to be followed."""
    said = metadata.of_file(said, orientation, *array.shape[1::-1])
    return Frame(pixels.upright(array, orientation), said, milliseconds)


class Sequence(NamedTuple):
    """All pictures of a file.

    Attributes:
        kind: ANIMATION or PAGES.
        sizes: (width, height) of each frame in pixels, as the file holds it.
        frames: yields the frames, each time from the first; raises ValueError for a damaged one.
        plays: how many times an animation is shown; 0: forever.
        is_lossless: whether the file holds the pixels without loss.
        notes: what a person should know of how it was read; may grow while frames are read.
    """

    kind: str
    sizes: list[tuple[int, int]]
    frames: Callable[[], Iterator[Frame]]
    plays: int = 1
    is_lossless: bool = False
    notes: list[str] = []

    @property
    def megapixels(self) -> float:
        """Of all frames together."""
        return sum(width * height for width, height in self.sizes) / 1e6


def changed_box(before: np.ndarray | None, after: np.ndarray) -> Box:
    """Return the smallest box that holds all pixels that differ; one pixel where none does.

    Args:
        before: pixels (H, W, C); None: all of them differ.
        after: pixels of the same shape.
    """
    if before is None:
        return (0, 0, after.shape[1], after.shape[0])
    return box_of((before != after).any(2))


def box_of(mask: np.ndarray) -> Box:
    """Return the smallest box that holds all true values of a mask (H, W); one pixel where there is none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return (0, 0, 1, 1)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def crop(array: np.ndarray, box: Box) -> np.ndarray:
    """Return the part (h, w, …) of an array (H, W, …)."""
    left, top, right, bottom = box
    return array[top:bottom, left:right]
