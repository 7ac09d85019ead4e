"""Name the kind of difference between a device's tap and PyTorch's. The most certain checks come first.

An explanation is accepted if the tap that it predicts is much closer to the device's tap than PyTorch's is.
"""

from __future__ import annotations

from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

from rdn.comparison import rounding

import numpy as np

UNEXPLAINED = 'unexplained'  # the first word, if no check finds a kind
FACTOR = 4.0  # rounding explains an error up to so many times the simulated one: devices add in other orders
REMAINS = 0.2  # fraction of the relative error that may remain after an explanation
CORRELATED = 0.25  # smallest cosine of the error and the simulated one for which rounding is the explanation
FLAT_VALUES = 8  # smallest number of equal extreme values that show saturation
CONTENT = 0.3  # smallest relative error in a region for which equal sorted values mean another order
GROWTH = 2  # pixels by which a region may be larger than it seems, at each side
FEW = 1 / 8  # of the channels: if at most so many have the error, they are named
BLOCK = 16  # channels in the innermost axis of the device's format NC1HWC0
SURE = 0.99  # fraction of the squared error that the named channels must have


class Evidence(NamedTuple):
    """A tap of one input, and the possible causes of its difference.

    Attributes:
        device: the device's tap, float32 (C, H, W).
        expected: PyTorch's tap, computed from the device's preceding taps.
        limit: largest relative error that rounding explains.
        rounded: function from a precision to the expected tap, computed with rounding to that precision.
        coarser: precisions that are coarser than the device's.
        overflows: whether values inside the stage are outside the range of the device's precision.
        without_residual: expected tap without the residual connection; None if the stage has no such connection.
        others: PyTorch's taps of the same shape from other stages: name -> tap.
        from_wrong_inputs: expected tap for each usual mistake with the network's input: mistake -> tap; empty if the
            stage does not read the input.
        find_weight: function that returns, in words, the weight whose change explains the difference, or None if there
            is no such weight.
    """

    device: np.ndarray
    expected: np.ndarray
    limit: float
    rounded: Callable[[str], np.ndarray]
    coarser: Sequence[str] = ()
    overflows: bool = False
    without_residual: np.ndarray | None = None
    others: Mapping[str, np.ndarray] = {}
    from_wrong_inputs: Mapping[str, np.ndarray] = {}
    find_weight: Callable[[], str | None] = lambda: None

    def is_explained_by(self, predicted: np.ndarray) -> bool:
        """Return whether the predicted tap (C, H, W) explains most of the difference."""
        error = relative_error(self.device, self.expected)
        return relative_error(self.device, predicted) <= max(self.limit, REMAINS * error)


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return ||a - b|| / ||b|| for two arrays of one shape; inf if a value is not finite, or if b is 0 and a is not."""
    error, norm = np.linalg.norm((a - b).ravel().astype(np.float64)), np.linalg.norm(b.ravel().astype(np.float64))
    return float(error / norm) if norm and np.isfinite(error) else 0.0 if error == 0 else float('inf')


def explain(evidence: Evidence) -> str:
    """Return the kind of the difference and its details, in words; the kind comes first."""
    checks = (_saturation, _wrong_input, _coarser_rounding, _lost_residual, _offset, _layout, _other_tap)
    for check in checks:
        found = check(evidence)
        if found:
            return found
    return evidence.find_weight() or f'{UNEXPLAINED}, {_where(evidence)}'


def _saturation(evidence: Evidence) -> str | None:
    device, expected = evidence.device, evidence.expected
    broken = int(np.count_nonzero(~np.isfinite(device)))
    if broken:
        return f'saturation: {broken:,} values are not finite'
    at_limit = int(np.count_nonzero(np.abs(device) >= rounding.LARGEST_FP16))
    if at_limit:
        return f'saturation: {at_limit:,} values at ±{rounding.LARGEST_FP16:g}'
    squared = np.square(device - expected)
    for extreme, sign in ((device.max(), 1), (device.min(), -1)):
        flat = device == extreme
        is_beyond = sign * (expected[flat] - extreme) > 0
        if np.count_nonzero(flat) >= FLAT_VALUES and is_beyond.mean() > REMAINS and extreme:
            if squared[flat].sum() >= (1 - REMAINS) * squared.sum():
                return f'saturation: {np.count_nonzero(flat):,} values are flat at {extreme:.4g}'
    return f'saturation: values inside the stage exceed {rounding.LARGEST_FP16:g}' if evidence.overflows else None


def wrong_images(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each usual mistake with the network's input.

    Args:
        image: the correct input (3, H, W), RGB, 0...1.

    Yields:
        (the mistake in words, the input with this mistake).
    """
    yield 'BGR for RGB', image[::-1]
    yield 'NHWC read as NCHW', image.transpose(1, 2, 0).reshape(image.shape)
    yield 'values of 0 to 255', image * 255
    yield 'values of -1 to 1', image * 2 - 1
    yield 'all zeros', np.zeros_like(image)


