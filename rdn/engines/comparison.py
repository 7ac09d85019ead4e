"""How far an exported model is from the network in PyTorch."""

from __future__ import annotations

from rdn.engines import base, onnx_runtime
from rdn.network import exporter

import numpy as np
import torch
from torch import nn

TOLERANCE = 1e-5  # fraction of the output's range, between ONNX Runtime and PyTorch
HALF_TOLERANCE = 1e-2  # the same in fp16, where the two round in different places


def largest_difference(model: nn.Module, path: str, shape: exporter.Shape) -> float:
    """Return the largest difference of ONNX Runtime to PyTorch, as a fraction of the output's range.

    The input is random, 0...1; where the shape leaves a size free, inputs of two sizes are tried, so that a size that is
    frozen into the graph shows.

    Args:
        model: the network in PyTorch; one that returns a tuple is compared output by output.
        path: of the ONNX file.
        shape: that the file was exported with.

    Raises:
        ValueError: the shapes of the outputs differ, or PyTorch's holds values that are not finite.
    """
    exported = onnx_runtime.OnnxRuntime(path, base.Place('CPU'))
    random = np.random.RandomState(0)
    differences = []
    for trial in exporter.TRIALS if None in shape else exporter.TRIALS[:1]:
        differences.append(difference_on(model, exported, shape.filled(trial), random))
    return float(np.max(differences))  # nan if one is nan


def difference_on(
    model: nn.Module, exported: base.Engine, sizes: tuple[int, int, int], random: np.random.RandomState
) -> float:
    """Return the largest difference on one random input, as a fraction of the output's range.

    Args:
        model: the network in PyTorch; one that returns a tuple is compared output by output.
        exported: the engine that is compared with it.
        sizes: (N, height, width) of the input.
        random: makes the input's values, 0...1.

    Raises:
        ValueError: as `largest_difference`.
    """
    batch, height, width = sizes
    image = random.rand(batch, model.config['num_channels'], height, width).astype(np.float32)
    with torch.no_grad():
        computed = model(torch.from_numpy(image))
    expected = computed if isinstance(computed, tuple) else (computed,)
    differences = [_difference(a, b.numpy(), image.shape) for a, b in zip(exported.run_all(image), expected)]
    return float(np.max(differences))


def _difference(actual: np.ndarray, expected: np.ndarray, input_shape: tuple[int, ...]) -> float:
    """The largest difference of two outputs, as a fraction of the expected one's range; raises as largest_difference."""
    if actual.shape != expected.shape:
        raise ValueError(
            f'the exported graph gives {actual.shape} for an input {input_shape}, PyTorch {expected.shape}'
        )
    if not np.isfinite(expected).all():
        raise ValueError('PyTorch computes values that are not finite: the weights are wrong, or too large for fp16')
    return float(np.abs(actual - expected).max() / (np.ptp(expected) or 1))


def check_difference(difference: float, tolerance: float, output_file: str) -> None:
    """Raise ValueError if a difference is not below the tolerance, both as fractions of the output's range."""
    if not difference < tolerance:
        raise ValueError(
            f'ONNX Runtime differs from PyTorch by {difference:.1e} of the range, more than {tolerance:.0e}: '
            f'{output_file} was not written'
        )
