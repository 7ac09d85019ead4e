"""Write and read result.json, in the guide's form, and result.run.json, which records the source of its figures."""

from __future__ import annotations

import contextlib
import json
import os
import re
from typing import Any, NamedTuple, Sequence

from rdn import fields, files, run_record
from rdn.accuracy import agreement, metrics
from rdn.data import protocols

import numpy as np

UNKNOWN_PROTOCOL = 'protocol unknown'
TITLE = 'Overall statistical evaluation'
COUNT, AVERAGE = 'Number of images', 'Avg PSNR'  # keys of rows; the images' keys are 'Top1 PSNR', 'Top2 PSNR' and so on
MAX_RESULT_BYTES = 1 << 27
MAX_IMAGES = 10_000_000
MAX_SIDE_PIXELS = 1 << 20
MAX_PSNR = 500  # dB; two pictures that differ in a single bit are below it
ROUNDING = 0.011  # dB by which the average may differ from the figures' mean, since all have only two decimals
PSNR_TEXT = re.compile(r'[0-9]{1,3}(\.[0-9]{1,15})?|inf')


def format_result(values: Sequence[float]) -> str:
    """Return the text of result.json, in the guide's form, for the PSNRs of all images in dB."""
    rows = [(COUNT, str(len(values)))]
    rows += [(f'Top{rank} PSNR', two_decimals(x)) for rank, x in enumerate(sorted(values, reverse=True), 1)]
    rows += [(AVERAGE, two_decimals(float(np.mean(values))))]
    pairs = [{'key': key, 'value': value} for key, value in rows]
    return json.dumps({'title': TITLE, 'value': pairs}, indent=4) + '\n'


def two_decimals(value: float) -> str:
    """Format a figure as the guide does: two decimals without trailing zeros, '38.9' for 38.90."""
    text = f'{value:.2f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text


class Origin(NamedTuple):
    """The source of a result.

    Attributes:
        protocol: name of the protocol; None if it is not known.
        known_set: name of the images' set in known_sets.KNOWN, OTHER for other images; None if it is not known.
        luma: key of metrics.PLANES. It is not called planes because older records have this name.
        scale: scale of the network.
        label_size: width and height of the labels in pixels; None for whole images, or if it is not known.
        images: number of images; None if it is not known.
        outputs: record of the run that computed the outputs; None if there is no record.
        verdict: verdict on the outputs against PyTorch's; None if they were not compared.
        outputs_folder: folder of the outputs that were judged.
        outputs_digest: `run_record.digest_of` that folder.
    """

    protocol: str | None
    known_set: str | None
    luma: str
    scale: int
    label_size: tuple[int, int] | None
    images: int | None
    outputs: run_record.Record | None
    verdict: agreement.Verdict | None
    outputs_folder: str
    outputs_digest: str

    def title(self) -> str:
        """Return the protocol's title; UNKNOWN_PROTOCOL if the protocol is not known."""
        protocol = protocols.of_record(self.protocol)
        return protocol.title if protocol else self.protocol or UNKNOWN_PROTOCOL


_VERDICT = {
    'change': fields.decibels(MAX_PSNR),
    'image_change': fields.decibels(MAX_PSNR),
    'max_loss': fields.decibel_limit(MAX_PSNR),
    'max_image_loss': fields.decibel_limit(MAX_PSNR),
}
_LABEL_SIZE = fields.Field(
    lambda value: (
        isinstance(value, list) and len(value) == 2 and all(fields.is_whole(side, 1, MAX_SIDE_PIXELS) for side in value)
    ),
    f'two whole numbers from 1 to {MAX_SIDE_PIXELS:,}',
)
_OBJECT = fields.Field(lambda value: isinstance(value, dict), 'a JSON object')
FIELDS: dict[str, fields.Field] = {
    'of': fields.SHA256,
    'protocol': fields.or_null(fields.TEXT),
    'known_set': fields.may_lack(fields.TEXT),
    'dataset': fields.may_lack(fields.TEXT),  # older versions wrote the name of the images' folder; it is ignored
    'luma': fields.may_lack(fields.TEXT),
    'scale': fields.may_lack(fields.whole_number(1, 16)),
    'label_size': fields.may_lack(_LABEL_SIZE),
    'images': fields.may_lack(fields.whole_number(1, MAX_IMAGES)),
    'outputs': fields.or_null(_OBJECT),
    'verdict': fields.or_null(_OBJECT),
    'outputs_folder': fields.may_lack(fields.PATH),
    'outputs_digest': fields.may_lack(fields.SHA256),
}


def write(path: str, values: Sequence[float], origin: Origin) -> None:
    """Write result.json and its record.

    An earlier record is removed first. So even after a kill, it is never beside the new result.json.

    Args:
        path: path of result.json.
        values: PSNR of each image in dB.
        origin: source of the figures, for the record.
    """
    text, record_path = format_result(values), run_record.path_of(path)
    folder = os.path.dirname(os.path.abspath(path))
    content: dict[str, Any] = {
        'of': files.digest_of_text(text),
        'protocol': origin.protocol,
        'known_set': origin.known_set,
        'luma': origin.luma,
        'scale': origin.scale,
        'label_size': origin.label_size,
        'images': origin.images,
        'outputs': origin.outputs and origin.outputs._asdict(),
        'verdict': origin.verdict and origin.verdict._asdict(),
        # Relative, so that result and outputs can be moved together.
        'outputs_folder': os.path.relpath(origin.outputs_folder, folder),
        'outputs_digest': origin.outputs_digest,
    }
    with contextlib.suppress(FileNotFoundError):
        os.remove(record_path)
    files.write_text(path, text)
    files.write_text(record_path, json.dumps(content, indent=1) + '\n')


