"""The outputs that a device's tool dumped, as rdn/accuracy/assessment.py takes them."""

from __future__ import annotations

from rdn import cli
from rdn.accuracy import assessment
from rdn.devices import outputs


def open_folder(path: str) -> assessment.Outputs:
    """Return the outputs in a folder, or in the newest of ais_bench's runs in it, which is then printed.

    Raises:
        ValueError: it is unclear which outputs are meant; with the folder's name.
    """
    folder = outputs.resolve_folder(path)
    if folder != path:
        cli.say(f'{path}: the outputs of its newest run, {folder}')
    return assessment.Outputs(folder, outputs.find_outputs, outputs.read_outputs)