def _wrong_input(evidence: Evidence) -> str | None:
    for words, predicted in evidence.from_wrong_inputs.items():
        if evidence.is_explained_by(predicted):
            return f'wrong input: {words}'
    return None


def _coarser_rounding(evidence: Evidence) -> str | None:
    error = (evidence.device - evidence.expected).ravel()
    for precision in evidence.coarser:
        predicted = (evidence.rounded(precision) - evidence.expected).ravel()
        size, predicted_size = np.linalg.norm(error), np.linalg.norm(predicted)
        is_alike = float(error @ predicted) >= CORRELATED * size * predicted_size
        if predicted_size and size <= FACTOR * predicted_size and is_alike:
            return f'rounding of {precision}'
    return None


def _lost_residual(evidence: Evidence) -> str | None:
    without = evidence.without_residual
    return 'lost residual' if without is not None and evidence.is_explained_by(without) else None


def _offset(evidence: Evidence) -> str | None:
    """Look for a constant that is added to all values or to some channels, or with which all are multiplied."""
    expected = evidence.expected
    offsets = (evidence.device - expected).mean((1, 2), dtype=np.float64)
    if evidence.is_explained_by(expected + np.float32(offsets.mean())):
        return f'constant offset of {offsets.mean():.3g}'
    factor = float(np.vdot(evidence.device, expected) / np.vdot(expected, expected))
    if evidence.is_explained_by(expected * np.float32(factor)):
        return f'constant factor of {factor:.4g}'
    if evidence.is_explained_by(expected + offsets[:, None, None].astype(np.float32)):
        return f'constant offset in {_name_channels(np.square(offsets))}'
    return None


def _layout(evidence: Evidence) -> str | None:
    expected = evidence.expected
    order = _best_order(evidence.device, expected)
    moved = int(np.count_nonzero(order != np.arange(len(order))))
    if moved and evidence.is_explained_by(expected[order]):
        reversed_rgb = ', BGR for RGB' if len(order) == 3 and list(order) == [2, 1, 0] else ''
        return f'wrong layout: {moved} of {len(order)} channels in another order{reversed_rgb}'
    for words, candidate in _memory_orders(expected):
        if evidence.is_explained_by(candidate):
            return f'wrong layout: {words}'
    return _moved_pixels(evidence)


def _moved_pixels(evidence: Evidence) -> str | None:
    """Look for pixels in another order, inside the region in which the taps differ."""
    device, expected, box = evidence.device, evidence.expected, _region(evidence)
    found = []
    for grown in _grown(box, expected.shape):
        region = (slice(None), *grown)
        for words, candidate in _turned(expected[region]):
            found.append((float(np.square(device[region] - candidate).sum()), words, grown))
    for _, words, grown in sorted(found, key=lambda each: each[0])[:1]:
        region, changed = (slice(None), *grown), expected.copy()
        changed[region] = dict(_turned(expected[region]))[words]
        if evidence.is_explained_by(changed):
            return f'wrong layout: pixels {words}{_describe_region(grown, expected.shape)}'
    inside, where = (slice(None), *box), _describe_region(box, expected.shape)
    if relative_error(device[inside], expected[inside]) < CONTENT:
        return None
    for axes in ((len(expected), -1), (1, -1)):
        a, b = (np.sort(tap[inside].reshape(axes), 1) for tap in (device, expected))
        if relative_error(a, b) <= max(evidence.limit, 1e-3):
            return f'wrong layout: the same values in another order{where}'
    return None


