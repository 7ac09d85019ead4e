"""The type of all engines: a model that is ready to run."""

from __future__ import annotations

import abc
import threading
from types import TracebackType
from typing import Callable, NamedTuple, Sequence, TypeVar

from rdn import run_record

import numpy as np

Self = TypeVar('Self', bound='Engine')
Result = TypeVar('Result')

AUTO = 'auto'  # the best engine or precision on this machine, by the rules of choice.py
ENGINES = ('onnxruntime', 'openvino', 'pytorch', 'om')
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')
CPU = 'cpu'  # PyTorch's name of the device
WEIGHTS = ('.pth', '.pt')


def is_weights(path: str) -> bool:
    """Return whether a file's name has the ending of PyTorch weights."""
    return path.endswith(WEIGHTS)


class Place(NamedTuple):
    """The hardware on which a model computes.

    Attributes:
        provider: a key of ONNX Runtime's PROVIDERS; None takes the first that the installed build has.
        device_id: number of an accelerator, for ONNX Runtime and offline models.
        threads: number of CPU threads, which all streams share; 0 means one per core.
        streams: the number of simultaneous runs, from the caller's threads.
        device: PyTorch's name of a device: 'cuda:1', 'mps', 'npu:0', 'xpu', 'cpu'; None takes the first that works.
    """

    provider: str | None = None
    device_id: int = 0
    threads: int = 0
    streams: int = 1
    device: str | None = None


class Spent(NamedTuple):
    """The time of a device's runs, in seconds.

    Attributes:
        to_device: for copying inputs to the device.
        compute: for computing.
        to_host: for copying outputs to the host.
    """

    to_device: float
    compute: float
    to_host: float


class Engine(abc.ABC):
    """A model with one picture input (N, C, H, W), ready to run. Its first output is the result; further ones are taps.

    A with statement closes it at the end.

    Attributes:
        path: the model's file.
        name: the engine and precision, for the console: 'OpenVINO, bf16', 'ONNX Runtime, fp32 (CPU)'.
        kind: the engine or its provider, for a record: 'OpenVINO', 'CPUExecutionProvider'.
        version: the engine's version; None if it is unknown.
        precision: one of PRECISIONS; None for an offline model, which does not contain it.
        is_lossy: whether `choice.py` chose a precision that loses a little and that the user did not ask for.
        notes: fallbacks and their reasons, one line each, to be printed; runs may add notes.
        streams: the best number of simultaneous runs, from the caller's threads.
        batch: the number of images in a run; None if the model accepts any number.
        shape: the input's [C, H, W]; None for an axis that may have any size.
        outputs: the names of all outputs; the result's name is the first.
        chip: the chip's name in records.
        spent: the total time of all runs, if copies are timed separately; else None.
    """

    path: str
    name: str
    kind: str
    version: str | None
    precision: str | None
    streams: int
    batch: int | None
    shape: list[int | None]
    outputs: Sequence[str] = ('output',)
    chip: str = run_record.HOST

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.is_lossy = False
        self._open_exact: Callable[[], Engine] | None = None
        self._exact: Engine | None = None
        self._exact_lock = threading.Lock()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except ValueError:
            if error is None:  # otherwise the earlier error matters more
                raise

    @property
    def spent(self) -> Spent | None:
        """The total time of all runs; None if copies are not timed separately, or there are no copies."""
        return None

    def close(self) -> None:
        """Free the memory that the model uses on a device.

        Raises:
            ValueError: a call to the device fails.
        """
        if self._exact:
            self._exact.close()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Run the model.

        Args:
            batch: float32 (N, C, H, W), 0...1.

        Returns:
            The result, float32 (N, C, scale*H, scale*W).

        Raises:
            ValueError: the model fails; names the model's file.
        """
        return self._named(self._run, batch)

    def run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run the model and return all its outputs.

        Args:
            batch: float32 (N, C, H, W), 0...1.

        Returns:
            An array for each of `outputs`, float32 (N, C, H, W) with its own C, H and W.

        Raises:
            ValueError: the model fails; names the model's file.
        """
        return self._named(self._run_all, batch)

    def _named(self, run: Callable[[np.ndarray], Result], batch: np.ndarray) -> Result:
        """Return the result of `run`. Raises ValueError, with the file's name, if it fails."""
        try:
            return run(batch)
        except Exception as error:  # the engines' exceptions have no common base
            reason = str(error)
            if reason.startswith(f'{self.path}: '):
                reason = reason[len(self.path) + 2 :]
            raise ValueError(f'{self.path}: the model failed on an input {batch.shape}: {reason}')

    def show_taps(self) -> None:  # noqa: B027 - an exported graph has fixed outputs
        """Make `run_all` return the network's taps too, if the engine runs the network and not an exported graph."""

    def set_exact(self, open_exact: Callable[[], Engine]) -> None:
        """Record that the user did not ask for this precision, which is lossy.

        Args:
            open_exact: opens the same model in fp32.
        """
        self.is_lossy, self._open_exact = True, open_exact

    def exact(self) -> Engine:
        """Return the same model in fp32, for pictures with more than 8 bits per channel.

        The first call opens the model.

        Returns:
            The model in fp32; this engine itself if the user asked for its precision.

        Raises:
            ValueError: the model cannot be opened in fp32.
        """
        if self._open_exact is None:
            return self
        with self._exact_lock:
            if self._exact is None:
                self._exact = self._open_exact()
                self.notes.extend(note for note in self._exact.notes if note not in self.notes)
                self._exact.notes = self.notes
            return self._exact

    def tiles_a_run(self, height: int, width: int) -> int:
        """Return the fastest number of tiles per run, for tiles of this size in pixels."""
        return 1

    def end_trace(self) -> str:
        """End the trace, and return the path of the engine's own profile of all runs, in the trace folder.

        Raises:
            ValueError: the engine writes no profile.
        """
        raise ValueError(f'{self.name} writes no profile')

    @abc.abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """Return the result for a batch. May raise any exception of the engine's library."""

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        """Return all outputs for a batch. May raise any exception. Engines that support several outputs override it."""
        return [self._run(batch)]

    def _set_input(self, path: str, axes: list[int | None] | None, outputs: Sequence[str]) -> None:
        """Set the input's sizes and the outputs' names. Raises ValueError unless the model has one picture input."""
        if axes is None or len(axes) != 4 or not outputs:
            raise ValueError(f'{path}: expected one float32 input (N, C, H, W)')
        self.path, self.outputs = path, list(outputs)
        self.batch, *self.shape = axes
