"""Guide 5.2 without benchmark: run an exported model in ONNX Runtime, or an offline model on an Ascend device.

    python3 RDN_infer.py -model_type=vision -device_id=0 -batch_size=1 -om_path=./rdn_x2_bs1.onnx -input_text_path=./RDN_prep_bin.info -input_width=114 -input_height=114 -output_binary=False -useDvpp=False

The script writes benchmark's files: result/dumpOutput_device0/STEM_1.txt and
result/perf_vision_batchsize_1_device_0.txt. Pure inference uses random input and reads no files:

    python3 RDN_infer.py -round=20 -om_path=./rdn_x2_bs1.onnx -batch_size=1

If rdn_x2_bs1.onnx is missing, the script uses rdn_x2.onnx, which accepts any batch size.

An offline model, -om_path=./rdn_x2_bs1.om, runs on the device -device_id with pyACL, the module acl of the CANN toolkit
(source env.sh). Its Interface rate and that of -round measure only acl.mdl.execute; the copies are reported separately.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from typing import Iterator, NamedTuple, Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, cpu, engines, files, run_record, sanity
from rdn.data import dataset, manifest
from rdn.devices import benchmark, number_text, output_names, outputs, rdn_infer
from rdn.profiling import msprof

import numpy as np


class Inferred(NamedTuple):
    """The result of inference on a data set.

    Attributes:
        stages: the seconds of each of benchmark's stages for all images. Stages overlap, so their sum may exceed the
            elapsed time.
        computed: the number of images that the model computed, including the padding of the last batch.
        wrong: name of an output -> reason why it cannot be a picture; empty if all outputs can be pictures.
    """

    stages: dict[str, float]
    computed: int
    wrong: dict[str, str]


def infer_dataset(
    model: engines.Engine, infos: Sequence[benchmark.InfoLine], batch_size: int, folder: str, binary: bool
) -> Inferred:
    """Run the model on the inputs of an info file, and write each output to a file.

    While the model computes, the next inputs are read and the last outputs are written. This needs memory for two more
    batches. Black images fill up the last batch, so that every run has the batch size of the reported speed.

    Args:
        model: the opened model.
        infos: the inputs.
        batch_size: the number of images in a batch.
        folder: the existing folder for the outputs.
        binary: True: write float32 files; False: write text.

    Raises:
        ValueError: an input has the wrong size; with the file's name.
    """
    stages: dict[str, float] = {}
    wrong: dict[str, str] = {}

    @contextlib.contextmanager
    def timed(stage):
        start = time.perf_counter()
        yield
        stages[stage] = stages.get(stage, 0) + time.perf_counter() - start

    width, height = infos[0].width, infos[0].height
    parts = [infos[start : start + batch_size] for start in range(0, len(infos), batch_size)]

    def read(part: Sequence[benchmark.InfoLine]) -> np.ndarray:
        with timed('data read'):
            inputs = [dataset.read_input(info.path, width, height) for info in part]
        with timed('preprocess'):
            batch = np.zeros((batch_size, 3, height, width), np.float32)
            batch[: len(part)] = inputs
        return batch

    def results() -> Iterator[tuple[Sequence[benchmark.InfoLine], list[np.ndarray]]]:
        for part, batch in zip(parts, cpu.map_in_order(read, parts, workers=1)):
            with timed('infer'):
                computed = model.run_all(batch)
            yield part, computed

    def write(job: tuple[Sequence[benchmark.InfoLine], list[np.ndarray]]) -> None:
        part, computed = job
        with timed('post'):
            for index, images in enumerate(computed):
                for info, output in zip(part, images):
                    name = output_names.output_name(files.stem_of(info.path), binary, index)
                    with open(os.path.join(folder, name), 'wb') as file:
                        file.write(output.tobytes() if binary else number_text.format_text(output))
                    reason = None if index else sanity.wrong_reason(output)
                    if reason:
                        wrong[name] = reason

    for _ in cli.progress(cpu.map_in_order(write, results(), workers=1), 'batch', len(parts)):
        pass
    return Inferred(stages, len(parts) * batch_size, wrong)


def infer_random(model: engines.Engine, shape: Sequence[int], rounds: int) -> tuple[float, engines.Spent | None]:
    """Run the model on random input, after one run to warm up.

    Args:
        model: the opened model.
        shape: the shape of the input, (N, C, H, W).
        rounds: the number of runs.

    Returns:
        The seconds that all runs took, and the time that the device spent on copying and computing. The second is None
        if the engine does not time copies separately.

    Raises:
        ValueError: the output of the first run cannot be a picture.
    """
    batch = np.random.RandomState(0).rand(*shape).astype(np.float32)
    sanity.check(model(batch), model.path)
    before, start = model.spent, time.perf_counter()
    for _ in cli.progress(range(rounds), 'round'):
        model(batch)
    return time.perf_counter() - start, spent_since(model, before)


def spent_since(model: engines.Engine, before: engines.Spent | None) -> engines.Spent | None:
    """Return the time that the device spent since `before`; None if the engine does not time copies separately."""
    if before is None or model.spent is None:
        return None
    return engines.Spent(*(now - then for now, then in zip(model.spent, before)))


def describe_copies(spent: engines.Spent, images: int) -> str:
    """Return a line about the time of the copies to and from the device, which the device's rate does not include."""
    to_device, to_host = (f'{seconds * 1e3 / images:.3g} ms' for seconds in (spent.to_device, spent.to_host))
    return (
        f'copies, not part of the rate of acl.mdl.execute: {to_device} per image to the device (H2D), '
        f'{to_host} back (D2H)'
    )


