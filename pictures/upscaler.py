"""A picture's pixels through the model, tile by tile: grey, colour and alpha, 8 and 16 bits."""

from __future__ import annotations

import collections
import itertools
from typing import Callable, Iterable, Iterator, NamedTuple

from pictures import channel_roles
from rdn import cpu, engines, sanity, tiles

import cv2
import numpy as np

RUN_PIXELS = (
    1 << 16
)  # of the inputs that a thread takes at a time: handing over one small tile costs more than its work


class Cutting(NamedTuple):
    """How a picture goes through a model.

    Attributes:
        tile_size: pixels, of axes that the model leaves free.
        overlap: of tiles, pixels.
        batch_size: tiles a run; 0: as many as the model runs fastest.
        self_ensemble: whether to average the eight flips and turns.
        wraps: whether the picture's opposite edges meet, as those of a tileable texture.
        alpha: what an alpha channel holds, one of channel_roles.ALPHAS.
    """

    tile_size: int
    overlap: int
    batch_size: int = 1
    self_ensemble: bool = False
    wraps: bool = False
    alpha: str = channel_roles.OPACITY

    @property
    def reach(self) -> int:
        """How far a pixel changes the result, in pixels: as far as tiles overlap, which is measured."""
        return max(self.overlap, tiles.OVERLAP)


USUAL = Cutting(0, tiles.OVERLAP, 0)  # of a layout that is there already


def layout_for(
    model: engines.Engine, size: tuple[int, int], tile_size: int, overlap: int, scale: int, wraps: bool = False
) -> tiles.Layout:
    """How a picture of a size (height, width) is cut for a model.

    tile_size: largest side in pixels for axes that the model leaves free; there a smaller picture is a tile of its own,
    which needs no mirror. Raises ValueError for an overlap as large as a tile.
    """
    around = 2 * overlap if wraps else 0
    sides = [
        fixed or tiles.fitted_size(side + around, tile_size, overlap) for fixed, side in zip(model.shape[1:], size)
    ]
    return tiles.Layout(*size, sides, overlap, scale, wraps)


def check_tiles(model: engines.Engine, tile_size: int, overlap: int) -> None:
    """Raises ValueError where layout_for would."""
    for fixed in model.shape[1:]:
        tiles.count_tiles(1, max(2, fixed or tile_size), overlap)


