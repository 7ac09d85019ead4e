"""The exported model at work: in ONNX Runtime on the best device that the installed build has, or in OpenVINO.

OpenVINO computes in bf16, and is the faster one for a model of eight bits.
"""

from __future__ import annotations

import abc
import importlib.util
import os
import re
import sys
import threading
from typing import Any

from rdn import cpu
from rdn.network import onnx_graph

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
PRECISIONS = ('fp32', 'bf16', 'int8')
MAX_COMPILED = 4  # input sizes that OpenVINO keeps a compiled model for


class Engine(abc.ABC):
    """A model of one picture input (N, C, H, W) and one output, ready to run.

    name: what computes, for the console; version: of the engine; precision: one of PRECISIONS. streams: how many runs at
    a time, from threads of the caller's, use the device best. batch: the number of images in a run; shape: the input's
    [C, H, W]. An axis that the model leaves free is None.
    """

    name: str
    version: str
    precision: str
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
    """A model in ONNX Runtime, in fp32, or with what it holds in eight bits rounded so."""

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
        self.precision = 'int8' if onnx_graph.is_quantized(path) else 'fp32'
        options = session_options()
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
    """A model in OpenVINO on a CPU that has the instructions: in bfloat16, or of eight bits with the rest in fp32."""

    def __init__(self, path: str, precision: str, threads: int = 0, streams: int = 1):
        """Raises ValueError where the processor or OpenVINO is missing, or for what OpenVINO cannot load.

        precision: bf16 or int8.
        """
        onnx_graph.check_whole(path)
        if precision == 'bf16' and not cpu.has_bf16():
            raise ValueError('this processor does not compute in bf16 (no avx512_bf16, amx_bf16 or bf16): take fp32')
        try:
            from openvino import Core, get_version
        except ImportError:
            raise ValueError(f'{precision} runs in OpenVINO 2023.1 or later, which is not here: pip install openvino')
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
        self.name, self.version = f'OpenVINO in {precision}', f'OpenVINO {get_version()}'
        self.precision, self.streams = precision, streams
        rest = 'bf16' if precision == 'bf16' else 'f32'
        self._hints: dict[str, Any] = {'INFERENCE_PRECISION_HINT': rest, 'NUM_STREAMS': streams}
        self._hints['ENABLE_CPU_PINNING'] = False  # several processes would be bound to the same cores
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
    precision: str | None = None,
    provider: str | None = None,
    device_id: int = 0,
    threads: int = 0,
    streams: int = 1,
    trace_folder: str | None = None,
) -> Engine:
    """The Engine for a precision; None: int8 for a model of eight bits, fp32 for all others.

    Raises ValueError as the engines do, for bf16 with what it lacks, and for a precision that is not the model's.
    """
    own = 'int8' if onnx_graph.is_quantized(path) else None
    if own and precision not in (None, own):
        raise ValueError(f'{path}: is of eight bits, not {precision}: give the model that it was made from')
    if precision == 'int8' and not own:
        raise ValueError(f'{path}: is not of eight bits: RDN_quantize.py makes such a model of it')
    on_cpu = provider in (None, 'CPU') and not trace_folder
    if precision == 'bf16':
        if not on_cpu:
            raise ValueError('bf16 is for the CPU and without a profile: leave the provider and profiling out')
        return OpenVino(path, 'bf16', threads, streams)
    if own and on_cpu and cpu.has_int8() and has_openvino():
        return OpenVino(path, 'int8', threads, streams)
    return OnnxRuntime(path, provider, device_id, threads, streams, trace_folder)


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec('openvino') is not None


def faster_way(model: Engine, flag: str) -> str | None:
    """A line on what would be faster here for a model that runs with no precision asked for; None where nothing would.

    flag: how the script spells its flag. Where the figures come from: docs/performance.md.
    """
    if model.name != PROVIDERS['CPU'] or sys.version_info < (3, 8):  # for 3.7 there is no OpenVINO that has it
        return None
    install = '' if has_openvino() else ', after pip install openvino'
    if model.precision == 'int8':
        return f'eight bits are several times as fast in OpenVINO{install}' if install and cpu.has_int8() else None
    if not cpu.has_bf16():
        return None
    times = 'about 4 times' if 'amx_bf16' in cpu.instruction_sets() else 'about twice'
    return f'this processor has bf16: {flag}=bf16 would be {times} as fast, at 0.02 to 0.08 dB less{install}'


def session_options() -> onnxruntime.SessionOptions:
    """How ONNX Runtime runs every model here: silent, and with eight bits rounded exactly on any processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised, too
    # Its integer kernels saturate on processors without VNNI, and are no faster on our models.
    options.add_session_config_entry('session.disable_quant_qdq', '1')
    return options


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
