"""Guide 6 and 7: turn the log of a step into its figure.

    python3 test/parse.py result.json                                      PSNR:38.27
    python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt      310 bs1 fps:29.577
    python3 test/parse.py result/PureInfer_perf_of_rdn_x2_bs1_in_device_0.txt
    python3 test/parse.py ais_bench.log
    python3 test/parse.py RDN_bs1.log                                      T4 bs1 fps:25.393

The file's content says which tool wrote it. A 310 card is four devices, and benchmark and ais_bench measure one:
--chips 1 for a 310P, or for RDN_infer.py.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rdn import cli
from rdn.ascend import logs


def format_figure(text: str, name: str, chips: int = 4, device: str | None = None) -> str:
    """The line to print for a file's text and name. chips: devices on the card; device: the name to print.

    Raises ValueError as logs.parse_accuracy and logs.parse_speed do.
    """
    if logs.is_result(text):
        return f'PSNR:{logs.parse_accuracy(text):g}'
    speed = logs.parse_speed(text, name)
    if speed.tool == 'trtexec':
        return f'{device or "T4"} bs{speed.batch} fps:{speed.rate:.3f}'
    return f'{device or "310"} bs{speed.batch} fps:{speed.rate * chips:.3f}'


def main(argv=None):
    args = parse_args(argv)
    print(logs.read(args.file, lambda text, name: format_figure(text, name, args.chips, args.device)))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('file', help='log of benchmark, ais_bench or trtexec, or result.json')
    parser.add_argument('--chips', type=cli.positive, default=4, help='devices on the card; default 4')
    parser.add_argument('--device', help='name to print; default 310, or T4 for trtexec')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
