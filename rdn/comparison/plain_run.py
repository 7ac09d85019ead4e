"""Check whether taps change a device's results: they may prevent its compiler from fusing operators."""

from __future__ import annotations

from typing import Sequence

from rdn import cli
from rdn.accuracy import scoring
from rdn.comparison import sources
from rdn.data import dataset
from rdn.devices import outputs

import numpy as np


def compare(
    folder: str, labels: str, cases: Sequence[dataset.Case], rules: scoring.Rules, device_taps: sources.DeviceTaps
) -> str:
    """Compare the results of the model with taps with those of the plain model; return a line for the console.

    Args:
        folder: folder with the outputs of the plain model.
        labels: label/ of the prepared set.
        cases: images of the set.
        rules: sizes of an input and of the scale.
        device_taps: outputs of the model with taps.

    Raises:
        ValueError: an output is missing, or has the wrong size; the message names the file.
    """
    stems = [stem for case in cases for stem in case.input_stems()]
    plain = outputs.find_outputs(outputs.resolve_folder(folder), stems)
    shape = 3, rules.height * rules.scale, rules.width * rules.scale
    differences = {}
    for stem in cli.progress(stems, 'plain output'):
        lr = dataset.read_input(dataset.input_path(labels, stem), rules.width, rules.height)
        result = device_taps.read_result(stem, lr, shape)
        differences[stem] = float(np.abs(result - outputs.read_output(plain[stem][0], shape)).max())
    worst = max(differences, key=lambda stem: differences[stem])
    if not differences[worst]:
        return 'plain   the taps change nothing: the plain model has the same results'
    return (
        f'plain   the taps change the result by up to {differences[worst]:.2g} ({worst}): '
        'without them the device may fuse more operators'
    )
