"""ais_bench, benchmark's successor since CANN 6: its calls, the files and folders that it accepts, its logs.

Versions since early 2024 refuse:

- paths that do not match places.ACCEPTED_PATH
- symbolic links
- models and inputs that group or others can write, or that belong to another user, even if root calls ais_bench
- a folder of inputs that contains any of these
- an existing output folder with a mode above 0750
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import stat
from typing import Any, Iterable

from rdn import files, run_record
from rdn.devices import ascend, base, output_names, outputs, places, runner, speed

ROUNDS, LEAST_ROUNDS = 100, 10  # of the run without data
# Only a run on several devices prints these, in this order.
SEVERAL_DEVICES = re.compile(
    r'multidevice:.{0,200} run begin|subprocess_\d+ qsize|multidevice run end|device_\d+ throughput:|summary throughput'
)
# Asks the server's Python whether its module ais_bench is the inference tool. AISBench's tool for language models has a
# module of the same name, and both may be installed together. The question imports neither.
QUESTION = """
import importlib.machinery, importlib.util, sys
spec = importlib.util.find_spec('ais_bench')
folders = list(spec and spec.submodule_search_locations or [])
find = lambda part: importlib.machinery.PathFinder.find_spec('ais_bench.' + part, folders)
if folders and find('__main__') and find('infer'):
    sys.exit(0)
