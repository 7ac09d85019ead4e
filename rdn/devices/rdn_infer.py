"""Devices on which RDN_infer.py does benchmark's job, with benchmark's flags and output files."""

from __future__ import annotations

import os
import re

from rdn import configuration, run_record
from rdn.devices import base, benchmark, output_names, speed

MARK = re.compile(r'\[source\] RDN_infer\.py on ([^\n]{1,200}) with batches of ([1-9][0-9]{0,6})\n')
COMMAND = ['python3', 'RDN_infer.py']
ROUNDS, LEAST_ROUNDS = 20, 3  # of the run without data


def format_mark(chip: str, batch_size: int) -> str:
    """Return the first line of RDN_infer.py's performance files, which tells them from benchmark's.

    The line has no colon, so that scripts which count the figures in benchmark's files do not count it.

    Args:
        chip: where the speed was measured.
        batch_size: images in a batch.
    """
    return f'[source] RDN_infer.py on {chip} with batches of {batch_size}\n'


class OwnLog(base.SpeedSource):
    """RDN_infer.py's performance files: benchmark's form, after a first line that names RDN_infer.py."""

    name = 'RDN_infer.py'
    assumed_chip = run_record.UNKNOWN_CHIP

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Return whether a text begins with RDN_infer.py's own first line."""
        return bool(MARK.match(text))

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed as in benchmark's files, with the batch size and, if known, the chip of the first line."""
        mark = MARK.match(text)
        if not mark:
            raise ValueError('not a log of RDN_infer.py')
        found = benchmark.Benchmark.read_speed(text[mark.end() :])
        chip = mark.group(1)
        device = None if chip == run_record.UNKNOWN_CHIP else chip
        return found._replace(tool=cls.name, batch=int(mark.group(2)), device=device)


class RdnInfer(base.Device):
    """A device on which RDN_infer.py runs the model."""

    title = 'RDN_infer.py'
    has_guides_places = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Return False: OwnLog reads RDN_infer.py's files."""
        return False

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Raise ValueError: OwnLog reads RDN_infer.py's files."""
        raise ValueError('not a log of RDN_infer.py')

    def file_name(self) -> str:
        """Return the script's name."""
        return self.title

    def infer(self, job: base.Job) -> base.Run:
        """Run RDN_infer.py over the inputs and, if the job has a folder, without data. It prints its own errors."""
        place, model = job.folder or configuration.RESULTS, self.model(job.config, job.batch_size)
        job.step(*self.over_images(job))
        os.environ['RDN_HINTED'] = '1'  # later runs do not repeat the hints
        if job.folder:
            rounds = f'-round={job.rounds(ROUNDS, LEAST_ROUNDS)}'
            job.step(*COMMAND, rounds, *self._common(job), *_size(job.config), *job.flags)
        pure = f'{place}/{output_names.pure_performance_name(model, job.device_id)}' if job.folder else None
        speed_path = f'{place}/{output_names.performance_name(job.batch_size, job.device_id)}'
        return base.Run(f'{place}/{output_names.output_folder(job.device_id)}', speed_path, pure)

    def infer_and_record(self, job: base.Job) -> base.Run:
        """Run `infer`; RDN_infer.py writes the records itself."""
        return self.infer(job)

    def over_images(self, job: base.Job) -> list[str]:
        """Return the command that runs the model over the prepared images, as words."""
        flags = [f'-input_text_path={job.config.info}', '-output_binary=False', '-useDvpp=False', *job.flags]
        return [*COMMAND, '-model_type=vision', *self._common(job), *_size(job.config), *flags]

    def _common(self, job: base.Job) -> list[str]:
        model = self.model(job.config, job.batch_size)
        common = [f'-device_id={job.device_id}', f'-batch_size={job.batch_size}', f'-om_path=./{model}']
        return [*common, f'-result_path={job.folder}'] if job.folder else common


def _size(config: configuration.Configuration) -> list[str]:
    return [f'-input_width={config.side}', f'-input_height={config.side}']