def upscale_pixels(
    pixels: np.ndarray, model: engines.Engine, layout: tiles.Layout, cutting: Cutting = USUAL
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Yield (Tile, its upscaled core (scale*h, scale*w, C)) for a picture's pixels (H, W, C).

    RGB pixels with equal channels everywhere go through the model as grey, so that they stay grey.

    Args:
        pixels: of the whole picture, uint8 or uint16 as the results are; C as in pictures/formats/pixels.py.
        model: that enlarges.
        layout: of the picture's tiles, which says the scale, and whether the picture's opposite edges meet.
        cutting: its batch_size, self_ensemble and alpha; the layout says the rest.
    """
    every = itertools.chain.from_iterable(tiles.tile_rows(layout))
    shown = channel_roles.narrowed(pixels)
    cutting = cutting._replace(wraps=layout.wraps)
    for tile, part in upscale_tiles(shown, every, model, layout.scale, cutting):
        yield tile, channel_roles.widened(part, pixels.shape[2])


def upscale_tiles(
    pixels: np.ndarray, those: Iterable[tiles.Tile], model: engines.Engine, scale: int, cutting: Cutting
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """As upscale_pixels, for the given tiles of the pixels, whose channels stay as they are."""
    model = exact_enough(model, pixels.dtype)
    planes_first = pixels.transpose(2, 0, 1)
    for tile, planes in upscale_planes(planes_first, those, model, scale, cutting):
        yield tile, to_numbers(planes, pixels.dtype)


def upscale_planes(
    planes_first: np.ndarray, those: Iterable[tiles.Tile], model: engines.Engine, scale: int, cutting: Cutting
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Yield (Tile, its upscaled core (C, scale*h, scale*w), float32, not clipped) for tiles of planes (C, H, W).

    The planes are uint8, uint16, or float32 of 0...1; the model computes as exactly as it is.
    """
    waiting: collections.deque[tuple[tiles.Tile, np.ndarray]] = collections.deque()  # went in, not yet out

    def inputs() -> Iterator[np.ndarray]:
        for tile in those:
            part = as_floats(tiles.cut(planes_first, tile, cutting.wraps))
            waiting.append((tile, part))
            yield _colour_input(part, cutting)
            if _runs_alpha(part, cutting):
                yield np.repeat(part[-1:], 3, 0)

    run = _run_ensemble if cutting.self_ensemble else _run_batches
    outputs = run(model, inputs(), cutting.batch_size)
    for colour in outputs:
        tile, part = waiting.popleft()
        alpha = None
        if _runs_alpha(part, cutting):
            alpha = next(outputs)
            alpha = alpha if cutting.alpha == channel_roles.DATA else channel_roles.keep_flat(alpha, part[-1], scale)
            alpha = tiles.crop_core(alpha, tile, scale)
        yield tile, _assemble(part, tiles.crop_core(colour, tile, scale), alpha)


def exact_enough(model: engines.Engine, dtype: np.dtype) -> engines.Engine:
    """Return the model for pictures of a type: 16 bits show what bf16 loses."""
    return model.exact() if dtype == np.uint16 else model


def as_floats(planes: np.ndarray) -> np.ndarray:
    """Whole numbers 0...255 or 0...65535 as float32, 0...1; float32 as it is."""
    if planes.dtype == np.float32:
        return np.ascontiguousarray(planes)
    return np.divide(planes, np.float32(np.iinfo(planes.dtype).max), dtype=np.float32)


def to_numbers(planes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(C, h, w) -> (h, w, C), 0...255 or 0...65535: clipped to 0...1, rounded to the nearest."""
    numbers = planes.clip(0, 1)
    numbers *= np.float32(np.iinfo(dtype).max)
    numbers = np.rint(numbers, out=numbers).astype(dtype)
    return pixels_last(numbers)


def pixels_last(planes: np.ndarray) -> np.ndarray:
    """(C, h, w) -> (h, w, C), contiguous; by OpenCV, in a tenth of numpy's time."""
    return cv2.merge(list(planes)) if len(planes) > 1 else planes[0, :, :, np.newaxis]


def _runs_alpha(part: np.ndarray, cutting: Cutting) -> bool:
    """Whether planes (C, h, w) have an alpha that the model upscales: opacity that is the same all over stays so."""
    return channel_roles.has_alpha(part) and (cutting.alpha == channel_roles.DATA or np.ptp(part[-1]) > 0)


def _colour_input(part: np.ndarray, cutting: Cutting) -> np.ndarray:
    """The model's input (3, h, w) for the colours of a tile's planes (C, h, w), 0...1."""
    colour = part[:-1] if channel_roles.has_alpha(part) else part
    if channel_roles.has_alpha(part) and cutting.alpha == channel_roles.OPACITY:
        colour = channel_roles.bleed(colour, part[-1], cutting.reach)
    return colour if len(colour) == 3 else np.repeat(colour, 3, 0)


def _assemble(part: np.ndarray, colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """The upscaled planes (C, ...) of a tile's `part`, from the model's outputs (3, ...) for its colour and alpha."""
    if len(part) < 3:
        colour = colour.mean(0, keepdims=True)
    if not channel_roles.has_alpha(part):
        return colour
    opacity = np.full(colour.shape[1:], part[-1, 0, 0]) if alpha is None else alpha.mean(0)
    return np.concatenate([colour, opacity[np.newaxis]])


def _run_batches(model: engines.Engine, inputs: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """The model's outputs, one by one, of inputs (3, h, w), run `batch_size` at a time on each of its streams."""
    inputs = iter(inputs)
    first = next(inputs, None)
    if first is None:
        return
    inputs = itertools.chain([first], inputs)
    size = model.batch or batch_size or model.tiles_a_run(*first.shape[1:])

    def run(part: list[np.ndarray]) -> np.ndarray:
        batch = np.zeros((size if model.batch else len(part), *part[0].shape), np.float32)
        batch[: len(part)] = part
        outputs = model(batch)[: len(part)]
        sanity.check(outputs, model.path)
        return outputs

    def run_all(group: list[np.ndarray]) -> list[np.ndarray]:
        return [output for start in range(0, len(group), size) for output in run(group[start : start + size])]

    for outputs in cpu.map_in_order(run_all, _groups(inputs, size), model.streams):
        yield from outputs


def _groups(inputs: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Lists of inputs (3, h, w), whole batches of a size: one, or as many as have RUN_PIXELS together."""
    for first in inputs:
        batches = max(1, RUN_PIXELS // (size * first[0].size))
        yield [first, *itertools.islice(inputs, batches * size - 1)]


def _run_ensemble(model: engines.Engine, inputs: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """For each input the mean over its eight flips and turns (the paper's RDN+, after arXiv 1707.02921).

    Raises ValueError for inputs that are no squares and a model that takes no other shape.
    """
    halves = SYMMETRIES[0::4] + SYMMETRIES[1::4], SYMMETRIES[2::4] + SYMMETRIES[3::4]  # of one shape each
    for x in inputs:
        if x.shape[1] != x.shape[2] and None not in model.shape[1:]:
            raise ValueError('the self-ensemble turns the tiles: the model must take squares')
        total = np.zeros(1, np.float32)
        for half in halves:
            outputs = _run_batches(model, (turn(x) for turn, _ in half), batch_size)
            total = total + sum(turn_back(y) for (_, turn_back), y in zip(half, outputs))
        yield total / np.float32(len(SYMMETRIES))


def _symmetry(turns: int, flip: bool) -> tuple[Callable, Callable]:
    """A turn (flipped before) of (C, h, h), and its inverse."""
    return (
        lambda x: np.rot90(x[:, :, ::-1] if flip else x, turns, (1, 2)),
        lambda y: np.rot90(y, -turns, (1, 2))[:, :, :: -1 if flip else 1],
    )


SYMMETRIES = [_symmetry(turns, flip) for turns in range(4) for flip in (False, True)]
