"""Fuzz the parsers of other programs' files, guided by coverage (atheris; pip install atheris). Not part of the suite.

    python3 -m tools.fuzz output --minutes 10

output   outputs of benchmark and ais_bench, text and npy, and the info file
log      logs of benchmark, ais_bench and trtexec, and result.json
profile  msprof's tables
source   the toolkit's transpose.py

It stops at the first exception that is not documented and at the first wrong result, and writes the input to crash-*.
test/suite/top/test_fuzzed.py contains the inputs that were found.
"""

import os
import sys
import tempfile

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.acceptance import parse
from rdn.devices import benchmark, number_text, outputs
from rdn.profiling import msprof, whitelist

import atheris

with atheris.instrument_imports(
    include=['rdn.acceptance', 'rdn.devices', 'rdn.profiling', 'rdn.arrays', 'csv', 'json', 'ast']
):
    from rdn.acceptance import parse
    from rdn.devices import benchmark, number_text, outputs
    from rdn.profiling import msprof, whitelist


SHAPE = (3, 2, 2)
SEEDS = {
    'output': [b'0.5 -0.25 1e-3\n' * 4, b'0 ./prep_dataset/data/a.bin 114 114\n', b'\x93NUMPY\x01\x00v\x00{'],
    'log': [
        b'[infer] throughputRate: 6.8, Interface throughputRate: 7.39423, moduleLatency: 139\n',
        b'ave_throughputRate: 1.67129samples/s, ave_latency: 599.028ms\n',
        b'throughput 1000*batchsize(1)/NPU_compute_time.mean(19.04): 52.5\n',
        b'GPU Compute\nx min: 3 ms\nmean: 39.3814 ms\n--shapes=image:1x3x114x114',
        b'GPU Compute Time: min = 4.2 ms, max = 5.2 ms, mean = 4.26986 ms\n',
        b'{"title": "t", "value": [{"key": "Avg PSNR", "value": "38.27"}]}',
    ],
    'profile': [
        b'Model Name,OP Type,Core Type,Count,Total Time(us),Ratio(%)\nm,Conv2D,AI Core,2,3.5,99\n',
        b'Op Name,OP Type,Task Type,Task Duration(us),Input Shapes\na,TransposeD,AI_CORE,9,"""1,64,2,2,114,114;6"""\n',
    ],
    'source': [
        b'def _by_dynamic_static_union_version(shape):\n    white_list_shape = [\n        [1, 2],  # why\n        [3]\n    ]\n',
        b'# -*- coding: latin-1 -*-\r\ndef _by_dynamic_static_union_version():\r\n\twhite_list_shape = []\r\n',
    ],
}


def fuzz_output(data, path):
    """Parse data as outputs and as an info file, in files whose names begin with a path."""
    for ending in ('.txt', '.npy', '.bin'):
        name = path + '_1' + ending
        with open(name, 'wb') as file:
            file.write(data)
        try:
            array = outputs.read_output(name, SHAPE)
            assert array.shape == SHAPE
        except ValueError as error:
            assert name in str(error)
    try:
        benchmark.read_info(path + '_1.txt')
    except ValueError:
        pass
    try:
        numbers = number_text.parse_text(data)
    except ValueError:
        return
    words = data.split()
    assert len(numbers) == len(words) and all(a == float(b) or a != a for a, b in zip(numbers, words))


def fuzz_log(data, path):
    """Parse data as a log."""
    text = data.decode('utf-8', 'replace')
    try:
        parse.parse_figure(text, 'a_bs1.log')
    except ValueError:
        pass


def fuzz_profile(data, path):
    """Parse data as a table of msprof, in a file at a path."""
    with open(path, 'wb') as file:
        file.write(data)
    for function in (lambda name: msprof.read_statistics([name]), msprof.kind_of):
        try:
            function(path)
        except ValueError as error:
            assert path in str(error)
    try:
        tasks = list(msprof.read_tasks(path))
    except ValueError as error:
        assert path in str(error)
        return
    for shape in msprof.slow_transposes(tasks):
        assert all(isinstance(size, int) and size >= 0 for size in shape)


def fuzz_source(data, path):
    """Add a shape to data as the toolkit's transpose.py."""
    try:
        before = whitelist.shapes_of(data)
        patched = whitelist.add_shapes(data, [[7, 8, 9]])
    except whitelist.WhiteListError:
        return
    assert whitelist.shapes_of(patched) == before + [[7, 8, 9]]
    assert whitelist.is_patched(patched, data)


TARGETS = {'output': fuzz_output, 'log': fuzz_log, 'profile': fuzz_profile, 'source': fuzz_source}


def main(argv=None):
    args = parse_args(argv)
    folder = tempfile.mkdtemp()
    corpus = os.path.join(folder, 'corpus')
    os.mkdir(corpus)
    for index, seed in enumerate(SEEDS[args.target]):
        with open(os.path.join(corpus, str(index)), 'wb') as file:
            file.write(seed)
    path = os.path.join(folder, 'file')

    def one(data):
        TARGETS[args.target](data, path)

    flags = [f'-max_total_time={60 * args.minutes}', '-max_len=4000', '-print_final_stats=1', '-verbosity=0']
    atheris.Setup([sys.argv[0]] + flags + [corpus], one)
    atheris.Fuzz()


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('target', choices=sorted(TARGETS))
    parser.add_argument('--minutes', type=float, default=10)
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
