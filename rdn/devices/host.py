"""This machine's processor, by RDN_infer.py, which does benchmark's job."""

from __future__ import annotations

from rdn import run_record
from rdn.devices import base, speed

ROUNDS, LEAST_ROUNDS = 20, 3


class Host(base.Device):
    """This machine's processor."""

    name = 'host'
    title = 'RDN_infer.py'
    assumed_chip = run_record.HOST
    needs_chip = False
    has_guides_places = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Its files have benchmark's form; the record beside them names this machine."""
        return False

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Raise ValueError: these files have the format of benchmark's, whose class reads them."""
        raise ValueError('not a log of RDN_infer.py')

    def find(self) -> list[str] | None:
        """How RDN_infer.py is called."""
        return ['python3', 'RDN_infer.py']

    def file_name(self) -> str:
        """The script's name."""
        return self.title

    def missing(self) -> str:
        """It is always here."""
        return ''

    def model(self, job: base.Job) -> str:
        """The path of the model that it runs."""
        return f'{job.config.model(job.batch_size)}.onnx'

    def infer(self, job: base.Job) -> base.Run:
        """Run RDN_infer.py, which exits with its own message if it fails."""
        config, place = job.config, job.folder or 'result'
        command = self.command() or []
        common = [f'-device_id={job.device_id}', f'-batch_size={job.batch_size}', f'-om_path=./{self.model(job)}']
        common += [f'-result_path={job.folder}'] if job.folder else []
        size = [f'-input_width={config.side}', f'-input_height={config.side}']
        flags = [f'-input_text_path={config.info}', '-output_binary=False', '-useDvpp=False']
        job.step(*command, '-model_type=vision', *common, *size, *flags)
        if job.folder:
            job.step(*command, f'-round={job.rounds(ROUNDS, LEAST_ROUNDS)}', *common, *size)
        named = f'{config.model(job.batch_size)}_in_device_{job.device_id}'
        return base.Run(
            f'{place}/dumpOutput_device{job.device_id}',
            f'{place}/perf_vision_batchsize_{job.batch_size}_device_{job.device_id}.txt',
            f'{place}/PureInfer_perf_of_{named}.txt' if job.folder else None,
        )

    def infer_and_record(self, job: base.Job) -> base.Run:
        """Run `infer`: RDN_infer.py leaves the records itself."""
        return self.infer(job)
