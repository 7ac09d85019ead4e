"""Whether a model's output can be a picture: what is not finite, or far outside 0...1, would become black or white."""

from __future__ import annotations

import math

import numpy as np

# A network trained on pictures of 0...1 passes these by a few tenths at edges; one of 0...255 or an overflow by far.
LOWEST, HIGHEST = -1.0, 2.0


def wrong_reason(output: np.ndarray) -> str | None:
    """Why an output is no picture, in words; None where it can be one. output: of any shape, not clipped."""
    low, high = float(output.min()), float(output.max())  # nan if any value is
    if not (math.isfinite(low) and math.isfinite(high)):
        return 'holds nan or infinity'
    if low < LOWEST or high > HIGHEST:
        return f'has values from {low:.3g} to {high:.3g}'
    return None


def check(output: np.ndarray, model: str) -> None:
    """Raise ValueError for an output that is no picture. model: the path of the model's file, which the error names."""
    reason = wrong_reason(output)
    if reason:
        raise ValueError(f'{model}: the output of this model {reason}, where a picture has 0...1: use another model')


def check_trial(output: np.ndarray, model: str) -> None:
    """As check, for an input that is not of one colour: raises ValueError also for an output of one value all over."""
    check(output, model)
    if output.min() == output.max():
        raise ValueError(
            f'{model}: the output of this model is {output.flat[0]:.3g} all over, whatever goes in: use another model'
        )
