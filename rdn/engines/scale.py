"""How many times a model enlarges, from a run."""

from __future__ import annotations

from rdn import sanity
from rdn.engines import base

import numpy as np

TRIAL_SIDE_PIXELS = 32  # of the run of a model that takes any size


def scale_of(model: base.Engine, path: str) -> int:
    """Return how many times a model enlarges, from a run on a gradient.

    Args:
        model: the model.
        path: where it is, for the error.

    Raises:
        ValueError: it does not take RGB or does not enlarge, or its output is no picture.
    """
    channels = model.shape[0]
    height, width = (size or TRIAL_SIDE_PIXELS for size in model.shape[1:])
    if channels not in (3, None):
        raise ValueError(f'{path}: its input is {model.shape}, expected RGB')
    gradient = np.add.outer(np.linspace(0, 0.5, height), np.linspace(0, 0.5, width)).astype(np.float32)
    output = model(np.broadcast_to(gradient, (model.batch or 1, 3, height, width)).copy())
    scale, rest = divmod(output.shape[2], height)
    if rest or not scale or output.shape[1:] != (3, height * scale, width * scale):
        raise ValueError(f'{path}: makes {output.shape[1:]} of {[3, height, width]}: no enlargement')
    sanity.check_trial(output, path)
    return scale
