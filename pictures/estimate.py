"""The line before a run: how many pictures and megapixels there are, and about how long they will take.

The engine is timed on one tile; the number of tiles follows from the pictures' headers.
"""

from __future__ import annotations

import math
import time
from typing import Sequence

from pictures import upscaler, workload
from rdn import cli, cpu, engines

import numpy as np

FIRST_SIDE = 64  # side in pixels of the first timed tile, if the model takes any size
MOMENT_SECONDS = 0.5  # the size of the second timed tile is chosen to take about this long
# Reading and writing, per core: measured for PNG, the slowest of the usual formats (python3 -m tools.bench files).
FILE_MEGAPIXELS_A_SECOND = 3.3
# (seconds, name, limit in this unit from which the next unit is used)
UNITS = ((1, 'second', 57.5), (60, 'minute', 97.5), (3600, 'hour', 47.5), (86400, 'day', math.inf))
clock = time.perf_counter


def describe(load: workload.Workload, spent: float | None) -> str:
    """Return a line such as '3 pictures, 3.8 megapixels, about 2 minutes on this machine (OpenVINO, bf16)'.

    Args:
        load: the work; pictures whose results exist and are kept are not counted.
        spent: estimated duration of the run in seconds, from expected_seconds; None if unknown.
    """
    if not load.left:
        return f'nothing to enlarge: {cli.count(len(load.jobs), "result")} there already'
    pictures, total = cli.count(len(load.left), 'picture'), load.total()
    if not total.megapixels:
        return f'{pictures}, size unknown'
    about = 'about ' if load.is_sampled else ''
    size = f'{about}{megapixels_in_words(total.megapixels)} megapixels'
    if load.options.size:
        size += f' to become {about}{megapixels_in_words(total.result_megapixels)}'
    time_spent = '' if spent is None else f'{in_words(spent)} '
    ensemble = f'; {len(upscaler.SYMMETRIES)} times as long with --self-ensemble' if load.options.self_ensemble else ''
    return f'{pictures}, {size}, {time_spent}on this machine ({load.model.name}{ensemble})'


def expected_seconds(load: workload.Workload) -> float | None:
    """Return about how many seconds the work takes.

    It is the time of the network or the time of reading and writing, the longer of the two.

    Args:
        load: the work.

    Returns:
        Seconds; None if the size of the pictures is unknown or the model fails on the timed tile.
    """
    total = load.total()
    if not total.megapixels:
        return None
    files = max(total.megapixels, total.result_megapixels / 4) / FILE_MEGAPIXELS_A_SECOND / cpu.available_cores()
    try:
        return max(files, _network_seconds(total, load.model, load.options.batch_size))
    except (ValueError, MemoryError):  # the error appears again with each picture
        return None


def _network_seconds(total: workload.Load, model: engines.Engine, batch_size: int) -> float:
    if not total.network_pixels:
        return 0
    tile: Sequence[int] = total.tile
    free = [fixed is None for fixed in model.shape[1:]]
    if any(free):
        small = [min(side, FIRST_SIDE) if is_free else side for side, is_free in zip(tile, free)]
        rate = _seconds_a_pixel(model, small, batch_size)
        if rate * total.network_pixels < 4 * MOMENT_SECONDS:
            return rate * total.network_pixels
        grown = math.sqrt(MOMENT_SECONDS / (rate * small[0] * small[1] * _at_a_time(model, small, batch_size)))
        tile = [
            max(1, min(side, max(smaller, int(grown * smaller)))) if is_free else side
            for side, smaller, is_free in zip(tile, small, free)
        ]
    rate = _seconds_a_pixel(model, tile, batch_size)
    together = model.streams * total.tile[0] * total.tile[1]  # a picture of one tile keeps only one stream busy
    return rate * max(total.network_pixels, together)


def _seconds_a_pixel(model: engines.Engine, tile: Sequence[int], batch_size: int) -> float:
    """Measure the seconds per pixel of the input, for tiles (height, width), with all streams busy."""
    at_a_time = _at_a_time(model, tile, batch_size)
    batch = np.zeros((at_a_time // model.streams, 3, *tile), np.float32)

    def run() -> float:
        start = clock()
        for _ in cpu.map_in_order(model, [batch] * model.streams, model.streams):
            pass
        return clock() - start

    spent = run()
    if spent < 4 * MOMENT_SECONDS:  # the first run includes one-time work, which matters only if it is short
        spent = run()
    return spent / (at_a_time * tile[0] * tile[1])


def _at_a_time(model: engines.Engine, tile: Sequence[int], batch_size: int) -> int:
    """Return how many tiles (height, width) all streams process at a time; `batch_size` as in processing.Options."""
    return model.streams * (model.batch or batch_size or model.tiles_a_run(*tile))


def in_words(spent: float) -> str:
    """Return a time in seconds as rounded words: 'about 40 seconds', 'about 3 hours'."""
    size, unit, _ = next(each for each in UNITS if spent / each[0] < each[2])
    number = max(1, round(spent / size))
    if number > 10 and unit in ('second', 'minute'):
        number = 5 * round(spent / size / 5)
    return f'about {cli.count(number, unit)}'


def megapixels_in_words(megapixels: float) -> str:
    """Return megapixels with two significant digits, or more from 10 up: '0.31', '3.8', '1,234'."""
    if megapixels < 1:
        return f'{megapixels:.2g}'
    return f'{megapixels:.1f}' if megapixels < 99.95 else f'{megapixels:,.0f}'
