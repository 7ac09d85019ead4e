"""Find out whether a single changed weight explains the difference of a stage's tap."""

from __future__ import annotations

from typing import Callable, NamedTuple

from rdn.network import taps

import numpy as np
import torch
from torch import nn

PROBES = 12  # random directions that estimate how much each weight changes the tap
CANDIDATES = 32  # number of weights to try
STEPS = 6  # of the secant method that finds a weight's value
# Fractions of the difference that remain once the weight has its new value:
EXACT = 1e-3  # the value is found
REMAINS = 0.2  # at most so much: the weight explains the difference
HOPELESS = 0.9  # more than that after the first step: the weight is not the cause


class Candidate(NamedTuple):
    """A weight that may have another value on the device.

    Attributes:
        name: name of its parameter.
        tensor: its parameter.
        position: index of the weight in the flattened parameter.
        score: how much of the squared difference its change explains.
        change: first guess of the change.
    """

    name: str
    tensor: torch.Tensor
    position: int
    score: float
    change: float


def find(network: nn.Module, stage: taps.Stage, values: taps.Values, device: torch.Tensor) -> str | None:
    """Find the weight whose change explains a stage's difference.

    Args:
        network: the network of the stage. Its weights are changed during the search and restored afterwards.
        stage: the stage.
        values: the device's taps that the stage reads.
        device: the device's tap of the stage, (N, C, H, W).

    Returns:
        The weight and its two values, in words; None if no single weight explains the difference.
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
    """Return the weights whose change explains most of the difference, the best first."""
    named = list(network.named_parameters())
    computed = stage.run(values)
    generator = torch.Generator().manual_seed(0)
    probes = [torch.randn(computed.shape, generator=generator) for _ in range(PROBES)]

    def gradients(direction: torch.Tensor) -> list[torch.Tensor | None]:
        product = (computed * direction).sum()
        return list(torch.autograd.grad(product, [p for _, p in named], retain_graph=True, allow_unused=True))

    along = gradients(difference)
    sizes = [torch.zeros(()) if slope is None else torch.zeros_like(slope) for slope in along]
    for probe in probes:  # the mean of (J^T v)^2 is the squared norm of each column of J
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
    """Find the change of a weight that explains a difference, with the secant method.

    Args:
        run: function that returns the change of the tap for the present weights.
        difference: the difference to explain.
        flat: the weight's parameter, flattened; it is changed.
        candidate: the weight.

    Returns:
        The change; None if too much of the difference remains.
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
