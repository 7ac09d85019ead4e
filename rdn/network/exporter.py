"""A network to ONNX: which sizes are free, which operators enlarge, how features of a dense block reach a convolution."""

from __future__ import annotations

import inspect
import warnings
from typing import NamedTuple

from rdn.network import architectures, onnx_graph, split_convolutions, taps, upsampling

import onnx
import torch
from torch import nn

OPSETS = range(9, 18)  # what PyTorch exports; those of torch 1.5 end with 12
DENSE = ('concat', 'split')
TRIALS = ((1, 40, 24), (2, 33, 48))  # (N, height, width) for what a shape leaves free


class Shape(NamedTuple):
    """The sizes of a model's input: images, pixels. None is free."""

    batch: int | None
    height: int | None
    width: int | None

    def filled(self, trial: tuple[int, int, int] = TRIALS[0]) -> tuple[int, int, int]:
        """Return (N, height, width) with the sizes of a trial for free ones."""
        batch, height, width = (size or other for size, other in zip(self, trial))
        return batch, height, width


class Variant(NamedTuple):
    """Which of the graphs that compute the same numbers is written.

    Attributes:
        upsampling: what enlarges, a key of upsampling.OPERATORS.
        dense: of a dense block: concat concatenates features, as the guide's graph does; split adds convolutions of
            single features instead, so that the graph has no Concat (split_convolutions.py).
        with_taps: whether further outputs show the values between the network's stages (taps.py).
    """

    upsampling: str = 'shuffle'
    dense: str = 'concat'
    with_taps: bool = False


def export_onnx(model: nn.Module, shape: Shape, opset: int, variant: Variant, path: str) -> None:
    """Write a network as ONNX: `image` (N, C, height, width) float32 -> `output`, and with taps further outputs.

    The initializers are named by the state dict's keys; for split ones see split_convolutions.py.

    Args:
        model: the network, of an architecture that architectures.py lists.
        shape: of the input; what None is in is left free.
        opset: one of OPSETS.
        variant: the graph.
        path: of the file to write.

    Raises:
        ValueError: the graph contains an operator that the offline model must do without.
    """
    _export_concatenated(model, shape, opset, variant, path)
    graph = onnx_graph.load(path)
    _separate_equal_weights(graph.graph)
    if variant.dense == 'split':
        split_convolutions.split(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    allowed = architectures.find(model.state_dict()).operators | upsampling.OPERATORS[variant.upsampling]
    if variant.dense == 'split':
        allowed -= {'Concat'}
    foreign = sorted(set(onnx_graph.count_operators(path)) - allowed)
    if foreign:
        raise ValueError(
            f'the exported graph holds {", ".join(foreign)}: torch {torch.__version__} exports it differently'
        )


def _export_concatenated(model: nn.Module, shape: Shape, opset: int, variant: Variant, path: str) -> None:
    """PyTorch's own export of a network, with the variant's upsampling and taps."""
    network, names = upsampling.with_upsampling(model, variant.upsampling), [taps.RESULT]
    if variant.with_taps:
        names = taps.output_names(stages_of(network, model))
        network = with_taps(network, model)
    options = dict(opset_version=opset, input_names=[taps.IMAGE], output_names=names)
    free = {axis: name for axis, name, size in zip((0, 2, 3), ('batch', 'height', 'width'), shape) if size is None}
    if free:
        outputs = {name: {axis: f'{name}_{side}' for axis, side in free.items()} for name in names}
        options['dynamic_axes'] = {taps.IMAGE: free, **outputs}
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the newer exporter cannot write opset 9
    batch, height, width = shape.filled()
    image = torch.zeros(batch, model.config['num_channels'], height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # that this exporter is the older one, that opset 9 is old
        torch.onnx.export(network, image, path, **options)


def with_taps(network: nn.Module, architecture_of: nn.Module | None = None) -> nn.Module:
    """Return the network with its taps as further outputs, in the order of taps.output_names. Arguments as stages_of."""
    return taps.with_outputs(network, stages_of(network, architecture_of))


def stages_of(network: nn.Module, architecture_of: nn.Module | None = None) -> list[taps.Stage]:
    """Return the stages of a network.

    Args:
        network: of an architecture that architectures.py lists.
        architecture_of: the network whose state dict says which one, where the network's own modules were replaced.
    """
    return architectures.find((architecture_of or network).state_dict()).stages(network)


def _separate_equal_weights(graph: onnx.GraphProto) -> None:
    """Give each weight its own initializer. PyTorch writes one for equal weights, such as biases of zeros, and Identity nodes."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    copies = [node for node in graph.node if node.op_type == 'Identity' and node.input[0] in weights]
    for node in copies:
        copied = graph.initializer.add()
        copied.CopyFrom(weights[node.input[0]])
        copied.name = node.output[0]
        graph.node.remove(node)
