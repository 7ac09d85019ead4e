"""What computed a folder of outputs or a performance file: kept beside it, as {folder}.run.json or {file stem}.run.json.

Never inside the folder: the vendor's and the public scripts list that. RDN_infer.py writes it, and for the device's
tools rdn/devices/record.py.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping, NamedTuple

from rdn import fields, files

MAX_RECORD_BYTES = 1 << 20
UNKNOWN_CHIP = 'NPU'  # the chip's name where the tools do not say it
DEVICE_FOLDER = 'device'  # how the names begin of the folders that ais_bench makes, one for each of several devices
HOST = 'host'  # the chip's name where this machine's processor computed
MAX_BATCH_SIZE = 1_000_000
MAX_CARD_DEVICES = 1_000


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
        return f'{self.describe_tool()} on {self.chip}, batches of {self.batch_size}'

    def describe_tool(self) -> str:
        """In words: 'RDN_infer.py (ONNX Runtime 1.22.0, CPUExecutionProvider, fp32)'."""
        details = ', '.join(x for x in (self.version, self.engine, self.precision) if x)
        return f'{self.tool}{f" ({details})" if details else ""}'


FIELDS: dict[str, fields.Field] = {
    'tool': fields.TEXT,
    'version': fields.or_null(fields.TEXT),
    'engine': fields.or_null(fields.TEXT),
    'precision': fields.or_null(fields.TEXT),
    'chip': fields.TEXT,
    'batch_size': fields.whole_number(1, MAX_BATCH_SIZE),
    'model': fields.SHA256,
    'manifest': fields.or_null(fields.SHA256),
    'card_devices': fields.may_lack(fields.whole_number(1, MAX_CARD_DEVICES)),
    'weights': fields.may_lack(fields.PATH),
    'weights_digest': fields.may_lack(fields.SHA256),
    'outputs': fields.may_lack(fields.list_of(fields.TEXT)),
}


def path_of(target: str) -> str:
    """The record's path, for a folder of outputs or a performance file."""
    target = os.path.normpath(target)
    return f'{target if os.path.isdir(target) else os.path.splitext(target)[0]}.run.json'


def write(target: str, record: Record, digest: str | None = None) -> None:
    """Write the record of a folder or file.

    Args:
        target: the folder or file.
        record: what computed it.
        digest: `digest_of` what this run wrote, which another run may have replaced since; None: of what is there now.
    """
    content = dict(record._asdict(), of=digest or digest_of(target))
    files.write_text(path_of(target), json.dumps(content, indent=1) + '\n')


def read(target: str, digest: str | None = None) -> Record | None:
    """The record of what is there; None where there is none, or where the record is of what was there before.

    digest: `digest_of(target)`, where that is known already.

    Raises ValueError, with the file's name, for a file that is not a record.
    """
    path = path_of(target)
    if not os.path.exists(path):
        return None
    what = 'a record of what computed the outputs: remove it'
    content = files.read_json(path, MAX_RECORD_BYTES, what)
    try:
        record = parse(content, {'of': fields.SHA256})
    except ValueError as error:
        raise ValueError(f'{path}: not {what} ({error})')
    return record if content['of'] == (digest or digest_of(target)) else None


def parse(content: Any, more: Mapping[str, fields.Field]) -> Record:
    """The Record in the content of a JSON file. more: fields besides the Record's. Raises ValueError for another form."""
    content = fields.check(content, {**FIELDS, **more})
    return Record(**{name: value for name, value in content.items() if name in FIELDS})


def digest_of(target: str) -> str:
    """The SHA-256 of a file; of a folder, that of the names and digests of its files, and of those of its devices' folders."""
    if not os.path.isdir(target):
        return files.digest(target)
    folders = ['', *(name for name in os.listdir(target) if name.startswith(DEVICE_FOLDER))]
    names = [os.path.join(folder, name) for folder in folders for name in _names_in(os.path.join(target, folder))]
    found = sorted(name for name in names if os.path.isfile(os.path.join(target, name)))
    return files.digest_of_text(''.join(f'{files.digest(os.path.join(target, name))} {name}\n' for name in found))


def _names_in(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
