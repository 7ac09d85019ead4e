"""The weights that a device's outputs are compared with: those that its models were made from."""

from __future__ import annotations

import os
from typing import Iterable

from rdn import files, run_record


def choose_weights(models: Iterable[str], given: str | None) -> str | None:
    """The weights to compare with: the given ones, else those that the models were made from; None if nobody says.

    Raises:
        ValueError: the given weights are not those that a model was made from; or these are missing or were changed.
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
