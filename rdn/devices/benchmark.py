"""The vendor's benchmark, CANN 5: its calls, the list of inputs that it reads, the outputs and reports that it writes.

Its files are:

- the info file: a line `index path width height` for each input
- the outputs: `{stem}_1.txt|bin`, one for each image; rdn/devices/outputs.py reads them
- the performance file: a line for each stage
"""

from __future__ import annotations

import os
import re
from typing import Iterable, Mapping, NamedTuple

import rdn
from rdn import configuration, files
from rdn.devices import ascend, base, output_names, outputs, runner, speed

INFO_LINE = re.compile(r'([0-9]{1,9}) (\S+) ([1-9][0-9]{0,5}) ([1-9][0-9]{0,5})\s*$')
MAX_INFO_BYTES = 1 << 28
ROUNDS, LEAST_ROUNDS = 20, 10  # of the run without data


class InfoLine(NamedTuple):
    """An input for benchmark, and its width and height in pixels."""

    path: str
    width: int
    height: int


def check_path(path: str) -> None:
    """Check a path for white space, where benchmark would split the lines of its info file.

    Raises:
        ValueError: the path contains white space.
    """
    if path.split() != [path]:
        raise ValueError(f'{path}: white space in a path, which benchmark cannot read: rename it')


def format_info(lines: Iterable[InfoLine]) -> str:
    """Return the text of an info file, whose lines are numbered from 0.

    Raises:
        ValueError: a path contains white space.
    """
    rows = []
    for index, (path, width, height) in enumerate(lines):
        check_path(path)
        rows.append(f'{index} {path} {width} {height}\n')
    return ''.join(rows)


def read_info(path: str) -> list[InfoLine]:
    """Read an info file.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is empty, or a line has another form; names the file and the line.
    """
    files.check_plain(path, MAX_INFO_BYTES)
    with open(path, encoding='utf-8', errors='surrogateescape') as file:
        lines = file.read().splitlines()
    infos = []
    for number, line in enumerate(lines, 1):
        match = INFO_LINE.match(line)
        if not match or int(match.group(1)) != number - 1:
            raise ValueError(f'{path} line {number}: expected "{number - 1} path width height", found {line[:80]!r}')
        infos.append(InfoLine(match.group(2), int(match.group(3)), int(match.group(4))))
    if not infos:
        raise ValueError(f'{path}: empty; write it again with gen_dataset_info.py')
    return infos


def format_performance(images: int, total: float, stages: Mapping[str, float], computed: int | None = None) -> str:
    """Return the text of benchmark's performance file.

    Args:
        images: the number of images.
        total: seconds for all images.
        stages: `data read`, `preprocess`, `infer`, `post`, each with its seconds for all images.
        computed: the number of images that the model computed, including the padding of the last batch. The Interface
            rate, which measures the inference call, counts them all. None: equal to `images`.
    """
    lines = [f'[e2e] throughputRate: {images / total:g}, latency: {total * 1e3:g}']
    for stage, seconds in stages.items():
        rate = f'throughputRate: {images / seconds:g}'
        if stage == 'infer':
            rate += f', Interface throughputRate: {(computed or images) / seconds:g}'
        lines.append(f'[{stage}] {rate}, moduleLatency: {seconds * 1e3 / images:g}')
    return '\n'.join(lines) + '\n'


def format_pure_inference(images: int, seconds: float) -> str:
    """Return the text of benchmark's file for pure inference.

    Args:
        images: the number of images.
        seconds: for all images; the text has the latency in milliseconds per image.
    """
    return f'[INFO] ave_throughputRate: {images / seconds:g}samples/s, ave_latency: {seconds * 1e3 / images:g}ms\n'


