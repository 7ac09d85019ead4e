"""Find the scales of eight bits from the values that a network computes on photographs."""

from __future__ import annotations

import itertools
from typing import Iterable

from rdn.quantization import qdq

import numpy as np
import onnx

BINS = 8192  # of a histogram, from -reach to reach
CLIPS = np.linspace(0.3, 1, 36)  # fractions of the range, which are tried as the ends of the scale


class Histogram:
    """Counts of values in equal bins from -reach to reach. If a value is larger, the reach doubles.

    Attributes:
        low: smallest value that was counted, at most 0.
        high: largest value that was counted, at least 0.
        reach: end of the bins, a power of two.
        counts: number of values in each bin, int64 (BINS,).
    """

    def __init__(self) -> None:
        """Start without values and with a small reach."""
        self.low = self.high = 0.0  # every scale contains zero
        self.reach = 2.0**-20
        self.counts = np.zeros(BINS, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count float32 values of any shape.

        Raises:
            ValueError: a value is not finite.
        """
        low, high = float(values.min()), float(values.max())
        if not np.isfinite(high - low):
            raise ValueError('the network computes values that are not finite: check its weights')
        self.low, self.high = min(self.low, low), max(self.high, high)
        while max(-self.low, self.high) >= self.reach:
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts[:] = 0
            self.counts[BINS // 4 : BINS // 4 * 3] = merged
            self.reach *= 2
        index = ((values.ravel() + np.float32(self.reach)) * np.float32(BINS / 2 / self.reach)).astype(np.int32)
        counts = np.bincount(index, minlength=BINS + 1)
        counts[BINS - 1] += counts[BINS]  # rounding puts some of the largest values one bin too high
        self.counts += counts[:BINS]

    def best_scale(self) -> qdq.Scale:
        """Return the Scale with the smallest squared error on the counted values."""
        if self.low == self.high:
            return qdq.Scale(1.0, 0)
        filled = np.flatnonzero(self.counts)
        counts, centres = self.counts[filled], (filled + 0.5) * (2 * self.reach / BINS) - self.reach

        def error(scale: qdq.Scale) -> float:
            return float(((scale.round(centres) - centres) ** 2 * counts).sum())

        ends = itertools.product(self.low * CLIPS if self.low else [0.0], self.high * CLIPS if self.high else [0.0])
        steps = ((first, (last - first) / qdq.ACTIVATION_LEVELS) for first, last in ends)
        return min((qdq.Scale(float(step), int(round(-first / step))) for first, step in steps), key=error)


def measure_scales(model: onnx.ModelProto, images: Iterable[np.ndarray]) -> qdq.Scales:
    """Find the Scale of each group of tensors that has the smallest squared error on these images.

    The network's input has steps of 1/255 from 0 to 1, which represent pixels exactly.

    Args:
        model: the network in float32.
        images: at least one image (1, 3, height, width), 0...1. The network runs once on each.

    Returns:
        Name of each group (see `qdq.Groups`) -> its Scale.

    Raises:
        ValueError: the network computes a value that is not finite.
    """
    groups = qdq.Groups(model)
    source = model.graph.input[0].name
    names = sorted(set(itertools.chain.from_iterable(groups.leaves.values())) - {source})
    run = qdq.open_exactly(model, names)
    histograms = {group: Histogram() for group in groups.leaves if group != source}
    for image in images:
        values = dict(zip(names, run(image)))
        for group, histogram in histograms.items():
            for leaf in groups.leaves[group]:
                if leaf != source:
                    histogram.add(values[leaf])
    scales = {group: histogram.best_scale() for group, histogram in histograms.items()}
    scales[source] = qdq.Scale(1 / 255, 0)
    return scales
