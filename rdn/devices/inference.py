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
from rdn.devices import ais_bench, chip, outputs, record, tools

ONNX = 'rdn_x2.onnx'
SIDE = 114  # pixels of the input
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


def convert(batch_size: int, soc_version: str, folder: str) -> str:
    """Convert rdn_x2.onnx for a batch size and a chip by atc; returns the offline model's path.

    Works in `folder`, and leaves the log there; the model's record beside it names the ONNX file by its digest. Raises
    ValueError where atc fails or writes nothing.
    """
    name, log = model_name(batch_size), os.path.join(folder, 'atc.log')
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(ais_bench.work_place(folder), 'atc')) as work:
        shutil.copyfile(ONNX, os.path.join(work, ONNX))  # atc looks at the characters of paths, too
        shape = f'image:{batch_size},3,{SIDE},{SIDE}'
        of_onnx = record.make('atc', chip.Chip(chip.name_of(soc_version)), batch_size, ONNX, None)
        command = ['atc', '--framework=5', f'--model={ONNX}', f'--output={name}', '--input_format=NCHW']
        tools.run([*command, f'--input_shape={shape}', '--log=error', f'--soc_version={soc_version}'], log, work)
        written = glob.glob(os.path.join(glob.escape(work), f'{name}*.om'))  # some versions add _linux_x86_64
        if len(written) != 1:
            raise ValueError(f'atc wrote no {name}.om; its output is in {log}')
        _publish_file(written[0], f'{name}.om')
        run_record.write(f'{name}.om', of_onnx)
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
    with files.scratch_folder(os.path.join(ais_bench.work_place(folder), 'ais_bench')) as work:
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
        said = files.read_json(summary, 1 << 30, 'a summary of ais_bench').get('NPU_compute_time') or {}
        times = said.get('count')
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
    _move_outputs({path: f'{prefixes[prefix]}_0.bin' for prefix, path in written.items()}, target)


def _move_outputs(moves: dict[str, str], target: str) -> None:
    """Put outputs (path -> new name) into the folder `target`, in place of earlier ones."""
    with files.atomic_folder(target, outputs.list_outputs(target)) as partial:
        for path, name in moves.items():
            shutil.move(path, os.path.join(partial, name))


def _publish_summary(output: str, name: str, folder: str) -> str | None:
    """Copy the summary of a run to `folder`/{name}_summary.json; None where this version of ais_bench wrote none."""
    target = os.path.join(folder, f'{name}_summary.json')
    for path in (os.path.join(output, f'{name}_summary.json'), os.path.join(output, name, 'sumary.json')):
        if os.path.isfile(path):
            _publish_file(path, target)
            return target
    if os.path.exists(target):  # of an earlier run
        os.remove(target)
    return None


def run_benchmark(
    command: Sequence[str], model: str, prepared: str, info: str, batch_size: int, device: int, rounds: int, folder: str
) -> Run:
    """Run a model by benchmark over the inputs of an info file and, for `rounds` above 0, without data.

    prepared: the folder of the set that the info file speaks of. benchmark writes into result/ where it is called: that
    is a folder of its own here, with links to what it reads, and the results get into `folder` from there. Raises
    ValueError where benchmark fails or says nothing of the speed.
    """
    dump, speed = f'dumpOutput_device{device}', f'perf_vision_batchsize_{batch_size}_device_{device}.txt'
    pure_speed = f'PureInfer_perf_of_{files.stem_of(model)}_in_device_{device}.txt' if rounds else None
    log = os.path.join('result', f'bs{batch_size}', 'benchmark.log')
    os.makedirs(folder, exist_ok=True)
    with files.scratch_folder(os.path.join(folder, 'benchmark')) as work:
        for path in (model, prepared, info, *(word for word in command if word.startswith('./'))):
            os.symlink(os.path.abspath(path), os.path.join(work, os.path.basename(path)))
        common = [f'-device_id={device}', f'-batch_size={batch_size}', f'-om_path=./{model}']
        size = [f'-input_width={SIDE}', f'-input_height={SIDE}']
        flags = [f'-input_text_path={info}', *size, '-output_binary=False', '-useDvpp=False']
        tools.run([*command, '-model_type=vision', *common, *flags], log, work)
        if rounds:
            tools.run([*command, f'-round={rounds}', *common], log.replace('.log', '_pure.log'), work)
        written = os.path.join(work, 'result')
        for name in filter(None, (speed, pure_speed)):
            if not os.path.isfile(os.path.join(written, name)):
                raise ValueError(f'benchmark wrote no {name}; its output is in {log}')
        names = outputs.list_outputs(os.path.join(written, dump))
        _move_outputs({os.path.join(written, dump, name): name for name in names}, os.path.join(folder, dump))
        for name in filter(None, (speed, pure_speed)):
            _publish_file(os.path.join(written, name), os.path.join(folder, name))
    return Run(os.path.join(folder, dump), os.path.join(folder, speed), pure_speed and os.path.join(folder, pure_speed))


def _publish_file(path: str, target: str) -> None:
    with files.atomic_path(target) as partial:
        shutil.copyfile(path, partial)


def remove_others(folder: str, run: Run) -> None:
    """Remove from a batch size's folder what earlier runs of other tools or devices left: outputs, speeds, records."""
    kept = {os.path.basename(path) for path in run if path}
    kept |= {os.path.basename(run_record.path_of(path)) for path in run if path}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name in kept or not OF_A_RUN.match(name) or os.path.islink(path):
            continue
        for output in outputs.list_outputs(path):
            os.remove(os.path.join(path, output))
        with contextlib.suppress(OSError):  # where something of another kind lies in it
            os.rmdir(path) if os.path.isdir(path) else os.remove(path)
