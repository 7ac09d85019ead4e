"""This machine's processor as a device: RDN_infer.py does benchmark's job on it."""

from __future__ import annotations

from rdn import run_record
from rdn.devices import base, chip, rdn_infer, runner

CHIP = chip.Chip(run_record.HOST)
# All modes are tried; one that this machine does not support fails with its reason.
MODES = (
    base.Mode('fp32, ONNX Runtime', 'onnxruntime_fp32', ('-engine=onnxruntime', '-precision=fp32')),
    base.Mode('fp32, OpenVINO', 'openvino_fp32', ('-engine=openvino', '-precision=fp32')),
    base.Mode('bf16, OpenVINO', 'openvino_bf16', ('-engine=openvino', '-precision=bf16')),
    base.Mode('int8', 'int8', ('-precision=int8',), is_quantized=True),
    base.Mode(
        'fp16, PyTorch',
        'pytorch_fp16',
        ('-engine=pytorch', '-device=cpu', '-precision=fp16'),
        is_of_graph=False,
        is_slow=True,
    ),
)


class Host(rdn_infer.RdnInfer):
    """This machine's processor, which runs the exported model."""

    name = 'host'
    assumed_chip = run_record.HOST
    is_accelerator = False

    def find(self) -> list[str] | None:
        """Return RDN_infer.py's command."""
        return rdn_infer.COMMAND

    def missing(self) -> str:
        """Return an empty text: the processor is always there."""
        return ''

    def identify(self, soc_version: str | None) -> base.Target:
        """Return this machine's processor, for which nothing is converted."""
        return base.Target(CHIP, None)

    def modes(self) -> list[base.Mode]:
        """Return the modes, each an engine and a precision."""
        return list(MODES)

    def mode_command(self, job: base.Job, soc_version: str | None, mode: base.Mode) -> str:
        """Return the line that calls RDN_infer.py with the mode's flags."""
        return runner.line_of(self.over_images(job._replace(flags=mode.flags)))
