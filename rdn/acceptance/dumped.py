"""Open a folder of outputs that a device's tool dumped, for rdn/accuracy/assessment.py."""

from __future__ import annotations

from rdn import cli
from rdn.accuracy import assessment
from rdn.devices import outputs


def open_folder(path: str) -> assessment.Outputs:
    """Return the outputs in a folder. If it contains runs of ais_bench, use the newest one and print its name.

    Raises:
        ValueError: it is unclear which outputs are meant; the message names the folder.
    """
    folder = outputs.resolve_folder(path)
    if folder != path:
        cli.say(f'{path}: the outputs of its newest run, {folder}')
    return assessment.Outputs(folder, outputs.find_outputs, outputs.read_outputs)
