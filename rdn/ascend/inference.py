"""Steps 3.2 and 5 by the device's tools: atc, benchmark and ais_bench run, their results brought to their places.

Each writes into a folder of its own; what it wrote takes its place when it is whole.
"""

from __future__ import annotations

import contextlib
import glob
import math
import os
import re
import shutil
from typing import NamedTuple, Sequence

from rdn import files, run_record
from rdn.ascend import ais_bench, outputs, tools

ONNX = 'rdn_x2.onnx'
# Names in a batch size's folder of what a run leaves: outputs, speeds, and the records of both.
OF_A_RUN = re.compile(
    r'(dumpOutput_device\d+|(dumpOutput_device\d+|pure)_summary\.json|(perf_vision|PureInfer_perf)_\w+\.txt|'
    r'(dumpOutput|pure|perf_vision|PureInfer_perf)\w*\.run\.json)$'
)


class Run(NamedTuple):
    """What a run over the images and one without data gave: the folder of outputs, the files that say how fast it was."""

    outputs: str
    speed: str
    pure_speed: str | None


def model_name(batch_size: int) -> str:
    """The offline model's name, without ending."""
    return f'rdn_x2_bs{batch_size}'


def convert(batch_size: int, soc_version: str, width: int, height: int, folder: str) -> str:
    """Convert rdn_x2.onnx for a batch size and a chip by atc; returns the offline model's path. The log gets into `folder`.

    Raises ValueError where atc fails or writes nothing.
    """
    name, log = model_name(batch_size), os.path.join(folder, 'atc.log')
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(ais_bench.fit_folder(folder), 'atc')) as work:
        shutil.copyfile(ONNX, os.path.join(work, ONNX))  # atc looks at the characters of paths, too
        shape = f'image:{batch_size},3,{height},{width}'
        command = ['atc', '--framework=5', f'--model={ONNX}', f'--output={name}', '--input_format=NCHW']
        tools.run([*command, f'--input_shape={shape}', '--log=error', f'--soc_version={soc_version}'], log, work)
        written = glob.glob(os.path.join(glob.escape(work), f'{name}*.om'))  # some versions add _linux_x86_64
        if len(written) != 1:
            raise ValueError(f'atc wrote no {name}.om; its output is in {log}')
        with files.atomic_path(f'{name}.om') as partial:
            shutil.copyfile(written[0], partial)
    return f'{name}.om'


def run_ais_bench(
    command: Sequence[str], model: str, inputs: str, batch_size: int, device: int, rounds: int, folder: str
) -> Run:
    """Run a model by ais_bench over the inputs in a folder, then `rounds` times without data.

    command: of ais_bench. The outputs get into `folder`/dumpOutput_device{device}, in place of earlier ones, summaries
    and logs beside it. batch_size: the model's own: ais_bench believes any, and reports the speed accordingly. Raises
    ValueError where ais_bench fails or leaves out an output.
    """
    dump, pure = f'dumpOutput_device{device}', 'pure'
    logs = {dump: os.path.join(folder, 'ais_bench.log'), pure: os.path.join(folder, 'ais_bench_pure.log')}
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(ais_bench.fit_folder(folder), 'ais_bench')) as work:
        stems = [files.stem_of(name) for name in os.listdir(inputs) if name.endswith('.bin')]
        inputs, prefixes = ais_bench.accepted_inputs(inputs, stems, work)
        output = os.path.join(work, 'output')
        os.mkdir(output, 0o700)
        call = [*command, '--model', ais_bench.accepted_file(model, work), '--batchsize', str(batch_size)]
        call += ['--device', str(device), '--output', output, '--outfmt', 'BIN', dirname_flag(command)]
        tools.run([*call, dump, '--input', inputs], logs[dump], work)
        tools.run([*call, pure, '--loop', str(rounds)], logs[pure], work)
        _check_runs(os.path.join(output, f'{dump}_summary.json'), len(prefixes), batch_size)
        _publish_outputs(os.path.join(output, dump), os.path.join(folder, dump), prefixes, logs[dump])
        speeds = {name: _publish_summary(output, name, folder) or logs[name] for name in (dump, pure)}
    return Run(os.path.join(folder, dump), speeds[dump], speeds[pure])


def dirname_flag(command: Sequence[str]) -> str:
    """How this ais_bench spells the flag for the name of its folder: a version of 2026 has no underscores."""
    help_text = tools.output_of([*command, '--help'])  # which shortens long words
    return '--output-dirname' if '--output-dir' in help_text else '--output_dirname'


def _check_runs(summary: str, images: int, batch_size: int) -> None:
    """Raises ValueError where the model was run as often as one of another batch size is, by ais_bench's summary."""
    if os.path.isfile(summary):
        times = files.read_json(summary, 1 << 30, 'a summary of ais_bench')['NPU_compute_time'].get('count')
        if times not in (None, math.ceil(images / batch_size)):
            raise ValueError(
                f'ais_bench ran the model {times} times for {images} images: its batch size is not {batch_size}'
            )


