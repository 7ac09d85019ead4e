"""Cut a picture of any size into tiles of one size for the network, and join the outputs.

The outermost tiles end at the picture's edges, where the network pads as it would for the whole picture. Neighbouring
tiles overlap. Each output pixel comes from the tile in which it is farthest from an inner border, because there the
network sees most of its surroundings. These pixels are the core of the tile.

In a picture that wraps, opposite edges meet, as in a texture. Its tiles extend beyond the edges by the overlap, and
contain the pixels of the opposite side there.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

import numpy as np

OVERLAP = 16  # pixels of the input; docs/measurements.md has the measurement


class Span(NamedTuple):
    """A tile along one axis, in pixels of the input picture.

    Attributes:
        start: the first pixel of the network's input.
        stop: the pixel after the last one.
        core_start: the first pixel of the core, the part of the output that is used.
        core_stop: the pixel after the last one of the core.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tile(NamedTuple):
    """A tile of a picture.

    Attributes:
        rows: the Span of its rows.
        columns: the Span of its columns.
    """

    rows: Span
    columns: Span


class Layout(NamedTuple):
    """The layout of the tiles of a picture; all sizes are in pixels of the input.

    Attributes:
        height: the height of the picture.
        width: the width of the picture.
        tile: (height, width) of a tile.
        overlap: the minimum overlap of neighbouring tiles.
        scale: the scale of the network.
        wraps: whether the picture's opposite edges meet, as in a texture.
    """

    height: int
    width: int
    tile: Sequence[int]
    overlap: int
    scale: int
    wraps: bool = False


