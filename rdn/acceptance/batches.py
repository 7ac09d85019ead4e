"""Guide 7: compare batch sizes in the vendor's table: chip, batch, data set, accuracy, images/s. The best is marked.

    python3 test/batches.py result/bs1 result/bs4 --dataset set5 --model rdn_x2.onnx

The script prints the table, and again in Markdown for a report. The folders are from run.sh --batch-size 1,4: each
contains result.json and a file with the speed of the model alone, without reading and writing images. If that file is
missing, the script reads the speed of the run over the images.
"""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

from rdn import cli, files, run_record
from rdn.accuracy import result
from rdn.data import known_sets
from rdn.devices import chip as hardware
from rdn.devices import logs, output_names, speed
from rdn.network import onnx_graph

# The vendor's model zoo, RDN x2 of the default size on a 310P3, CANN 6.0.RC1: batch size -> images/s.
PUBLISHED = {1: 47, 4: 37, 8: 33, 16: 33, 32: 33, 64: 33}
PUBLISHED_NOTE = (
    "vendor's 310P3: figures of the Ascend model zoo for the network of the default size (22,123,395 parameters), "
    'CANN 6.0.RC1; comparable only with that network on that chip'
)


DIGITS = 12  # of a digest in a message
UNKNOWN_ORIGIN = 'origin unknown'


class Measurement(NamedTuple):
    """The measurements for one batch size.

    Attributes:
        chip: name of the chip.
        batch: images in a batch.
        psnr: average PSNR in dB.
        protocol: title of the protocol.
        rate: speed of one device, in images/s.
        card_devices: number of devices on a card.
        record: record of the run; None if there is no record.
        known_set: `known_set` of the result's Origin.
        origin: what measured accuracy and speed, in words.
    """

    chip: str
    batch: int
    psnr: float
    protocol: str
    rate: float
    card_devices: int
    record: run_record.Record | None
    known_set: str | None
    origin: str


def read_row(folder: str) -> Measurement:
    """Read the measurements in the folder of a batch size.

    Raises:
        ValueError: a file is missing or cannot be used, or accuracy and speed are of two runs; the message names it.
    """
    result_path = os.path.join(folder, 'result.json')
    psnr, origin = result.read_average(result_path), result.read_origin(result_path)
    speed_path = find_speed(folder)
    found, record = logs.read(speed_path, logs.parse_speed), run_record.read(speed_path)
    batch = check_one_size(speed_path, found, record)
    chip = found.device or (record.chip if record else f'{found.tool}, chip unknown')
    of_outputs = origin.outputs if origin else None
    if record and of_outputs:
        check_same_run(result_path, of_outputs, speed_path, record)
    devices = hardware.devices_on_card(record.chip, record.card_devices) if record else 1
    protocol = origin.title() if origin else result.UNKNOWN_PROTOCOL
    known_set = origin and origin.known_set
    measured_by = describe_origin(of_outputs, record)
    return Measurement(chip, batch, psnr, protocol, found.rate, devices, of_outputs or record, known_set, measured_by)


def describe_origin(accuracy: run_record.Record | None, timing: run_record.Record | None) -> str:
    """Return what measured accuracy and speed, in words.

    Args:
        accuracy: record of the run that computed the outputs; None if there is no record.
        timing: record of the run that measured the speed; None if there is no record. If both are known, they are of
            the same run.
    """
    if accuracy and timing:
        return timing.describe_tool()
    of_accuracy, of_speed = (each.describe_tool() if each else UNKNOWN_ORIGIN for each in (accuracy, timing))
    return of_speed if of_speed == of_accuracy else f'PSNR: {of_accuracy}; images/s: {of_speed}'


def check_one_size(path: str, found: speed.Speed, record: run_record.Record | None) -> int:
    """Return the batch size of a speed.

    Args:
        path: path of the speed's file, for the message.
        found: the speed.
        record: record of the run; None if there is no record.

    Raises:
        ValueError: the batches had several sizes, or the speed is of several devices.
    """
    with files.errors_naming(path):
        batch = logs.batch_size(found, record) or 1
        if batch != int(batch):
            raise ValueError(f'its batches have {batch:.4g} images on average, but a row of the table needs one size')
        if found.devices > 1:
            raise ValueError(f'the speed of {found.devices} devices together, but a row of the table needs that of one')
    return int(batch)


def check_same_run(result_path: str, accuracy: run_record.Record, speed_path: str, timing: run_record.Record) -> None:
    """Check that accuracy and speed are of one run.

    Args:
        result_path: path of the accuracy's file, for the message.
        accuracy: record of the run that computed the outputs.
        speed_path: path of the speed's file, for the message.
        timing: record of the run that measured the speed.

    Raises:
        ValueError: batch size, chip, tool, engine, version, precision or model differ; the message names both files.
    """
    for what in ('batch_size', 'chip', 'tool', 'engine', 'version', 'precision', 'model'):
        a, b = getattr(accuracy, what), getattr(timing, what)
        if a != b:
            names = [str(x)[:DIGITS] if what == 'model' else str(x) for x in (a, b)]
            raise ValueError(f'{result_path} and {speed_path} are of two runs: {what} {" and ".join(names)}')


