"""The scale of a model: how many times it enlarges a picture."""

from __future__ import annotations

from rdn import sanity
from rdn.engines import base

import numpy as np

TRIAL_SIDE_PIXELS = 32  # the input's size if the model accepts any size


def scale_of(model: base.Engine, path: str) -> int:
    """Find the scale of a model by running it on a gradient.

    Args:
        model: the model.
        path: the model's path, for the error.

    Raises:
        ValueError: the model does not accept RGB, does not enlarge, or its output cannot be a picture.
    """
    channels = model.shape[0]
    height, width = (size or TRIAL_SIDE_PIXELS for size in model.shape[1:])
    if channels not in (3, None):
        raise ValueError(f'{path}: its input is {model.shape}, expected RGB')
    gradient = np.add.outer(np.linspace(0, 0.5, height), np.linspace(0, 0.5, width)).astype(np.float32)
    output = model(np.broadcast_to(gradient, (model.batch or 1, 3, height, width)).copy())
    scale, rest = divmod(output.shape[2], height)
    if rest or not scale or output.shape[1:] != (3, height * scale, width * scale):
        raise ValueError(f'{path}: the model does not enlarge: it turns {[3, height, width]} into {output.shape[1:]}')
    sanity.check_trial(output, path)
    return scale
