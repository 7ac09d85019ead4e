"""The exported model in OpenVINO on a CPU: in fp32, in bf16, or in eight bits."""

from __future__ import annotations

import importlib.util
import threading
from typing import Any

from rdn import cpu, escaping, guides_stack
from rdn.engines import base
from rdn.network import onnx_graph

import numpy as np

INSTALL = 'pip install openvino' if guides_stack.HAS_OPENVINO else 'it needs Python 3.8 or later'
MAX_COMPILED = 4  # input sizes that OpenVINO keeps a compiled model for


class OpenVino(base.Engine):
    """A model in OpenVINO on a CPU."""

    def __init__(self, path: str, precision: str, threads: int = 0, streams: int = 1):
        """Load a model.

        Args:
            path: of the ONNX file.
            precision: 'fp32'; 'bf16', on a CPU that computes in it; 'int8' of a model of eight bits, the rest in fp32.
            threads: as of base.Place.
            streams: as of base.Place.

        Raises:
            ValueError: the processor's instructions or OpenVINO are missing, or OpenVINO cannot load the file.
        """
        super().__init__()
        onnx_graph.check_whole(path)
        if precision == 'bf16' and not cpu.has_bf16():
            raise ValueError('this processor does not compute in bf16 (no avx512_bf16, amx_bf16 or bf16): take fp32')
        try:
            from openvino import Core, get_version
        except ImportError:
            raise ValueError(f'{precision} in OpenVINO needs OpenVINO 2023.1 or later, which is not here: {INSTALL}')
        self._core = Core()
        try:
            self._model = self._core.read_model(path)
        except Exception as error:
            raise ValueError(f'{path}: OpenVINO cannot load it: {escaping.one_line(error)}')
        inputs = self._model.inputs
        axes = None
        if len(inputs) == 1 and inputs[0].partial_shape.rank == 4:
            axes = [axis.get_length() if axis.is_static else None for axis in inputs[0].partial_shape]
        self._set_input(path, axes, [output.get_any_name() for output in self._model.outputs])
        self.name, self.kind, self.version = f'OpenVINO, {precision}', 'OpenVINO', f'OpenVINO {get_version()}'
        self.precision, self.streams = precision, streams
        rest = 'bf16' if precision == 'bf16' else 'f32'
        self._hints: dict[str, Any] = {'INFERENCE_PRECISION_HINT': rest, 'NUM_STREAMS': streams}
        self._hints['ENABLE_CPU_PINNING'] = False  # several processes would be bound to the same cores
        if threads:
            self._hints['INFERENCE_NUM_THREADS'] = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock, self._local = threading.Lock(), threading.local()

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._infer(batch)[0].copy()

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        results = self._infer(batch)
        return [results[index].copy() for index in range(len(self.outputs))]

    def _infer(self, batch: np.ndarray) -> Any:
        """OpenVINO's results, by the outputs' numbers: views that this thread's next run overwrites."""
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
        return requests[batch.shape].infer([batch])


def is_installed() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec('openvino') is not None