def check_same_set(folders: list[str], rows: list[Measurement]) -> None:
    """Check that all accuracies are of one prepared set.

    Args:
        folders: the folder of each row, for the message.
        rows: the measurements.

    Raises:
        ValueError: two folders have different sets; the message names them.
    """
    for folder, row in zip(folders, rows):
        sets = [each.record.manifest if each.record else None for each in (rows[0], row)]
        if None not in sets and sets[0] != sets[1]:
            raise ValueError(
                f'{folders[0]} and {folder}: their accuracies are of two prepared sets: run both on the same one'
            )


def is_model_of(onnx: str, row: Measurement) -> bool:
    """Return whether an ONNX file, or a model that was converted from it, was measured in this row."""
    if row.record is None:
        return False
    digest = files.digest(onnx)
    pattern = os.path.join(glob.escape(os.path.dirname(onnx)), f'{glob.escape(files.stem_of(onnx))}_bs{row.batch}.*')
    for path in glob.glob(pattern):  # the models that devices run
        converted = None if path.endswith('.json') else run_record.read(path)
        if converted and converted.model == digest and row.record.model == files.digest(path):
            return True
    return row.record.model == digest


def find_speed(folder: str) -> str:
    """Return the path of the file with the model's speed.

    Raises:
        ValueError: there is no such file in the folder, or there are several of one kind.
    """
    for pattern in output_names.SPEEDS:
        found = sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
        if len(found) > 1:
            raise ValueError(f'{found[0]} and {found[1]} are of two runs: remove one')
        if found:
            return found[0]
    raise ValueError(f'{folder}: no file with the speed of the model in it: run.sh --batch-size writes one')


def name_of_set(row: Measurement, given: str) -> str:
    """Return the name of a row's data set for the table.

    Args:
        row: the measurements.
        given: the user's name.

    Returns:
        `given`. If that is the name of a known set, but the images are not known to be that set's: OTHER_IMAGES or
        UNKNOWN_IMAGES.
    """
    known = next((key for key, each in known_sets.KNOWN.items() if given.lower() in (key, each.title.lower())), None)
    if known is None or known == row.known_set:
        return given
    return known_sets.OTHER_IMAGES if row.known_set else known_sets.UNKNOWN_IMAGES


def format_rows(rows: list[Measurement], dataset: str) -> list[tuple[str, ...]]:
    """Return the table's cells: the header, then the rows sorted by batch size.

    Args:
        rows: the measurements.
        dataset: the user's name for the data set.
    """
    best = max(rows, key=lambda row: row.rate)
    table: list[tuple[str, ...]] = []
    table.append(('chip', 'batch', 'data set', 'PSNR dB', 'images/s a device', 'images/s a card', '', "vendor's 310P3"))
    for row in sorted(rows, key=lambda row: row.batch):
        card = '-' if row.chip == run_record.HOST else f'{row.rate * row.card_devices:.3f}'
        chip = f'{row.chip}, {row.card_devices} a card' if row.card_devices > 1 else row.chip
        mark = 'best' if row is best and len(rows) > 1 else ''
        cells = (
            chip,
            str(row.batch),
            f'{name_of_set(row, dataset)}, {row.protocol}',
            f'{row.psnr:g}',
            f'{row.rate:.3f}',
            card,
            mark,
        )
        table.append((*cells, str(PUBLISHED.get(row.batch, '-'))))
    return table


def describe_origins(rows: list[Measurement]) -> str:
    """Return one line for each tool, engine and precision that measured rows of the table."""
    batches: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: row.batch):
        batches.setdefault(row.origin, []).append(str(row.batch))
    return '\n'.join(f'batch {", ".join(sizes)}: measured by {origin}' for origin, sizes in batches.items())


def describe(model: str | None) -> str:
    """Return the notes below the table.

    Args:
        model: path of the ONNX file whose number of parameters is named; None for no number.
    """
    network = f'; {model} has {onnx_graph.count_parameters(model):,} parameters' if model else ''
    return f'images/s: of the model alone, without reading and writing images{network}\n{PUBLISHED_NOTE}'


def main(argv=None):
    args = parse_args(argv)
    rows = [read_row(folder) for folder in args.folder]
    batches = [row.batch for row in rows]
    if len(set(batches)) < len(batches):
        raise ValueError(f'{", ".join(args.folder)}: two of these have the same batch size: leave one out')
    table = format_rows(rows, args.dataset)
    check_same_set(args.folder, rows)
    notes = f'{describe_origins(rows)}\n' + describe(
        args.model if args.model and all(is_model_of(args.model, row) for row in rows) else None
    )
    markdown = cli.format_markdown(table) + '\n\n' + notes.replace('\n', '\n\n') + '\n'
    print(f'{cli.format_table(table)}\n{notes}\n\n{cli.format_markdown(table)}')
    if args.markdown:
        files.write_text(args.markdown, markdown)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('folder', nargs='+', metavar='FOLDER', help='folder of a batch size, such as result/bs4')
    parser.add_argument('--dataset', default='images', help='name of the data set, for the table')
    parser.add_argument(
        '--model', metavar='FILE', help='the ONNX file; its number of parameters is printed below the table'
    )
    parser.add_argument('--markdown', metavar='FILE', help='also write the table to this file, in Markdown')
    return parser.parse_args(argv)
