"""A graph without Concat: a convolution over concatenated features becomes a sum of convolutions over one feature each.

    conv(concat(a, b, c), W) + bias  =  (conv(a, W[:, :64]) + bias) + conv(b, W[:, 64:128]) + conv(c, W[:, 128:192])

A dense block copies each feature into a new concatenation for every later layer. The sums copy no feature. Only the
first convolution of a sum has the bias.

The name of a part contains the weight's name and the input channels: `rdbs.0.layers.3.conv.weight/64-128` is
`rdbs.0.layers.3.conv.weight[:, 64:128]`. Names contain only characters that TensorFlow also allows, because converters
with origins in TensorFlow refuse others.
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
    """Return the state dict's key for an initializer's name. For a part of a weight, it is the whole weight's key."""
    part = PART.fullmatch(name)
    return part.group(1) if part else name


def join(parts: Arrays) -> Arrays:
    """Join the parts of split weights. Other values stay unchanged.

    Args:
        parts: initializer's name -> values. A part has the shape (out, channels of the part, height, width).

    Returns:
        State dict's key -> values; weights have the shape (out, in, height, width).

    Raises:
        ValueError: a part is missing, or its size contradicts its name.
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
                raise ValueError(f'{key} is incomplete: its part {start}-{end} has shape {list(values.shape)}')
        whole[key] = np.concatenate([values for _, _, values in pieces], 1)
    return whole


def split(model: onnx.ModelProto) -> None:
    """Replace each convolution over concatenated features by a sum of convolutions, in place.

    The Concat nodes are removed. One stays if a node that is not an ungrouped convolution reads it, too.

    Args:
        model: of any opset, with the weights as initializers.

    Raises:
        ValueError: the number of a feature's channels is unknown.
    """
    graph = model.graph
    channels = _channels(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    features: dict[str, list[str]] = {}  # a Concat's output -> its features, also if a Concat reads another Concat
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == 'Concat' and attributes['axis'] == 1:
            features[node.output[0]] = list(itertools.chain(*(features.get(name, [name]) for name in node.input)))
        names = features.get(node.input[0], []) if node.op_type == 'Conv' and attributes.get('group', 1) == 1 else []
        if len(names) == 1:  # in a network with one block
            node.input[0] = names[0]
        if len(names) < 2:
            nodes.append(node)
            continue
        if node.input[1] not in weights or not all(name in channels for name in names):
            raise ValueError(f'{node.input[1]} cannot be split: the channels of its inputs are unknown')
        ends = list(itertools.accumulate(channels[name] for name in names))
        parts = _cut(weights[node.input[1]], ends)
        weights.update((part.name, part) for part in parts)
        nodes.extend(_sum(node, names, [part.name for part in parts], ends))
    _replace(graph, nodes, weights.values())


def _channels(graph: onnx.GraphProto) -> dict[str, int]:
    """Return tensor -> size of its axis 1, if known. onnx 1.7 itself infers no shapes behind an initializer."""
    found = {value.name: value.type.tensor_type.shape.dim[1].dim_value for value in graph.input}
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Conv' and node.input[1] in weights:
            found[node.output[0]] = weights[node.input[1]][0]
        elif node.op_type in ELEMENTWISE:
            found.update((node.output[0], found[name]) for name in node.input if name in found)
    return found


def _cut(weight: onnx.TensorProto, ends: list[int]) -> list[onnx.TensorProto]:
    """Cut a weight into parts along its input channels."""
    values = numpy_helper.to_array(weight)
    return [
        numpy_helper.from_array(np.ascontiguousarray(values[:, start:end]), f'{weight.name}/{start}-{end}')
        for start, end in zip([0, *ends], ends)
    ]


def _sum(conv: onnx.NodeProto, names: list[str], weights: list[str], ends: list[int]) -> Iterable[onnx.NodeProto]:
    """Yield the convolutions over each feature, and the additions. The last addition has the output's name.

    The other tensors and nodes are named after the input channels on which they depend: OUTPUT/0-64, OUTPUT/64-128, and
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
    """Replace a graph's nodes and initializers, and leave out unused Concat nodes and unused initializers."""
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
