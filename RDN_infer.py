"""Guide 5.2 without an Ascend device: benchmark's job, on ONNX Runtime.

    python3 RDN_infer.py -model_type=vision -device_id=0 -batch_size=1 -om_path=./rdn_x2_bs1.onnx -input_text_path=./RDN_prep_bin.info -input_width=114 -input_height=114 -output_binary=False -useDvpp=False

Writes benchmark's files: result/dumpOutput_device0/STEM_1.txt and
result/perf_vision_batchsize_1_device_0.txt. Pure inference, random input and no files to read:

    python3 RDN_infer.py -round=20 -om_path=./rdn_x2_bs1.onnx -batch_size=1

rdn_x2_bs1.onnx stands for rdn_x2.onnx where only that is there: an ONNX takes any batch size.
"""

import contextlib
import os
import tempfile
import time

from rdn import cli, dataset, files
from rdn.ascend import benchmark, msprof
from rdn.ascend.number_text import format_text
from rdn.engine import PRECISIONS, PROVIDERS, open_model, resolve_model

import numpy as np


def infer_dataset(model, infos, batch_size, folder, binary):
    """Run the model over the files of an info file and write each output into `folder`.

    Returns the time of each of benchmark's stages, in seconds over all images. Holds one batch at a
    time. Raises ValueError, with the file's name, for an input of the wrong size.
    """
    stages = {}

    @contextlib.contextmanager
    def timed(stage):
        start = time.perf_counter()
        yield
        stages[stage] = stages.get(stage, 0) + time.perf_counter() - start

    shape = (3, infos[0].height, infos[0].width)
    batch = np.zeros((batch_size,) + shape, np.float32)
    for start in cli.progress(range(0, len(infos), batch_size), 'batch'):
        part = infos[start : start + batch_size]
        with timed('data read'):
            arrays = [benchmark.read_binary(info.path, shape) for info in part]
        with timed('preprocess'):
            batch[: len(part)] = arrays
        with timed('infer'):  # a model of a fixed batch size computes the last one's missing images too
            outputs = model(batch if model.batch else batch[: len(part)])
        with timed('post'):
            for info, output in zip(part, outputs):
                name = benchmark.output_name(benchmark.stem_of(info.path), binary)
                with open(os.path.join(folder, name), 'wb') as file:
                    file.write(output.tobytes() if binary else format_text(output))
    return stages


def infer_random(model, shape, rounds):
    """Seconds that `rounds` runs of the model on random input of `shape` take, after one to warm up."""
    batch = np.random.RandomState(0).rand(*shape).astype(np.float32)
    model(batch)
    start = time.perf_counter()
    for _ in cli.progress(range(rounds), 'round'):
        model(batch)
    return time.perf_counter() - start


def check(model, path, batch_size, infos):
    """Raises ValueError when the model's input is not what the flags and the info file say."""
    if model.batch not in (None, batch_size):
        raise ValueError('%s: made for batches of %d, not %d' % (path, model.batch, batch_size))
    seen = {}
    for info in infos:
        size = (3, info.height, info.width)
        if any(axis not in (None, wanted) for axis, wanted in zip(model.shape, size)):
            raise ValueError(
                '%s: its input is %s (C, H, W), that of %s is %s' % (path, model.shape, info.path, list(size))
            )
        if (info.width, info.height) != (infos[0].width, infos[0].height):
            raise ValueError('%s and %s differ in size' % (infos[0].path, info.path))
        stem = benchmark.stem_of(info.path)
        if stem in seen:
            raise ValueError(
                '%s and %s: their outputs would both be %s'
                % (seen[stem], info.path, benchmark.output_name(stem, False))
            )
        seen[stem] = info.path


