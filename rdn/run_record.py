"""The record of a run: what computed a folder of outputs or a performance file.

The record is next to the folder or file, as {folder}.run.json or {file stem}.run.json. It is not inside the folder,
because the vendor's and the public scripts read every file there. RDN_infer.py writes its own records, and
rdn/devices/record.py those of the device's tools.
"""

from __future__ import annotations

import json
import os
from typing import Any, Mapping, NamedTuple

from rdn import fields, files

MAX_RECORD_BYTES = 1 << 20
UNKNOWN_CHIP = 'NPU'  # the chip's name if the tools do not report it
DEVICE_FOLDER = 'device'  # with several devices, ais_bench makes a folder for each, such as device0
HOST = 'host'  # the chip's name if this machine's processor computed
MAX_BATCH_SIZE = 1_000_000
MAX_CARD_DEVICES = 1_000


class Record(NamedTuple):
    """The origin of outputs or of a figure. An attribute is None if it is not known.

    Attributes:
        tool: the program that ran the model.
        version: the version of the tool or of its engine.
        engine: the part of the tool that computed, such as CPUExecutionProvider.
        precision: the precision of the computation, such as fp32.
        chip: the chip's name from npu-smi, or HOST.
        batch_size: the number of images in a batch.
        model: the SHA-256 of the model's file.
        manifest: the SHA-256 of the prepared set's manifest.
        card_devices: the number of devices on the card; None: the number in rdn/devices/chip.py for this chip.
        weights: the path of the weights from which the model was made.
        weights_digest: the SHA-256 of these weights.
        outputs: the names of the model's outputs in their order; only for a model with taps.
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
        """Return a text like 'RDN_infer.py (ONNX Runtime 1.22.0, CPUExecutionProvider, fp32) on host, batches of 1'."""
        return f'{self.describe_tool()} on {self.chip}, batches of {self.batch_size}'

    def describe_tool(self) -> str:
        """Return a text like 'RDN_infer.py (ONNX Runtime 1.22.0, CPUExecutionProvider, fp32)'."""
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
    """Return the path of the record for a folder of outputs or a performance file."""
    target = os.path.normpath(target)
    return f'{target if os.path.isdir(target) else os.path.splitext(target)[0]}.run.json'


def write(target: str, record: Record, digest: str | None = None) -> None:
    """Write the record of a folder of outputs or of a performance file.

    Args:
        target: the folder or file.
        record: the record.
        digest: the `digest_of` the outputs that this run wrote; another run may have replaced them since. None: compute
            it now from `target`.
    """
    content = dict(record._asdict(), of=digest or digest_of(target))
    files.write_text(path_of(target), json.dumps(content, indent=1) + '\n')


def read(target: str, digest: str | None = None) -> Record | None:
    """Read the record of a folder of outputs or of a performance file.

    Args:
        target: the folder or file.
        digest: `digest_of(target)`, if it is already known.

    Returns:
        The record; None if it is missing, or if the outputs have changed since it was written.

    Raises:
        ValueError: the record's file is not valid; with the file's name.
    """
    path = path_of(target)
    if not os.path.exists(path):
        return None
    content = files.read_json(path, MAX_RECORD_BYTES, 'a record of a run (remove it)')
    try:
        record = parse(content, {'of': fields.SHA256})
    except ValueError as error:
        raise ValueError(f'{path}: not a record of a run ({error}): remove it')
    return record if content['of'] == (digest or digest_of(target)) else None


def parse(content: Any, more: Mapping[str, fields.Field]) -> Record:
    """Return the Record in the content of a JSON file.

    Args:
        content: the parsed JSON.
        more: the fields that the file has in addition to those of a Record.

    Raises:
        ValueError: the content is not valid.
    """
    content = fields.check(content, {**FIELDS, **more})
    return Record(**{name: value for name, value in content.items() if name in FIELDS})


def digest_of(target: str) -> str:
    """Return the SHA-256 of a file or of a folder of outputs.

    For a folder, it is the SHA-256 of the names and digests of its files, including those in its folders of devices.
    """
    if not os.path.isdir(target):
        return files.digest(target)
    folders = ['', *(name for name in os.listdir(target) if name.startswith(DEVICE_FOLDER))]
    names = [os.path.join(folder, name) for folder in folders for name in _names_in(os.path.join(target, folder))]
    found = sorted(name for name in names if os.path.isfile(os.path.join(target, name)))
    return files.digest_of_text(''.join(f'{files.digest(os.path.join(target, name))} {name}\n' for name in found))


def _names_in(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
