"""Whether one weight that differs from PyTorch's explains what a stage computes."""

from __future__ import annotations

from typing import Callable, NamedTuple

from rdn.network import taps

import numpy as np
import torch
from torch import nn

PROBES = 12  # random directions that estimate how much each weight moves the tap
CANDIDATES = 32  # weights that are tried
STEPS = 6  # of the secant method for the weight's value
EXACT = 1e-3  # fraction that it leaves once its value is found
REMAINS = 0.2  # fraction of the difference that the changed weight may leave
HOPELESS = 0.9  # fraction that a weight leaves, once its value is fitted, from which it is given up


class Candidate(NamedTuple):
    """A weight that may be another on the device.

    Attributes:
        name: of its parameter.
        tensor: the parameter.
        position: of the weight in the flat parameter.
        score: the square of the difference that its change explains.
        change: a first guess.
    """

    name: str
    tensor: torch.Tensor
    position: int
    score: float
    change: float


def find(network: nn.Module, stage: taps.Stage, values: taps.Values, device: torch.Tensor) -> str | None:
    """Say which weight explains a stage's difference, and by which value; None if no single one does.

    Args:
        network: the stage's, whose weights are as before at the end.
        stage: the stage.
        values: the device's taps that it reads.
        device: the device's tap that it makes, (N, C, H, W).
    """
    with torch.no_grad():
        original = stage.run(values)
    difference = device - original
    for candidate in _candidates(network, stage, values, difference):
        flat = candidate.tensor.data.view(-1)
        kept = float(flat[candidate.position])
        try:
            change = _fit(lambda: stage.run(values) - original, difference, flat, candidate)
        finally:
            flat[candidate.position] = kept
        if change is not None:
            place = ', '.join(map(str, np.unravel_index(candidate.position, tuple(candidate.tensor.shape))))
            return f'changed weight: {candidate.name}[{place}] is {kept + change:.3g}, not {kept:.3g}'
    return None


def _candidates(
    network: nn.Module, stage: taps.Stage, values: taps.Values, difference: torch.Tensor
) -> list[Candidate]:
    """The weights along whose change most of the difference lies, the best first."""
    named = list(network.named_parameters())
    computed = stage.run(values)
    generator = torch.Generator().manual_seed(0)
    probes = [torch.randn(computed.shape, generator=generator) for _ in range(PROBES)]

    def gradients(direction: torch.Tensor) -> list[torch.Tensor | None]:
        product = (computed * direction).sum()
        return list(torch.autograd.grad(product, [p for _, p in named], retain_graph=True, allow_unused=True))

    along = gradients(difference)
    sizes = [torch.zeros(()) if slope is None else torch.zeros_like(slope) for slope in along]
    for probe in probes:  # E (J^T v)^2 is the squared norm of the columns of J
        for size, slope in zip(sizes, gradients(probe)):
            if slope is not None:
                size += slope**2 / PROBES
    floor = 1e-3 * max(float(size.max()) for size in sizes)
    found = []
    for (name, tensor), slope, size in zip(named, along, sizes):
        if slope is not None:
            scores = (slope**2 / (size + floor)).view(-1)
            for index in scores.topk(min(CANDIDATES, len(scores)))[1].tolist():
                guess = float(slope.reshape(-1)[index] / (size.reshape(-1)[index] + floor))
                found.append(Candidate(name, tensor, index, float(scores[index]), guess))
    return sorted(found, key=lambda candidate: -candidate.score)[:CANDIDATES]


def _fit(
    run: Callable[[], torch.Tensor], difference: torch.Tensor, flat: torch.Tensor, candidate: Candidate
) -> float | None:
    """The change of a weight that explains a difference, to be found by the secant method; None if it leaves too much.

    run: returns by how much the tap moves with the present weights. flat: the weight's parameter.
    """
    kept, missing = float(flat[candidate.position]), float(difference.norm())
    change, remains = candidate.change, missing
    with torch.no_grad():
        for step in range(STEPS):
            flat[candidate.position] = kept + change
            moved = run()
            remains = float((difference - moved).norm())
            length = float((moved**2).sum())
            if remains <= EXACT * missing or not length or step and remains > HOPELESS * missing:
                break
            change *= float((moved * difference).sum()) / length
    return change if remains <= REMAINS * missing else None
