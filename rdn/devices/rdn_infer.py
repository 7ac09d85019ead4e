"""Devices on which RDN_infer.py does benchmark's job: it takes benchmark's flags and writes benchmark's files."""

from __future__ import annotations

import os
import re

from rdn import configuration, run_record
from rdn.devices import base, benchmark, output_names, speed

MARK = re.compile(r'\[source\] RDN_infer\.py on ([^\n]{1,200}) with batches of ([1-9][0-9]{0,6})\n')
COMMAND = ['python3', 'RDN_infer.py']
ROUNDS, LEAST_ROUNDS = 20, 3  # without data


def format_mark(chip: str, batch_size: int) -> str:
    """The first line of its performance files, which benchmark does not write: where they were measured.

    It has no colon, so that scripts that count the figures of benchmark's files count right.
    """
    return f'[source] RDN_infer.py on {chip} with batches of {batch_size}\n'


class OwnLog(base.SpeedSource):
    """RDN_infer.py's performance files: benchmark's, after a line that says who wrote them."""

    name = 'RDN_infer.py'
    assumed_chip = run_record.UNKNOWN_CHIP

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Whether a text begins as they do."""
        return bool(MARK.match(text))

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed as in benchmark's files. The line's chip is the device's name, but for an unknown one."""
        mark = MARK.match(text)
        if not mark:
            raise ValueError('not a log of RDN_infer.py')
        found = benchmark.Benchmark.read_speed(text[mark.end() :])
        chip = mark.group(1)
        device = None if chip == run_record.UNKNOWN_CHIP else chip
        return found._replace(tool=cls.name, batch=int(mark.group(2)), device=device)


class RdnInfer(base.Device):
    """A device that RDN_infer.py computes on."""

    title = 'RDN_infer.py'
    has_guides_places = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Never: OwnLog reads its files."""
        return False

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Raise ValueError: OwnLog reads its files."""
        raise ValueError('not a log of RDN_infer.py')

    def file_name(self) -> str:
        """The script's name."""
        return self.title

    def infer(self, job: base.Job) -> base.Run:
        """Run RDN_infer.py, which exits with its own message if it fails."""
        place, model = job.folder or configuration.RESULTS, self.model(job.config, job.batch_size)
        job.step(*self.over_images(job))
        os.environ['RDN_HINTED'] = '1'  # it repeats no hint in later runs
        if job.folder:
            rounds = f'-round={job.rounds(ROUNDS, LEAST_ROUNDS)}'
            job.step(*COMMAND, rounds, *self._common(job), *_size(job.config), *job.flags)
        pure = f'{place}/{output_names.pure_performance_name(model, job.device_id)}' if job.folder else None
        speed_path = f'{place}/{output_names.performance_name(job.batch_size, job.device_id)}'
        return base.Run(f'{place}/{output_names.output_folder(job.device_id)}', speed_path, pure)

    def infer_and_record(self, job: base.Job) -> base.Run:
        """Run `infer`: RDN_infer.py leaves the records itself."""
        return self.infer(job)

    def over_images(self, job: base.Job) -> list[str]:
        """The command that runs the model over the prepared images."""
        flags = [f'-input_text_path={job.config.info}', '-output_binary=False', '-useDvpp=False', *job.flags]
        return [*COMMAND, '-model_type=vision', *self._common(job), *_size(job.config), *flags]

    def _common(self, job: base.Job) -> list[str]:
        model = self.model(job.config, job.batch_size)
        common = [f'-device_id={job.device_id}', f'-batch_size={job.batch_size}', f'-om_path=./{model}']
        return [*common, f'-result_path={job.folder}'] if job.folder else common


def _size(config: configuration.Configuration) -> list[str]:
    return [f'-input_width={config.side}', f'-input_height={config.side}']
