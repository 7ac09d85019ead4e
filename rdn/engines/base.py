"""What all engines share: a model that is ready to run."""

from __future__ import annotations

import abc
import threading
from types import TracebackType
from typing import Callable, NamedTuple, Sequence, TypeVar

from rdn import run_record

import numpy as np

Self = TypeVar('Self', bound='Engine')
Result = TypeVar('Result')

AUTO = 'auto'  # of an engine or a precision: the best on this machine, by the rules of choice.py
ENGINES = ('onnxruntime', 'openvino', 'pytorch', 'om')
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')
CPU = 'cpu'  # the device, in PyTorch's words
WEIGHTS = ('.pth', '.pt')


def is_weights(path: str) -> bool:
    """Whether a file is weights of PyTorch, by its name."""
    return path.endswith(WEIGHTS)


class Place(NamedTuple):
    """Where a model computes.

    Attributes:
        provider: a key of ONNX Runtime's PROVIDERS; None takes the first that the installed build has.
        device_id: number of an accelerator, for ONNX Runtime and offline models.
        threads: of a CPU; 0 for one a core. Several streams share them.
        streams: how many runs at a time, from threads of the caller's.
        device: PyTorch's name of a device: 'cuda:1', 'mps', 'npu:0', 'xpu', 'cpu'; None takes the first that works.
    """

    provider: str | None = None
    device_id: int = 0
    threads: int = 0
    streams: int = 1
    device: str | None = None


class Spent(NamedTuple):
    """Seconds that a device spent: on copying inputs to it, on computing, on copying outputs to the host."""

    to_device: float
    compute: float
    to_host: float


class Engine(abc.ABC):
    """A model of one picture input (N, C, H, W), ready to run. Its first output is the result; further ones are taps.

    Attributes:
        path: of the model's file.
        name: what computes, for the console: 'OpenVINO, bf16', 'ONNX Runtime, fp32 (CPU)'.
        kind: the engine or its provider, for a record: 'OpenVINO', 'CPUExecutionProvider'.
        version: of the engine; None if it is not known.
        precision: one of PRECISIONS; None: an offline model does not say.
        is_lossy: whether `choice.py` chose a precision that loses a little, which nobody asked for.
        notes: what it fell back to and why, a line each, to be printed; runs may add to them.
        streams: how many runs at a time, from threads of the caller's, use the device best.
        batch: the number of images in a run; None if the model leaves it free.
        shape: the input's [C, H, W]; None for an axis that the model leaves free.
        outputs: the names of all outputs, the result's first.
        chip: what computes, by the name that a record gives it.
        spent: the time of all runs so far, for a device whose copies are timed apart.

    A with statement closes it at the end.
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
            if error is None:  # otherwise that is what went wrong first
                raise

    @property
    def spent(self) -> Spent | None:
        """None: copies are not timed apart, or there are none."""
        return None

    def close(self) -> None:
        """Free what the model holds outside of this process's own memory.

        Raises:
            ValueError: that fails.
        """
        if self._exact:
            self._exact.close()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """float32 (N, C, H, W) -> (N, C, scale*H, scale*W). Raises ValueError, with the file's name, where the model fails."""
        return self._named(self._run, batch)

    def run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        """As __call__, with all outputs, in the order of their names; each is float32 (N, C, H, W) of its own size."""
        return self._named(self._run_all, batch)

    def _named(self, run: Callable[[np.ndarray], Result], batch: np.ndarray) -> Result:
        """What a run returns. Raises ValueError, with the file's name, where it fails."""
        try:
            return run(batch)
        except Exception as error:  # the engines' own kinds have no common base
            reason = str(error)
            if reason.startswith(f'{self.path}: '):
                reason = reason[len(self.path) + 2 :]
            raise ValueError(f'{self.path}: the model failed on an input {batch.shape}: {reason}')

    def show_taps(self) -> None:  # noqa: B027 - a file's outputs are what they are
        """Have `run_all` return the network's taps too, where the engine holds the network and not an exported graph."""

    def set_exact(self, open_exact: Callable[[], Engine]) -> None:
        """Say that nobody asked for this precision, and how the same model is opened in fp32."""
        self.is_lossy, self._open_exact = True, open_exact

    def exact(self) -> Engine:
        """The same model in fp32, for pictures of more than 8 bits a channel; itself where this precision was asked for.

        It is opened by the first call. Raises ValueError where that fails.
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
        """How many tiles of this size, in pixels, one run computes fastest."""
        return 1

    def end_trace(self) -> str:
        """Path of the engine's own profile of all runs so far, in the trace folder. Ends the trace.

        Raises ValueError where the engine keeps none.
        """
        raise ValueError(f'{self.name} keeps no profile')

    @abc.abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """As __call__, with the engine's own errors."""

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        """As run_all, with the engine's own errors. An engine whose models may have several outputs overrides it."""
        return [self._run(batch)]

    def _set_input(self, path: str, axes: list[int | None] | None, outputs: Sequence[str]) -> None:
        """Take the sizes of the input's axes and the outputs' names. Raises ValueError unless it is one picture input."""
        if axes is None or len(axes) != 4 or not outputs:
            raise ValueError(f'{path}: expected one float32 input (N, C, H, W)')
        self.path, self.outputs = path, list(outputs)
        self.batch, *self.shape = axes
