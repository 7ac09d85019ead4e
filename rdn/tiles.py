"""Any picture through a network of one input size: where its tiles lie, and which pixels each one gives.

The outermost tiles lie flush with the picture's edges, where the network pads as it would on the whole
picture. Neighbours overlap; each output pixel comes from the tile in which it is farthest from an inner
border, so that the network saw most of its surroundings.
"""

import collections
import json

from rdn import files

import numpy as np

OVERLAP = 16  # pixels of the input; measured: README, "Your own pictures"

LARGEST = 1 << 17  # pixels of a picture's side that a layout may say

Span = collections.namedtuple('Span', 'start stop first last')  # pixels of a tile; those of them that it gives
Tile = collections.namedtuple('Tile', 'rows columns')  # a Span each
Layout = collections.namedtuple('Layout', 'height width tile overlap scale source label')
Layout.__doc__ = """How a picture of height x width was cut: tile is (height, width) of a tile, overlap in pixels.

source: the picture's file; label: whether the enlarged original is known.
"""


def spans(length, size, overlap):
    """The tiles along one axis: Spans that cover `length` pixels with tiles of `size`.

    Neighbours share `overlap` pixels at least, and lie evenly. In a picture smaller than a tile there is
    one tile, whose stop lies beyond the picture. Raises ValueError unless 0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise ValueError('overlap %d: from 0 to less than a tile, %d pixels' % (overlap, size))
    count = 1 + max(0, -((size - length) // (size - overlap)))
    starts = [i * (length - size) // (count - 1) for i in range(count)] if count > 1 else [0]
    return spans_at(starts, length, size)


def spans_at(starts, length, size):
    """The Spans of tiles that begin at `starts`: each gives its pixels up to the middles of the overlaps."""
    borders = [(left + size + right) // 2 for left, right in zip(starts, starts[1:])]
    return [
        Span(start, start + size, first, last) for start, first, last in zip(starts, [0] + borders, borders + [length])
    ]


def tile_rows(height, width, size, overlap):
    """The tiles of a picture, a list a row. size: (height, width) of a tile; all in pixels."""
    columns = spans(width, size[1], overlap)
    return [[Tile(rows, column) for column in columns] for rows in spans(height, size[0], overlap)]


def cut(picture, tile):
    """The input of a tile: (C, H, W) -> (C, h, w); mirrored beyond a picture that is smaller."""
    part = picture[:, tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop]
    missing = [span.stop - span.start - size for span, size in zip(tile, part.shape[1:])]
    return np.pad(part, [(0, 0)] + [(0, pixels) for pixels in missing], mode='reflect') if any(missing) else part


def give(output, tile, scale):
    """The pixels that a tile gives, from its output: (C, scale*h, scale*w) -> a view of it."""
    return output[
        (slice(None),) + tuple(_scaled(span.first - span.start, span.last - span.start, scale) for span in tile)
    ]


def place(tile, scale):
    """Where they stand in the enlarged picture: slices of its rows and columns."""
    return tuple(_scaled(span.first, span.last, scale) for span in tile)


def _scaled(first, last, scale):
    return slice(first * scale, last * scale)


def tile_stems(stem, layout):
    """Name of a tile's files -> Tile, for a picture of that stem; row by row."""
    rows = tile_rows(layout.height, layout.width, layout.tile, layout.overlap)
    return {'%s_tile_r%03dc%03d' % (stem, r, c): tile for r, row in enumerate(rows) for c, tile in enumerate(row)}


def join(outputs, layout):
    """Put a picture together: pairs (Tile, output (C, scale*h, scale*w)) -> (C, scale*H, scale*W)."""
    picture = None
    for tile, output in outputs:
        if picture is None:
            size = (len(output), layout.height * layout.scale, layout.width * layout.scale)
            picture = np.empty(size, output.dtype)
        picture[(slice(None),) + place(tile, layout.scale)] = give(output, tile, layout.scale)
    return picture


def write_layout(layout, file):
    """Write a Layout to a binary file, as JSON."""
    file.write((json.dumps(layout._asdict(), indent=1) + '\n').encode())


def read_layout(path):
    """The Layout in a file. Raises ValueError, with the file's name, for other content."""
    files.check_size(path, 1 << 20)
    try:
        with open(path, 'rb') as file:
            layout = Layout(**json.loads(file.read().decode()))
        numbers = [layout.height, layout.width, layout.overlap, layout.scale] + list(layout.tile)
        if len(layout.tile) != 2 or any(type(number) is not int for number in numbers):
            raise ValueError('sizes are whole numbers')
        if min(numbers) < 0 or max(numbers) > LARGEST or not (layout.height and layout.width and layout.scale):
            raise ValueError('sizes are from 1 to %d pixels' % LARGEST)
        spans(layout.height, layout.tile[0], layout.overlap)
        return layout
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError('%s: no layout of tiles, as RDN_preprocess.py --tile writes it: %s' % (path, error))
