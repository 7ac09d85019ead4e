"""The difference between an exported model and the network in PyTorch."""

from __future__ import annotations

from rdn.engines import base, onnx_runtime
from rdn.network import exporter

import numpy as np
import torch
from torch import nn

TOLERANCE = 1e-5  # between ONNX Runtime and PyTorch, as a fraction of the output's range
HALF_TOLERANCE = 1e-2  # the same in fp16, where the two round in different places


def largest_difference(model: nn.Module, path: str, shape: exporter.Shape) -> float:
    """Return the largest difference between ONNX Runtime and PyTorch, as a fraction of the output's range.

    The inputs are random, 0...1. If the shape leaves a size free, two sizes are tried, to find sizes that the export
    fixed by mistake.

    Args:
        model: the network in PyTorch; if it returns a tuple, all outputs are compared.
        path: the ONNX file.
        shape: the shape with which the file was exported.

    Raises:
        ValueError: the shapes of the outputs differ, or PyTorch's output contains values that are not finite.
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
        model: the network in PyTorch; if it returns a tuple, all outputs are compared.
        exported: the engine to compare with it.
        sizes: (N, height, width) of the input.
        random: makes the input's values, 0...1.

    Raises:
        ValueError: the shapes of the outputs differ, or PyTorch's output contains values that are not finite.
    """
    batch, height, width = sizes
    image = random.rand(batch, model.config['num_channels'], height, width).astype(np.float32)
    with torch.no_grad():
        computed = model(torch.from_numpy(image))
    expected = computed if isinstance(computed, tuple) else (computed,)
    differences = [_difference(a, b.numpy(), image.shape) for a, b in zip(exported.run_all(image), expected)]
    return float(np.max(differences))


def _difference(actual: np.ndarray, expected: np.ndarray, input_shape: tuple[int, ...]) -> float:
    """Return the largest difference of two outputs as a fraction of the expected one's range. Raises ValueError."""
    if actual.shape != expected.shape:
        raise ValueError(
            f'for an input {input_shape}, the exported graph returns {actual.shape} and PyTorch {expected.shape}'
        )
    if not np.isfinite(expected).all():
        raise ValueError('PyTorch computes values that are not finite: the weights are wrong, or too large for fp16')
    return float(np.abs(actual - expected).max() / (np.ptp(expected) or 1))


def check_difference(difference: float, tolerance: float, output_file: str) -> None:
    """Check that a difference is below the tolerance.

    Args:
        difference: as a fraction of the output's range.
        tolerance: as a fraction of the output's range.
        output_file: the file that was not written, for the message.

    Raises:
        ValueError: the difference is not below the tolerance, or is nan.
    """
    if not difference < tolerance:
        raise ValueError(
            f'ONNX Runtime differs from PyTorch by {difference:.1e} of the range, more than {tolerance:.0e}: '
            f'{output_file} was not written'
        )
