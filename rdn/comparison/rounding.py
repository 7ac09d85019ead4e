"""Simulate rounding: compute the stages of a network in PyTorch, rounded to a device's precision."""

from __future__ import annotations

import copy
from typing import Any, Sequence

from rdn.network import exporter, half_precision, taps

import torch
from torch import nn

LARGEST_FP16 = half_precision.LARGEST
PRECISIONS = ('fp32', 'fp16', 'bf16', 'int8')  # from fine to coarse
LEVELS = 255  # steps of eight bits over the range of a convolution's input
WEIGHT_LEVELS = 127  # steps of an int8 weight on each side of 0


def to_fp16(x: torch.Tensor) -> torch.Tensor:
    """Round to fp16's 11 bits. Values outside fp16's range stay as they are, because saturation is not rounding."""
    return torch.where(x.abs() > LARGEST_FP16, x, x.half().float())


def to_bf16(x: torch.Tensor) -> torch.Tensor:
    """Round to bf16's 8 bits."""
    return x.to(torch.bfloat16).float()


def to_steps(x: torch.Tensor) -> torch.Tensor:
    """Round to eight bits: LEVELS equal steps over the tensor's range, extended to include 0."""
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    step = (high - low) / LEVELS or 1.0
    return ((x - low) / step).round() * step + low


def to_int8_weights(x: torch.Tensor) -> torch.Tensor:
    """Round weights to int8, symmetrically, with one step for each output channel. Biases (one axis) stay."""
    if x.dim() < 2:
        return x
    step = x.abs().reshape(len(x), -1).max(1)[0].clamp(min=1e-12) / WEIGHT_LEVELS
    step = step.reshape(-1, *[1] * (x.dim() - 1))
    return (x / step).round() * step


def _keep(x: torch.Tensor) -> torch.Tensor:
    return x


class Rounded:
    """A copy of a network whose convolutions are rounded to a precision. Sums stay in fp32.

    In fp16 and bf16, the weights, the inputs of a stage and the output of each convolution are rounded. In int8, the
    weights and the input of each convolution are rounded.

    Attributes:
        largest: largest absolute value that a convolution computed in the last run; 0 for int8.
    """

    def __init__(self, network: nn.Module, precision: str):
        """Copy a network.

        Args:
            network: the network, in evaluation mode.
            precision: 'fp16', 'bf16' or 'int8'.
        """
        simple = {'fp16': to_fp16, 'bf16': to_bf16}.get(precision)
        weights, self._round = (simple, simple) if simple else (to_int8_weights, _keep)
        self.largest = 0.0
        copied = copy.deepcopy(network)
        with torch.no_grad():
            for tensor in copied.parameters():
                tensor.copy_(weights(tensor))
        for module in copied.modules():
            if isinstance(module, nn.Conv2d):
                if simple:
                    module.register_forward_hook(self._hook)
                else:
                    module.register_forward_pre_hook(lambda _, inputs: tuple(map(to_steps, inputs)))
        self._stages = {stage.name: stage for stage in exporter.stages_of(copied)}

    def run(self, name: str, values: taps.Values) -> torch.Tensor:
        """Compute the tap of the stage `name` from the taps that it reads, with rounding."""
        self.largest = 0.0
        stage = self._stages[name]
        return self._round(stage.run({each: self._round(values[each]) for each in stage.inputs}))

    def _hook(self, module: nn.Module, inputs: Sequence[Any], output: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, float(output.abs().max()))
        return self._round(output)
