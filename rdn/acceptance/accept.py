"""Guide 6.2 and 7.3: print the verdicts on accuracy and speed, from result.json and the logs of the earlier steps.

    python3 test/accept.py --psnr result.json --npu result/perf_vision_batchsize_1_device_0.txt --gpu RDN_bs1.log

The exit status is 0 only if all figures that are judged are "met". --markdown FILE also writes the table for a report.

Accuracy: if RDN_postprocess.py ran with --reference=WEIGHTS, its comparison with PyTorch is the verdict. The guide's
comparison with published figures is printed too. It counts only if the result is of the same images, recognized by
their pixels, and of the same protocol. With --reference and two folders, this script writes result.json itself:

    python3 test/accept.py --psnr result.json --reference rdn_x2.pth --pred-path result/dumpOutput_device0 --label-path prep_dataset/label

Speed: --npu takes a log of benchmark or ais_bench, and --gpu a log of trtexec. The guide compares with fp16. If the
GPU's log names another precision, its figure is printed, but it is judged only with --gpu-precision.

Give --psnr for accuracy, --npu and --gpu for speed, or all three.
"""

from __future__ import annotations

import argparse
import textwrap
from typing import NamedTuple, Sequence

from rdn import cli, files, run_record
from rdn.acceptance import dumped
from rdn.accuracy import assessment, result
from rdn.data import dataset, known_sets, protocols
from rdn.devices import logs, speed

