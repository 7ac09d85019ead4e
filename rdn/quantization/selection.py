"""Choose the layers that stay in float32: those that would lose most accuracy for their number of multiplications."""

from __future__ import annotations

from typing import Callable, Iterable, Iterator, NamedTuple, Sequence

from rdn.accuracy import metrics
from rdn.quantization import qdq, sensitivity

import numpy as np
import onnx

REFERENCE_PSNR = 38.0  # dB, about that of Set5
REFERENCE_ERROR = 255**2 / 10 ** (REFERENCE_PSNR / 10)  # mean squared error of the luma for this PSNR
USUAL_TRIALS = 4  # for the length of the progress bar
LATE_MARGIN = 2.0  # once the budget is used up, the next trial should pass
QUICK_TRIALS = 4  # number of trials that follow the estimate; later ones halve the interval


class Selection(NamedTuple):
    """The layers that stay in float32, and the loss that remains.

    Attributes:
        kept: names of these layers, in the network's order.
        share: fraction of the multiplications in eight bits, 0...1.
        loss: loss in dB with these layers in float32.
        loss_of_all: loss in dB with no layer in float32.
    """

    kept: list[str]
    share: float
    loss: float
    loss_of_all: float


class Move(NamedTuple):
    """Layers that move to float32 together.

    Attributes:
        names: names of the layers.
        error: estimated decrease of the mean squared error of the luma.
        work: number of their multiplications.
    """

    names: list[str]
    error: float
    work: int


def loss_of(error: float) -> float:
    """Return the loss of PSNR in dB that a mean squared error of the luma, 0...255, causes.

    The loss is for a picture that float32 restores to REFERENCE_PSNR, if both errors are independent.
    """
    return float(10 / np.log(10) * np.log1p(error / REFERENCE_ERROR))


def error_of(loss: float) -> float:
    """Return the mean squared error of the luma, 0...255, that causes a loss in dB: the inverse of `loss_of`."""
    return float(np.expm1(loss * np.log(10) / 10) * REFERENCE_ERROR)


def order_moves(errors: sensitivity.Errors, work: dict[str, int]) -> list[Move]:
    """Return the moves from all layers in eight bits to all layers in float32.

    The first move is the one with the largest error per multiplication. A move is one layer, or all layers that share
    the rounding of their input, because they avoid this rounding only together. Equal moves keep the order of `work`.

    Args:
        errors: errors of all layers in `work`.
        work: name of each layer -> number of its multiplications.
    """
    open_groups = {group: list(names) for group, names in errors.members.items()}
    layers = list(work)
    moves = []

    def move_of(names: Sequence[str]) -> Move:
        ended = [group for group, members in open_groups.items() if set(members) <= set(names)]
        error = sum(errors.own[name] for name in names) + sum(errors.shared[group] for group in ended)
        return Move(list(names), error, sum(work[name] for name in names))

    while layers:
        candidates = [move_of([name]) for name in layers] + [move_of(names) for names in open_groups.values()]
        best = max(candidates, key=lambda move: move.error / move.work)
        moves.append(best)
        layers = [name for name in layers if name not in best.names]
        left = {group: [name for name in names if name not in best.names] for group, names in open_groups.items()}
        open_groups = {group: names for group, names in left.items() if names}
    return moves


class Trials:
    """A comparison of the network in eight bits with the network in float32, on photographs."""

    def __init__(self, model: onnx.ModelProto, scales: qdq.Scales, images: Sequence[np.ndarray]):
        """Run the network in float32 on the photographs.

        Args:
            model: the network in float32.
            scales: scale of each group.
            images: the photographs, each (1, 3, height, width), 0...1.
        """
        self._model, self._scales, self._images = model, scales, images
        self._exact = self._lumas(model)

    def error(self, names: Iterable[str]) -> float:
        """Return the mean squared error of the luma, 0...255, with the named layers in eight bits."""
        lumas = self._lumas(qdq.quantize(self._model, self._scales, names))
        return float(np.mean([np.mean((a - b) ** 2) for a, b in zip(lumas, self._exact)]))

    def _lumas(self, model: onnx.ModelProto) -> list[np.ndarray]:
        run = qdq.open_exactly(model)
        return [metrics.luma(np.clip(run(image)[0][0], 0, 1) * 255) for image in self._images]


