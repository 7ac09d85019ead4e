"""The exported model at work: in ONNX Runtime on the best device that the installed build has, or in OpenVINO in bf16."""

from __future__ import annotations

import abc
import os
import re
import threading
from typing import Any

from rdn import cpu, onnx_graph

import numpy as np
import onnxruntime

# ONNX Runtime's execution providers, in the order of preference.
PROVIDERS = {
    'CANN': 'CANNExecutionProvider',
    'TensorRT': 'TensorrtExecutionProvider',
    'CUDA': 'CUDAExecutionProvider',
    'CPU': 'CPUExecutionProvider',
}
ON_DEVICE = {name for key, name in PROVIDERS.items() if key != 'CPU'}
PRECISIONS = ('fp32', 'bf16')
MAX_COMPILED = 4  # input sizes that OpenVINO keeps a compiled model for


class Engine(abc.ABC):
    """A model of one picture input (N, C, H, W) and one output, ready to run.

    name: what computes, for the console; version: of the engine. streams: how many runs at a time, from threads of the
    caller's, use the device best. batch: the number of images in a run; shape: the input's [C, H, W]. An axis that the
    model leaves free is None.
    """

    name: str
    version: str
    streams: int
    batch: int | None
    shape: list[int | None]

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """float32 (N, C, H, W) -> (N, C, scale*H, scale*W). Raises ValueError where the model fails."""
        try:
            return self._run(batch)
        except Exception as error:  # the engines' own kinds have no common base
            raise ValueError(f'the model failed on an input {batch.shape}: {error}')

    def end_trace(self) -> str:
        """Path of the engine's own profile of all runs so far, in the trace folder. Ends the trace.

        Raises ValueError where the engine keeps none.
        """
        raise ValueError(f'{self.name} keeps no profile')

    @abc.abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """As __call__, with the engine's own errors."""

    def _set_input(self, path: str, axes: list[int | None] | None, outputs: int) -> None:
        """Take the sizes of the input's axes. Raises ValueError unless it is one picture input with one output."""
        if axes is None or len(axes) != 4 or outputs != 1:
            raise ValueError(f'{path}: expected one float32 input (N, C, H, W) and one output')
        self.batch, *self.shape = axes


class OnnxRuntime(Engine):
    """A model in ONNX Runtime, in fp32."""

    def __init__(
        self,
        path: str,
        provider: str | None = None,
        device_id: int = 0,
        threads: int = 0,
        streams: int = 1,
        trace_folder: str | None = None,
    ):
        """Raises ValueError for what ONNX Runtime cannot load, or another kind of model.

        provider: a key of PROVIDERS; None takes the first that the installed build has.
        threads: of a CPU; 0 leaves it to ONNX Runtime (one a core). Several streams share them.
        trace_folder: for what `end_trace` gives; None measures nothing.
        """
        onnx_graph.check_whole(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised, too
        options.intra_op_num_threads = max(1, threads // streams) if streams > 1 else threads
        if trace_folder:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(trace_folder, 'onnxruntime')
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=choose_providers(provider, device_id))
        except Exception as error:  # onnxruntime's own kinds have no common base
            raise ValueError(f'{path}: onnxruntime cannot load it: {error}')
        inputs = self.session.get_inputs()
        axes = None
        if len(inputs) == 1 and inputs[0].type == 'tensor(float)':
            axes = [axis if isinstance(axis, int) else None for axis in inputs[0].shape]
        self._set_input(path, axes, len(self.session.get_outputs()))
        self.input_name = inputs[0].name
        self.name = self.session.get_providers()[0]
        self.version = f'ONNX Runtime {onnxruntime.__version__}'
        self.streams = 1 if self.name in ON_DEVICE else streams

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input_name: batch})[0]

    def end_trace(self) -> str:
        return self.session.end_profiling()


class OpenVino(Engine):
    """A model in OpenVINO, in bfloat16, on a CPU that has it."""

    def __init__(self, path: str, threads: int = 0, streams: int = 1):
        """Raises ValueError where the processor or OpenVINO is missing, or for what OpenVINO cannot load."""
        onnx_graph.check_whole(path)
        if not cpu.has_bf16():
            raise ValueError('this processor does not compute in bf16 (no avx512_bf16, amx_bf16 or bf16): take fp32')
        try:
            from openvino import Core, get_version
        except ImportError:
            raise ValueError('bf16 runs in OpenVINO 2023.1 or later, which is not here: pip install openvino')
        self._core = Core()
        try:
            self._model = self._core.read_model(path)
        except Exception as error:
            raise ValueError(f'{path}: OpenVINO cannot load it: {error}')
        inputs = self._model.inputs
        axes = None
        if len(inputs) == 1 and inputs[0].partial_shape.rank == 4:
            axes = [axis.get_length() if axis.is_static else None for axis in inputs[0].partial_shape]
        self._set_input(path, axes, len(self._model.outputs))
        self.name, self.version, self.streams = 'OpenVINO in bf16', f'OpenVINO {get_version()}', streams
        self._hints: dict[str, Any] = {'INFERENCE_PRECISION_HINT': 'bf16', 'NUM_STREAMS': streams}
        if threads:
            self._hints['INFERENCE_NUM_THREADS'] = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock, self._local = threading.Lock(), threading.local()

    def _run(self, batch: np.ndarray) -> np.ndarray:
        with self._lock:  # compiled for each size once: OpenVINO is slower on free axes
            if batch.shape not in self._compiled:
                if len(self._compiled) == MAX_COMPILED:  # pictures of any size have tiles of their own
                    self._compiled.clear()
                self._model.reshape(list(batch.shape))
                self._compiled[batch.shape] = self._core.compile_model(self._model, 'CPU', self._hints)
            compiled = self._compiled[batch.shape]
        requests = self._local.__dict__.setdefault('requests', {})
        if batch.shape not in requests:
            if len(requests) == MAX_COMPILED:
                requests.clear()
            requests[batch.shape] = compiled.create_infer_request()
        return requests[batch.shape].infer([batch])[0].copy()


def open_model(
    path: str,
    precision: str = 'fp32',
    provider: str | None = None,
    device_id: int = 0,
    threads: int = 0,
    streams: int = 1,
    trace_folder: str | None = None,
) -> Engine:
    """The Engine for a precision. Raises ValueError as the engines do, and for bf16 with what it lacks."""
    if precision == 'fp32':
        return OnnxRuntime(path, provider, device_id, threads, streams, trace_folder)
    if trace_folder or provider not in (None, 'CPU'):
        raise ValueError('bf16 is for the CPU and without a profile: leave the provider and profiling out')
    return OpenVino(path, threads, streams)


def choose_providers(name: str | None, device_id: int) -> list:
    """onnxruntime's provider list for a key of PROVIDERS, or for the best that is installed if None.

    Raises ValueError for one that the installed onnxruntime does not have.
    """
    available = onnxruntime.get_available_providers()
    if name and PROVIDERS[name] not in available:
        raise ValueError(f'this onnxruntime has no {name}: it has {", ".join(available)}')
    wanted = [PROVIDERS[name]] if name else [p for p in PROVIDERS.values() if p in available]
    return [(p, {'device_id': str(device_id)}) if p in ON_DEVICE else p for p in wanted]


def resolve_model(path: str) -> str:
    """The model's path: X_bs1.onnx stands for X.onnx where only that is there.

    The guide's offline models carry their batch size in the name; an ONNX file takes any.
    """
    general = re.sub(r'_bs\d+\.onnx$', '.onnx', path)
    return general if not os.path.exists(path) and os.path.exists(general) else path
