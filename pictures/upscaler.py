"""Run a picture's pixels through the model, tile by tile: grey, colour and alpha, 8 and 16 bits."""

from __future__ import annotations

import collections
import itertools
from typing import Callable, Iterable, Iterator, NamedTuple

from pictures import channel_roles
from rdn import cpu, engines, sanity, tiles

import cv2
import numpy as np

# Pixels of the inputs that a thread takes at a time: passing a single small tile to a thread costs more than its work.
RUN_PIXELS = 1 << 16


class Cutting(NamedTuple):
    """How a picture is cut into tiles and run through a model.

    Attributes:
        tile_size: largest side of a tile in pixels, for axes whose size the model leaves free.
        overlap: overlap of tiles in pixels.
        batch_size: tiles per run; 0: the number that the model runs fastest.
        self_ensemble: whether to average over the eight flips and turns.
        wraps: whether the picture's opposite edges meet, as in a texture that repeats.
        alpha: the meaning of an alpha channel, one of channel_roles.ALPHAS.
    """

    tile_size: int
    overlap: int
    batch_size: int = 1
    self_ensemble: bool = False
    wraps: bool = False
    alpha: str = channel_roles.OPACITY

    @property
    def reach(self) -> int:
        """Distance in pixels at which a pixel still changes the result: the overlap, but at least the measured default."""
        return max(self.overlap, tiles.OVERLAP)


USUAL = Cutting(0, tiles.OVERLAP, 0)  # for callers that have a layout already


def layout_for(
    model: engines.Engine, size: tuple[int, int], tile_size: int, overlap: int, scale: int, wraps: bool = False
) -> tiles.Layout:
    """Return the tiles into which a picture is cut for a model.

    Args:
        model: the engine.
        size: (height, width) of the picture in pixels.
        tile_size: largest side of a tile in pixels, for axes whose size the model leaves free; a smaller picture becomes
            one tile of its own size, which needs no mirrored border.
        overlap: overlap of tiles in pixels.
        scale: how many times the model enlarges each side.
        wraps: whether opposite edges meet.

    Raises:
        ValueError: the overlap is too large for the tiles.
    """
    around = 2 * overlap if wraps else 0
    sides = [
        fixed or tiles.fitted_size(side + around, tile_size, overlap) for fixed, side in zip(model.shape[1:], size)
    ]
    return tiles.Layout(*size, sides, overlap, scale, wraps)


def check_tiles(model: engines.Engine, tile_size: int, overlap: int) -> None:
    """Check the overlap before any picture is read.

    Args:
        model: the engine.
        tile_size: as in layout_for.
        overlap: overlap of tiles in pixels.

    Raises:
        ValueError: the overlap is too large for the tiles.
    """
    for fixed in model.shape[1:]:
        tiles.count_tiles(1, max(2, fixed or tile_size), overlap)