SHOWN = ('set5', 2, 'rdn-pytorch', protocols.WHOLE.name)  # printed if no published figure is comparable
OTHER_PROTOCOL, OTHER_PRECISION = 'other protocol', 'other precision'
ANY_PRECISION = 'any'
NOT_HERE = '; its outputs are not on this machine, so they were not checked against the record'
WIDTH = 120  # of a line on the console


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        figure: what is measured, and its unit.
        reference: the figure to compare with, and its source.
        measured: the measured figure.
        origin: what measured it.
        is_met: whether the measured figure is good enough; None if it is not judged.
        why_not: why it is not judged.
    """

    figure: str
    reference: str
    measured: str
    origin: str
    is_met: bool | None
    why_not: str = ''

    def verdict(self) -> str:
        """Return 'met' or 'not met'; the reason if the figure is not judged."""
        return self.why_not if self.is_met is None else 'met' if self.is_met else 'not met'


def judge_accuracy(psnr: float, origin: result.Origin | None, published_psnr: float | None) -> list[Row]:
    """Judge the accuracy of a result.

    Args:
        psnr: average PSNR in dB, from result.json.
        origin: source of the result; None if it is not known.
        published_psnr: figure in dB to use instead of the published one; None for the published one.

    Returns:
        One row for the comparison with PyTorch, if it was measured, and one for the comparison with published figures.
    """
    title = origin.title() if origin else result.UNKNOWN_PROTOCOL
    tool = origin.outputs.describe() if origin and origin.outputs else 'origin unknown'
    rows = []
    if origin and origin.verdict:
        verdict = origin.verdict
        on_pytorch = result.two_decimals(psnr - verdict.change)  # psnr has two decimals too
        reference = f'PyTorch {on_pytorch} (limits {verdict.max_loss:g}, {verdict.max_image_loss:g})'
        measured = f'{psnr:g}: {verdict.change:+.4f}, worst {verdict.image_change:+.4f}'
        images = cli.count(origin.images, 'image') if origin.images else known_sets.UNKNOWN_IMAGES
        tool = f'{tool}; {title}, {images}{"" if result.has_outputs(origin) else NOT_HERE}'
        rows.append(Row('against PyTorch, dB', reference, measured, tool, verdict.is_kept))
    why_not = reason_against_published(origin)
    key = SHOWN
    if origin and not why_not:
        key = origin.known_set or '', origin.scale, origin.luma, origin.protocol or ''
    published = protocols.PUBLISHED[key]
    limit = published_psnr or published.psnr
    shown = f'{known_sets.KNOWN[key[0]].title}, {protocols.PROTOCOLS[key[3]].title}'
    reference = f'{published.source} {limit:g} ({shown})'
    met = None if why_not else psnr >= limit
    rows.append(Row('published figure, dB', reference, f'{psnr:g} ({title})', tool, met, why_not))
    return rows


def reason_against_published(origin: result.Origin | None) -> str:
    """Return why no published figure is comparable with a result; '' if there is a comparable one."""
    if origin is None or origin.known_set is None:
        return known_sets.UNKNOWN_IMAGES
    published = protocols.PUBLISHED.get((origin.known_set, origin.scale, origin.luma, origin.protocol or ''))
    if published and origin.label_size == (published.label_side and (published.label_side, published.label_side)):
        return ''
    return OTHER_PROTOCOL if any(origin.known_set == key[0] for key in protocols.PUBLISHED) else known_sets.OTHER_IMAGES


class Names(NamedTuple):
    """The user's names for both sides of a comparison of speed. None: use the one in the log or the record.

    Attributes:
        chips: number of devices on the card.
        card: name of the device's card.
        gpu: name of the GPU.
        precision: precision that the GPU's figure must have; ANY_PRECISION for any.
    """

    chips: int | None = None
    card: str | None = None
    gpu: str | None = None
    precision: str = speed.GUIDES_PRECISION


def judge_speed(npu_path: str, gpu_path: str, names: Names) -> Row:
    """Judge whether a device's card is as fast as a GPU.

    Args:
        npu_path: log of benchmark or ais_bench.
        gpu_path: log of trtexec.
        names: the user's names.

    Returns:
        A row; it is not judged if the GPU's log names another precision than the user asked for.

    Raises:
        ValueError: a log is of another tool, or the two have different batch sizes; the message names the file.
    """
    npu, gpu = (logs.read(path, logs.parse_speed) for path in (npu_path, gpu_path))
    for path, found, is_reference in ((npu_path, npu, False), (gpu_path, gpu, True)):
        if logs.source_of(found).is_reference != is_reference:
            wanted = [source.name for source in logs.SOURCES if source.is_reference == is_reference]
            raise ValueError(f'{path}: a log of {found.tool}; give one of {" or ".join(wanted)}')
    record = run_record.read(npu_path)
    with files.errors_naming(npu_path):
        batch = logs.batch_size(npu, record)
        rate, name = logs.card_rate(npu, record, names.chips, names.card)
    if batch != gpu.batch:
        raise ValueError(f'{npu_path} has batches of {batch}, {gpu_path} of {gpu.batch}: give logs of one batch size')
    with files.errors_naming(gpu_path):
        gpu_rate, gpu_name = logs.card_rate(gpu, None, None, names.gpu)
    origin = record.describe() if record else f'{npu.tool}, no record'
    reference = f'{gpu_name} {gpu_rate:.3f}{gpu.describe_precision()}'
    is_met = rate >= gpu_rate if is_reference_precision(gpu.precision, names.precision) else None
    return Row(f'images/s, batch {batch}', reference, f'{name} {rate:.3f}', origin, is_met, OTHER_PRECISION)


def is_reference_precision(found: str | None, asked: str) -> bool:
    """Return whether a GPU's figure may be judged.

    Args:
        found: precision in the GPU's log; None if the log names none, which is accepted.
        asked: precision that the user asked for, or ANY_PRECISION.
    """
    plain = speed.plain_precision(asked)
    return found is None or plain == ANY_PRECISION or speed.plain_precision(found) == plain


def measure(result_path: str, weights: str, pred_path: str, label_path: str) -> assessment.Assessment:
    """Compare outputs with PyTorch's, print the figures and write result.json.

    Args:
        result_path: path of result.json.
        weights: path of the checkpoint.
        pred_path: folder of the device's outputs, or of ais_bench's runs.
        label_path: label/ of the prepared set.

    Raises:
        ValueError: outputs, labels or weights cannot be used; the message names the file. If accuracy is not kept, that
            is not an error, but the verdict.
    """
    size = dataset.size_of(label_path)
    criteria = assessment.Criteria(*size, reference=weights) if size else assessment.Criteria(reference=weights)
    found = assessment.assess(dumped.open_folder(pred_path), label_path, criteria)
    found.write(result_path)
    print(found.describe() + '\n')
    return found


def main(argv=None):
    args = parse_args(argv)
    rows = []
    if args.reference:
        found = measure(args.psnr, args.reference, args.pred_path, args.label_path)
        rows += judge_accuracy(found.psnr(), found.origin, args.official_psnr)
    elif args.psnr:
        rows += judge_accuracy(result.read_average(args.psnr), result.read_origin(args.psnr), args.official_psnr)
    if args.npu:
        rows.append(judge_speed(args.npu, args.gpu, Names(args.chips, args.card, args.gpu_name, args.gpu_precision)))
    print(format_rows(rows))
    if args.markdown:
        files.write_text(args.markdown, format_report(rows))
    if args.npu and rows[-1].is_met is None:
        raise ValueError(
            f'{args.gpu}: speed is not judged, because the GPU did not compute in {args.gpu_precision}: '
            'give --gpu-precision to accept its precision'
        )
    judged = [row.is_met for row in rows if row.is_met is not None]
    if not judged:
        raise ValueError('no figure could be judged: give --reference WEIGHTS, --pred-path and --label-path')
    return 0 if all(judged) else 1


def format_rows(rows: Sequence[Row]) -> str:
    """Format the rows for the console: a table if it fits into WIDTH, else a few lines for each row."""
    cells = [(row.figure, row.reference, row.measured, row.verdict()) for row in rows]
    table = cli.format_table([('figure', 'reference', 'measured', 'verdict'), *cells])
    if max(map(len, table.splitlines())) > WIDTH:
        blocks = [
            [f'{figure}: {verdict}', f'  {measured}', f'  for {reference}']
            for figure, reference, measured, verdict in cells
        ]
        table = '\n'.join(line for block in blocks for line in block)
    figures: dict[str, list[str]] = {}
    for row in rows:
        figures.setdefault(row.origin, []).append(row.figure)
    notes = [f'{" and ".join(names)}: measured by {origin}' for origin, names in figures.items()]
    notes = [textwrap.fill(note, WIDTH, subsequent_indent='  ', break_long_words=False) for note in notes]
    return '\n'.join([table, '', *notes])


def format_report(rows: Sequence[Row]) -> str:
    """Format the rows as a Markdown table with all columns."""
    cells = [(*row[:4], row.verdict()) for row in rows]
    return cli.format_markdown([('figure', 'reference', 'measured', 'origin', 'verdict'), *cells]) + '\n'


def precision(text: str) -> str:
    """Check a flag's value, as an argparse type: a precision that a GPU's log may name, or ANY_PRECISION.

    Raises:
        argparse.ArgumentTypeError: the text is not a precision.
    """
    if speed.is_precision(text) or text.strip().lower() == ANY_PRECISION:
        return text
    raise argparse.ArgumentTypeError(
        f'{text} is not a precision: give {", ".join(speed.TYPES)}, several of these joined with +, '
        f'{speed.STRONGLY_TYPED} or {ANY_PRECISION}'
    )


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--psnr', metavar='FILE', help='result.json of RDN_postprocess.py')
    parser.add_argument('--reference', metavar='WEIGHTS', help='compare with PyTorch, and write result.json')
    parser.add_argument('--pred-path', metavar='DIR', help="with --reference: folder of the device's outputs")
    parser.add_argument('--label-path', metavar='DIR', help='with --reference: folder of the labels')
    parser.add_argument('--markdown', metavar='FILE', help='also write the table to this file, in Markdown')
    parser.add_argument('--npu', metavar='FILE', help="the device's log, of benchmark or ais_bench")
    parser.add_argument('--gpu', metavar='FILE', help="the GPU's log, of trtexec")
    parser.add_argument(
        '--official-psnr',
        type=cli.positive_number,
        help="the published figure, in dB; default: the one of the result's protocol",
    )
    parser.add_argument(
        '--chips', type=cli.positive, help='number of devices on the card; default: from the record of the run'
    )
    parser.add_argument('--card', help='name of the card; default: from the record of the run')
    parser.add_argument('--gpu-name', help='name of the GPU; default: from its log, else T4')
    parser.add_argument(
        '--gpu-precision',
        type=precision,
        default=speed.GUIDES_PRECISION,
        metavar='NAME',
        help=f"accept a GPU's log of this precision: fp32, fp16+int8, strongly-typed, {ANY_PRECISION}; default: fp16",
    )
    args = parser.parse_args(argv)
    if bool(args.npu) != bool(args.gpu):
        parser.error('give both --npu and --gpu: they are compared with each other')
    if not (args.psnr or args.npu):
        parser.error('give --psnr, or --npu and --gpu')
    if args.reference and not (args.psnr and args.pred_path and args.label_path):
        parser.error('--reference needs --psnr, --pred-path and --label-path')
    return args