class Search:
    """A search, with few trials, for the smallest number of moves to float32 whose error is small enough.

    Attributes:
        fails: largest number that was tried and had too large an error; -1 at first.
        passes: smallest number that had a small enough error; at first the number of all moves.
        error: mean squared error of `passes`.
        errors: number of moves -> its mean squared error, for each trial in order.
    """

    def __init__(self, estimates: Sequence[float], limit: float):
        """Start with the whole interval.

        Args:
            estimates: estimated mean squared errors after 0, 1, ... all moves; they decrease to 0.
            limit: largest error that is small enough.
        """
        self._estimates, self._limit = np.asarray(estimates), limit
        self.fails, self.passes, self.error = -1, len(estimates) - 1, 0.0
        self.errors: dict[int, float] = {}

    def numbers(self, margin: float = 1) -> Iterator[int]:
        """Yield the numbers to try. After each one, the caller must call `tell`.

        Args:
            margin: divisor of the limit. A larger margin yields larger numbers, which are more likely to pass.
        """
        while self.passes - self.fails > 1:
            yield self._next(margin) if self.errors else 0

    def tell(self, number: int, error: float) -> None:
        """Record the measured error of a number of moves."""
        self.errors[number] = error
        if error > self._limit:
            self.fails = number
        else:
            self.passes, self.error = number, error

    def _next(self, margin: float) -> int:
        """Return the smallest number that passes if all estimates are wrong by the same factor as the last trial's."""
        if len(self.errors) >= QUICK_TRIALS:
            return (self.fails + self.passes) // 2
        last = list(self.errors)[-1]
        ratio = self.errors[last] / max(self._estimates[last], 1e-12)
        fitting = int(np.argmax(ratio * self._estimates <= self._limit / margin))  # the last estimate, 0, always fits
        return min(max(fitting, self.fails + 1), self.passes - 1)


def choose(
    trials: Trials,
    errors: sensitivity.Errors,
    work: dict[str, int],
    max_loss: float,
    stage: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Selection:
    """Choose the layers that stay in float32, so that the loss is at most `max_loss`.

    Args:
        trials: object that measures the error of a choice.
        errors: estimated errors of all layers.
        work: name of each layer -> number of its multiplications.
        max_loss: largest accepted loss in dB.
        stage: function that passes on the numbers of the trials, for a progress bar. It may end early; then more layers
            stay in float32.

    Raises:
        ValueError: even a single layer in eight bits loses more than `max_loss`.
    """
    moves = order_moves(errors, work)
    estimates = [*np.cumsum([move.error for move in reversed(moves)])[::-1], 0.0]
    search = Search(estimates, error_of(max_loss))

    def attempt(number: int) -> None:
        search.tell(number, trials.error([name for move in moves[number:] for name in move.names]))

    for number in stage(search.numbers()):
        attempt(number)
    late = search.numbers(LATE_MARGIN)
    while search.passes == len(moves) and search.passes - search.fails > 1:  # the stage ended before a number passed
        attempt(next(late))
    if search.passes == len(moves):
        raise ValueError(
            f'--max-loss {max_loss:g}: {moves[-1].names[-1]} alone in eight bits loses '
            f'{loss_of(search.errors[len(moves) - 1]):.2g} dB: give a larger --max-loss, or use the model as it is'
        )
    kept = {name for move in moves[: search.passes] for name in move.names}
    share = 1 - sum(work[name] for name in kept) / sum(work.values())
    kept_in_order = [name for name in work if name in kept]
    return Selection(kept_in_order, share, loss_of(search.error), loss_of(search.errors[0]))
