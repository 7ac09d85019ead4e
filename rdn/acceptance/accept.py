"""Guide 6.2 and 7.3: the verdicts on accuracy and speed, from the files of the steps.

    python3 test/accept.py --psnr result.json --npu result/perf_vision_batchsize_1_device_0.txt --gpu RDN_bs1.log

prints a table; --markdown FILE writes it for a report. The status is 0 only when all that was judged is met.

Accuracy is judged by what RDN_postprocess.py --reference=WEIGHTS found: whether the device computes what PyTorch
computes. The guide's own comparison with published figures stands beside it, and counts only for results of the same
images, known by their pixels, and the same protocol. With the weights and the folders this script makes result.json itself:

    python3 test/accept.py --psnr result.json --reference rdn_x2.pth --pred-path result/dumpOutput_device0 --label-path prep_dataset/label

--npu takes a log of benchmark or ais_bench, --gpu one of trtexec; --psnr, or --npu and --gpu, may be left out. The guide
compares with fp16: a log that names another precision is shown, and judged only with --gpu-precision.
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

SHOWN = ('set5', 2, 'rdn-pytorch', protocols.WHOLE.name)  # beside a result that no published figure compares with
OTHER_PROTOCOL, OTHER_PRECISION = 'other protocol', 'other precision'
ANY_PRECISION = 'any'
NOT_HERE = '; its outputs are not here, so not compared with the record'
WIDTH = 120  # of a line on the console


class Row(NamedTuple):
    """A row of the table; is_met is None where nothing is judged."""

    figure: str
    reference: str
    measured: str
    origin: str
    is_met: bool | None
    why_not: str = ''  # nothing is judged

    def verdict(self) -> str:
        return self.why_not if self.is_met is None else 'met' if self.is_met else 'not met'


def judge_accuracy(psnr: float, origin: result.Origin | None, published_psnr: float | None) -> list[Row]:
    """The rows on accuracy of a result: against PyTorch where that was measured, and against published figures.

    psnr: the average in dB, as result.json has it. published_psnr: in the place of the published figure.
    """
    title = origin.title() if origin else result.UNKNOWN_PROTOCOL
    tool = origin.outputs.describe() if origin and origin.outputs else 'origin unknown'
    rows = []
    if origin and origin.verdict:
        verdict = origin.verdict
        on_pytorch = result.two_decimals(psnr - verdict.change)  # as exact as psnr is
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
    rows.append(Row("the guide's figure, dB", reference, f'{psnr:g} ({title})', tool, met, why_not))
    return rows


def reason_against_published(origin: result.Origin | None) -> str:
    """Say why no published figure compares with a result; empty if one does."""
    if origin is None or origin.known_set is None:
        return known_sets.UNKNOWN_IMAGES
    published = protocols.PUBLISHED.get((origin.known_set, origin.scale, origin.luma, origin.protocol or ''))
    if published and origin.label_size == (published.label_side and (published.label_side, published.label_side)):
        return ''
    return OTHER_PROTOCOL if any(origin.known_set == key[0] for key in protocols.PUBLISHED) else known_sets.OTHER_IMAGES


class Names(NamedTuple):
    """How the user calls the two sides of a comparison of speed; None: as the logs and records say.

    chips: devices on the card. card, gpu: names. precision: of the GPU's figures that are a reference.
    """

    chips: int | None = None
    card: str | None = None
    gpu: str | None = None
    precision: str = speed.GUIDES_PRECISION


def judge_speed(npu_path: str, gpu_path: str, names: Names) -> Row:
    """Whether the card of one speed log is as fast as the GPU of the other.

    Nothing is judged where the GPU's log names another precision than the reference's.

    Raises ValueError where they are of other tools, or of different batch sizes.
    """
    npu, gpu = (logs.read(path, logs.parse_speed) for path in (npu_path, gpu_path))
    for path, found, is_reference in ((npu_path, npu, False), (gpu_path, gpu, True)):
        if logs.source_of(found).is_reference != is_reference:
            wanted = [source.name for source in logs.SOURCES if source.is_reference == is_reference]
            raise ValueError(f'{path}: a log of {found.tool}, expected one of {" or ".join(wanted)}')
    record = run_record.read(npu_path)
    with files.errors_naming(npu_path):
        batch = logs.batch_size(npu, record)
        rate, name = logs.card_rate(npu, record, names.chips, names.card)
    if batch != gpu.batch:
        raise ValueError(f'{npu_path} is of batches of {batch}, {gpu_path} of {gpu.batch}')
    with files.errors_naming(gpu_path):
        gpu_rate, gpu_name = logs.card_rate(gpu, None, None, names.gpu)
    origin = record.describe() if record else f"{npu.tool}'s, as given"
    reference = f'{gpu_name} {gpu_rate:.3f}{gpu.describe_precision()}'
    is_met = rate >= gpu_rate if is_reference_precision(gpu.precision, names.precision) else None
    return Row(f'images/s, batch {batch}', reference, f'{name} {rate:.3f}', origin, is_met, OTHER_PRECISION)


def is_reference_precision(found: str | None, asked: str) -> bool:
    """Whether a figure of this precision is one to compare with; one whose log does not say is."""
    plain = speed.plain_precision(asked)
    return found is None or plain == ANY_PRECISION or speed.plain_precision(found) == plain


def measure(result_path: str, weights: str, pred_path: str, label_path: str) -> assessment.Assessment:
    """Compare outputs with PyTorch's, print the figures and write result.json.

    Args:
        result_path: result.json.
        weights: the checkpoint.
        pred_path: the folder of the device's outputs, or of ais_bench's runs.
        label_path: label/ of the prepared set.

    Raises:
        ValueError: outputs, labels or weights cannot be used; with the file's name. A lost accuracy is a verdict.
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
            f'{args.gpu}: speed is not judged, since the GPU computed in another precision than {args.gpu_precision}: '
            'give --gpu-precision, if its own is to be the reference'
        )
    judged = [row.is_met for row in rows if row.is_met is not None]
    if not judged:
        raise ValueError('nothing could be judged: give --reference WEIGHTS, --pred-path and --label-path')
    return 0 if all(judged) else 1


