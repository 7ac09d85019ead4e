"""The exported model in ONNX Runtime, on the best device that the installed build has."""

from __future__ import annotations

import os
from typing import Sequence

from rdn import cpu, escaping, stopping
from rdn.engines import base
from rdn.network import onnx_graph

import numpy as np
import onnxruntime

# ONNX Runtime's execution providers, in order of preference.
PROVIDERS = {
    'CANN': 'CANNExecutionProvider',
    'TensorRT': 'TensorrtExecutionProvider',
    'CUDA': 'CUDAExecutionProvider',
    'CPU': 'CPUExecutionProvider',
}
# How to install a provider that is missing or does not load.
INSTALL = {
    'CANN': "pip install onnxruntime-cann in place of onnxruntime, and source the toolkit's set_env.sh",
    'TensorRT': 'pip install onnxruntime-gpu in place of onnxruntime, and the TensorRT and CUDA versions that it needs',
    'CUDA': 'pip install onnxruntime-gpu in place of onnxruntime, and the CUDA and cuDNN versions that it needs',
}
# Values of the CANN provider's precision_mode: the model's own precision, and fp16 for each operator that supports it.
EXACT, FAST = 'must_keep_origin_dtype', 'force_fp16'
TF32_OPTION = (1, 18)  # the first version whose CUDA provider has the option use_tf32
TRIAL_SIDE = 32  # pixels; the size of the run that tests whether a chip computes in fp32
ON_DEVICE = {name for key, name in PROVIDERS.items() if key != 'CPU'}


def _threads_by_default() -> int:
    """Return the number of usable cores, or 0 (one thread per core) if this process may use all.

    With 0, ONNX Runtime would bind threads to the cores that are not usable, too.
    """
    usable = cpu.available_cores()
    return 0 if usable == os.cpu_count() else usable