sys.exit(3 if spec and spec.origin or folders and find('benchmark') else 1)
"""
HAS_TOOL, HAS_NAMESAKE = 0, 3  # exit status of QUESTION; any other status: there is no module ais_bench


def accepted_file(path: str, work: str) -> str:
    """Return a path to a file, or to a copy of it, that ais_bench accepts.

    Args:
        path: the file.
        work: the folder for a copy.

    Returns:
        The file's real path if ais_bench accepts it, else the path of a copy in `work`.
    """
    path = os.path.realpath(path)
    return path if _is_accepted(path) else _copy(path, os.path.join(work, 'model' + os.path.splitext(path)[1]))


def accepted_inputs(folder: str, stems: Iterable[str], work: str) -> tuple[str, dict[str, str]]:
    """Return a folder with the inputs, or with copies of them, that ais_bench accepts.

    Args:
        folder: the inputs, {stem}.bin; other files may be there too.
        stems: the inputs' names without .bin.
        work: the folder for copies.

    Returns:
        The folder, and a mapping from the prefix of each output's name to the input's stem. The folder is the given one
        if ais_bench accepts all of it and it contains nothing else; else a folder in `work` with numbered copies.

    Raises:
        ValueError: two images' outputs would have the same name.
    """
    stems, folder = sorted(stems), os.path.realpath(folder)
    output_names.check_stems(stems)
    entries = {entry.name: entry.path for entry in os.scandir(folder)}
    if set(entries) == {f'{stem}.bin' for stem in stems} and all(map(_is_accepted, [folder, *entries.values()])):
        return folder, {output_names.output_prefix(stem): stem for stem in stems}
    copies = os.path.join(work, 'inputs')
    os.mkdir(copies, 0o700)
    for number, stem in enumerate(stems):
        _copy(os.path.join(folder, f'{stem}.bin'), os.path.join(copies, f'{number:07}.bin'))
    return copies, {f'{number:07}': stem for number, stem in enumerate(stems)}


def _copy(path: str, copy: str) -> str:
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o600)
    return copy


def _is_accepted(path: str) -> bool:
    status = os.lstat(path)
    mine = status.st_uid == os.geteuid() or status.st_gid in os.getgroups()
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(places.ACCEPTED_PATH.fullmatch(path)) and mine and not writable and not stat.S_ISLNK(status.st_mode)


def _namesake_in(python: str) -> str:
    """Say that a Python has only the package of the same name, and what to do."""
    return (
        f'the ais_bench in {python} is another package, ais-bench-benchmark most likely, which tests language models '
        'and runs no .om file: '
        'set AIS_BENCH="/path/to/python3 -m ais_bench" to a Python with the inference tool, or use pyACL (--with acl)'
    )


class AisBench(ascend.Ascend):
    """An Ascend device, used through ais_bench: a module of the server's own Python, or the command in AIS_BENCH."""

    name = title = 'ais_bench'
    assumed_chip = run_record.UNKNOWN_CHIP

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Return whether a text is ais_bench's output or one of its summaries."""
        return 'NPU_compute_time' in text and 'ave_throughputRate' not in text

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed from ais_bench's output or from one of its summaries."""
        return _summary_speed(text) if text.lstrip().startswith('{') else _log_speed(text)

    def find(self) -> list[str] | None:
        """Return the command in AIS_BENCH, else that for the module in the server's python3, else None."""
        named = os.environ.get('AIS_BENCH')
        if named:
            try:
                command = shlex.split(named)
            except ValueError as error:
                raise ValueError(f'AIS_BENCH={named}: {error}')
            if not command or not self.programs.find(command[0]):
                raise ValueError(f'AIS_BENCH={named}: no such program')
            self._check_module(command, named)
            # ais_bench runs in another folder, so relative paths must become absolute.
            return [os.path.abspath(word) if os.sep in word and os.path.exists(word) else word for word in command]
        python = self.programs.find('python3')
        return ['python3', '-m', 'ais_bench'] if python and self._has(python) == HAS_TOOL else None

    def _check_module(self, command: list[str], named: str) -> None:
        """Raise ValueError if AIS_BENCH calls a Python that has only the other package named ais_bench."""
        python = self.programs.find(command[0])
        if command[1:3] == ['-m', 'ais_bench'] and python and self._has(python) == HAS_NAMESAKE:
            raise ValueError(f'AIS_BENCH={named}: {_namesake_in(python)}')

    def _has(self, python: str) -> int:
        """Return which ais_bench a Python has: HAS_TOOL, HAS_NAMESAKE, or another number if it has neither."""
        try:
            return self.programs.ask([python, '-c', QUESTION]).status
        except ValueError:
            return -1

    def file_name(self) -> str:
        """Return the module's name."""
        return self.name

    def missing(self) -> str:
        """Say that ais_bench is missing, in which Python, and what to do."""
        python = self.programs.find('python3') or 'python3'
        if self._has(python) == HAS_NAMESAKE:
            return _namesake_in(python)
        return f'no ais_bench in {python} (AIS_BENCH="/path/to/python3 -m ais_bench" names another)'

    def infer(self, job: base.Job) -> base.Run:
        """Run ais_bench over the prepared inputs, then without data.

        The outputs go to dumpOutput_device{device_id} in the job's folder and replace earlier ones. The summaries and
        logs go to the job's folder. ais_bench accepts a wrong batch size and then reports a wrong speed, so the number
        of its calls is checked.

        Args:
            job: the inference; its folder is required.

        Returns:
            The folder of outputs, and the summaries; or the logs, if this version of ais_bench writes no summaries.

        Raises:
            ValueError: ais_bench fails, an output is missing, or the model has another batch size.
        """
        command, folder = self.command(), job.folder
        assert command and folder
        dump, pure = output_names.output_folder(job.device_id), 'pure'
        logs = {dump: os.path.join(folder, 'ais_bench.log'), pure: os.path.join(folder, 'ais_bench_pure.log')}
        os.makedirs(folder, exist_ok=True)
        with files.scratch_folder(os.path.join(places.work_place(folder), 'ais_bench')) as work:
            stems = [files.stem_of(name) for name in os.listdir(job.config.inputs) if name.endswith('.bin')]
            inputs, prefixes = accepted_inputs(job.config.inputs, stems, work)
            output = os.path.join(work, 'output')
            os.mkdir(output, 0o700)
            model = accepted_file(self.model(job.config, job.batch_size), work)
            call = [*command, '--model', model, '--batchsize', str(job.batch_size)]
            call += ['--device', str(job.device_id), '--output', output, '--outfmt', 'BIN', self._dirname_flag()]
            over_images = [*call, dump, '--input', inputs]
            alone = [*call, pure, '--loop', str(job.rounds(ROUNDS, LEAST_ROUNDS))]
            self.programs.run(runner.Call(over_images, logs[dump], work, self.name, (model, inputs)))
            self.programs.run(runner.Call(alone, logs[pure], work, self.name, (model,)))
            _check_runs(os.path.join(output, f'{dump}_summary.json'), len(prefixes), job.batch_size)
            _publish_outputs(os.path.join(output, dump), os.path.join(folder, dump), prefixes, logs[dump])
            speeds = {name: _publish_summary(output, name, folder) or logs[name] for name in (dump, pure)}
        return base.Run(os.path.join(folder, dump), speeds[dump], speeds[pure])

    def _dirname_flag(self) -> str:
        """Return this version's flag for the name of the output folder; a version of 2026 has dashes in its flags."""
        try:
            help_text = self.programs.ask([*(self.command() or []), '--help']).text  # may break the flag's name
        except ValueError:
            help_text = ''
        return '--output-dirname' if '--output-dir' in help_text else '--output_dirname'


