"""What computed a folder of outputs or a performance file: kept beside it, as {folder}.run.json or {file stem}.run.json.

Never inside the folder: the vendor's and the public scripts list that. RDN_infer.py writes it, and for the device's
tools rdn/devices/record.py.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from rdn import files

MAX_RECORD_BYTES = 1 << 20
UNKNOWN_CHIP = 'NPU'  # the chip's name where the tools do not say it
HOST = 'host'  # the chip's name where this machine's processor computed


class Record(NamedTuple):
    """Where outputs or a figure come from; None where not known.

    chip: as npu-smi names it, or HOST. model, manifest: SHA-256 of the model's file and of the prepared set's manifest.
    card_devices: how many devices the card holds; None: as rdn/devices/chip.py knows of the chip. weights: the path of
    the weights that a model was made from, and weights_digest their SHA-256. outputs: the names of the model's outputs in
    their order, where it has taps.
    """

    tool: str
    version: str | None
    engine: str | None
    precision: str | None
    chip: str
    batch_size: int
    model: str
    manifest: str | None
    card_devices: int | None = None
    weights: str | None = None
    weights_digest: str | None = None
    outputs: list[str] | None = None

    def describe(self) -> str:
        """In words: 'RDN_infer.py (ONNX Runtime 1.22.0, CPUExecutionProvider, fp32) on host, batches of 1'."""
        details = ', '.join(x for x in (self.version, self.engine, self.precision) if x)
        return f'{self.tool}{f" ({details})" if details else ""} on {self.chip}, batches of {self.batch_size}'


def path_of(target: str) -> str:
    """The record's path, for a folder of outputs or a performance file."""
    target = os.path.normpath(target)
    return f'{target if os.path.isdir(target) else os.path.splitext(target)[0]}.run.json'


def write(target: str, record: Record) -> None:
    """Write the record of what is there now."""
    content = dict(record._asdict(), of=_digest(target))
    files.write_text(path_of(target), json.dumps(content, indent=1) + '\n')


def read(target: str) -> Record | None:
    """The record of what is there; None where there is none, or where the record is of what was there before.

    Raises ValueError, with the file's name, for a file that is not a record.
    """
    path = path_of(target)
    if not os.path.exists(path):
        return None
    what = 'a record of what computed the outputs: remove it'
    content = files.read_json(path, MAX_RECORD_BYTES, what)
    try:
        digest = content.pop('of')
        record = Record(**content)
        if type(record.batch_size) is not int or not isinstance(record.chip, str) or not isinstance(record.tool, str):
            raise ValueError('of another form')
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: not {what} ({error})')
    return record if digest == _digest(target) else None


def _digest(target: str) -> str:
    """The SHA-256 of a file; of a folder, that of its files' names and digests."""
    if not os.path.isdir(target):
        return files.digest(target)
    names = sorted(name for name in os.listdir(target) if os.path.isfile(os.path.join(target, name)))
    return files.digest_of_text(''.join(f'{files.digest(os.path.join(target, name))} {name}\n' for name in names))
