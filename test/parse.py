"""Guide 6 and 7: turn the log of a step into its figure.

    python3 test/parse.py result.json                                      PSNR:38.27
    python3 test/parse.py result/perf_vision_batchsize_1_device_0.txt      310 bs1 fps:29.577
    python3 test/parse.py result/PureInfer_perf_of_rdn_x2_bs1_in_device_0.txt
    python3 test/parse.py ais_bench.log
    python3 test/parse.py RDN_bs1.log                                      T4 bs1 fps:25.393

The file's content says which tool wrote it. A 310 card is four devices, and benchmark and ais_bench measure one:
--chips 1 for a 310P, or for RDN_infer.py.
"""

import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rdn import cli  # noqa: E402

LARGEST = 1 << 26  # characters
# A figure with a decimal comma is none: reading the digits before it would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'

# What a speed log says: the tool, the images in a batch (None where it does not say), images/s of one device.
Speed = collections.namedtuple('Speed', 'tool batch rate')


def parse_accuracy(text):
    """Average PSNR in dB of a result.json. Raises ValueError for other content."""
    try:
        values = {pair['key']: pair['value'] for pair in json.loads(text)['value']}
        psnr = float(values['Avg PSNR'])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError('no result.json of RDN_postprocess.py: "Avg PSNR" is missing')
    if not 0 < psnr:  # also for nan
        raise ValueError('"Avg PSNR" is %s' % psnr)
    return psnr


def parse_performance(text):
    """The Speed of benchmark's performance file: inside its inference call, Interface throughputRate."""
    rate = _number(
        r'^\[infer(?:ence)?\].{0,200}Interface throughputRate: *' + NUMBER,
        text,
        'an [infer] line with Interface throughputRate',
    )
    return Speed('benchmark', None, rate)


def parse_pure_inference(text):
    """The Speed of benchmark's file, or output, of pure inference."""
    rate = _number(r'ave_throughputRate *[:=] *' + NUMBER + ' *samples/s', text, 'ave_throughputRate')
    return Speed('benchmark', None, rate)


def parse_ais_bench(text):
    """The Speed of ais_bench's (ais_infer's) summary, of any version."""
    rate = _number(r'throughput\b.{0,200}NPU_compute_time.{0,200}: *' + NUMBER + r'\s*$', text, 'throughput')
    batch = re.search(r'throughput.{0,200}\bbatchsize(?:\.mean)?\((\d+)(?:\.0+)?\)', text)
    return Speed('ais_bench', int(batch.group(1)) if batch else None, rate)


def parse_trtexec(text):
    """The Speed of a trtexec log, from the mean of GPU compute: TensorRT 7's block of lines, or the one line of 8 on."""
    mean = _number(
        r'GPU Compute Time: .{0,200}?\bmean = ' + NUMBER + ' ms|'
        r'GPU Compute[ \t\r]*\n(?:.*\n){0,4}?.*\bmean: ' + NUMBER + ' ms',
        text,
        'the mean of GPU Compute',
    )
    match = re.search(r'--(?:shapes|optShapes)=[^:\s]+:(\d+)x|--batch=(\d+)', text)
    batch = int(match.group(1) or match.group(2)) if match else None
    return Speed('trtexec', batch, 1000 * (batch or 1) / mean)


def _number(pattern, text, what):
    numbers = {float(next(filter(None, match.groups()))) for match in re.finditer(pattern, text, re.MULTILINE)}
    if not numbers:
        raise ValueError('%s not found in it' % what)
    if len(numbers) > 1:
        raise ValueError(
            '%s stands in it with several values, %g and %g: of several runs?' % ((what,) + tuple(sorted(numbers)[:2]))
        )
    number = numbers.pop()
    if not 0 < number < float('inf'):
        raise ValueError('%s is %s' % (what, number))
    return number


def parse_speed(text, name):
    """The Speed of a log; name: of its file, which may say the batch size too.

    Raises ValueError for the log of no known tool, and where name and content differ in the batch size.
    """
    if 'GPU Compute' in text:
        speed = parse_trtexec(text)
    elif 'ave_throughputRate' in text:
        speed = parse_pure_inference(text)
    elif 'NPU_compute_time' in text:
        speed = parse_ais_bench(text)
    elif 'throughputRate' in text:
        speed = parse_performance(text)
    else:
        raise ValueError('no log of benchmark, ais_bench or trtexec, and no result.json')
    match = re.search(r'(?:batchsize_|_bs)(\d+)', name)
    named = int(match.group(1)) if match else None
    if named and speed.batch and named != speed.batch:
        raise ValueError('measured with batches of %d, its name says %d' % (speed.batch, named))
    if speed.tool == 'trtexec' and named and not speed.batch:
        speed = speed._replace(rate=speed.rate * named)  # the log gives the time of a batch
    return speed._replace(batch=speed.batch or named or 1)


def figure(text, name, chips=4, device=None):
    """The line to print for a file's text and name. chips: devices on the card. Raises ValueError as parse_speed does."""
    if text.lstrip().startswith('{'):
        return 'PSNR:%g' % parse_accuracy(text)
    speed = parse_speed(text, name)
    if speed.tool == 'trtexec':
        return '%s bs%d fps:%.3f' % (device or 'T4', speed.batch, speed.rate)
    return '%s bs%d fps:%.3f' % (device or '310', speed.batch, speed.rate * chips)


def read_with(function, path):
    """function(text, name) of a file. Raises ValueError with the file's name before what the function says."""
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read(LARGEST)
    try:
        if len(text) == LARGEST:
            raise ValueError('too large for a log')
        return function(text, os.path.basename(path))
    except ValueError as error:
        raise ValueError('%s: %s' % (path, error))


def main(argv=None):
    parser = cli.Parser(__doc__)
    parser.add_argument('file', help='log of benchmark, ais_bench or trtexec, or result.json')
    parser.add_argument('--chips', type=cli.positive, default=4, help='devices on the card; default 4')
    parser.add_argument('--device', help='name to print; default 310, or T4 for trtexec')
    args = parser.parse_args(argv)
    print(read_with(lambda text, name: figure(text, name, args.chips, args.device), args.file))


if __name__ == '__main__':
    cli.run(main)
