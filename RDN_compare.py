"""Find the stage of the network where a device loses accuracy, by comparing each stage with PyTorch.

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_taps.onnx --taps
    python3 RDN_compare.py --weights rdn_x2.pth --outputs result/dumpOutput_device0

Between the two commands, convert and run the model with taps like the plain one (README, steps 3.2 and 5). It writes
several outputs for each image. PyTorch computes the same values from the same prepared inputs. The script can also run
a model itself, with any engine:

    python3 RDN_compare.py --weights rdn_x2.pth --model rdn_x2_taps.onnx --precision bf16

The table has a row for each tap: its differences from PyTorch, the error of that stage alone, the error that rounding
causes, and how many dB the result loses up to that stage and in that stage. docs/accuracy.md explains the table and has
a remedy for each kind of difference. The exit status is 3 if rounding does not explain the error of a stage.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import ContextManager, Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, engines
from rdn.accuracy import agreement, assessment, scoring
from rdn.comparison import measurement, plain_run, rounding, sources, table
from rdn.data import dataset, protocols
from rdn.devices import outputs
from rdn.network import checkpoint


def read_cases(labels: str, rules: scoring.Rules) -> list[dataset.Case]:
    """Read the images of a prepared set, and check its inputs.

    Args:
        labels: the label folder of the prepared set.
        rules: the size of the inputs and the scale.

    Returns:
        A Case for each image.

    Raises:
        ValueError: an input or label is missing or has changed; with the file's name.
    """
    cases = dataset.find_cases(labels, rules.width, rules.height, rules.scale)
    missing = next((case.stem for case in cases if not case.label_path), None)
    if missing:
        raise ValueError(
            f'{labels}: the label of {missing} is missing, so there is no PSNR: '
            'prepare the images again without --no-label'
        )
    paths = [dataset.input_path(labels, stem) for case in cases for stem in case.input_stems()]
    dataset.check_inputs(paths, rules.width, rules.height)
    return cases


def rules_of(labels: str, scale: int) -> scoring.Rules:
    """Return the rules for the PSNR of a prepared set, which depend on its protocol.

    Args:
        labels: the label folder of the prepared set.
        scale: the scale of the network.

    Raises:
        ValueError: the set was prepared for another scale.
    """
    side = configuration.LABEL_SIDE // scale
    width, height, prepared = dataset.size_of(labels) or (side, side, scale)
    if prepared != scale:
        raise ValueError(f'{labels}: prepared for scale {prepared}, but the weights have scale {scale}')
    protocol = dataset.protocol_of(labels)
    border, planes = (protocol or protocols.CROP).border(scale), assessment.planes_of(protocol, None)
    return scoring.Rules(width, height, scale, border, planes, checks=False)


def open_folder(folder: str, labels: str, stems: Sequence[str], precision: str | None) -> sources.DeviceTaps:
    """Return the taps in a folder of outputs.

    Args:
        folder: the folder of outputs.
        labels: the label folder of the prepared set.
        stems: the stems of the inputs.
        precision: the precision of the device; None: the precision in the run's record.
    """
    found = outputs.resolve_folder(folder)
    record = assessment.read_record(found, labels)
    title = record.describe() if record else 'a tool that wrote no record'
    return sources.DumpedTaps(found, stems, title, precision or (record and record.precision))


def open_model(args: argparse.Namespace) -> ContextManager[engines.Engine]:
    """Open the model in --model. The precision of an offline model is fixed by atc; --precision only names it."""
    is_offline = args.model.endswith('.om')
    precision = engines.AUTO if is_offline else args.precision or engines.AUTO
    place = engines.Place(device_id=args.device_id, device=args.device)
    usual = 'pytorch' if engines.is_weights(args.model) else engines.guides_engine(args.model, precision, place)
    return engines.opened(args.model, args.engine or usual, precision, place)


def compare(
    device_taps: sources.DeviceTaps, weights: str, labels: str, cases: Sequence[dataset.Case], rules: scoring.Rules
) -> measurement.Comparison:
    """Compare a device's taps with PyTorch's.

    Args:
        device_taps: the device's taps.
        weights: the path of the weights for PyTorch.
        labels: the label folder of the prepared set.
        cases: the images of the prepared set.
        rules: the rules for the PSNR.

    Raises:
        ValueError: the precision in the run's record is not one that this script can compare.
    """
    precision = device_taps.precision or 'fp16'  # atc's default
    if precision not in rounding.PRECISIONS:
        raise ValueError(
            f"the run's record has the precision {precision}: "
            f'choose one of {", ".join(rounding.PRECISIONS)} with --precision'
        )
    network = checkpoint.load(weights)
    meter = measurement.Meter(network, device_taps, precision)
    steps = len(meter.stages) * sum(len(case.input_stems()) for case in cases)
    with cli.bar(steps) as bar:
        losses = measurement.measure(meter, labels, cases, rules, bar.update)
    return measurement.Comparison([stage.name for stage in meter.stages], precision, meter.shares, losses)


def main(argv=None):
    args = parse_args(argv)
    scale, _ = checkpoint.identify(args.weights)
    rules = rules_of(args.label_path, scale)
    cases = read_cases(args.label_path, rules)
    stems = [stem for case in cases for stem in case.input_stems()]
    with contextlib.ExitStack() as stack:
        if args.outputs:
            device_taps = open_folder(args.outputs, args.label_path, stems, args.precision)
        else:
            device_taps = sources.ComputedTaps(stack.enter_context(open_model(args)))
            device_taps.precision = device_taps.precision or args.precision
        cli.say(f'device  {args.outputs or args.model}: {device_taps.title}')
        cli.say(f'PyTorch {args.weights}, fp32')
        if args.plain:
            cli.say(plain_run.compare(args.plain, args.label_path, cases, rules, device_taps))
        elif args.outputs:
            print('plain   not compared: taps can change the results of a device; --plain FOLDER checks this')
        measured = compare(device_taps, args.weights, args.label_path, cases, rules)
        for note in device_taps.notes():
            cli.say(f'note    {note}')
    rows = table.rows_of(measured)
    print(table.format_rows(rows, measured.precision))
    print(table.describe(rows, measured))
    return agreement.NOT_KEPT if table.first_out_of_line(rows) else 0


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--weights', required=True, help='weights of the network, .pth')
    parser.add_argument('--outputs', metavar='FOLDER', help='outputs of a model with taps, written by a device')
    parser.add_argument(
        '--model', help='a model with taps to run here: .onnx or .om; or weights (.pth), which PyTorch runs'
    )
    parser.add_argument(
        '--precision',
        choices=rounding.PRECISIONS,
        help="the device's precision; default: from the run's record or the model, else fp16, atc's default",
    )
    parser.add_argument(
        '--engine',
        choices=engines.ENGINES,
        help='engine for --model; default: ONNX Runtime for fp32, PyTorch for weights or with --device',
    )
    parser.add_argument('--device', help="device for --model in PyTorch: 'cuda:1', 'npu:0', 'cpu'")
    parser.add_argument(
        '--device-id', type=cli.not_negative, default=0, help='number of the Ascend device, for an offline model'
    )
    parser.add_argument(
        '--label-path',
        metavar='FOLDER',
        default='./prep_dataset/label',
        help='label folder of the prepared set, next to its inputs in data/; default %(default)s',
    )
    parser.add_argument(
        '--plain',
        metavar='FOLDER',
        help='outputs of the model without taps, to check whether the taps change the result',
    )
    args = parser.parse_args(argv)
    if bool(args.outputs) == bool(args.model):
        parser.error('give either --outputs or --model')
    return args


if __name__ == '__main__':
    cli.run(main)
