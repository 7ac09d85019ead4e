"""Any picture through a network of one input size: where its tiles lie, and which pixels each one gives.

The outermost tiles lie flush with the picture's edges, where the network pads as it would on the whole
picture. Neighbours overlap; each output pixel comes from the tile in which it is farthest from an inner
border, so that the network saw most of its surroundings. Those pixels are the tile's core.

A picture that wraps has no edges: its tiles reach beyond it by the overlap, where they take the pixels of the opposite side.
"""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

import numpy as np

OVERLAP = 16  # pixels of the input; measured: docs/measurements.md


class Span(NamedTuple):
    """A tile along one axis, in pixels of the input: [start, stop) goes in, [core_start, core_stop) is taken."""

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tile(NamedTuple):
    """A tile of a picture: a Span of its rows and one of its columns."""

    rows: Span
    columns: Span


class Layout(NamedTuple):
    """How a picture is cut: its size, the tiles' size (height, width) and overlap in pixels; the network's scale.

    wraps: whether the picture's opposite edges meet, as those of a tileable texture.
    """

    height: int
    width: int
    tile: Sequence[int]
    overlap: int
    scale: int
    wraps: bool = False


def spans(length: int, size: int, overlap: int) -> list[Span]:
    """The tiles along one axis: Spans that cover `length` pixels with tiles of `size`.

    Neighbours share `overlap` pixels at least, and lie evenly. In a picture smaller than a tile there is
    one tile, whose stop lies beyond the picture. Raises ValueError as count_tiles does.
    """
    count = count_tiles(length, size, overlap)
    starts = [i * (length - size) // (count - 1) for i in range(count)] if count > 1 else [0]
    return spans_at(starts, length, size)


def wrapped_spans(length: int, size: int, overlap: int) -> list[Span]:
    """As spans, of a picture whose opposite edges meet: tiles begin before 0 and end beyond `length`, cores do not."""
    around = spans(length + 2 * overlap, size, overlap)
    moved = [Span(*(position - overlap for position in span)) for span in around]
    inside = [
        span._replace(core_start=max(0, span.core_start), core_stop=min(length, span.core_stop)) for span in moved
    ]
    return [span for span in inside if span.core_start < span.core_stop]


def count_tiles(length: int, size: int, overlap: int) -> int:
    """How many tiles cover `length` pixels. Raises ValueError unless 0 <= overlap < size, or the tile is the picture."""
    if length == size:
        return 1
    if not 0 <= overlap < size:
        raise ValueError(f'overlap {overlap}: from 0 to less than a tile, {size} pixels')
    return 1 + max(0, -((size - length) // (size - overlap)))


def fitted_size(length: int, largest: int, overlap: int) -> int:
    """The smallest size of as many tiles as the largest needs to cover `length` pixels: none does work for nothing."""
    count = count_tiles(length, largest, overlap)
    return -(-(length + (count - 1) * overlap) // count)


def spans_at(starts: Sequence[int], length: int, size: int) -> list[Span]:
    """The Spans of tiles that begin at `starts`: their cores meet in the middles of the overlaps."""
    borders = [(left + size + right) // 2 for left, right in zip(starts, starts[1:])]
    return [
        Span(start, start + size, core_start, core_stop)
        for start, core_start, core_stop in zip(starts, [0] + borders, borders + [length])
    ]


def axes(layout: Layout) -> tuple[list[Span], list[Span]]:
    """The Spans of a picture's rows and of its columns."""
    along = wrapped_spans if layout.wraps else spans
    rows, columns = (along(*sides, layout.overlap) for sides in zip((layout.height, layout.width), layout.tile))
    return rows, columns


def tile_rows(layout: Layout) -> list[list[Tile]]:
    """The tiles of a picture, a list a row."""
    rows, columns = axes(layout)
    return [[Tile(row, column) for column in columns] for row in rows]


def cut(picture: np.ndarray, tile: Tile, wraps: bool = False) -> np.ndarray:
    """The input of a tile: (C, H, W) -> (C, h, w).

    Beyond the picture it holds the pixels of the opposite side if the picture wraps; otherwise one that is smaller than
    a tile is mirrored.
    """
    sides = picture.shape[1:]
    if wraps and any(span.start < 0 or span.stop > side for span, side in zip(tile, sides)):
        rows, columns = (np.arange(span.start, span.stop) % side for span, side in zip(tile, sides))
        return picture[:, rows[:, np.newaxis], columns]
    part = picture[:, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]
    missing = [span.stop - span.start - size for span, size in zip(tile, part.shape[1:])]
    return np.pad(part, [(0, 0)] + [(0, pixels) for pixels in missing], mode='reflect') if any(missing) else part


def crop_core(output: np.ndarray, tile: Tile, scale: int) -> np.ndarray:
    """The core of a tile's output: (C, scale*h, scale*w) -> a view of it."""
    rows, columns = (_scaled(span.core_start - span.start, span.core_stop - span.start, scale) for span in tile)
    return output[:, rows, columns]


def target_slices(tile: Tile, scale: int) -> tuple[slice, slice]:
    """Where a tile's core stands in the upscaled picture: slices of its rows and columns."""
    rows, columns = (_scaled(span.core_start, span.core_stop, scale) for span in tile)
    return rows, columns


def core_pixels(tile: Tile) -> int:
    """How many pixels of the input a tile's core stands for."""
    return (tile.rows.core_stop - tile.rows.core_start) * (tile.columns.core_stop - tile.columns.core_start)


def _scaled(start: int, stop: int, scale: int) -> slice:
    return slice(start * scale, stop * scale)


def join(outputs: Iterable[tuple[Tile, np.ndarray]], layout: Layout) -> np.ndarray:
    """Put a picture together: pairs (Tile, output (C, scale*h, scale*w)) -> (C, scale*H, scale*W)."""
    picture = np.empty(0)
    for tile, output in outputs:
        if not picture.size:
            size = (len(output), layout.height * layout.scale, layout.width * layout.scale)
            picture = np.empty(size, output.dtype)
        rows, columns = target_slices(tile, layout.scale)
        picture[:, rows, columns] = crop_core(output, tile, layout.scale)
    return picture
