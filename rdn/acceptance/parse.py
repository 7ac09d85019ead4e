"""Guide 6 and 7: print the figure of a result or a log.

    python3 test/parse.py result.json                                      PSNR:38.27
    python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt      310 bs1 fps:29.577 (benchmark, no record)
    python3 test/parse.py result/PureInfer_perf_of_rdn_x2_bs1_in_device_0.txt
    python3 test/parse.py ais_bench.log                                    NPU bs1 fps:52.510 (ais_bench, no record)
    python3 test/parse.py result/bs1/pure_summary.json                     310P3 bs1 fps:52.510
    python3 test/parse.py RDN_bs1.log                                      T4 bs1 fps:25.393 (trtexec, no record)
    python3 test/parse.py H100_bs1.log             NVIDIA H100 PCIe bs1 fps:27809.604, FP32 (trtexec, no record)

The script recognizes the tool by the file's content. It prints the GPU and the precision that trtexec's log names.
RDN_infer.py and run.sh write a record beside the file (NAME.run.json for NAME.txt), which names the chip; `host` is
this machine's processor. Without a record:
- a figure of benchmark is taken to be of one of the four devices of a 310 card;
- a figure of trtexec is taken to be of a T4, unless the log names the GPU;
- the chip of ais_bench is not known, and printed as NPU.
--chips and --device name another card. They must not contradict the log.
"""

from __future__ import annotations

from rdn import cli, files, run_record
from rdn.accuracy import result
from rdn.devices import logs, speed


def format_speed(
    found: speed.Speed, record: run_record.Record | None, chips: int | None = None, device: str | None = None
) -> str:
    """Return the line to print for a speed.

    Args:
        found: the speed.
        record: record of the run; None if there is no record.
        chips: number of devices on the card; None for the number in the record or the tool's usual card.
        device: name to print; None for the name in the log or the record.

    Raises:
        ValueError: `chips`, `device` or the record contradict the log.
    """
    rate, name = logs.card_rate(found, record, chips, device)
    batch = logs.batch_size(found, record)
    size, mean = (f' bs{batch}', '') if found.is_of_one_batch_size else ('', f', batches of {batch:.4g} on average')
    details = mean + (f', of {found.devices} devices' if found.devices > 1 else '') + found.describe_precision()
    origin = '' if record else f' ({found.tool}, no record)'
    return f'{name}{size} fps:{rate:.3f}{details}{origin}'


def parse_figure(text: str, name: str) -> float | speed.Speed:
    """Return the average PSNR in dB of a result.json, or the Speed of a log.

    Args:
        text: content of the file.
        name: name of the file, which may contain the batch size.

    Raises:
        ValueError: the text is neither, or is truncated or contradicts itself.
    """
    is_log = any(source.is_log(text) for source in logs.SOURCES)  # ais_bench's summary is JSON too
    return result.parse(text) if text.lstrip().startswith('{') and not is_log else logs.parse_speed(text, name)


def main(argv=None):
    args = parse_args(argv)
    figure = logs.read(args.file, parse_figure)
    if not isinstance(figure, speed.Speed):
        print(f'PSNR:{figure:g}')
        return
    with files.errors_naming(args.file):
        cli.say(format_speed(figure, run_record.read(args.file), args.chips, args.device))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('file', help="log of benchmark, ais_bench or trtexec, ais_bench's summary, or result.json")
    parser.add_argument(
        '--chips',
        type=cli.positive,
        help="number of devices on the card; default: from the record, else 4 for benchmark's log",
    )
    parser.add_argument(
        '--device',
        help='name to print; default: from log or record, else 310 for benchmark, NPU for ais_bench, T4 for trtexec',
    )
    return parser.parse_args(argv)