def format_rows(rows: Sequence[Row]) -> str:
    """The rows for the console, in lines of WIDTH at most where no single figure is longer: a table if it fits."""
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
    """The rows as a Markdown table with all that is known of them."""
    cells = [(*row[:4], row.verdict()) for row in rows]
    return cli.format_markdown([('figure', 'reference', 'measured', 'origin', 'verdict'), *cells]) + '\n'


def precision(text: str) -> str:
    """An argparse type: a precision that a GPU's log may name, or ANY_PRECISION."""
    if speed.is_precision(text) or text.strip().lower() == ANY_PRECISION:
        return text
    raise argparse.ArgumentTypeError(
        f'{text} is not a precision: give {", ".join(speed.TYPES)}, several of these joined with +, '
        f'{speed.STRONGLY_TYPED} or {ANY_PRECISION}'
    )


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--psnr', metavar='FILE', help='result.json of RDN_postprocess.py')
    parser.add_argument('--reference', metavar='WEIGHTS', help='make result.json anew, and compare with PyTorch')
    parser.add_argument('--pred-path', metavar='DIR', help="with --reference: folder of the device's outputs")
    parser.add_argument('--label-path', metavar='DIR', help='with --reference: folder of the labels')
    parser.add_argument('--markdown', metavar='FILE', help='write the table there, in Markdown for a report')
    parser.add_argument('--npu', metavar='FILE', help="the device's log: of benchmark or ais_bench")
    parser.add_argument('--gpu', metavar='FILE', help="the GPU's log, of trtexec")
    parser.add_argument(
        '--official-psnr',
        type=cli.positive_number,
        help="the published figure, dB; default: that of the result's protocol",
    )
    parser.add_argument(
        '--chips', type=cli.positive, help='devices on the card; default: as the record of the run says'
    )
    parser.add_argument('--card', help='name to print; default: as the record of the run says')
    parser.add_argument('--gpu-name', help="name to print; default: as the GPU's log says, else T4")
    parser.add_argument(
        '--gpu-precision',
        type=precision,
        default=speed.GUIDES_PRECISION,
        metavar='NAME',
        help=f"judge by a GPU's log of this precision: fp32, fp16+int8, strongly-typed, {ANY_PRECISION}; default fp16",
    )
    args = parser.parse_args(argv)
    if bool(args.npu) != bool(args.gpu):
        parser.error('--npu and --gpu go together: one is compared with the other')
    if not (args.psnr or args.npu):
        parser.error('give --psnr, or --npu and --gpu')
    if args.reference and not (args.psnr and args.pred_path and args.label_path):
        parser.error('--reference goes with --psnr, --pred-path and --label-path')
    return args
