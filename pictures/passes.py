"""Enlarge a picture to a chosen size: run the network as often as needed, then reduce to the exact size.

Between the passes, the pixels are float32: they are clipped to 0...1, the network's range, but not rounded. Large pictures
are kept in a temporary file meanwhile.
"""

from __future__ import annotations

import itertools
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence

from pictures import channel_roles, reduction, spill, target_size, upscaler
from rdn import engines, tiles

import numpy as np

FURTHEST = 4  # times each side: super-resolution networks are made for at most this


class PassPlan(NamedTuple):
    """The passes that bring a picture to its size.

    Attributes:
        steps: (height, width) in pixels of the source, and after each pass.
        scale: how many times a pass enlarges each side.
        size: (width, height) of the result in pixels.
    """

    steps: Sequence[tuple[int, int]]
    scale: int
    size: tuple[int, int]

    @property
    def passes(self) -> int:
        """Number of times that the picture goes through the network."""
        return len(self.steps) - 1

    @property
    def is_reduced(self) -> bool:
        """Whether LANCZOS follows the passes."""
        return self.steps[-1] != self.size[::-1]

    @property
    def pixels(self) -> int:
        """Number of the network's input pixels in all passes; overlaps of tiles count once."""
        return sum(height * width for height, width in self.steps[:-1])

    def kept_steps(self, wraps: bool) -> Sequence[tuple[int, int]]:
        """Return the sizes (height, width) of the intermediate pictures that have to be stored whole.

        These are the outputs of all passes but the last; the last one too, if opposite edges meet and LANCZOS follows.

        Args:
            wraps: whether opposite edges meet.
        """
        return self.steps[1:] if wraps and self.is_reduced else self.steps[1:-1]

    def notes(self) -> list[str]:
        """Return notes for the user if the picture is not enlarged, or is enlarged very much."""
        height, width = self.steps[0]
        factor = max(self.size[0] / width, self.size[1] / height)
        if not self.passes:
            return ['only reduced: the picture is larger'] if self.is_reduced else ['not enlarged: it has this size']
        if factor > FURTHEST and self.passes > 1:
            return [f'x{factor:.3g}: beyond x{FURTHEST} the network adds little detail']
        return []


def make_plan(height: int, width: int, scale: int, wanted: target_size.TargetSize | None) -> PassPlan:
    """Return the passes that a picture needs.

    Args:
        height: height of the upright source in pixels.
        width: width of the upright source in pixels.
        scale: how many times the network enlarges each side; must be above 1 unless `wanted` is None.
        wanted: the size of the result; None: one pass.
    """
    if wanted is None:
        return PassPlan([(height, width), (height * scale, width * scale)], scale, (width * scale, height * scale))
    size = wanted.of(width, height)
    steps = [(height, width)]
    while steps[-1][0] < size[1] or steps[-1][1] < size[0]:
        steps.append((steps[-1][0] * scale, steps[-1][1] * scale))
    return PassPlan(steps, scale, size)


def check(scale: int, wanted: target_size.TargetSize | None) -> None:
    """Check that a model can reach a size.

    Args:
        scale: how many times the model enlarges each side.
        wanted: the size of the result; None: one pass.

    Raises:
        ValueError: a size is wanted, and the model does not enlarge.
    """
    if wanted and scale < 2:
        raise ValueError('this model does not enlarge, so it cannot reach a size: name another --model')


def room_needed(plan: PassPlan, channels: int, wraps: bool = False) -> int:
    """Return the peak disk space, in bytes, of the intermediate pictures.

    Args:
        plan: the passes.
        channels: number of channels of the picture.
        wraps: whether opposite edges meet.
    """
    sizes = [spill.spilled_bytes((channels, *step)) for step in plan.kept_steps(wraps)]
    return max([first + second for first, second in zip(sizes, sizes[1:])] + sizes, default=0)


def upscale(
    picture: np.ndarray,
    model: engines.Engine,
    plan: PassPlan,
    cutting: upscaler.Cutting,
    folder: str,
    advance: Callable[[float], None],
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Enlarge a picture, and yield the result part by part.

    An RGB picture whose channels are equal everywhere goes through the model as grey, so that it stays grey.

    Args:
        picture: (H, W, C), uint8 or uint16.
        model: the engine, which enlarges plan.scale times.
        plan: the passes of this picture.
        cutting: how the picture is cut into tiles.
        folder: the folder for intermediate pictures that are too large for memory.
        advance: called with the share of the work that was done since the last call; all shares add up to 1.

    Yields:
        (rows, columns, pixels (h, w, C)), of the type of `picture`; the parts cover the whole result.

    Raises:
        ValueError: the folder's disk has too little space, or the model fails.
    """
    dtype, count = picture.dtype, picture.shape[2]
    picture = channel_roles.narrowed(picture)
    channels = picture.shape[2]
    needed = room_needed(plan, channels, cutting.wraps)
    if needed:
        spill.check_room(needed, folder)
    model = upscaler.exact_enough(model, dtype)
    planes = picture.transpose(2, 0, 1)

    def one_pass(planes: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
        for tile, part in _one_pass(planes, model, plan.scale, cutting):
            rows, columns = tiles.target_slices(tile, plan.scale)
            yield rows, columns, part
            advance(tiles.core_pixels(tile) / plan.pixels)

    for step in plan.kept_steps(cutting.wraps):
        larger = spill.new_planes((channels, *step), folder)
        for rows, columns, part in one_pass(planes):
            np.clip(part, 0, 1, out=larger[:, rows, columns])
        planes = larger
    if plan.passes and not plan.is_reduced:
        for rows, columns, part in one_pass(planes):
            yield rows, columns, channel_roles.widened(upscaler.to_numbers(part, dtype), count)
        return
    is_weighted = cutting.alpha == channel_roles.OPACITY
    if cutting.wraps:
        reduced = reduction.reduce_wrapped(planes, plan.size, is_weighted)
    else:
        bands = _bands(one_pass(planes), plan.steps[-1][1]) if plan.passes else reduction.bands_of(planes)
        reduced = reduction.reduce(bands, plan.steps[-1][0], plan.size, is_weighted)
    for rows, part in reduced:
        yield rows, slice(0, plan.size[0]), channel_roles.widened(upscaler.to_numbers(part, dtype), count)


def _bands(parts: Iterable[tuple[slice, slice, np.ndarray]], width: int) -> Iterator[np.ndarray]:
    """Join the parts (rows, columns, (C, h, w)) of a pass into whole rows of tiles (C, h, width), clipped to 0...1."""
    for _, row in itertools.groupby(parts, key=lambda part: part[0].start):
        band = np.empty(0, np.float32)
        for _, columns, part in row:
            if not band.size:
                band = np.empty((*part.shape[:2], width), np.float32)
            np.clip(part, 0, 1, out=band[:, :, columns])
        yield band


def _one_pass(
    planes: np.ndarray, model: engines.Engine, scale: int, cutting: upscaler.Cutting
) -> Iterator[tuple[tiles.Tile, np.ndarray]]:
    """Yield (Tile, its upscaled core (C, scale*h, scale*w), not clipped) for planes (C, H, W)."""
    height, width = planes.shape[1:]
    layout = upscaler.layout_for(model, (height, width), cutting.tile_size, cutting.overlap, scale, cutting.wraps)
    every = itertools.chain.from_iterable(tiles.tile_rows(layout))
    return upscaler.upscale_planes(planes, every, model, scale, cutting)