class OnnxRuntime(base.Engine):
    """A model in ONNX Runtime, in the precision of its values.

    On a CPU some nodes of an fp16 model run in fp32. On Ascend chips without fp32 convolutions, CANN falls back to fp16
    with a note, unless the user named fp32.
    """

    def __init__(
        self,
        path: str,
        place: base.Place = base.Place(),  # noqa: B008 - cannot change
        trace_folder: str | None = None,
        is_named: bool = False,
    ):
        """Load a model.

        Args:
            path: the ONNX file.
            place: the hardware to use.
            trace_folder: the folder for the profile that `end_trace` returns; None for no profile.
            is_named: whether the user named the precision, so that there is no fallback to another.

        Raises:
            ValueError: ONNX Runtime cannot load the file, the provider is not available, or the model has not exactly
                one picture input.
        """
        super().__init__()
        self.precision = onnx_graph.precision_of(path)
        self._place, self._trace_folder = place, trace_folder
        try:
            self._start(path, EXACT)
            if self.kind == PROVIDERS['CANN']:
                self._run(np.zeros([self.batch or 1, *(size or TRIAL_SIDE for size in self.shape)], np.float32))
        except Exception as error:  # onnxruntime's exceptions have no common base
            if is_named or not _is_cann(place.provider) or self.precision != 'fp32':
                raise ValueError(f'{path}: onnxruntime cannot load it: {escaping.one_line(error)}')
            self.notes.append(
                f'this chip does not compute it in fp32, so CANN computes in fp16 ({escaping.first_line(error)})'
            )
            self.precision = 'fp16'
            self._start(path, FAST)
        if place.provider and self.kind != PROVIDERS[place.provider]:  # ONNX Runtime falls back to the CPU
            raise ValueError(f'{place.provider} does not load in this onnxruntime: {INSTALL[place.provider]}')
        self.version = f'ONNX Runtime {onnxruntime.__version__}'
        where = self.kind.replace('ExecutionProvider', '')
        self.name = f'ONNX Runtime, {self.precision} ({where})'
        if self.kind in ON_DEVICE:
            self.chip = where
        self.streams = 1 if self.kind in ON_DEVICE else place.streams

    def _start(self, path: str, cann_precision: str) -> None:
        """Make the session. Raises onnxruntime's errors, and ValueError if the model has not one picture input."""
        threads, streams = self._place.threads or _threads_by_default(), self._place.streams
        options = session_options()
        options.intra_op_num_threads = max(1, threads // streams) if streams > 1 else threads
        if self._trace_folder:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(self._trace_folder, 'onnxruntime')
        providers = choose_providers(self._place.provider, self._place.device_id, cann_precision)
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        self._runs = Runs(self.session)
        self.kind = self.session.get_providers()[0]
        inputs = self.session.get_inputs()
        axes = None
        if len(inputs) == 1 and inputs[0].type == 'tensor(float)':
            axes = [axis if isinstance(axis, int) else None for axis in inputs[0].shape]
        self._set_input(path, axes, [output.name for output in self.session.get_outputs()])
        self.input_name = inputs[0].name

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._runs.run(self.outputs[:1], {self.input_name: batch})[0]

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._runs.run(self.outputs, {self.input_name: batch})

    def end_trace(self) -> str:
        """End the profile that ONNX Runtime writes, and return its path."""
        return self.session.end_profiling()


def session_options() -> onnxruntime.SessionOptions:
    """Return this project's options for every session: no messages, and exact eight-bit rounding on any processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its messages would repeat the exceptions
    # Its integer kernels saturate on processors without VNNI, and are no faster on our models.
    options.add_session_config_entry('session.disable_quant_qdq', '1')
    return options


class Runs:
    """The runs of a session. A signal to the script ends them, because one call may take hours."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session, self._options = session, onnxruntime.RunOptions()
        stopping.stops(self)

    def run(self, outputs: Sequence[str] | None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the session.

        Args:
            outputs: names of the outputs to return; None for all.
            inputs: name -> array.
        """
        return self._session.run(outputs, inputs, self._options)

    def stop(self) -> None:
        """End all runs, including those that begin later."""
        self._options.terminate = True


def choose_providers(name: str | None, device_id: int, cann_precision: str = EXACT) -> list:
    """Return onnxruntime's list of providers with their options.

    Args:
        name: a key of PROVIDERS; None for all that are installed, the best first.
        device_id: number of the device.
        cann_precision: for the CANN provider, whose own default is fp16: EXACT or FAST.

    Raises:
        ValueError: the installed onnxruntime does not have the provider.
    """
    available = onnxruntime.get_available_providers()
    if name and PROVIDERS[name] not in available:
        raise ValueError(f'this onnxruntime has no {name}, only {", ".join(available)}: {INSTALL[name]}')
    wanted = [PROVIDERS[name]] if name else [p for p in PROVIDERS.values() if p in available]
    return [(p, _options(p, device_id, cann_precision)) if p in ON_DEVICE else p for p in wanted]


def _options(provider: str, device_id: int, cann_precision: str) -> dict[str, str]:
    """Return a provider's options: the device, CANN's precision, and no TF32, which rounds fp32 to 10 bits."""
    options = {'device_id': str(device_id)}
    if provider == PROVIDERS['CANN']:
        options['precision_mode'] = cann_precision
    elif provider == PROVIDERS['CUDA'] and _version() >= TF32_OPTION:
        options['use_tf32'] = '0'
    else:
        os.environ.setdefault('NVIDIA_TF32_OVERRIDE', '0')  # TensorRT and older CUDA providers have no option for TF32
    return options


def has_accelerator() -> bool:
    """Return whether the installed onnxruntime is built for an accelerator, which may still be missing."""
    return bool(ON_DEVICE & set(onnxruntime.get_available_providers()))


def _is_cann(name: str | None) -> bool:
    """Return whether a session takes the CANN provider."""
    return name == 'CANN' or name is None and PROVIDERS['CANN'] in onnxruntime.get_available_providers()


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in onnxruntime.__version__.split('.')[:2])
