"""A network's taps: the values between its stages, which an exported model can output in addition to the result.

An architecture lists its stages (rdn/network/base.py). Each stage computes one tap; the last one computes the result.
The list determines the taps' names and their order in an exported model.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, NamedTuple, Sequence

IMAGE = 'image'  # the name of the network's input
RESULT = 'output'  # the name of the last stage's tap, which is the network's result

Values = Dict[str, Any]  # name of a tap, or IMAGE -> torch.Tensor (N, C, H, W)


class Stage(NamedTuple):
    """A part of a network, from one tap to the next.

    Attributes:
        name: the name of its tap.
        inputs: the names of the taps that it reads; IMAGE may be one of them.
        compute: computes its tap from the tensors of its inputs, in their order.
        without_residual: like `compute`, but without adding the residual connection; None if it has no such connection.
    """

    name: str
    inputs: tuple[str, ...]
    compute: Callable[..., Any]
    without_residual: Callable[..., Any] | None = None

    def run(self, values: Values) -> Any:
        """Compute the tap.

        Args:
            values: at least the taps that the stage reads.
        """
        return self.compute(*[values[name] for name in self.inputs])


def output_names(stages: Sequence[Stage]) -> list[str]:
    """Return the names of an exported model's outputs in their order: first the result, then the other taps."""
    return [stages[-1].name, *(stage.name for stage in stages[:-1])]


def complete(stages: Sequence[Stage], known: Values) -> Values:
    """Compute the missing taps from the known ones, and return all.

    Args:
        stages: all stages of the network.
        known: at least IMAGE; taps in it are not computed again.
    """
    values = dict(known)
    for stage in stages:
        if stage.name not in values:
            values[stage.name] = stage.run(values)
    return values


def with_outputs(network: Any, stages: Sequence[Stage]) -> Any:
    """Return the network with all taps as its outputs, in the order of `output_names`.

    Args:
        network: an nn.Module.
        stages: the stages of the same network.

    Returns:
        A copy that shares the network's parameters, under the same names.
    """
    tapped = copy.copy(network)

    def forward(image: Any) -> tuple[Any, ...]:
        values = complete(stages, {IMAGE: image})
        return tuple(values[name] for name in output_names(stages))

    tapped.forward = forward
    return tapped
