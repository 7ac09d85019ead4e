"""A device's taps: from the folder that its tool dumped them into, or from an engine that computes them now."""

from __future__ import annotations

import abc
import os
from typing import Mapping, Sequence, Tuple

from rdn import engines
from rdn.devices import outputs

import numpy as np

Shapes = Mapping[str, Tuple[int, ...]]  # name of a tap, in the order of a model's outputs -> (C, H, W)


class DeviceTaps(abc.ABC):
    """The taps that a device computed of a prepared set's inputs.

    Attributes:
        title: what computed, for the console.
        precision: of its arithmetic; None if it is not known.
    """

    title: str
    precision: str | None

    @abc.abstractmethod
    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Return name -> tap, float32, of the shapes, which may hold values that are not finite.

        Args:
            stem: the input's name without ending.
            lr: the input, float32 (3, H, W).
            shapes: of all taps, in the order of the model's outputs.

        Raises:
            ValueError: a tap is missing or of another shape; with the file's name.
        """

    def notes(self) -> list[str]:
        """Return what a person should know of the computation, once it is done."""
        return []

    @abc.abstractmethod
    def read_result(self, stem: str, lr: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the result alone, float32 of the shape. Arguments and errors as of `read`."""


class DumpedTaps(DeviceTaps):
    """Taps in a folder of outputs: STEM_1.txt, STEM_2.txt ... of benchmark, STEM_0.bin, STEM_1.bin ... of ais_bench."""

    def __init__(self, folder: str, stems: Sequence[str], title: str, precision: str | None):
        """Find the outputs of these inputs. Raises ValueError, with the file's name, where one is missing or not whole."""
        self.title, self.precision = title, precision
        self._results = {stem: paths[0] for stem, paths in outputs.find_outputs(folder, stems).items()}
        folders = {os.path.dirname(path) for path in self._results.values()}
        self._names = {each: outputs.outputs_by_result(each) for each in folders}

    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        folder, first = os.path.split(self._results[stem])
        names = self._names[folder][first]
        if len(names) != len(shapes):
            raise ValueError(
                f'{self._results[stem]}: {len(names)} outputs of {stem}, expected {len(shapes)}: {", ".join(shapes)}; '
                'run a model that RDN_pth2onnx.py --taps exported'
            )
        return {
            tap: outputs.read_tap(os.path.join(folder, name), shape)
            for name, (tap, shape) in zip(names, shapes.items())
        }

    def read_result(self, stem: str, lr: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return outputs.read_output(self._results[stem], shape)


class ComputedTaps(DeviceTaps):
    """Taps that an engine computes, an input at a time."""

    def __init__(self, engine: engines.Engine):
        """Take an opened engine."""
        self.title, self.precision = engine.name, engine.precision
        self._engine = engine
        engine.show_taps()

    def notes(self) -> list[str]:
        return self._engine.notes

    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        path, names = self._engine.path, list(self._engine.outputs)
        if len(names) != len(shapes):
            raise ValueError(
                f'{path}: {len(names)} outputs, expected {len(shapes)}: {", ".join(shapes)}; '
                'export the model with RDN_pth2onnx.py --taps'
            )
        computed = self._run(lr)
        # An offline model has names of its own, in the order of the exported one's.
        found = dict(zip(names if set(names) == set(shapes) else shapes, computed))
        for name, shape in shapes.items():
            if found[name].shape != shape:
                raise ValueError(
                    f'{path}: its output {name} is {found[name].shape}, PyTorch {shape}: of other weights?'
                )
        return {name: found[name] for name in shapes}

    def read_result(self, stem: str, lr: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return self._run(lr)[0]

    def _run(self, lr: np.ndarray) -> list[np.ndarray]:
        """All outputs for an input; a model of a fixed batch size computes it as often as it has to."""
        batch = np.zeros((self._engine.batch or 1, *lr.shape), np.float32)
        batch[:] = lr
        return [output[0] for output in self._engine.run_all(batch)]