def main(argv=None):
    args = parse_args(argv)
    path = resolve_model(args.om_path)
    infos = benchmark.read_info(args.input_text_path) if args.input_text_path else []
    for info in infos[:1]:
        if (args.input_width or info.width, args.input_height or info.height) != (info.width, info.height):
            raise ValueError(
                '%s: inputs of %d x %d, the flags say %s x %s'
                % (args.input_text_path, info.width, info.height, args.input_width, args.input_height)
            )
    with tempfile.TemporaryDirectory() as folder:
        trace = folder if args.profiling else None
        model = open_model(path, args.precision, args.provider, args.device_id, args.threads, trace=trace)
        check(model, path, args.batch_size, infos)
        dataset.check([info.path for info in infos])
        print('%s on %s, batches of %d' % (path, model.provider, args.batch_size))
        if infos:
            report, report_path = run_dataset(model, infos, args)
        else:
            report, report_path = run_pure(model, path, args)
        files.write_text(report_path, report)
        print(report + 'written to ' + report_path)
        if args.profiling:
            write_profile(model, path, args)


def write_profile(model, path, args):
    """Write what onnxruntime measured of each operator, as msprof of CANN 5 would."""
    tasks, starts = model.tasks(benchmark.stem_of(path))
    summary, statistic = (
        os.path.join(args.profiling, '%s_%d_1.csv' % (kind, args.device_id)) for kind in ('op_summary', 'op_statistic')
    )
    files.write_text(summary, msprof.format_tasks(tasks, starts))
    files.write_text(statistic, msprof.format_statistics(msprof.statistics_of(tasks)))
    print('profile: %s, %s; RDN_profile.py reads them' % (statistic, summary))


def run_dataset(model, infos, args):
    """Write the outputs; return the performance file's text and name."""
    folder = 'result/dumpOutput_device%d' % args.device_id
    start = time.perf_counter()
    with files.replacing_folder(folder, benchmark.list_outputs(folder)) as partial:
        stages = infer_dataset(model, infos, args.batch_size, partial, args.output_binary)
    report = benchmark.format_performance(len(infos), time.perf_counter() - start, stages)
    print('%d outputs in %s' % (len(infos), folder))
    return report, 'result/perf_vision_batchsize_%d_device_%d.txt' % (args.batch_size, args.device_id)


def run_pure(model, path, args):
    """Return the text and name of the file for pure inference."""
    height, width = model.shape[1] or args.input_height, model.shape[2] or args.input_width
    if not (height and width):
        raise ValueError('%s takes any size: say which with -input_width and -input_height' % path)
    shape = (args.batch_size, model.shape[0] or 3, height, width)
    seconds = infer_random(model, shape, args.round)
    report = benchmark.format_pure_inference(args.round * args.batch_size, seconds)
    return report, 'result/PureInfer_perf_of_%s_in_device_%d.txt' % (benchmark.stem_of(path), args.device_id)


def parse_args(argv):
    def boolean(text):
        if text.lower() not in ('true', 'false'):
            raise ValueError(text)
        return text.lower() == 'true'

    parser = cli.Parser(__doc__)
    parser.add_argument('-model_type', choices=['vision'], default='vision')
    parser.add_argument('-device_id', type=int, default=0, help='number of the device, also in file names')
    parser.add_argument('-batch_size', type=cli.positive, default=1)
    parser.add_argument('-om_path', required=True, help='model, .onnx')
    parser.add_argument('-input_text_path', help='info file of gen_dataset_info.py bin')
    parser.add_argument('-input_width', type=cli.positive)
    parser.add_argument('-input_height', type=cli.positive)
    parser.add_argument('-output_binary', type=boolean, default=False, help='True: float32 .bin; False: text')
    parser.add_argument('-useDvpp', type=boolean, default=False, help='only False: there is no DVPP here')
    parser.add_argument('-round', type=cli.positive, help='pure inference: this many runs, no files')
    parser.add_argument(
        '-provider', choices=list(PROVIDERS), help='default: the first of these that the installed onnxruntime has'
    )
    parser.add_argument(
        '-precision', choices=PRECISIONS, default='fp32', help='bf16: faster, on a CPU that has it; default fp32, exact'
    )
    parser.add_argument('-profiling', metavar='DIR', help="write msprof's op_statistic and op_summary files there")
    parser.add_argument('-threads', type=int, default=0, help='of a CPU run; default: one a core')
    args = parser.parse_args(argv)
    if args.useDvpp:
        parser.error('-useDvpp=True: the inputs are prepared .bin files, there is no DVPP here')
    if (args.input_text_path is None) == (args.round is None):
        parser.error('give either -input_text_path or, for pure inference, -round')
    return args


if __name__ == '__main__':
    cli.run(main)
