"""Guide 6.2 and 7.3: the verdicts on accuracy and speed, from the files of the steps.

    python3 test/accept.py --psnr result.json --npu result/perf_vision_batchsize_1_device_0.txt --gpu RDN_bs1.log

prints the table twice, to read and as Markdown for a report. The status is 0 only when all is met. --npu takes a log of
benchmark or ais_bench, --gpu one of trtexec; --psnr, or --npu and --gpu, may be left out.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rdn import cli
from rdn.ascend import logs

OFFICIAL_PSNR = 38.18  # dB, RDN-pytorch's own, on Set5


class Verdict(NamedTuple):
    """A row of the table: a figure, what it is compared with, and whether it is as good."""

    figure: str
    reference: str
    measured: str
    is_met: bool


def judge_accuracy(path: str, official: float) -> Verdict:
    """Whether the average PSNR of a result.json is the official one or more."""
    psnr = logs.read(path, logs.parse_accuracy)
    return Verdict('PSNR, dB', f'official {official:g}', f'{psnr:g}', psnr >= official)


def judge_speed(npu_path: str, gpu_path: str, chips: int, card: str, gpu_name: str) -> Verdict:
    """Whether the card of one speed log is as fast as the GPU of the other.

    Raises ValueError where they are of other tools, or of different batch sizes.
    """
    npu, gpu = (logs.read(path, logs.parse_speed) for path in (npu_path, gpu_path))
    for path, speed, wanted in ((npu_path, npu, ('benchmark', 'ais_bench')), (gpu_path, gpu, ('trtexec',))):
        if speed.tool not in wanted:
            raise ValueError(f'{path}: a log of {speed.tool}, expected one of {" or ".join(wanted)}')
    if npu.batch != gpu.batch:
        raise ValueError(f'{npu_path} is of batches of {npu.batch}, {gpu_path} of {gpu.batch}')
    rate = chips * npu.rate
    reference, measured = f'{gpu_name} {gpu.rate:.3f}', f'{card} {rate:.3f}'
    return Verdict(f'images/s, batch {npu.batch}', reference, measured, rate >= gpu.rate)


def main(argv=None):
    args = parse_args(argv)
    verdicts = []
    if args.psnr:
        verdicts.append(judge_accuracy(args.psnr, args.official_psnr))
    if args.npu:
        verdicts.append(judge_speed(args.npu, args.gpu, args.chips, args.card, args.gpu_name))
    rows = [('figure', 'reference', 'measured', 'verdict')]
    rows += [verdict[:3] + ('met' if verdict.is_met else 'not met',) for verdict in verdicts]
    print(f'{cli.format_table(rows)}\n\n{cli.format_markdown(rows)}')
    return 0 if all(verdict.is_met for verdict in verdicts) else 1


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--psnr', metavar='FILE', help='result.json of RDN_postprocess.py')
    parser.add_argument('--npu', metavar='FILE', help="the device's log: of benchmark or ais_bench")
    parser.add_argument('--gpu', metavar='FILE', help="the GPU's log, of trtexec")
    parser.add_argument('--official-psnr', type=float, default=OFFICIAL_PSNR, help='dB to reach; default %(default)s')
    parser.add_argument('--chips', type=cli.positive, default=4, help='devices on the card; default 4')
    parser.add_argument('--card', default='310', help='name to print; default 310')
    parser.add_argument('--gpu-name', default='T4', help='name to print; default T4')
    args = parser.parse_args(argv)
    if bool(args.npu) != bool(args.gpu):
        parser.error('--npu and --gpu go together: one is compared with the other')
    if not (args.psnr or args.npu):
        parser.error('give --psnr, or --npu and --gpu')
    return args


if __name__ == '__main__':
    cli.run(main)
