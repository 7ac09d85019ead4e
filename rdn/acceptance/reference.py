"""The weights that a device's outputs are compared with: those that its models were made from."""

from __future__ import annotations

import os
from typing import Iterable

from rdn import files, run_record


def weights_of(model: str) -> str | None:
    """The path of the weights that a model was made from; None if it has no record of them.

    Raises:
        ValueError: these weights are missing, or were changed since.
    """
    made = run_record.read(model)
    if made is None or made.weights is None:
        return None
    if not os.path.isfile(made.weights) or files.digest(made.weights) != made.weights_digest:
        raise ValueError(
            f'{model}: made from {made.weights}, which is missing or was changed since: '
            'convert again (bash test/pth2om.sh), or leave the comparison out (--no-reference)'
        )
    return made.weights


def choose_weights(models: Iterable[str], given: str | None) -> str | None:
    """The weights to compare with: the given ones, else those that the models were made from; None if nobody says.

    Raises:
        ValueError: the given weights are not those that a model was made from; or as weights_of does.
    """
    chosen = given
    for model in models:
        own = weights_of(model)
        if own and chosen and files.digest(own) != files.digest(chosen):
            raise ValueError(f'{model}: made from {own}, not from {chosen}: convert again, or give --weights={own}')
        chosen = chosen or own
    return chosen