def _check_runs(summary: str, images: int, batch_size: int) -> None:
    """Raise ValueError if the number of runs in ais_bench's summary shows that the model has another batch size."""
    if os.path.isfile(summary):
        said = files.read_json(summary, 1 << 30, 'a summary of ais_bench').get('NPU_compute_time') or {}
        times = said.get('count')
        if times not in (None, math.ceil(images / batch_size)):
            raise ValueError(
                f'ais_bench ran the model {times} times for {images} images: its batch size is not {batch_size}'
            )


def _publish_outputs(source: str, target: str, prefixes: dict[str, str], log: str) -> None:
    """Replace earlier outputs by ais_bench's, renamed after their inputs.

    Args:
        source: ais_bench's folder of outputs.
        target: the folder for the outputs.
        prefixes: the prefix of each output's name -> the stem of its input.
        log: the log's path, for the message.

    Raises:
        ValueError: outputs are missing; names up to three of them.
    """
    written = outputs.outputs_by_result(source)
    missing = [stem for prefix, stem in prefixes.items() if f'{prefix}_0.bin' not in written]
    if missing:
        raise ValueError(f'ais_bench wrote no output for {", ".join(missing[:3])}; its messages are in {log}')
    moves = {
        os.path.join(source, name): stem + name[len(prefix) :]
        for prefix, stem in prefixes.items()
        for name in written[f'{prefix}_0.bin']
    }
    outputs.move(moves, target)


def _publish_summary(output: str, name: str, folder: str) -> str | None:
    """Copy a run's summary to `folder`/{name}_summary.json and return that path; None if ais_bench wrote no summary."""
    target = os.path.join(folder, f'{name}_summary.json')
    for path in (os.path.join(output, f'{name}_summary.json'), os.path.join(output, name, 'sumary.json')):
        if os.path.isfile(path):
            files.copy(path, target)
            return target
    if os.path.exists(target):  # of an earlier run
        os.remove(target)
    return None


def _log_speed(text: str) -> speed.Speed:
    """Read the Speed in the output of any version of ais_bench (once ais_infer), on one device or several."""
    batch = _throughput_batch(text)
    if SEVERAL_DEVICES.search(text):
        rate, devices = _rate_of_devices(text)
        return speed.Speed('ais_bench', batch, rate, devices)
    rate = speed.find_number(
        rf'(?i)throughput\b.{{0,200}}NPU_compute_time.{{0,200}}: *{speed.NUMBER}[ \t]*\n', text, 'throughput'
    )
    means = {float(mean) for mean in re.findall(rf'NPU_compute_time \(ms\):.*\bmean = {speed.NUMBER},', text)}
    mean = means.pop() if len(means) == 1 else 0.0
    if mean and batch is None:
        batch = _batch_of(rate, mean)
        if batch != int(batch):  # versions that do not print the batch size use one size for all batches
            raise ValueError(f'throughput is {rate:g}, which is not 1000 * batch size / {mean:g} for any batch size')
    elif mean and batch:
        _check_rate(rate, batch, mean)
    return speed.Speed('ais_bench', batch, rate)


def _throughput_batch(text: str) -> float | None:
    """Read the batch size in the lines of throughput; None if they lack it, as in old versions.

    Raises:
        ValueError: a rate is not 1000 * batch size / mean, or the lines differ in the batch size.
    """
    whole_line = rf'.{{0,200}}\.mean\({speed.NUMBER}\): *{speed.NUMBER}[ \t]*\n'
    lines = re.findall(rf'(?i)\bthroughput.{{0,200}}\bbatchsize(?:\.mean)?\({speed.NUMBER}\)(?:{whole_line})?', text)
    batches = sorted({_whole(float(batch), 0) for batch, _, _ in lines})
    if len(batches) > 1:
        sizes = ' and '.join(f'{batch:g}' for batch in batches)
        raise ValueError(f'throughput for batches of {sizes}; the log may contain several runs')
    for batch, mean, rate in lines:
        if mean:
            _check_rate(float(rate), float(batch), float(mean))
    return batches[0] if batches else None