def spans(length: int, size: int, overlap: int) -> list[Span]:
    """Return evenly spaced tiles along one axis.

    Args:
        length: the picture's size along this axis, in pixels.
        size: the size of a tile. If it is larger than the picture, the only tile ends beyond the picture.
        overlap: the minimum overlap of neighbours.

    Returns:
        The tiles' Spans. Their cores cover the picture without overlap.

    Raises:
        ValueError: the overlap is not from 0 to size - 1. If the tile has the picture's size, any overlap is valid.
    """
    count = count_tiles(length, size, overlap)
    starts = [i * (length - size) // (count - 1) for i in range(count)] if count > 1 else [0]
    return spans_at(starts, length, size)


def wrapped_spans(length: int, size: int, overlap: int) -> list[Span]:
    """Return the tiles along one axis of a picture that wraps.

    The tiles begin before 0 and end beyond `length`; their cores do not.

    Args:
        length: the picture's size along this axis, in pixels.
        size: the size of a tile.
        overlap: the minimum overlap of neighbours, also across the edges.

    Returns:
        The tiles' Spans. Their cores cover the picture without overlap.

    Raises:
        ValueError: the overlap is not from 0 to size - 1.
    """
    around = spans(length + 2 * overlap, size, overlap)
    moved = [Span(*(position - overlap for position in span)) for span in around]
    inside = [
        span._replace(core_start=max(0, span.core_start), core_stop=min(length, span.core_stop)) for span in moved
    ]
    return [span for span in inside if span.core_start < span.core_stop]


def count_tiles(length: int, size: int, overlap: int) -> int:
    """Return the number of tiles that cover `length` pixels.

    Args:
        length: the picture's size along one axis, in pixels.
        size: the size of a tile.
        overlap: the minimum overlap of neighbours.

    Raises:
        ValueError: the overlap is not from 0 to size - 1. If the tile has the picture's size, any overlap is valid.
    """
    if length == size:
        return 1
    if not 0 <= overlap < size:
        raise ValueError(f'overlap {overlap}: must be at least 0 and less than a tile, {size} pixels')
    return 1 + max(0, -((size - length) // (size - overlap)))


def fitted_size(length: int, largest: int, overlap: int) -> int:
    """Return the smallest tile size that needs no more tiles than `largest`, so that the tiles do no unneeded work.

    Args:
        length: the picture's size along one axis, in pixels.
        largest: the largest allowed size of a tile.
        overlap: the minimum overlap of neighbours.

    Raises:
        ValueError: the overlap is not from 0 to largest - 1. If the tile has the picture's size, any overlap is valid.
    """
    count = count_tiles(length, largest, overlap)
    return -(-(length + (count - 1) * overlap) // count)


def spans_at(starts: Sequence[int], length: int, size: int) -> list[Span]:
    """Return the Spans of tiles that begin at `starts`; neighbouring cores meet in the middle of the overlap.

    Args:
        starts: the first pixel of each tile, in ascending order.
        length: the picture's size along this axis, in pixels.
        size: the size of a tile.
    """
    borders = [(left + size + right) // 2 for left, right in zip(starts, starts[1:])]
    return [
        Span(start, start + size, core_start, core_stop)
        for start, core_start, core_stop in zip(starts, [0] + borders, borders + [length])
    ]


def axes(layout: Layout) -> tuple[list[Span], list[Span]]:
    """Return the Spans of the tiles along the rows, and those along the columns."""
    along = wrapped_spans if layout.wraps else spans
    rows, columns = (along(*sides, layout.overlap) for sides in zip((layout.height, layout.width), layout.tile))
    return rows, columns


def tile_rows(layout: Layout) -> list[list[Tile]]:
    """Return the tiles of a picture: a list for each row of tiles."""
    rows, columns = axes(layout)
    return [[Tile(row, column) for column in columns] for row in rows]


def cut(picture: np.ndarray, tile: Tile, wraps: bool = False) -> np.ndarray:
    """Cut the input of a tile out of a picture.

    Args:
        picture: the picture, (C, H, W).
        tile: the tile.
        wraps: whether pixels beyond the picture come from the opposite side. Otherwise the picture is mirrored there,
            which happens if it is smaller than a tile.

    Returns:
        The input, (C, h, w); a view of the picture if the tile is inside it.
    """
    sides = picture.shape[1:]
    if wraps and any(span.start < 0 or span.stop > side for span, side in zip(tile, sides)):
        rows, columns = (np.arange(span.start, span.stop) % side for span, side in zip(tile, sides))
        return picture[:, rows[:, np.newaxis], columns]
    part = picture[:, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]
    missing = [span.stop - span.start - size for span, size in zip(tile, part.shape[1:])]
    return np.pad(part, [(0, 0)] + [(0, pixels) for pixels in missing], mode='reflect') if any(missing) else part


def crop_core(output: np.ndarray, tile: Tile, scale: int) -> np.ndarray:
    """Return the core of a tile's output (C, scale*h, scale*w), as a view."""
    rows, columns = (_scaled(span.core_start - span.start, span.core_stop - span.start, scale) for span in tile)
    return output[:, rows, columns]


def target_slices(tile: Tile, scale: int) -> tuple[slice, slice]:
    """Return the position of a tile's core in the upscaled picture: the slices of its rows and columns."""
    rows, columns = (_scaled(span.core_start, span.core_stop, scale) for span in tile)
    return rows, columns


def core_pixels(tile: Tile) -> int:
    """Return the number of input pixels in the core of a tile."""
    return (tile.rows.core_stop - tile.rows.core_start) * (tile.columns.core_stop - tile.columns.core_start)


def _scaled(start: int, stop: int, scale: int) -> slice:
    return slice(start * scale, stop * scale)


def join(outputs: Iterable[tuple[Tile, np.ndarray]], layout: Layout) -> np.ndarray:
    """Join the outputs of all tiles of a picture.

    Args:
        outputs: pairs of a Tile and its output (C, scale*h, scale*w), in any order.
        layout: the layout of the tiles.

    Returns:
        The upscaled picture, (C, scale*H, scale*W).
    """
    picture = np.empty(0)
    for tile, output in outputs:
        if not picture.size:
            size = (len(output), layout.height * layout.scale, layout.width * layout.scale)
            picture = np.empty(size, output.dtype)
        rows, columns = target_slices(tile, layout.scale)
        picture[:, rows, columns] = crop_core(output, tile, layout.scale)
    return picture
