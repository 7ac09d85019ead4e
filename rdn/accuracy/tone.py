"""Detect outputs that are brighter or darker than their labels: a gain, an offset or a gamma, which lowers PSNR.

A network keeps the brightness of regions, so a block's mean in the output should equal its mean in the label.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

from rdn.accuracy import plausibility

import numpy as np

LEVELS = 64  # blocks are grouped by their brightness in the label, in so many levels
DARKEST, BRIGHTEST = 0.02, 0.98  # labels beyond these do not count: clipping changes their mean
MIN_BLOCKS = 100
NOTED = 0.004  # smallest root mean square of a difference that is reported: one step of 8 bits
FITS = 0.003  # largest root mean square that a simple curve may leave unexplained
GAMMAS = np.exp(np.linspace(-0.7, 0.7, 141))
STUDIO_RANGE = 219 / 255, 16 / 255  # gain and offset of 16...235
CHANNELS = 'red', 'green', 'blue'


class Curve(NamedTuple):
    """The curve output = gain * label ** gamma + offset, for values 0...1."""

    gain: float
    gamma: float
    offset: float

    def describe(self) -> str:
        """Return the formula, as 'output = 0.859 x label + 0.063, which is 16...235 for 0...255'."""
        gain = '' if self.gain == 1 else f'{self.gain:.3f} x '
        gamma = '' if self.gamma == 1 else f'^{self.gamma:.2f}'
        offset = f' {"+" if self.offset > 0 else "-"} {abs(self.offset):.3f}' if round(self.offset, 3) else ''
        is_studio = self.gamma == 1 and np.allclose((self.gain, self.offset), STUDIO_RANGE, atol=0.01)
        return f'output = {gain}label{gamma}{offset}' + (', which is 16...235 for 0...255' if is_studio else '')


def sums_of(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Sum up the brightness of an image's blocks, for `note`.

    Args:
        sr: output (3, H, W), RGB, 0...1.
        hr: its label, of the same shape.

    Returns:
        Array (3, 3, LEVELS): for each channel three rows, each by level of brightness: the number of blocks, the sum of
        their means in the label, and the sum of their means in the output.
    """
    means = np.stack([plausibility.block_means(x, plausibility.BLOCK).reshape(3, -1) for x in (hr, sr)])
    sums = np.zeros((3, 3, LEVELS))
    for channel in range(3):
        label, output = means[:, channel]
        counts = (label > DARKEST) & (label < BRIGHTEST)
        levels = (label[counts] * LEVELS).astype(int)
        for row, weights in enumerate((None, label[counts], output[counts])):
            sums[channel, row] = np.bincount(levels, weights, LEVELS)
    return sums


def note(sums: Sequence[np.ndarray]) -> str | None:
    """Return how the outputs differ from their labels in brightness, in words; None if they do not.

    Args:
        sums: `sums_of` each image.
    """
    curves = [curve_of(channel) for channel in np.sum(sums, 0)]
    texts = [curve.describe() if curve else '' for curve in curves]
    if not any(texts):
        return None
    if len(set(texts)) > 1:
        texts = [f'{name}: {text}' for name, text in zip(CHANNELS, texts) if text]
    return f'the outputs are not as bright as their labels: {"; ".join(dict.fromkeys(texts))}'


def curve_of(sums: np.ndarray) -> Curve | None:
    """Return the simplest Curve that fits a channel.

    Args:
        sums: (3, LEVELS), a channel of `sums_of`, added up over all images.

    Returns:
        The Curve; None if there is no difference, or too little data to see one.
    """
    filled = sums[:, sums[0] > 0]
    weight = filled[0]
    if weight.sum() < MIN_BLOCKS or filled.shape[1] < 4:
        return None
    label, output = filled[1:] / weight

    def rest(expected: np.ndarray) -> float:
        return float(np.sqrt(np.average(np.square(output - expected), weights=weight)))

    if rest(label) <= NOTED:
        return None
    gamma = float(min(GAMMAS, key=lambda gamma: rest(label**gamma)))
    if rest(label**gamma) <= FITS:
        return Curve(1, gamma, 0)

    def fitted(gamma: float) -> tuple[float, Curve]:
        slope, offset = np.polyfit(label**gamma, output, 1, w=np.sqrt(weight))
        return rest(slope * label**gamma + offset), Curve(float(slope), float(gamma), float(offset))

    left, line = fitted(1)
    return line if left <= FITS else min(map(fitted, GAMMAS))[1]