class Benchmark(ascend.Ascend):
    """An Ascend device, used through benchmark.x86_64 or benchmark.aarch64 in the project's folder or on PATH."""

    name = title = 'benchmark'
    assumed_chip = '310'
    assumed_soc_version = 'Ascend310'  # the guide's
    has_guides_places = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Return whether a text is a performance file, or the file or output of pure inference."""
        return 'ave_throughputRate' in text or 'throughputRate' in text and 'NPU_compute_time' not in text

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed: that of pure inference, else the Interface throughputRate, which times the inference call."""
        return _pure_inference(text) if 'ave_throughputRate' in text else _performance(text)

    def find(self) -> list[str] | None:
        """Return the command that calls benchmark from the project's folder; None if benchmark is missing."""
        name = self.file_name()
        if os.access(os.path.join(rdn.ROOT, name), os.X_OK):
            return [f'./{name}']
        path = self.programs.find(name)
        return [path] if path else None

    def file_name(self) -> str:
        """Return the program's name, which ends with the output of `uname -m`."""
        return f'benchmark.{self.programs.ask(["uname", "-m"]).text.strip()}'

    def missing(self) -> str:
        """Say that benchmark is missing or not executable."""
        name = self.file_name()
        if os.path.isfile(os.path.join(rdn.ROOT, name)):
            return f'{name} is not executable (chmod +x {name})'
        return f'no {name} in this folder or on PATH'

    def infer(self, job: base.Job) -> base.Run:
        """Run benchmark over the inputs of the info file and, if the job has a folder, without data.

        benchmark writes into result/ in the current folder. So it runs in a scratch folder, with links to the files
        that it reads. Its results are then moved to the job's folder.

        Args:
            job: the inference.

        Returns:
            The folder of outputs, and the performance files.

        Raises:
            ValueError: benchmark fails, or a performance file is missing.
        """
        config, command, model = job.config, self.command(), self.model(job.config, job.batch_size)
        assert command
        dump = output_names.output_folder(job.device_id)
        speeds = [output_names.performance_name(job.batch_size, job.device_id)]
        if job.folder:
            speeds.append(output_names.pure_performance_name(model, job.device_id))
        folder, log = (
            job.folder or configuration.RESULTS,
            os.path.join(config.result_folder(job.batch_size), 'benchmark.log'),
        )
        os.makedirs(folder, exist_ok=True)
        with files.scratch_folder(os.path.join(folder, 'benchmark')) as work:
            for path in (model, config.prepared, config.info, *(word for word in command if word.startswith('./'))):
                os.symlink(os.path.abspath(path), os.path.join(work, os.path.basename(path)))
            common = [f'-device_id={job.device_id}', f'-batch_size={job.batch_size}', f'-om_path=./{model}']
            size = [f'-input_width={config.side}', f'-input_height={config.side}']
            flags = [f'-input_text_path={config.info}', *size, '-output_binary=False', '-useDvpp=False']
            self.programs.run(runner.Call([*command, '-model_type=vision', *common, *flags], log, work))
            if job.folder:
                rounds = job.rounds(ROUNDS, LEAST_ROUNDS)
                pure_log = log.replace('.log', '_pure.log')
                self.programs.run(runner.Call([*command, f'-round={rounds}', *common], pure_log, work))
            written = os.path.join(work, 'result')
            for name in speeds:
                if not os.path.isfile(os.path.join(written, name)):
                    raise ValueError(f'benchmark wrote no {name}; its output is in {log}')
            names = outputs.list_outputs(os.path.join(written, dump))
            outputs.move({os.path.join(written, dump, name): name for name in names}, os.path.join(folder, dump))
            for name in speeds:
                files.copy(os.path.join(written, name), os.path.join(folder, name))
        paths = [os.path.join(folder, name) for name in speeds]
        return base.Run(os.path.join(folder, dump), paths[0], paths[1] if job.folder else None)


def _performance(text: str) -> speed.Speed:
    """Read the Speed in benchmark's performance file: Interface throughputRate, which times the inference call."""
    rate = speed.find_number(
        rf'^\[infer(?:ence)?\].{{0,200}}Interface throughputRate: *{speed.NUMBER} *(?:samples/s)?(?=,|[ \t]*\n)',
        text,
        'an [infer] line with Interface throughputRate',
    )
    return speed.Speed('benchmark', None, rate)


def _pure_inference(text: str) -> speed.Speed:
    """Read the Speed in the file or output of benchmark's pure inference."""
    rate = speed.find_number(rf'ave_throughputRate *[:=] *{speed.NUMBER} *samples/s', text, 'ave_throughputRate')
    return speed.Speed('benchmark', None, rate)