def read_infos(path: str, width: int | None, height: int | None) -> list[benchmark.InfoLine]:
    """Read an info file.

    Args:
        path: the info file.
        width: the value of -input_width; None without the flag.
        height: the value of -input_height; None without the flag.

    Raises:
        ValueError: an input in the list is missing, or the flags contradict its size; with the info file's name.
    """
    infos = benchmark.read_info(path)
    missing = next((info.path for info in infos if not os.path.exists(info.path)), None)
    if missing:
        raise ValueError(
            f'{path}: lists {missing}, which is missing: run gen_dataset_info.py again to list the current images'
        )
    first = infos[0]
    check_size(f'{path}: inputs of', (first.width, first.height), (width, height))
    return infos


def check_size(what: str, size: tuple[int, int], flags: tuple[int | None, int | None]) -> None:
    """Check that the flags do not contradict a size.

    Args:
        what: the beginning of the error's message, before the size.
        size: (width, height).
        flags: (width, height) from the flags; None for a missing flag.

    Raises:
        ValueError: a flag contradicts the size.
    """
    width, height = (flag or side for flag, side in zip(flags, size))
    if (width, height) != size:
        raise ValueError(f'{what} {size[0]} x {size[1]}, but the flags say {width} x {height}')


def check_model(model: engines.Engine, path: str, batch_size: int) -> None:
    """Check that the model accepts a batch size.

    Raises:
        ValueError: the model was made for another batch size; with its path.
    """
    if model.batch not in (None, batch_size):
        raise ValueError(f'{path}: made for batches of {model.batch}, not {batch_size}: use -batch_size={model.batch}')


def check_inputs(model: engines.Engine, path: str, infos: Sequence[benchmark.InfoLine]) -> None:
    """Check the inputs against the model and against the manifest of the prepared set.

    Args:
        model: the opened model.
        path: the path of the model.
        infos: the inputs.

    Raises:
        ValueError: the inputs differ in size or do not have the model's input size, two outputs would have the same
            name, or an input has changed since it was prepared.
    """
    stems: dict[str, str] = {}
    for info in infos:
        size = [3, info.height, info.width]
        if any(axis not in (None, wanted) for axis, wanted in zip(model.shape, size)):
            raise ValueError(f'{path}: the input must be {model.shape} (C, H, W), but {info.path} is {size}')
        if (info.width, info.height) != (infos[0].width, infos[0].height):
            raise ValueError(f'{infos[0].path} and {info.path} differ in size')
        stem = files.stem_of(info.path)
        if stem in stems:
            name = output_names.output_name(stem, binary=False)
            raise ValueError(f'{stems[stem]} and {info.path}: their outputs would both be {name}')
        stems[stem] = info.path
    dataset.check_inputs([info.path for info in infos], infos[0].width, infos[0].height)


class RunPlaces(NamedTuple):
    """The paths of the results.

    Attributes:
        folder: the result folder.
        outputs: the folder of outputs in it.
        report: the performance file in it.
    """

    folder: str
    outputs: str
    report: str


