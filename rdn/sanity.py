"""Check whether the output of a model can be a picture. Values that are not finite or far outside 0...1 cannot."""

from __future__ import annotations

import math

import numpy as np

# At edges, a network for pictures of 0...1 exceeds that range by a few tenths. Values outside of these limits come from
# an overflow, or from a network for pictures of 0...255.
LOWEST, HIGHEST = -1.0, 2.0


def wrong_reason(output: np.ndarray) -> str | None:
    """Return the reason why an output cannot be a picture, in words; None if it can be one.

    Args:
        output: the model's output, of any shape, not clipped.
    """
    low, high = float(output.min()), float(output.max())  # nan if any value is
    if not (math.isfinite(low) and math.isfinite(high)):
        return 'contains nan or infinity'
    if low < LOWEST or high > HIGHEST:
        return f'has values from {low:.3g} to {high:.3g}'
    return None


def check(output: np.ndarray, model: str) -> None:
    """Check that an output can be a picture.

    Args:
        output: the model's output, of any shape, not clipped.
        model: the path of the model, for the error.

    Raises:
        ValueError: the output cannot be a picture.
    """
    reason = wrong_reason(output)
    if reason:
        raise ValueError(
            f'{model}: the output of this model {reason}, but a picture has values of 0...1: use another model'
        )


def check_trial(output: np.ndarray, model: str) -> None:
    """Check an output like `check`, and also that it has more than one value. The input must not be of one colour.

    Args:
        output: the model's output, of any shape, not clipped.
        model: the path of the model, for the error.

    Raises:
        ValueError: the output cannot be a picture, or has the same value everywhere.
    """
    check(output, model)
    if output.min() == output.max():
        raise ValueError(
            f'{model}: the output of this model is {output.flat[0]:.3g} everywhere, for any input: use another model'
        )
