"""A graph without Concat: each convolution over concatenated features becomes a sum of convolutions over one feature each.

    conv(concat(a, b, c), W) + bias  =  (conv(a, W[:, :64]) + bias) + conv(b, W[:, 64:128]) + conv(c, W[:, 128:192])

A dense block concatenates each feature again for every later layer; the sums copy none. The first convolution of a sum
has the bias. The name of a part says which input channels of which weight it holds: `rdbs.0.layers.3.conv.weight/64-128`
is `rdbs.0.layers.3.conv.weight[:, 64:128]`. Of all characters that ONNX allows, names have only those that TensorFlow
allows too, since converters that began with TensorFlow refuse others.
"""

from __future__ import annotations

import collections
import itertools
import re
from typing import Dict, Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

ELEMENTWISE = {'Add', 'Clip', 'LeakyRelu', 'Mul', 'PRelu', 'Relu', 'Sigmoid', 'Sub'}  # keep the number of channels
PART = re.compile(r'(.+)/(\d+)-(\d+)')
Arrays = Dict[str, np.ndarray]


def key_of(name: str) -> str:
    """Return the state dict's key for an initializer's name: that of the whole weight for a part of one."""
    part = PART.fullmatch(name)
    return part.group(1) if part else name


def join(parts: Arrays) -> Arrays:
    """Put weights together from their parts; what is not a part stays as it is.

    Args:
        parts: initializer's name -> values; those of parts are (out, channels of the part, height, width).

    Returns:
        State dict's key -> values, (out, in, height, width) for weights.

    Raises:
        ValueError: a weight has a gap between its parts, or a part is of another size than its name says.
    """
    whole: Arrays = {}
    found: dict[str, list[tuple[int, int, np.ndarray]]] = collections.defaultdict(list)
    for name, values in parts.items():
        part = PART.fullmatch(name)
        if part:
            found[part.group(1)].append((int(part.group(2)), int(part.group(3)), values))
        else:
            whole[name] = values
    for key, pieces in found.items():
        pieces.sort(key=lambda piece: piece[:2])
        ends = [0] + [end for _, end, _ in pieces]
        for (start, end, values), before in zip(pieces, ends):
            if start != before or values.ndim != 4 or values.shape[1] != end - start or key in whole:
                raise ValueError(f'{key} is not whole: its part {start}-{end} has shape {list(values.shape)}')
        whole[key] = np.concatenate([values for _, _, values in pieces], 1)
    return whole


def split(model: onnx.ModelProto) -> None:
    """Replace each convolution over concatenated features by a sum of convolutions, in place, and drop the Concat nodes.

    A Concat that something else than an ungrouped convolution reads stays.

    Args:
        model: of any opset, with the weights as initializers.

    Raises:
        ValueError: the number of channels of a feature is not known.
    """
    graph = model.graph
    channels = _channels(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    features: dict[str, list[str]] = {}  # of a Concat's output, which may be a Concat of a Concat
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == 'Concat' and attributes['axis'] == 1:
            features[node.output[0]] = list(itertools.chain(*(features.get(name, [name]) for name in node.input)))
        names = features.get(node.input[0], []) if node.op_type == 'Conv' and attributes.get('group', 1) == 1 else []
        if len(names) == 1:  # of a network of one block
            node.input[0] = names[0]
        if len(names) < 2:
            nodes.append(node)
            continue
        if node.input[1] not in weights or not all(name in channels for name in names):
            raise ValueError(f'{node.input[1]} cannot be split: the channels of its inputs are not known')
        ends = list(itertools.accumulate(channels[name] for name in names))
        parts = _cut(weights[node.input[1]], ends)
        weights.update((part.name, part) for part in parts)
        nodes.extend(_sum(node, names, [part.name for part in parts], ends))
    _replace(graph, nodes, weights.values())


def _channels(graph: onnx.GraphProto) -> dict[str, int]:
    """Tensor -> size of its axis 1, where it is known. onnx 1.7 infers no shapes behind an initializer."""
    found = {value.name: value.type.tensor_type.shape.dim[1].dim_value for value in graph.input}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Conv' and node.input[1] in weights:
            found[node.output[0]] = weights[node.input[1]][0]
        elif node.op_type in ELEMENTWISE:
            found.update((node.output[0], found[name]) for name in node.input if name in found)
    return found


def _cut(weight: onnx.TensorProto, ends: list[int]) -> list[onnx.TensorProto]:
    """The parts of a weight along its input channels."""
    values = numpy_helper.to_array(weight)
    return [
        numpy_helper.from_array(np.ascontiguousarray(values[:, start:end]), f'{weight.name}/{start}-{end}')
        for start, end in zip([0, *ends], ends)
    ]


def _sum(conv: onnx.NodeProto, names: list[str], weights: list[str], ends: list[int]) -> Iterable[onnx.NodeProto]:
    """The convolutions over each feature, and their sum, which has the output's name.

    Other tensors and nodes are named after the input channels that they depend on: OUTPUT/0-64, OUTPUT/64-128, and
    OUTPUT/0-128 for the sum of both.
    """
    output, total = conv.output[0], ''
    for index, (name, weight, start, end) in enumerate(zip(names, weights, [0, *ends], ends)):
        part = onnx.NodeProto()
        part.CopyFrom(conv)
        part.name = f'{conv.name}/{start}-{end}'
        part.output[0] = f'{output}/{start}-{end}'
        part.input[:] = [name, weight, *(conv.input[2:] if index == 0 else [])]
        yield part
        if index == 0:
            total = part.output[0]
            continue
        result = output if index == len(names) - 1 else f'{output}/0-{end}'
        yield helper.make_node('Add', [total, part.output[0]], [result], f'{conv.name}/0-{end}')
        total = result


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto], weights: Iterable[onnx.TensorProto]) -> None:
    """Give a graph other nodes, without Concat nodes and initializers that nothing reads."""
    read = {value.name for value in graph.output}
    kept = []
    for node in reversed(nodes):
        if node.op_type != 'Concat' or node.output[0] in read:
            kept.append(node)
            read.update(node.input)
    used = [tensor for tensor in weights if tensor.name in read]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(used)
