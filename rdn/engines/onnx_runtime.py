"""The exported model in ONNX Runtime, on the best device that the installed build has."""

from __future__ import annotations

import os

from rdn.engines import base
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
# What brings a provider that is missing or does not load.
INSTALL = {
    'CANN': "pip install onnxruntime-cann in place of onnxruntime, and source the toolkit's set_env.sh",
    'TensorRT': 'pip install onnxruntime-gpu in place of onnxruntime, and install TensorRT and CUDA of its versions',
    'CUDA': 'pip install onnxruntime-gpu in place of onnxruntime, and install CUDA and cuDNN of its versions',
}
ON_DEVICE = {name for key, name in PROVIDERS.items() if key != 'CPU'}


class OnnxRuntime(base.Engine):
    """A model in ONNX Runtime, in the precision of its values; on a CPU some nodes of an fp16 model run in fp32."""

    def __init__(self, path: str, place: base.Place = base.Place(), trace_folder: str | None = None):  # noqa: B008
        """Load a model.

        Args:
            path: of the ONNX file.
            place: where it computes.
            trace_folder: for the profile that `end_trace` returns; None measures nothing.

        Raises:
            ValueError: ONNX Runtime cannot load it, or it is another kind of model.
        """
        super().__init__()
        threads, streams = place.threads, place.streams
        self.precision = onnx_graph.precision_of(path)
        options = session_options()
        options.intra_op_num_threads = max(1, threads // streams) if streams > 1 else threads
        if trace_folder:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(trace_folder, 'onnxruntime')
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=choose_providers(place.provider, place.device_id)
            )
        except Exception as error:  # onnxruntime's own kinds have no common base
            raise ValueError(f'{path}: onnxruntime cannot load it: {error}')
        inputs = self.session.get_inputs()
        axes = None
        if len(inputs) == 1 and inputs[0].type == 'tensor(float)':
            axes = [axis if isinstance(axis, int) else None for axis in inputs[0].shape]
        self._set_input(path, axes, len(self.session.get_outputs()))
        self.input_name = inputs[0].name
        self.kind = self.session.get_providers()[0]
        if place.provider and self.kind != PROVIDERS[place.provider]:  # ONNX Runtime falls back to the CPU
            raise ValueError(f'{place.provider} does not load in this onnxruntime: {INSTALL[place.provider]}')
        self.version = f'ONNX Runtime {onnxruntime.__version__}'
        where = self.kind.replace('ExecutionProvider', '')
        self.name = f'ONNX Runtime, {self.precision} ({where})'
        if self.kind in ON_DEVICE:
            self.chip = where
        self.streams = 1 if self.kind in ON_DEVICE else streams

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.input_name: batch})[0]

    def end_trace(self) -> str:
        return self.session.end_profiling()


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
        raise ValueError(f'this onnxruntime has no {name}, only {", ".join(available)}: {INSTALL[name]}')
    wanted = [PROVIDERS[name]] if name else [p for p in PROVIDERS.values() if p in available]
    return [(p, {'device_id': str(device_id)}) if p in ON_DEVICE else p for p in wanted]
