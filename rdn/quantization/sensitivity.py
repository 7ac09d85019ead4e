"""Estimate how much the output changes if one layer computes in eight bits, for all layers at once.

A layer that rounds its input and weights adds an error to its own output. The error of the network's output is a
Jacobian J times that error. J is too large to compute, but the squared norm |J error|^2 can be estimated: for random
signs v of the output's pixels, it is the mean of (v . J error)^2 (Hutchinson, 1990). One backward pass computes v . J
for all layers. So the number of passes does not depend on the number of layers.
"""

from __future__ import annotations

import collections
import functools
from typing import Dict, Iterable, NamedTuple

from rdn.accuracy import metrics
from rdn.network import checkpoint, onnx_weights
from rdn.quantization import qdq

import numpy as np
import torch
from torch import nn

PROBES = 4  # sets of random signs for each image
PASSES = 3 + PROBES  # through the network for each image: exact, with two kinds of errors, and backward for each probe
Rounded = Dict[str, 'RoundedLayer']  # name of a layer in PyTorch -> its rounded form


class RoundedLayer(NamedTuple):
    """The weight of a convolution in eight bits, and the scales of its input.

    Attributes:
        weight: rounded weight, float32 (out, in, kernel, kernel): a whole number of its output channel's steps.
        step: step of each input channel, (1, in, 1, 1).
        zero: whole number that represents 0 in each input channel, (1, in, 1, 1).
    """

    weight: torch.Tensor
    step: torch.Tensor
    zero: torch.Tensor

    def errors(self, conv: nn.Conv2d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the errors that rounding adds to the output of a convolution.

        Args:
            conv: the convolution, with its exact weight.
            x: its exact input (N, in, H, W).

        Returns:
            (error by the rounded weight, error by the rounded input), both (N, out, H, W).
        """
        levels = torch.clamp(torch.round(x / self.step) + self.zero, 0, qdq.ACTIVATION_LEVELS)
        rounded = (levels - self.zero) * self.step
        options = conv.stride, conv.padding
        return (
            nn.functional.conv2d(rounded, self.weight - conv.weight, None, *options),
            nn.functional.conv2d(rounded - x, conv.weight, None, *options),
        )


def load_network(path: str) -> nn.Module:
    """Load the network of an exported model, in evaluation mode.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not an exported model; the message names it.
    """
    return checkpoint.build(onnx_weights.state_dict_of(path))


def round_layers(parts: dict[str, list[qdq.Part]]) -> Rounded:
    """Return the rounded form of each layer, by its name.

    Args:
        parts: the parts from `qdq.parts_of`, in the order of each layer's input channels.
    """
    return {name: _round_layer(layer) for name, layer in parts.items()}


def _round_layer(parts: list[qdq.Part]) -> RoundedLayer:
    weights: list[np.ndarray] = []
    scales: list[qdq.Scale] = []
    for part in parts:
        levels, step = qdq.round_weight(part.weight)
        weights.append(levels * step[:, None, None, None])
        scales += [part.scale] * part.weight.shape[1]
    step, zero = (torch.tensor(values, dtype=torch.float32)[None, :, None, None] for values in zip(*scales))
    return RoundedLayer(torch.from_numpy(np.concatenate(weights, 1).astype(np.float32)), step, zero)


class Errors(NamedTuple):
    """Estimated mean squared errors of the luma, 0...255.

    Attributes:
        own: name of each layer -> its own error, without the rounding of its input if that rounding is shared.
        shared: name of each group -> error of the rounding that its layers share. It counts if any of them is in eight
            bits.
        members: name of each group -> names of its layers.
    """

    own: dict[str, float]
    shared: dict[str, float]
    members: dict[str, list[str]]


def measure(network: nn.Module, rounded: Rounded, sharing: qdq.Sharing, images: Iterable[np.ndarray]) -> Errors:
    """Estimate the errors of all layers. The random signs are the same on every machine.

    With 16 images, an estimate has a relative standard deviation of about a sixth: the square root of 2/64.

    Args:
        network: the network, in evaluation mode.
        rounded: the layers to measure.
        sharing: the layers that share the rounding of their inputs.
        images: at least one image (1, 3, height, width), 0...1.
    """
    signs = torch.Generator().manual_seed(0)
    keys = [*rounded, *sharing.members]
    group_of = {name: group for group, names in sharing.members.items() for name in names if name in sharing.readers}
    squares = [
        _measure_image(network, rounded, group_of, torch.from_numpy(np.ascontiguousarray(image)), signs)
        for image in images
    ]
    means = {key: float(np.mean([square[key] for square in squares])) for key in keys}
    return Errors(
        {name: means[name] for name in rounded}, {group: means[group] for group in sharing.members}, sharing.members
    )


def _measure_image(
    network: nn.Module, rounded: Rounded, group_of: dict[str, str], image: torch.Tensor, signs: torch.Generator
) -> dict[str, float]:
    """Return the mean squared error of each layer and group, by its name, for one image."""
    outputs: dict[str, torch.Tensor] = {}
    errors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def record(name: str, conv: nn.Conv2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        outputs[name] = output
        with torch.no_grad():
            errors[name] = rounded[name].errors(conv, inputs[0])

    modules = dict(network.named_modules())
    hooks = [modules[name].register_forward_hook(functools.partial(record, name)) for name in rounded]
    try:
        luma = _luma(network(image.clone().requires_grad_()))
    finally:
        for hook in hooks:
            hook.remove()
    squares: dict[str, float] = collections.defaultdict(float)
    for _ in range(PROBES):
        v = torch.randint(0, 2, luma.shape, generator=signs).float() * 2 - 1
        gradients = torch.autograd.grad(luma, list(outputs.values()), v, retain_graph=True)
        sums: dict[str, float] = collections.defaultdict(float)
        for name, gradient in zip(outputs, gradients):
            for error, key in zip(errors[name], (name, group_of.get(name, name))):
                sums[key] += float((gradient * error).sum())
        for key, value in sums.items():
            squares[key] += value**2 / PROBES / luma.numel()
    return squares


def _luma(image: torch.Tensor) -> torch.Tensor:
    """Return the luma without its offset: (N, 3, H, W), 0...1 -> (N, H, W), 0...255."""
    coefficients = torch.tensor(metrics.RDN_PYTORCH * 255, dtype=torch.float32)
    return (image * coefficients[None, :, None, None]).sum(1)
