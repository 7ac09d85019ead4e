"""What all engines share: a model that is ready to run."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Callable, NamedTuple, Sequence, TypeVar

from rdn import run_record

import numpy as np

Self = TypeVar('Self', bound='Engine')
Result = TypeVar('Result')

PRECISIONS = ('fp32', 'bf16', 'int8')  # that can be asked for; a model in fp16 runs as it is


class Place(NamedTuple):
    """Where a model computes.

    Attributes:
        provider: a key of ONNX Runtime's PROVIDERS; None takes the first that the installed build has.
        device_id: number of an accelerator.
        threads: of a CPU; 0 for one a core. Several streams share them.
        streams: how many runs at a time, from threads of the caller's.
    """

    provider: str | None = None
    device_id: int = 0
    threads: int = 0
    streams: int = 1


class Spent(NamedTuple):
    """Seconds that a device spent: on copying inputs to it, on computing, on copying outputs to the host."""

    to_device: float
    compute: float
    to_host: float


class Engine(abc.ABC):
    """A model of one picture input (N, C, H, W), ready to run. Its first output is the result; further ones are taps.

    Attributes:
        path: of the model's file.
        name: what computes, for the console.
        version: of the engine; None if it is not known.
        precision: one of PRECISIONS, or fp16.
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
    version: str | None
    precision: str | None  # None: an offline model does not say
    streams: int
    batch: int | None
    shape: list[int | None]
    outputs: Sequence[str] = ('output',)
    chip: str = run_record.HOST

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

    def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Free what the model holds outside of this process's own memory.

        Raises:
            ValueError: that fails.
        """

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
