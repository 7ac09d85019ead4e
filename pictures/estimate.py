"""What a run will do, in words, before it starts: how many pictures and megapixels, and about how long they take.

The time comes from a run of the engine on one tile. How many tiles there are follows from the pictures' headers.
"""

from __future__ import annotations

import math
import os
import time
from typing import NamedTuple, Sequence

from pictures import processing, sequences, upscaler
from pictures.formats import reader
from rdn import cli, cpu, engines, images, tiles

import numpy as np

MAX_HEADERS = 1000  # of more pictures, so many are looked at, evenly among them
FIRST_SIDE = 64  # pixels of the first tile of a model of free size; its time says how large a tile takes a moment
MOMENT_SECONDS = 0.5
# Reading and writing, a core: of PNG, which is the slowest of the usual formats (python3 -m tools.bench files).
FILE_MEGAPIXELS_A_SECOND = 3.3
UNITS = ((1, 'second', 57.5), (60, 'minute', 97.5), (3600, 'hour', 47.5), (86400, 'day', math.inf))
clock = time.perf_counter


class Header(NamedTuple):
    """What a picture's header says: pixels, 0 where it does not say them, and whether there is an alpha channel."""

    width: int
    height: int
    has_alpha: bool


class Work(NamedTuple):
    """What is to be done.

    Attributes:
        pictures: how many.
        megapixels: of all of them.
        network_pixels: what goes through the network: with what tiles share, alpha, and turns.
        tile: (height, width) of a tile of the largest picture.
        is_sampled: whether the figures come from some of the pictures.
    """

    pictures: int
    megapixels: float
    network_pixels: float
    tile: tuple[int, int]
    is_sampled: bool


def describe(
    jobs: Sequence[processing.PictureJob], model: engines.Engine, scale: int, options: processing.Options
) -> str:
    """Return what a run will do: '3 pictures, 3.8 megapixels, about 2 minutes on this machine (OpenVINO, bf16)'.

    Args:
        jobs: all pictures; those whose result is there and stays are not counted.
        model: the engine, which is timed on one tile.
        scale: how many times it enlarges.
        options: of the run.
    """
    left = [job for job in jobs if options.overwrite or not os.path.exists(job.target)]
    if not left:
        return f'nothing to enlarge: {cli.count(len(jobs), "result")} there already'
    work = measure_work(left, model, scale, options)
    pictures = cli.count(len(left), 'picture')
    if not work.megapixels:
        return f'{pictures}, of a size that its header does not say'
    size = f'{"about " if work.is_sampled else ""}{megapixels_in_words(work.megapixels)} megapixels'
    try:
        spent = f'{in_words(seconds(work, model, options))} '
    except (ValueError, MemoryError):  # each picture says what fails
        spent = ''
    return f'{pictures}, {size}, {spent}on this machine ({model.name})'