def _best_order(device: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Match each of the device's channels with the expected channel that resembles it most; use each channel once."""
    a, b = (_standardized(tap) for tap in (device, expected))
    likeness = a @ b.T
    likeness += 1e-6 * np.eye(len(a))  # equal channels keep their places
    order = np.arange(len(a))
    for _ in order:
        own, other = np.unravel_index(np.argmax(likeness), likeness.shape)
        order[own] = other
        likeness[own], likeness[:, other] = -np.inf, -np.inf
    return order


def _standardized(tap: np.ndarray) -> np.ndarray:
    """Scale each channel to mean 0 and norm 1: (C, H, W) -> (C, H*W). Constant channels become 0."""
    flat = tap.reshape(len(tap), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)


def _memory_orders(tap: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a tap that is stored in another order than NCHW but read as NCHW, for each such order."""
    channels, height, width = tap.shape
    yield 'NHWC read as NCHW', tap.transpose(1, 2, 0).reshape(tap.shape)
    if channels % BLOCK == 0:
        blocks = tap.reshape(-1, BLOCK, height, width).transpose(0, 2, 3, 1)
        yield 'NC1HWC0 read as NCHW', blocks.reshape(tap.shape)
    if height != width:
        yield 'rows and columns exchanged', tap.transpose(0, 2, 1).reshape(tap.shape)


def _turned(part: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a region (C, h, w) turned and mirrored in each way."""
    yield 'upside down', part[:, ::-1]
    yield 'mirrored', part[:, :, ::-1]
    yield 'turned by 180 degrees', part[:, ::-1, ::-1]
    if part.shape[1] == part.shape[2]:
        yield 'transposed', part.transpose(0, 2, 1)
        yield 'turned by 90 degrees', np.rot90(part, 1, (1, 2))
        yield 'turned by 270 degrees', np.rot90(part, 3, (1, 2))


def _region(evidence: Evidence) -> tuple[slice, slice]:
    """Return the rows and columns in which the taps differ by more than rounding."""
    expected = evidence.expected
    error = np.linalg.norm(evidence.device - expected, axis=0)
    differs = error > evidence.limit * np.sqrt(np.square(expected).sum(0).mean())
    rows, columns = (np.flatnonzero(differs.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, expected.shape[1]), slice(0, expected.shape[2])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _grown(box: tuple[slice, slice], shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Return the region and slightly larger ones: at its edge, wrong pixels may equal the correct ones by chance."""
    sides = [
        [
            slice(first, last)
            for first in range(max(0, side.start - GROWTH), side.start + 1)
            for last in range(side.stop, min(size, side.stop + GROWTH) + 1)
        ]
        for side, size in zip(box, shape[1:])
    ]
    return ((rows, columns) for rows in sides[0] for columns in sides[1])


def _describe_region(box: tuple[slice, slice], shape: tuple[int, ...]) -> str:
    rows, columns = box
    if (rows.stop - rows.start, columns.stop - columns.start) == shape[1:]:
        return ''
    return f' in rows {rows.start} to {rows.stop - 1}, columns {columns.start} to {columns.stop - 1}'


def _other_tap(evidence: Evidence) -> str | None:
    """Look for the tap of another stage. Only equal values count, because neighbouring stages have similar taps."""
    error = relative_error(evidence.device, evidence.expected)
    for name, tap in evidence.others.items():
        if relative_error(evidence.device, tap) <= max(FACTOR * evidence.limit, REMAINS**2 * error):
            return f'wrong output: it has the values of {name}'
    return None


def _where(evidence: Evidence) -> str:
    """Return, in words, where most of the difference is: in some channels, in a region, or all over."""
    squared = np.square(evidence.device - evidence.expected, dtype=np.float64)
    channels = squared.sum((1, 2))
    count = 1 + int(np.searchsorted(np.cumsum(np.sort(channels)[::-1]), SURE * channels.sum()))
    if count <= max(1, len(channels) * FEW):
        return f'in {_name_channels(channels)}'
    return _describe_region(_region(evidence), evidence.expected.shape).strip() or 'all over'


def _name_channels(weights: np.ndarray) -> str:
    """Return the channels with most of the weight, in words: 'channel 3', 'channels 1, 5', '12 channels'."""
    order = np.argsort(-weights)
    count = min(len(order), 1 + int(np.searchsorted(np.cumsum(weights[order]), SURE * weights.sum())))
    names = ', '.join(map(str, sorted(order[:count])))
    return f'channel {names}' if count == 1 else f'channels {names}' if count <= 4 else f'{count} channels'