def upscale_pixels(
    pixels: np.ndarray, model: engines.Engine, layout: tiles.Layout, cutting: Cutting = USUAL
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Enlarge a picture tile by tile.

    An RGB picture whose channels are equal everywhere goes through the model as grey, so that it stays grey.

    Args:
        pixels: the whole picture, (H, W, C), uint8 or uint16; C as in pictures/formats/pixels.py.
        model: the engine.
        layout: the picture's tiles, the scale, and whether opposite edges meet.
        cutting: how the tiles are run; its tile_size and wraps are ignored, because the layout has them.

    Yields:
        (Tile, its enlarged core (scale*h, scale*w, C)), of the type of `pixels`.
    """
    every = itertools.chain.from_iterable(tiles.tile_rows(layout))
    shown = channel_roles.narrowed(pixels)
    cutting = cutting._replace(wraps=layout.wraps)
    for tile, part in upscale_tiles(shown, every, model, layout.scale, cutting):
        yield tile, channel_roles.widened(part, pixels.shape[2])


def upscale_tiles(
    pixels: np.ndarray, those: Iterable[tiles.Tile], model: engines.Engine, scale: int, cutting: Cutting
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Enlarge some tiles of a picture, without a check for grey stored as RGB.

    Args:
        pixels: (H, W, C), uint8 or uint16.
        those: the tiles.
        model: the engine.
        scale: how many times the model enlarges each side.
        cutting: how the tiles are run; its tile_size is ignored.

    Yields:
        (Tile, its enlarged core (scale*h, scale*w, C)), of the type of `pixels`.
    """
    model = exact_enough(model, pixels.dtype)
    planes_first = pixels.transpose(2, 0, 1)
    for tile, planes in upscale_planes(planes_first, those, model, scale, cutting):
        yield tile, to_numbers(planes, pixels.dtype)


def upscale_planes(
    planes_first: np.ndarray, those: Iterable[tiles.Tile], model: engines.Engine, scale: int, cutting: Cutting
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Enlarge some tiles of planes, without rounding.

    Args:
        planes_first: (C, H, W), uint8, uint16, or float32 of 0...1.
        those: the tiles.
        model: the engine, already exact enough for the picture.
        scale: how many times the model enlarges each side.
        cutting: how the tiles are run; its tile_size is ignored.

    Yields:
        (Tile, its enlarged core (C, scale*h, scale*w)), float32, not clipped.
    """
    waiting: collections.deque[tuple[tiles.Tile, np.ndarray]] = collections.deque()  # in the model

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
    """Return the model in a precision that is exact enough: bf16 would be visible in 16-bit pictures.

    Args:
        model: the engine.
        dtype: type of the picture's values, uint8 or uint16.

    Returns:
        `model`, or its exact variant for uint16.
    """
    return model.exact() if dtype == np.uint16 else model


def as_floats(planes: np.ndarray) -> np.ndarray:
    """Return whole numbers of 0...255 (uint8) or 0...65535 (uint16) as float32 of 0...1; return float32 unchanged."""
    if planes.dtype == np.float32:
        return np.ascontiguousarray(planes)
    return np.divide(planes, np.float32(np.iinfo(planes.dtype).max), dtype=np.float32)


def to_numbers(planes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return planes as pixels of whole numbers.

    Args:
        planes: (C, h, w), float32; values are clipped to 0...1.
        dtype: uint8 or uint16.

    Returns:
        (h, w, C) of 0...255 or 0...65535, rounded to the nearest.
    """
    numbers = planes.clip(0, 1)
    numbers *= np.float32(np.iinfo(dtype).max)
    numbers = np.rint(numbers, out=numbers).astype(dtype)
    return pixels_last(numbers)


def pixels_last(planes: np.ndarray) -> np.ndarray:
    """Return planes (C, h, w) as contiguous pixels (h, w, C), with OpenCV in a tenth of numpy's time."""
    return cv2.merge(list(planes)) if len(planes) > 1 else planes[0, :, :, np.newaxis]


def _runs_alpha(part: np.ndarray, cutting: Cutting) -> bool:
    """Return whether the model enlarges the alpha of planes (C, h, w); a constant opacity stays constant without it."""
    return channel_roles.has_alpha(part) and (cutting.alpha == channel_roles.DATA or np.ptp(part[-1]) > 0)


def _colour_input(part: np.ndarray, cutting: Cutting) -> np.ndarray:
    """Return the model's input (3, h, w) for the colours of a tile's planes (C, h, w), 0...1."""
    colour = part[:-1] if channel_roles.has_alpha(part) else part
    if channel_roles.has_alpha(part) and cutting.alpha == channel_roles.OPACITY:
        colour = channel_roles.bleed(colour, part[-1], cutting.reach)
    return colour if len(colour) == 3 else np.repeat(colour, 3, 0)


def _assemble(part: np.ndarray, colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return the enlarged planes (C, ...) of a tile's `part`, from the model's outputs (3, ...) for colour and alpha."""
    if len(part) < 3:
        colour = colour.mean(0, keepdims=True)
    if not channel_roles.has_alpha(part):
        return colour
    opacity = np.full(colour.shape[1:], part[-1, 0, 0]) if alpha is None else alpha.mean(0)
    return np.concatenate([colour, opacity[np.newaxis]])


def _run_batches(model: engines.Engine, inputs: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """Yield the model's output for each input (3, h, w); each of its streams runs `batch_size` inputs at a time."""
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
    """Yield lists of inputs (3, h, w): one batch of `size`, or as many batches as have RUN_PIXELS together."""
    for first in inputs:
        batches = max(1, RUN_PIXELS // (size * first[0].size))
        yield [first, *itertools.islice(inputs, batches * size - 1)]


def _run_ensemble(model: engines.Engine, inputs: Iterable[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """Yield the mean over the eight flips and turns of each input (the paper's RDN+, after arXiv 1707.02921).

    Raises:
        ValueError: the inputs are not square, and the model does not take turned inputs.
    """
    # Within each half, all turned inputs have the same shape.
    halves = SYMMETRIES[0::4] + SYMMETRIES[1::4], SYMMETRIES[2::4] + SYMMETRIES[3::4]
    for x in inputs:
        if x.shape[1] != x.shape[2] and None not in model.shape[1:]:
            raise ValueError('the self-ensemble turns the tiles: the model must take squares')
        total = np.zeros(1, np.float32)
        for half in halves:
            outputs = _run_batches(model, (turn(x) for turn, _ in half), batch_size)
            total = total + sum(turn_back(y) for (_, turn_back), y in zip(half, outputs))
        yield total / np.float32(len(SYMMETRIES))


def _symmetry(turns: int, flip: bool) -> tuple[Callable, Callable]:
    """Return a function that flips and turns an array (C, h, w), and its inverse."""
    return (
        lambda x: np.rot90(x[:, :, ::-1] if flip else x, turns, (1, 2)),
        lambda y: np.rot90(y, -turns, (1, 2))[:, :, :: -1 if flip else 1],
    )


SYMMETRIES = [_symmetry(turns, flip) for turns in range(4) for flip in (False, True)]
