"""result.json in the guide's shape, and beside it result.run.json: where its figures come from."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple, Sequence

from rdn import files, run_record
from rdn.accuracy import agreement, metrics
from rdn.data import protocols

import numpy as np

UNKNOWN_PROTOCOL = 'protocol unknown'
TITLE = 'Overall statistical evaluation'
MAX_RESULT_BYTES = 1 << 27


def format_result(values: Sequence[float]) -> str:
    """The text of result.json for the PSNRs of all images, in dB, in the guide's shape."""
    rows = [('Number of images', str(len(values)))]
    rows += [(f'Top{rank} PSNR', two_decimals(x)) for rank, x in enumerate(sorted(values, reverse=True), 1)]
    rows += [('Avg PSNR', two_decimals(float(np.mean(values))))]
    pairs = [{'key': key, 'value': value} for key, value in rows]
    return json.dumps({'title': TITLE, 'value': pairs}, indent=4) + '\n'


def two_decimals(value: float) -> str:
    """38.9 for 38.90: as the guide writes its figures."""
    text = f'{value:.2f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text


class Origin(NamedTuple):
    """Where a result comes from.

    Attributes:
        protocol: its name; None if it is not known.
        known_set: the name of the images' set in known_sets.KNOWN, OTHER for other images; None if it is not known.
        luma: a key of metrics.PLANES; the name is that of older records.
        scale: of the network.
        label_size: width and height of the labels in pixels; None for whole images, or if it is not known.
        images: how many; None if it is not known.
        outputs: the record of what computed the outputs; None if there is none.
        verdict: on the outputs beside PyTorch's; None if they were not compared.
    """

    protocol: str | None
    known_set: str | None
    luma: str
    scale: int
    label_size: tuple[int, int] | None
    images: int | None
    outputs: run_record.Record | None
    verdict: agreement.Verdict | None

    def title(self) -> str:
        """Return the protocol's title."""
        protocol = protocols.of_record(self.protocol)
        return protocol.title if protocol else self.protocol or UNKNOWN_PROTOCOL


def write(path: str, values: Sequence[float], origin: Origin) -> None:
    """Write result.json for the PSNRs of all images, in dB, and where they come from."""
    files.write_text(path, format_result(values))
    content: dict[str, Any] = {
        'of': files.digest(path),
        'protocol': origin.protocol,
        'known_set': origin.known_set,
        'luma': origin.luma,
        'scale': origin.scale,
        'label_size': origin.label_size,
        'images': origin.images,
        'outputs': origin.outputs and origin.outputs._asdict(),
        'verdict': origin.verdict and origin.verdict._asdict(),
    }
    files.write_text(run_record.path_of(path), json.dumps(content, indent=1) + '\n')


def parse(text: str) -> float:
    """Return the average PSNR in dB of a result.json's text. Raises ValueError for other content."""
    try:
        values = {pair['key']: pair['value'] for pair in json.loads(text)['value']}
        psnr = float(values['Avg PSNR'])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError('not a result.json of RDN_postprocess.py: "Avg PSNR" is missing')
    if not 0 < psnr:  # also for nan
        raise ValueError(f'"Avg PSNR" is {psnr}')
    return psnr


def read_average(path: str) -> float:
    """Return the average PSNR in dB of a result.json. Raises ValueError, with the file's name, for other content."""
    files.check_plain(path, MAX_RESULT_BYTES)
    with open(path, encoding='utf-8-sig', errors='replace') as file, files.errors_naming(path):
        return parse(file.read())


def read_origin(path: str) -> Origin | None:
    """Read where a result.json comes from; None if that is not known, or was kept of another result.

    Raises:
        ValueError: the file beside it is not one of RDN_postprocess.py; with its name.
    """
    origin_path, what = run_record.path_of(path), 'a record of RDN_postprocess.py: remove it'
    if not os.path.exists(origin_path):
        return None
    content = files.read_json(origin_path, run_record.MAX_RECORD_BYTES, what)
    if not isinstance(content, dict) or content.get('of') != files.digest(path):
        return None
    try:
        name, known_set, luma = (_value(content, key, str) for key in ('protocol', 'known_set', 'luma'))
        protocol, label_size = protocols.of_record(name), _value(content, 'label_size', list)
        outputs, verdict = content.get('outputs'), content.get('verdict')
        return Origin(
            protocol.name if protocol else name,
            known_set,
            luma or metrics.DEFAULT_LUMA,
            _value(content, 'scale', int) or 2,
            (label_size[0], label_size[1]) if label_size else None,
            _value(content, 'images', int),
            run_record.Record(**outputs) if outputs else None,
            agreement.Verdict(**verdict) if verdict else None,
        )
    except (TypeError, IndexError) as error:
        raise ValueError(f'{origin_path}: not {what} ({error})')


def _value(content: dict[str, Any], key: str, kind: type) -> Any:
    """A value of a record; None where it is not there. Raises TypeError for a value of another kind."""
    value = content.get(key)
    if value is not None and not isinstance(value, kind):
        raise TypeError(f'{key} is {value!r}')
    return value