def measure_work(
    jobs: Sequence[processing.PictureJob], model: engines.Engine, scale: int, options: processing.Options
) -> Work:
    """Return how much is to be done, from the pictures' headers; of very many pictures from some of them."""
    step = -(-len(jobs) // MAX_HEADERS)
    headers = [(look_at(job.source), job) for job in jobs[::step]]
    found = [(header, _frames(header, job, options)) for header, job in headers if header.width and header.height]
    if not found:
        return Work(len(jobs), 0, 0, (0, 0), True)
    known = [header for header, _ in found]
    share = len(jobs) / len(known)
    pixels = share * sum(header.width * header.height * count for header, count in found)
    network = share * sum(_network_pixels(header, model, scale, options) * count for header, count in found)
    largest = max(known, key=lambda header: header.width * header.height)
    height, width = _layout(largest, model, scale, options).tile
    return Work(len(jobs), pixels / 1e6, network, (height, width), len(known) < len(jobs))


def _frames(header: Header, job: processing.PictureJob, options: processing.Options) -> float:
    """How many pictures of the header's size a file is; 1 without --all-frames."""
    if not options.all_frames:
        return 1
    return sequences.megapixels(job, options) * 1e6 / (header.width * header.height)


def look_at(path: str) -> Header:
    """Return what a picture's header says, which reads little of the file."""
    if not os.path.isfile(path):  # a pipe would wait for a writer
        return Header(0, 0, False)
    width, height = reader.read_size(path)
    try:
        with images.open_image(path) as image:
            has_alpha = image.mode in ('LA', 'PA', 'RGBA', 'La', 'RGBa') or 'transparency' in image.info
    except Exception:  # Pillow does not know all formats, and raises anything for a broken file
        has_alpha = False
    return Header(width, height, has_alpha)


def seconds(work: Work, model: engines.Engine, options: processing.Options) -> float:
    """Return about how long the work takes: the network, or where that is fast, reading and writing."""
    tile: Sequence[int] = work.tile
    free = [fixed is None for fixed in model.shape[1:]]
    if any(free):
        small = [min(side, FIRST_SIDE) if is_free else side for side, is_free in zip(tile, free)]
        rate = _seconds_a_pixel(model, small, options.batch_size)
        if rate * work.network_pixels < 4 * MOMENT_SECONDS:
            return _at_least_files(rate * work.network_pixels, work)
        grown = math.sqrt(MOMENT_SECONDS / (rate * small[0] * small[1] * _at_a_time(model, small, options.batch_size)))
        tile = [
            max(1, min(side, max(smaller, int(grown * smaller)))) if is_free else side
            for side, smaller, is_free in zip(tile, small, free)
        ]
    rate = _seconds_a_pixel(model, tile, options.batch_size)
    together = model.streams * work.tile[0] * work.tile[1]  # of a picture of one tile only one stream works
    return _at_least_files(rate * max(work.network_pixels, together), work)


def _at_least_files(network_seconds: float, work: Work) -> float:
    return max(network_seconds, work.megapixels / FILE_MEGAPIXELS_A_SECOND / cpu.available_cores())


def _seconds_a_pixel(model: engines.Engine, tile: Sequence[int], batch_size: int) -> float:
    """Seconds for a pixel of the input, on tiles (height, width), with all streams at work."""
    at_a_time = _at_a_time(model, tile, batch_size)
    batch = np.zeros((at_a_time // model.streams, 3, *tile), np.float32)

    def run() -> float:
        start = clock()
        for _ in cpu.map_in_order(model, [batch] * model.streams, model.streams):
            pass
        return clock() - start

    spent = run()
    if spent < 4 * MOMENT_SECONDS:  # otherwise what the first run does once does not count
        spent = run()
    return spent / (at_a_time * tile[0] * tile[1])


def _at_a_time(model: engines.Engine, tile: Sequence[int], batch_size: int) -> int:
    """How many tiles (height, width) go through the model at a time. batch_size: as in processing.Options."""
    return model.streams * (model.batch or batch_size or model.tiles_a_run(*tile))


def _layout(header: Header, model: engines.Engine, scale: int, options: processing.Options) -> tiles.Layout:
    size = header.height, header.width
    return upscaler.layout_for(model, size, options.tile_size, options.overlap, scale)


def _network_pixels(header: Header, model: engines.Engine, scale: int, options: processing.Options) -> int:
    """How many pixels of a picture go through the network. Alpha goes through it like a second picture."""
    layout = _layout(header, model, scale, options)
    (height, width), sides = layout.tile, (header.height, header.width)
    rows, columns = (tiles.count_tiles(side, size, layout.overlap) for side, size in zip(sides, layout.tile))
    runs = rows * columns * (2 if header.has_alpha else 1)
    full = -(-runs // model.batch) * model.batch if model.batch else runs
    return full * height * width * (len(upscaler.SYMMETRIES) if options.self_ensemble else 1)


def in_words(spent: float) -> str:
    """Return a time in words that promise no more than is known: 'about 40 seconds', 'about 3 hours'."""
    size, unit, _ = next(each for each in UNITS if spent / each[0] < each[2])
    number = max(1, round(spent / size))
    if number > 10 and unit in ('second', 'minute'):
        number = 5 * round(spent / size / 5)
    return f'about {cli.count(number, unit)}'


def megapixels_in_words(megapixels: float) -> str:
    """Return megapixels with as many digits as tell something: '0.31', '3.8', '1,234'."""
    if megapixels < 1:
        return f'{megapixels:.2g}'
    return f'{megapixels:.1f}' if megapixels < 99.95 else f'{megapixels:,.0f}'
