"""Devices on which RDN_infer.py does benchmark's job: it takes benchmark's flags and writes benchmark's files."""

from __future__ import annotations

import os

from rdn import configuration
from rdn.devices import base, output_names, speed

COMMAND = ['python3', 'RDN_infer.py']
ROUNDS, LEAST_ROUNDS = 20, 3  # without data


class RdnInfer(base.Device):
    """A device that RDN_infer.py computes on."""

    title = 'RDN_infer.py'
    has_guides_places = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Never: its files have benchmark's form, and the record beside them says what computed."""
        return False

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Raise ValueError: these files have the form of benchmark's, whose class reads them."""
        raise ValueError('not a log of RDN_infer.py')

    def file_name(self) -> str:
        """The script's name."""
        return self.title

    def infer(self, job: base.Job) -> base.Run:
        """Run RDN_infer.py, which exits with its own message if it fails."""
        config, place = job.config, job.folder or configuration.RESULTS
        model = self.model(config, job.batch_size)
        common = [f'-device_id={job.device_id}', f'-batch_size={job.batch_size}', f'-om_path=./{model}']
        common += [f'-result_path={job.folder}'] if job.folder else []
        size = [f'-input_width={config.side}', f'-input_height={config.side}']
        flags = [f'-input_text_path={config.info}', '-output_binary=False', '-useDvpp=False']
        job.step(*COMMAND, '-model_type=vision', *common, *size, *flags)
        os.environ['RDN_HINTED'] = '1'  # it repeats no hint in later runs
        if job.folder:
            job.step(*COMMAND, f'-round={job.rounds(ROUNDS, LEAST_ROUNDS)}', *common, *size)
        pure = f'{place}/{output_names.pure_performance_name(model, job.device_id)}' if job.folder else None
        speed_path = f'{place}/{output_names.performance_name(job.batch_size, job.device_id)}'
        return base.Run(f'{place}/{output_names.output_folder(job.device_id)}', speed_path, pure)

    def infer_and_record(self, job: base.Job) -> base.Run:
        """Run `infer`: RDN_infer.py leaves the records itself."""
        return self.infer(job)
