"""Guide 6.2 and 7.3: the verdicts on accuracy and speed, from the files of the steps.

    python3 test/accept.py --psnr result.json --npu result/perf_vision_batchsize_1_device_0.txt --gpu RDN_bs1.log

prints the table twice, to read and as Markdown for a report. The status is 0 only when all is met. --npu takes a log of
benchmark or ais_bench, --gpu one of trtexec; --psnr, or --npu and --gpu, may be left out.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rdn import cli  # noqa: E402

import parse  # noqa: E402

OFFICIAL_PSNR = 38.18  # dB, RDN-pytorch's own, on Set5


def judge_accuracy(path, official):
    """A row of the table for a result.json, and whether the average PSNR is the official one or more."""
    psnr = parse.read_with(lambda text, _: parse.parse_accuracy(text), path)
    return ('PSNR, dB', 'official %g' % official, '%g' % psnr), psnr >= official


def judge_speed(npu_path, gpu_path, chips, card, gpu_name):
    """A row of the table for two speed logs, and whether the card is as fast as the GPU.

    Raises ValueError where they are of other tools, or of different batch sizes.
    """
    npu, gpu = (parse.read_with(parse.parse_speed, path) for path in (npu_path, gpu_path))
    for path, speed, wanted in ((npu_path, npu, ('benchmark', 'ais_bench')), (gpu_path, gpu, ('trtexec',))):
        if speed.tool not in wanted:
            raise ValueError('%s: a log of %s, expected one of %s' % (path, speed.tool, ' or '.join(wanted)))
    if npu.batch != gpu.batch:
        raise ValueError('%s is of batches of %d, %s of %d' % (npu_path, npu.batch, gpu_path, gpu.batch))
    rate = chips * npu.rate
    row = ('images/s, batch %d' % npu.batch, '%s %.3f' % (gpu_name, gpu.rate), '%s %.3f' % (card, rate))
    return row, rate >= gpu.rate


def format_markdown(rows):
    """Rows of cells as the lines of a Markdown table."""
    lines = ['| %s |' % ' | '.join(row) for row in rows]
    return lines[:1] + ['|' + ' --- |' * len(rows[0])] + lines[1:]


def main(argv=None):
    args = parse_args(argv)
    judged = []
    if args.psnr:
        judged.append(judge_accuracy(args.psnr, args.official_psnr))
    if args.npu:
        judged.append(judge_speed(args.npu, args.gpu, args.chips, args.card, args.gpu_name))
    rows = [('figure', 'reference', 'measured', 'verdict')]
    rows += [row + ('met' if met else 'not met',) for row, met in judged]
    print('\n'.join(cli.format_columns(rows) + [''] + format_markdown(rows)))
    return 0 if all(met for _, met in judged) else 1


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
