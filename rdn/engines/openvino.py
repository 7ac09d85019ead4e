"""The exported model in OpenVINO on a CPU: in fp32, bf16 or int8."""

from __future__ import annotations

import functools
import importlib.util
import threading
from typing import Any

from rdn import cpu, escaping, guides_stack
from rdn.engines import base
from rdn.network import onnx_graph

import numpy as np

INSTALL = 'pip install openvino' if guides_stack.HAS_OPENVINO else 'it needs Python 3.8 or later'
MAX_COMPILED = 4  # input sizes whose compiled models are kept


class OpenVino(base.Engine):
    """A model in OpenVINO on a CPU."""

    def __init__(self, path: str, precision: str, threads: int = 0, streams: int = 1):
        """Load a model.

        Args:
            path: the ONNX file.
            precision: 'fp32'; 'bf16', on a CPU that supports it; or 'int8' for an eight-bit model, whose other layers
                run in fp32.
            threads: number of CPU threads, which all streams share; 0 means one per core.
            streams: the number of simultaneous runs.

        Raises:
            OSError: there is no such file.
            ValueError: OpenVINO is missing, the processor does not support bf16, OpenVINO cannot load the file, or the
                model has not exactly one picture input.
        """
        super().__init__()
        onnx_graph.check_whole(path)
        if precision == 'bf16' and not cpu.has_bf16():
            raise ValueError('this processor does not compute in bf16 (no avx512_bf16, amx_bf16 or bf16): take fp32')
        try:
            from openvino import get_version

            self._core = _core()
        except ImportError:
            raise ValueError(
                f'{precision} in OpenVINO needs OpenVINO 2023.1 or later, which is not installed: {INSTALL}'
            )
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
        self._hints['ENABLE_CPU_PINNING'] = False  # pinning would bind several processes to the same cores
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
        """Return OpenVINO's results by the outputs' numbers: views that this thread's next run overwrites."""
        with self._lock:  # a model is compiled for each size, because OpenVINO is slower if the size is free
            if batch.shape not in self._compiled:
                if len(self._compiled) == MAX_COMPILED:  # the tile sizes of the next picture may be others
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


@functools.lru_cache(maxsize=None)
def _core() -> Any:
    """Return the only Core of this process, which is never freed.

    A Core replaces the stack on which this thread handles signals, and restores the earlier stack when it is freed. If
    there were two, the second would restore the stack of the first, which may be freed already. Then the next Ctrl-C
    would crash.
    """
    from openvino import Core

    return Core()


def is_installed() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec('openvino') is not None
