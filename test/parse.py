"""Guide 6 and 7: turn the log of a step into its figure.

    python3 test/parse.py result.json                                      PSNR:38.27
    python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt      310 bs1 fps:29.577
    python3 test/parse.py result/PureInfer_perf_of_rdn_x2_bs1_in_device_0.txt
    python3 test/parse.py RDN_bs1.log                                      T4 bs1 fps:25.393

The file's content says which tool wrote it. A 310 card is four devices, and benchmark measures one:
--chips 1 for a 310P, or for RDN_infer.py.
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import console  # noqa: E402

NUMBER = r'([0-9.]+(?:[eE][+-]?[0-9]+)?)'


def parse_accuracy(text):
    """Average PSNR in dB of a result.json. Raises ValueError for other content."""
    try:
        values = {pair['key']: pair['value'] for pair in json.loads(text)['value']}
        return float(values['Avg PSNR'])
    except (KeyError, TypeError, ValueError):
        raise ValueError('no result.json of RDN_postprocess.py: "Avg PSNR" is missing')


def parse_performance(text):
    """Images/s inside benchmark's inference call, on one device: its Interface throughputRate."""
    return _number(
        r'^\[infer(?:ence)?\].*Interface throughputRate: *' + NUMBER,
        text,
        'an [infer] line with Interface throughputRate',
    )


def parse_pure_inference(text):
    """Images/s of one device from benchmark's file, or output, of pure inference."""
    return _number(r'ave_throughputRate *[:=] *' + NUMBER + ' *samples/s', text, 'ave_throughputRate')


def parse_trtexec(text):
    """Mean GPU compute time of a batch in ms: TensorRT 7's block of lines, or 8's one line and later."""
    return _number(
        r'GPU Compute Time: .*?\bmean = ' + NUMBER + ' ms|'
        r'GPU Compute[ \t\r]*\n(?:.*\n){0,4}?.*\bmean: ' + NUMBER + ' ms',
        text,
        'the mean of GPU Compute',
    )


def trtexec_batch(text):
    """The batch size in the command that a trtexec log repeats; 1 where it does not say one."""
    match = re.search(r'--(?:shapes|optShapes)=[^:\s]+:(\d+)x|--batch=(\d+)', text)
    return int(match.group(1) or match.group(2)) if match else 1


def _number(pattern, text, what):
    match = re.search(pattern, text, re.MULTILINE)
    if not match:
        raise ValueError('%s not found in it' % what)
    number = float(next(filter(None, match.groups())))
    if not number > 0:
        raise ValueError('%s is %s' % (what, number))
    return number


def figure(text, name, chips=4, device=None):
    """The line to print for a log's text; name: of its file, which may say the batch size.

    Raises ValueError for the log of no known tool.
    """
    batch = re.search(r'(?:batchsize_|_bs)(\d+)', name)
    batch = int(batch.group(1)) if batch else 1
    if text.lstrip().startswith('{'):
        return 'PSNR:%g' % parse_accuracy(text)
    if 'GPU Compute' in text:
        batch = trtexec_batch(text)
        return '%s bs%d fps:%.3f' % (device or 'T4', batch, 1000 * batch / parse_trtexec(text))
    if 'ave_throughputRate' in text:
        rate = parse_pure_inference(text)
    elif 'throughputRate' in text:
        rate = parse_performance(text)
    else:
        raise ValueError('no log of benchmark or trtexec, and no result.json')
    return '%s bs%d fps:%.3f' % (device or '310', batch, rate * chips)


def main(argv=None):
    parser = console.Parser(__doc__)
    parser.add_argument('file', help='log of benchmark or trtexec, or result.json')
    parser.add_argument('--chips', type=console.positive, default=4, help='devices on the card; default 4')
    parser.add_argument('--device', help='name to print; default 310, or T4 for trtexec')
    args = parser.parse_args(argv)
    with open(args.file, encoding='utf-8', errors='replace') as file:
        text = file.read()
    try:
        print(figure(text, os.path.basename(args.file), args.chips, args.device))
    except ValueError as error:
        raise ValueError('%s: %s' % (args.file, error))


if __name__ == '__main__':
    console.run(main)
