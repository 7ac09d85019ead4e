"""Write the record of a run by hand. The device's tools write no records, and run.sh writes those of its own runs.

python3 -m rdn.devices.record result/dumpOutput_device0 --tool benchmark --chip Ascend310 --batch-size 1 --model rdn_x2_bs1.om --inputs prep_dataset/data
"""

from __future__ import annotations

from typing import NamedTuple

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, files, run_record, toolkit
from rdn.data import manifest
from rdn.devices import chip


class Source(NamedTuple):
    """The program that computes, and its chip.

    Attributes:
        tool: the name of the program.
        version: the version of its toolkit; None if it is unknown.
        chip: the chip that it runs on or converts for.
    """

    tool: str
    version: str | None
    chip: chip.Chip


def make(source: Source, batch_size: int, model: str, inputs: str | None) -> run_record.Record:
    """Make the record of a run before it starts.

    Args:
        source: the program and the chip.
        batch_size: images in a batch.
        model: the path of the model.
        inputs: the prepared set's data/; None if the run has no prepared set.
    """
    return run_record.Record(
        tool=source.tool,
        version=source.version,
        engine=None,
        precision=None,
        chip=source.chip.name,
        batch_size=batch_size,
        model=files.digest(model),
        manifest=manifest.digest_beside(inputs) if inputs else None,
        card_devices=source.chip.card_devices,
    )


def main(argv=None):
    args = parse_args(argv)
    of_chip = chip.Chip(chip.name_of(args.chip), args.card_devices)
    source = Source(args.tool, toolkit.find_version(), of_chip)
    record = make(source, args.batch_size, args.model, args.inputs)
    for target in args.targets:
        run_record.write(target, record)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('targets', nargs='+', metavar='TARGET', help='folder of outputs, or performance file')
    parser.add_argument('--tool', required=True, help='the program that ran: benchmark or ais_bench')
    parser.add_argument('--chip', required=True, help='the name from npu-smi (310P3) or for atc (Ascend310P3)')
    parser.add_argument(
        '--card-devices', type=cli.positive, help="devices on the card; default: the chip's usual number"
    )
    parser.add_argument('--batch-size', type=cli.positive, default=1)
    parser.add_argument('--model', required=True, help='the offline model')
    parser.add_argument('--inputs', required=True, metavar='FOLDER', help="the prepared set's data/")
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
