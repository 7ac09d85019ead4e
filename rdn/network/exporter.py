"""Exports a network to ONNX, in several variants of the graph, with fixed or free sizes."""

from __future__ import annotations

import inspect
import warnings
from typing import NamedTuple

from rdn.network import architectures, onnx_graph, split_convolutions, taps, upsampling

import onnx
import torch
from torch import nn

OPSETS = range(9, 18)  # PyTorch's opsets; torch 1.5 exports up to 12
DENSE = ('concat', 'split')
TRIALS = ((1, 40, 24), (2, 33, 48))  # (N, height, width) for the free sizes of a shape


class Shape(NamedTuple):
    """The sizes of a model's input; None for a free size.

    Attributes:
        batch: number of images.
        height: pixels.
        width: pixels.
    """

    batch: int | None
    height: int | None
    width: int | None

    def filled(self, trial: tuple[int, int, int] = TRIALS[0]) -> tuple[int, int, int]:
        """Replace free sizes by those of a trial.

        Args:
            trial: (N, height, width), all fixed.

        Returns:
            (N, height, width), all fixed.
        """
        batch, height, width = (size or other for size, other in zip(self, trial))
        return batch, height, width


class Variant(NamedTuple):
    """A variant of the exported graph. All variants compute the same numbers.

    Attributes:
        upsampling: the operators that enlarge, a key of upsampling.OPERATORS.
        dense: the form of dense blocks: 'concat' concatenates features, like the guide's graph; 'split' adds
            convolutions of single features, so that the graph has no Concat (split_convolutions.py).
        with_taps: whether the graph also outputs the values between the network's stages (taps.py).
    """

    upsampling: str = 'shuffle'
    dense: str = 'concat'
    with_taps: bool = False


def export_onnx(model: nn.Module, shape: Shape, opset: int, variant: Variant, path: str) -> None:
    """Write a network as an ONNX file.

    The graph's input is `image`, float32 (N, C, height, width). Its first output is `output`; with taps, others follow.
    The initializers have the names of the state dict's keys; split_convolutions.py describes the names of split ones.

    Args:
        model: the network, of an architecture that architectures.py lists.
        shape: of the input; None leaves a size free.
        opset: one of OPSETS.
        variant: the variant of the graph.
        path: the file to write.

    Raises:
        ValueError: the graph contains an operator that is not expected in this variant.
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
            f'the exported graph contains {", ".join(foreign)}, which the offline model must not contain: '
            f'torch {torch.__version__} exports the network differently'
        )


def _export_concatenated(model: nn.Module, shape: Shape, opset: int, variant: Variant, path: str) -> None:
    """Export a network by PyTorch itself, with the variant's upsampling and taps, but with Concat."""
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
        warnings.simplefilter('ignore')  # PyTorch warns that this exporter and opset 9 are old
        torch.onnx.export(network, image, path, **options)


def with_taps(network: nn.Module, architecture_of: nn.Module | None = None) -> nn.Module:
    """Return the network with its taps as further outputs, in the order of taps.output_names.

    Args:
        network: of an architecture that architectures.py lists.
        architecture_of: the original network, if modules of `network` were replaced; its state dict shows the
            architecture.
    """
    return taps.with_outputs(network, stages_of(network, architecture_of))


def stages_of(network: nn.Module, architecture_of: nn.Module | None = None) -> list[taps.Stage]:
    """Return the stages of a network.

    Args:
        network: of an architecture that architectures.py lists.
        architecture_of: the original network, if modules of `network` were replaced; its state dict shows the
            architecture.
    """
    return architectures.find((architecture_of or network).state_dict()).stages(network)


def _separate_equal_weights(graph: onnx.GraphProto) -> None:
    """Give each weight its own initializer.

    For equal weights, such as biases of zeros, PyTorch writes only one initializer, and Identity nodes that copy it.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    copies = [node for node in graph.node if node.op_type == 'Identity' and node.input[0] in weights]
    for node in copies:
        copied = graph.initializer.add()
        copied.CopyFrom(weights[node.input[0]])
        copied.name = node.output[0]
        graph.node.remove(node)
