"""Choose the weights for the comparison with PyTorch: those that the device's models were made from."""

from __future__ import annotations

import os
from typing import Iterable

from rdn import files, run_record


def choose_weights(models: Iterable[str], given: str | None) -> str | None:
    """Return the path of the weights for the comparison with PyTorch.

    Args:
        models: paths of the device's models.
        given: path of the user's weights; None for the weights in the models' records.

    Returns:
        The path; None if the user gave no weights and no record names any.

    Raises:
        ValueError: a model was made from other weights, or its weights are missing or were changed.
    """
    chosen = given
    for model in models:
        made = run_record.read(model)
        if made is None or made.weights is None:
            continue
        if chosen is None:
            _check_unchanged(model, made)
            chosen = made.weights
        elif files.digest(chosen) != made.weights_digest:
            raise ValueError(
                f'{model}: made from {made.weights}, not from {chosen}: give its weights, or convert again'
            )
    return chosen


def _check_unchanged(model: str, made: run_record.Record) -> None:
    """Raise ValueError if the weights that a model was made from are missing, or were changed since."""
    weights = str(made.weights)
    if not os.path.isfile(weights) or files.digest(weights) != made.weights_digest:
        raise ValueError(
            f'{model}: made from {weights}, which is missing or was changed since: name its weights (--weights=FILE), '
            'convert again (bash test/pth2om.sh), or leave the comparison out (--no-reference)'
        )