def run_dataset(
    model: engines.Engine,
    infos: Sequence[benchmark.InfoLine],
    places: RunPlaces,
    binary: bool,
    record: run_record.Record,
) -> None:
    """Run the model on a data set: replace earlier outputs, and write the performance file and the records of both.

    A lock keeps other runs away from the folder while the results are put in place. The record of the outputs contains
    their digest as computed here, so it stays correct if another run replaces them later.

    Args:
        model: the opened model.
        infos: the inputs.
        places: the paths of the results.
        binary: True: write outputs as float32 files; False: as text.
        record: the record of this run.

    Raises:
        ValueError: an output cannot be a picture. All files are written before, so that the user can inspect them.
    """
    before, start = model.spent, time.perf_counter()
    earlier: list[str] = []
    digests: list[str] = []

    def keep_digest(complete: str) -> None:
        digests.append(run_record.digest_of(complete))

    with contextlib.ExitStack() as stack:
        with files.atomic_folder(places.outputs, earlier, keep_digest) as partial:
            inferred = infer_dataset(model, infos, record.batch_size, partial, binary)
            check_precision(model, record)
            seconds = time.perf_counter() - start
            stack.enter_context(files.locked(places.folder))
            earlier += outputs.list_outputs(places.outputs)
        run_record.write(places.outputs, record, digests[0])
        with_taps = f', each with {cli.count(len(model.outputs) - 1, "tap")}' if len(model.outputs) > 1 else ''
        cli.say(f'{cli.count(len(infos), "output")}{with_taps} in {places.outputs}')
        stages, spent = inferred.stages, spent_since(model, before)
        if spent:
            stages['infer'] = spent.compute
            print(describe_copies(spent, inferred.computed))
        report = benchmark.format_performance(len(infos), seconds, stages, inferred.computed)
        write_report(places.report, report, record)
    if inferred.wrong:
        name, reason = next(iter(inferred.wrong.items()))
        of_all = f'{len(inferred.wrong)} of {cli.count(len(infos), "output")}'
        path = os.path.join(places.outputs, name)
        raise ValueError(
            f'{model.path}: {of_all} are not pictures: {path} {reason}; the files are kept so that you can inspect them'
        )


def check_precision(model: engines.Engine, record: run_record.Record) -> None:
    """Check that the model still has the precision in the record, because one record describes all outputs.

    Raises:
        ValueError: the model has changed its precision during the run.
    """
    if model.precision != record.precision:
        raise ValueError(
            f'{model.path}: overflowed in {record.precision}, so later outputs are in {model.precision}: '
            f'run it again with -precision={model.precision}'
        )


def write_report(path: str, report: str, record: run_record.Record) -> None:
    """Write a performance file and its record, and print the file's text."""
    text = rdn_infer.format_mark(record.chip, record.batch_size) + report
    files.write_text(path, text)
    run_record.write(path, record, files.digest_of_text(text))
    print(text, end='')
    cli.say(f'written to {path}')


def run_pure(
    model: engines.Engine, path: str, rounds: int, batch_size: int, size: tuple[int | None, int | None]
) -> str:
    """Measure pure inference: on random input, without files.

    Args:
        model: the opened model.
        path: the path of the model.
        rounds: the number of runs.
        batch_size: the number of images in a batch.
        size: (height, width) from the flags; None for a missing flag. A model of any size needs both.

    Returns:
        The text of the performance file.

    Raises:
        ValueError: the size contradicts the model's own size, or is missing.
    """
    height, width = model.shape[1] or size[0], model.shape[2] or size[1]
    if not (height and width):
        raise ValueError(f'{path}: accepts any size: choose one with -input_width and -input_height')
    check_size(f'{path}: made for', (width, height), (size[1], size[0]))
    seconds, spent = infer_random(model, (batch_size, model.shape[0] or 3, height, width), rounds)
    if spent:
        seconds = spent.compute
        print(describe_copies(spent, rounds * batch_size))
    return benchmark.format_pure_inference(rounds * batch_size, seconds)


def make_record(
    model: engines.Engine, path: str, batch_size: int, infos: Sequence[benchmark.InfoLine]
) -> run_record.Record:
    """Return the record of this run, which later steps read; `path` is the model's file."""
    return run_record.Record(
        tool='RDN_infer.py',
        version=model.version,
        engine=model.kind,
        precision=model.precision,
        chip=model.chip,
        batch_size=batch_size,
        model=files.digest(path),
        manifest=manifest.digest_beside(os.path.dirname(infos[0].path)) if infos else None,
        outputs=list(model.outputs) if len(model.outputs) > 1 else None,
    )


def write_profile(trace: str, model_name: str, folder: str, device_id: int) -> None:
    """Convert a trace of ONNX Runtime to op_summary and op_statistic files in the format of msprof of CANN 5.

    Args:
        trace: the path of the trace.
        model_name: the name of the model in the files.
        folder: the folder to write to.
        device_id: the number of the device in the files' names.
    """
    tasks = msprof.read_onnxruntime_trace(trace, model_name)
    summary, statistic = (os.path.join(folder, f'{kind}_{device_id}_1.csv') for kind in ('op_summary', 'op_statistic'))
    files.write_text(summary, msprof.format_tasks(tasks))
    files.write_text(statistic, msprof.format_statistics(msprof.statistics_of(tasks)))
    cli.say(f'profile: {statistic}, {summary}; RDN_profile.py reads them')