def parse(text: str) -> float:
    """Return the average PSNR in dB of a result.json's text.

    Raises:
        ValueError: the text is not a result.json, or its figures contradict each other.
    """
    return _average(_rows(text))


def read_average(path: str) -> float:
    """Return the average PSNR in dB of a result.json.

    Raises:
        ValueError: the file is not a result.json, or its figures contradict each other; the message names it.
    """
    files.check_plain(path, MAX_RESULT_BYTES)
    with open(path, encoding='utf-8-sig', errors='replace') as file, files.errors_naming(path):
        return parse(file.read())


def read_origin(path: str) -> Origin | None:
    """Read the record beside a result.json.

    Args:
        path: path of result.json.

    Returns:
        The source of the result; None if there is no record, or if it belongs to another result.json.

    Raises:
        ValueError: the file is not a record of RDN_postprocess.py, or the outputs were changed since they were judged;
            the message names the file.
    """
    origin_path, what = run_record.path_of(path), 'a record of RDN_postprocess.py: remove it'
    if not os.path.exists(origin_path):
        return None
    content = files.read_json(origin_path, run_record.MAX_RECORD_BYTES, what)
    try:
        content = fields.check(content, FIELDS)
        outputs, verdict = content['outputs'], content['verdict']
        outputs = None if outputs is None else run_record.parse(outputs, {})
        verdict = None if verdict is None else agreement.Verdict(**fields.check(verdict, _VERDICT))
    except ValueError as error:
        raise ValueError(f'{origin_path}: not {what} ({error})')
    if content['of'] != files.digest(path):
        return None
    name, label_size = content['protocol'], content.get('label_size')
    protocol = protocols.of_record(name)
    origin = Origin(
        protocol.name if protocol else name,
        content.get('known_set'),
        content.get('luma') or metrics.DEFAULT_LUMA,
        content.get('scale') or 2,
        (label_size[0], label_size[1]) if label_size else None,
        content.get('images'),
        outputs,
        verdict,
        os.path.join(os.path.dirname(path), content.get('outputs_folder') or ''),
        content.get('outputs_digest') or '',
    )
    _check_outputs(origin_path, origin)
    return origin


def _check_outputs(origin_path: str, origin: Origin) -> None:
    """Raise ValueError if the outputs were changed since they were judged, or if the record has no digest of them."""
    if not origin.outputs_digest:
        raise ValueError(
            f'{origin_path}: from an older version, which did not record the outputs that were judged: '
            'run RDN_postprocess.py again'
        )
    if has_outputs(origin) and run_record.digest_of(origin.outputs_folder) != origin.outputs_digest:
        raise ValueError(
            f'{origin_path}: the outputs in {os.path.normpath(origin.outputs_folder)} changed since they were judged: '
            'run RDN_postprocess.py again'
        )


def has_outputs(origin: Origin) -> bool:
    """Return whether the folder of the judged outputs exists; its path is relative to result.json."""
    return os.path.isdir(origin.outputs_folder)


def _rows(text: str) -> dict[str, str]:
    """Return key -> value of a result.json's rows. Raise ValueError for another form, or if a key occurs twice."""
    try:
        rows = files.parse_json(text)['value']
        pairs = [(row['key'], row['value']) for row in rows]
        if not all(isinstance(x, str) and len(row) == 2 for row, pair in zip(rows, pairs) for x in pair):
            raise TypeError('keys and values are texts')
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError(f'not a result.json of RDN_postprocess.py: no rows of key and value with "{AVERAGE}"')
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1)
        raise ValueError(f'{fields.show(twice)} occurs twice in it')
    return found


def _average(rows: dict[str, str]) -> float:
    """Return the average PSNR in dB. Raise ValueError if the rows are not a result's, or contradict each other."""
    if AVERAGE not in rows:
        raise ValueError(f'not a result.json of RDN_postprocess.py: "{AVERAGE}" is missing')
    figures = {key: _psnr(key, value) for key, value in rows.items() if key != COUNT}
    average = figures.pop(AVERAGE)
    ranks = [f'Top{rank} PSNR' for rank in range(1, len(figures) + 1)]
    if list(figures) != ranks:
        raise ValueError(f'its rows are not {COUNT}, Top1 PSNR to Top{len(figures)} PSNR, {AVERAGE}')
    if COUNT in rows and figures and rows[COUNT] != str(len(figures)):
        raise ValueError(f'"{COUNT}" is {fields.show(rows[COUNT])}, but it has figures of {len(figures)} images')
    values = list(figures.values())
    if values != sorted(values, reverse=True):
        raise ValueError('its figures are not sorted: Top1 PSNR must be the highest')
    mean = float(np.mean(values)) if values else average
    if not (average == mean or abs(average - mean) <= ROUNDING):
        raise ValueError(f'"{AVERAGE}" is {average:g}, but the mean of its images is {mean:.2f}')
    return average


def _psnr(key: str, text: str) -> float:
    """Parse a PSNR in dB. Raise ValueError unless the text is a decimal number or inf."""
    value = float(text) if PSNR_TEXT.fullmatch(text) else 0
    if not (0 < value <= MAX_PSNR or value == float('inf')):
        raise ValueError(f'{fields.show(key)} is {fields.show(text)}, expected decibels, above 0 to {MAX_PSNR}, or inf')
    return value
