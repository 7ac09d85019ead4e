"""Guide 6 and 7: turn the log of a step into its figure.

    python3 test/parse.py result.json                                      PSNR:38.27
    python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt      310 bs1 fps:29.577 (benchmark's, as given)
    python3 test/parse.py result/PureInfer_perf_of_rdn_x2_bs1_in_device_0.txt
    python3 test/parse.py ais_bench.log                                    NPU bs1 fps:52.510 (ais_bench's, as given)
    python3 test/parse.py result/bs1/pure_summary.json                     310P3 bs1 fps:52.510
    python3 test/parse.py RDN_bs1.log                                      T4 bs1 fps:25.393 (trtexec's, as given)
    python3 test/parse.py H100_bs1.log             NVIDIA H100 PCIe bs1 fps:27809.604, FP32 (trtexec's, as given)

The file's content says which tool wrote it, and trtexec's on which GPU and in which precision: both are printed. Where
a record lies beside the file (FILE.run.json: RDN_infer.py and run.sh write it), it says on what the figure was measured:
a figure of this machine's processor is printed as `host`. Without one a file of benchmark's is taken for one of four
devices of a 310 card, trtexec's that names no GPU for a T4's, and of ais_bench's the chip is not known; --chips and
--device say otherwise, but cannot contradict the log.
"""

from __future__ import annotations

from rdn import cli, files, run_record
from rdn.accuracy import result
from rdn.devices import logs, speed


def format_speed(
    found: speed.Speed, record: run_record.Record | None, chips: int | None = None, device: str | None = None
) -> str:
    """The line to print for a speed. chips: devices on the card; device: the name to print; None: as is known.

    Raises ValueError as logs.card_rate and logs.batch_size do.
    """
    rate, name = logs.card_rate(found, record, chips, device)
    batch = logs.batch_size(found, record)
    size, mean = (f' bs{batch}', '') if found.is_of_one_batch_size else ('', f', batches of {batch:.4g} on average')
    details = mean + (f', of {found.devices} devices' if found.devices > 1 else '') + found.describe_precision()
    origin = '' if record else f" ({found.tool}'s, as given)"
    return f'{name}{size} fps:{rate:.3f}{details}{origin}'


def parse_figure(text: str, name: str) -> float | speed.Speed:
    """Return the average PSNR in dB of a result.json, or the Speed of a log. Raises ValueError as the two do."""
    is_log = any(source.is_log(text) for source in logs.SOURCES)  # first: ais_bench's summary is JSON, too
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
        '--chips', type=cli.positive, help="devices on the card; default: as the record says, or 4 for benchmark's log"
    )
    parser.add_argument(
        '--device', help='name to print; default: as log or record say, else 310, NPU for ais_bench, T4 for trtexec'
    )
    return parser.parse_args(argv)