def _publish_outputs(source: str, target: str, prefixes: dict[str, str], log: str) -> None:
    """Put ais_bench's outputs in place of earlier ones, by the names of their inputs.

    prefixes: what an output's name begins with -> the stem of its input. Raises ValueError, with their names, where
    outputs are missing.
    """
    written = {prefix: os.path.join(source, f'{prefix}_0.bin') for prefix in prefixes}
    missing = [prefixes[prefix] for prefix, path in written.items() if not os.path.isfile(path)]
    if missing:
        raise ValueError(f'ais_bench wrote no output of {", ".join(missing[:3])}; its messages are in {log}')
    with files.atomic_folder(target, outputs.list_outputs(target)) as partial:
        for prefix, path in written.items():
            shutil.move(path, os.path.join(partial, f'{prefixes[prefix]}_0.bin'))


def _publish_summary(output: str, name: str, folder: str) -> str | None:
    """Copy the summary of a run to `folder`/{name}_summary.json; None where this version of ais_bench wrote none."""
    target = os.path.join(folder, f'{name}_summary.json')
    for path in (os.path.join(output, f'{name}_summary.json'), os.path.join(output, name, 'sumary.json')):
        if os.path.isfile(path):
            with files.atomic_path(target) as partial:
                shutil.copyfile(path, partial)
            return target
    if os.path.exists(target):  # of an earlier run
        os.remove(target)
    return None


def run_benchmark(
    command: Sequence[str], model: str, info: str, batch_size: int, device: int, size: tuple[int, int]
) -> Run:
    """Run a model by benchmark over the inputs of an info file, into the places that the guide has, below result/.

    size: (width, height) of an input. Raises ValueError where benchmark fails or says nothing of the speed.
    """
    dump = f'result/dumpOutput_device{device}'
    speed = f'result/perf_vision_batchsize_{batch_size}_device_{device}.txt'
    _remove_earlier(dump, speed)  # benchmark leaves outputs there, and a figure if it fails
    flags = ['-model_type=vision', f'-device_id={device}', f'-batch_size={batch_size}', f'-input_text_path={info}']
    flags += [f'-input_width={size[0]}', f'-input_height={size[1]}', '-output_binary=False', '-useDvpp=False']
    tools.run([*command, *flags, f'-om_path=./{model}'], f'result/bs{batch_size}/benchmark.log')
    _check_written(speed)
    return Run(dump, speed, None)


def run_benchmark_pure(command: Sequence[str], model: str, batch_size: int, device: int, rounds: int) -> str:
    """Run a model by benchmark without data; returns the file that says how fast it was. Raises as run_benchmark does."""
    speed = f'result/PureInfer_perf_of_{files.stem_of(model)}_in_device_{device}.txt'
    _remove_earlier(speed)
    flags = [f'-round={rounds}', f'-om_path=./{model}', f'-batch_size={batch_size}', f'-device_id={device}']
    tools.run([*command, *flags], f'result/bs{batch_size}/benchmark_pure.log')
    _check_written(speed)
    return speed


def move_to(folder: str, run: Run) -> Run:
    """Move what the guide's tools left below result/ to a batch size's own folder; returns where it is then."""
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, os.path.basename(run.outputs))
    with files.atomic_folder(target, outputs.list_outputs(target)) as partial:
        for name in outputs.list_outputs(run.outputs):
            shutil.move(os.path.join(run.outputs, name), os.path.join(partial, name))
    with contextlib.suppress(OSError):
        os.rmdir(run.outputs)
    speed, pure_speed = (path and _move(path, folder) for path in (run.speed, run.pure_speed))
    return Run(target, speed or '', pure_speed)


def _move(path: str, folder: str) -> str:
    target = os.path.join(folder, os.path.basename(path))
    os.replace(path, target)
    return target


def remove_others(folder: str, run: Run) -> None:
    """Remove from a batch size's folder what earlier runs of other tools or devices left: outputs, speeds, records."""
    kept = {os.path.basename(path) for path in run if path}
    kept |= {os.path.basename(run_record.path_of(path)) for path in run if path}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name in kept or not OF_A_RUN.match(name):
            continue
        if os.path.isdir(path):
            _remove_earlier(path)
            with contextlib.suppress(OSError):  # where something of another kind lies in it
                os.rmdir(path)
        else:
            os.remove(path)


def _remove_earlier(*paths: str) -> None:
    """Remove what an earlier run left: outputs in a folder, a file, their records."""
    for path in paths:
        names = [os.path.join(path, name) for name in outputs.list_outputs(path)] if os.path.isdir(path) else [path]
        for name in [*names, run_record.path_of(path)]:
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)


def _check_written(path: str) -> None:
    if not os.path.isfile(path):
        raise ValueError(f'benchmark wrote no {path}: its output is above')
