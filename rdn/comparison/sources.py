"""Read a device's taps from a folder of outputs, or compute them now with an engine."""

from __future__ import annotations

import abc
import os
from typing import Mapping, Sequence, Tuple

from rdn import engines
from rdn.devices import outputs

import numpy as np

Shapes = Mapping[str, Tuple[int, ...]]  # name of a tap -> (C, H, W), in the order of the model's outputs


class DeviceTaps(abc.ABC):
    """The taps that a device computed from a prepared set's inputs.

    Attributes:
        title: the device, for the console.
        precision: precision of its arithmetic; None if it is not known.
    """

    title: str
    precision: str | None

    @abc.abstractmethod
    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Return all taps for an input.

        Args:
            stem: name of the input without the ending.
            lr: the input, float32 (3, H, W).
            shapes: shapes of all taps, in the order of the model's outputs.

        Returns:
            Name -> tap, float32. Values may be nan or inf.

        Raises:
            ValueError: a tap is missing or has another shape; the message names the file.
        """

    def notes(self) -> list[str]:
        """Return notes on the computation for the user, one line each, after all taps were read."""
        return []

    @abc.abstractmethod
    def read_result(self, stem: str, lr: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return only the result for an input, float32.

        Args:
            stem: name of the input without the ending.
            lr: the input, float32 (3, H, W).
            shape: shape of the result, (3, scale*H, scale*W).

        Raises:
            ValueError: the result is missing or has another shape; the message names the file.
        """


class DumpedTaps(DeviceTaps):
    """Taps in a folder of outputs: STEM_1.txt, STEM_2.txt ... of benchmark, STEM_0.bin, STEM_1.bin ... of ais_bench."""

    def __init__(self, folder: str, stems: Sequence[str], title: str, precision: str | None):
        """Find the outputs for these inputs.

        Args:
            folder: folder of the outputs.
            stems: names of the inputs without the ending.
            title: the device, for the console.
            precision: precision of its arithmetic; None if it is not known.

        Raises:
            ValueError: an output is missing or truncated; the message names the file.
        """
        self.title, self.precision = title, precision
        self._results = {stem: paths[0] for stem, paths in outputs.find_outputs(folder, stems).items()}
        folders = {os.path.dirname(path) for path in self._results.values()}
        self._names = {each: outputs.outputs_by_result(each) for each in folders}

    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Read the taps from their files."""
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
        """Read the result from its file."""
        return outputs.read_output(self._results[stem], shape)


class ComputedTaps(DeviceTaps):
    """Taps that an engine computes when they are read."""

    def __init__(self, engine: engines.Engine):
        """Take an opened engine."""
        self.title, self.precision = engine.name, engine.precision
        self._engine = engine
        engine.show_taps()

    def notes(self) -> list[str]:
        """Return the engine's notes."""
        return self._engine.notes

    def read(self, stem: str, lr: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Compute the taps."""
        path, names = self._engine.path, list(self._engine.outputs)
        if len(names) != len(shapes):
            raise ValueError(
                f'{path}: {len(names)} outputs, expected {len(shapes)}: {", ".join(shapes)}; '
                'export the model with RDN_pth2onnx.py --taps'
            )
        computed = self._run(lr)
        # An offline model renames the outputs of the exported model, but keeps their order.
        found = dict(zip(names if set(names) == set(shapes) else shapes, computed))
        for name, shape in shapes.items():
            if found[name].shape != shape:
                raise ValueError(
                    f"{path}: its output {name} has the shape {found[name].shape}, PyTorch's has {shape}: "
                    '--weights must name the weights that the model was made from'
                )
        return {name: found[name] for name in shapes}

    def read_result(self, stem: str, lr: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Compute the result."""
        return self._run(lr)[0]

    def _run(self, lr: np.ndarray) -> list[np.ndarray]:
        """Compute all outputs for an input. A model with a fixed batch size computes a batch of copies."""
        batch = np.zeros((self._engine.batch or 1, *lr.shape), np.float32)
        batch[:] = lr
        return [output[0] for output in self._engine.run_all(batch)]