def main(argv=None):
    args = parse_args(argv)
    path = engines.resolve_model(args.om_path)
    infos = []
    if args.input_text_path:
        infos = read_infos(args.input_text_path, args.input_width, args.input_height)
    place = engines.Place(args.provider, args.device_id, args.threads, device=args.device)
    engine = args.engine or engines.guides_engine(path, args.precision, place)
    precision = 'fp32' if engine == 'pytorch' and args.precision == engines.AUTO else args.precision
    with contextlib.ExitStack() as stack:
        trace = stack.enter_context(tempfile.TemporaryDirectory()) if args.profiling else None
        model = stack.enter_context(engines.opened(path, engine, precision, place, trace))
        check_model(model, path, args.batch_size)
        if infos:
            check_inputs(model, path, infos)
        cli.say(f'{path} on {model.name}, batches of {args.batch_size}')
        is_chosen = args.engine or args.precision != engines.AUTO
        hint = None if is_chosen or os.environ.get('RDN_HINTED') else engines.faster_way(model, '-precision')
        for line in filter(None, [*model.notes, hint]):
            cli.say(line)
        record = make_record(model, path, args.batch_size, infos)
        folder = os.path.join(args.result_path, output_names.output_folder(args.device_id))
        if infos:
            report_name = output_names.performance_name(args.batch_size, args.device_id)
            places = RunPlaces(args.result_path, folder, os.path.join(args.result_path, report_name))
            run_dataset(model, infos, places, args.output_binary, record)
        else:
            size = args.input_height, args.input_width
            report = run_pure(model, path, args.round, args.batch_size, size)
            report_name = output_names.pure_performance_name(args.om_path, args.device_id)
            os.makedirs(args.result_path, exist_ok=True)
            with files.locked(args.result_path):
                write_report(os.path.join(args.result_path, report_name), report, record)
        if args.profiling:
            write_profile(model.end_trace(), files.stem_of(path), args.profiling, args.device_id)


def parse_args(argv):
    def boolean(text):
        if text.lower() not in ('true', 'false'):
            raise ValueError(text)
        return text.lower() == 'true'

    parser = cli.Parser(__doc__)
    parser.add_argument('-model_type', choices=['vision'], default='vision')
    parser.add_argument(
        '-device_id', type=int, default=0, help='number of the device, which is also part of file names'
    )
    parser.add_argument('-batch_size', type=cli.positive, default=1)
    parser.add_argument('-om_path', required=True, help='model, .onnx or .om')
    parser.add_argument('-input_text_path', help='info file of gen_dataset_info.py bin')
    parser.add_argument('-input_width', type=cli.positive)
    parser.add_argument('-input_height', type=cli.positive)
    parser.add_argument('-output_binary', type=boolean, default=False, help='True: float32 .bin; False: text')
    parser.add_argument('-useDvpp', type=boolean, default=False, help='must be False: DVPP is not supported')
    parser.add_argument('-round', type=cli.positive, help='pure inference: number of runs on random input')
    parser.add_argument(
        '-provider',
        choices=list(engines.PROVIDERS),
        help='default: the first of these that the installed onnxruntime supports',
    )
    parser.add_argument(
        '-engine',
        choices=[engines.AUTO, *engines.ENGINES],
        help='default: onnxruntime, or om for an .om file; auto: the fastest that loses little (docs/performance.md)',
    )
    parser.add_argument(
        '-precision',
        choices=[engines.AUTO, *engines.PRECISIONS],
        default=engines.AUTO,
        help='bf16: faster on a CPU that has it; default: the precision of the model (fp32 or int8), or the fastest '
        'with -engine=auto',
    )
    parser.add_argument(
        '-device', metavar='NAME', help='device for PyTorch: cuda:1, mps, npu:0, xpu, cpu; default: the first'
    )
    parser.add_argument(
        '-result_path', default='result', help='folder for all output files; default: result, as in benchmark'
    )
    parser.add_argument(
        '-profiling',
        metavar='DIR',
        help='write op_statistic and op_summary files in the format of msprof to this folder',
    )
    parser.add_argument('-threads', type=int, default=0, help='threads on the CPU; default: one per core')
    args = parser.parse_args(argv)
    if args.useDvpp:
        parser.error('-useDvpp=True is not supported: the inputs are prepared .bin files; leave the flag out')
    if (args.input_text_path is None) == (args.round is None):
        parser.error('give either -input_text_path or, for pure inference, -round')
    return args


if __name__ == '__main__':
    cli.run(main)
