"""A network's taps: the values between its stages, which an export can give out beside the result.

An architecture lists its stages (rdn/network/base.py). Each makes one tap; the last one makes the result. The taps' names
and their order in an exported model follow from the list.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, NamedTuple, Sequence

IMAGE = 'image'  # the network's input, as stages name it
RESULT = 'output'  # the last stage's tap: the network's result

Values = Dict[str, Any]  # name of a tap, or IMAGE -> torch.Tensor (N, C, H, W)


class Stage(NamedTuple):
    """A part of a network, from one tap to the next.

    Attributes:
        name: of the tap that it makes.
        inputs: names of the taps that it reads, IMAGE among them.
        compute: from the tensors of its inputs, in their order, to its tap.
        without_residual: the same without the addition of the residual connection; None if it has none.
    """

    name: str
    inputs: tuple[str, ...]
    compute: Callable[..., Any]
    without_residual: Callable[..., Any] | None = None

    def run(self, values: Values) -> Any:
        """Compute the tap from the taps that it reads, which are among `values`."""
        return self.compute(*[values[name] for name in self.inputs])


def output_names(stages: Sequence[Stage]) -> list[str]:
    """Return the names of an exported model's outputs, in their order: the result first, then the other taps."""
    return [stages[-1].name, *(stage.name for stage in stages[:-1])]


def complete(stages: Sequence[Stage], known: Values) -> Values:
    """Return all taps: the known ones as they are, the others computed from them.

    known: at least IMAGE, and any taps.
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
        stages: of this very network, whose parameters the returned one shares, under the same names.
    """
    tapped = copy.copy(network)

    def forward(image: Any) -> tuple[Any, ...]:
        values = complete(stages, {IMAGE: image})
        return tuple(values[name] for name in output_names(stages))

    tapped.forward = forward
    return tapped