def _rate_of_devices(text: str) -> tuple[float, int]:
    """Read (images/s of all devices, number of devices) in the output of a run on several devices.

    Each device puts two messages into a queue: one when it is ready, and one with its throughput. The `result` after
    the queue's size is ignored: the vendor's own example has `result:1` after a run in which both devices are complete.

    Raises:
        ValueError: a device or its throughput is missing, or the total is not the sum over the devices.
    """
    total = speed.find_number(
        rf'summary throughput *: *{speed.NUMBER}[ \t]*\n', text, 'summary throughput, of all devices'
    )
    figures = re.findall(rf'\bi:(\d+) device_\d+ throughput: *{speed.NUMBER}\s', text)
    rates = {int(index): float(rate) for index, rate in figures if float(rate) > 0}
    messages = re.search(r'multidevice run end qsize:(\d+)', text)
    is_incomplete = messages and int(messages.group(1)) != 2 * len(rates)
    if is_incomplete or not _started_devices(text) <= set(rates) or 'subprocess run failed' in text:
        raise ValueError('one of several devices failed: the summary throughput counts only the others')
    if not speed.is_close(total, sum(rates.values())):
        raise ValueError(f'summary throughput is {total:g}, the sum of its devices {sum(rates.values()):g}')
    return total, len(rates)


def _started_devices(text: str) -> set[int]:
    """Return the devices of a run, numbered from 0: at least two, because a run on one prints no such lines."""
    asked = re.search(r'multidevice:(.{0,200}) run begin', text)
    count = max(2, len(re.findall(r'\d+', asked.group(1))) if asked else 0)
    named = re.findall(r'\bi:(\d+) device_', text) + re.findall(r'\bsubprocess_(\d+) qsize', text)
    return {*range(count), *map(int, named)}


def _summary_speed(text: str) -> speed.Speed:
    """Read the Speed in ais_bench's *_summary.json, or the older sumary.json."""
    try:
        content = json.loads(text)
        rate, mean = float(content['throughput']), float(content['NPU_compute_time']['mean'])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError('an incomplete summary of ais_bench: throughput or NPU_compute_time is missing')
    if not (0 < rate < float('inf') and 0 < mean < float('inf')):
        raise ValueError(f'throughput is {rate}, the mean of NPU_compute_time {mean}')
    named = _named_batch(content)
    if named:
        _check_rate(rate, named, mean)
    return speed.Speed('ais_bench', named or _batch_of(rate, mean), rate)


def _named_batch(content: dict[str, Any]) -> int | None:
    """Return the batch size in a summary's `args`, which is a mapping or ais_bench's command line; None if missing."""
    args = content.get('args')
    if isinstance(args, list):
        words = dict(zip(args, args[1:]))
        args = {'batchsize': int(words['--batchsize'])} if str(words.get('--batchsize', '')).isdigit() else None
    batch = args.get('batchsize') if isinstance(args, dict) else None
    return batch if type(batch) is int and batch > 0 else None


def _check_rate(rate: float, batch: float, milliseconds: float) -> None:
    """Raise ValueError if a rate does not match the batch size and the mean time of a batch."""
    computed = 1000 * batch / milliseconds if milliseconds else 0.0
    if not speed.is_close(rate, computed):
        raise ValueError(f'throughput is {rate:g}, but 1000 * {batch:g} / {milliseconds:g} is {computed:g}')


def _batch_of(rate: float, milliseconds: float) -> float:
    """Return the batch size, or the mean of several, for a rate: throughput = 1000 * batch size / milliseconds."""
    return _whole(rate * milliseconds / 1000, 0.0005)


def _whole(batch: float, tolerance: float) -> float:
    """Return a batch size as an integer if it differs from one only by rounding, that is, by a relative tolerance."""
    return round(batch) if round(batch) >= 1 and abs(batch - round(batch)) <= tolerance * batch else batch
