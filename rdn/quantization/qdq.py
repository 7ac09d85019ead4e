"""Convert convolutions of an exported network to eight bits, in QDQ form, with given scales."""

from __future__ import annotations

import collections
import itertools
from typing import Any, Callable, Dict, Iterable, NamedTuple, Sequence

from rdn import engines
from rdn.engines import onnx_runtime
from rdn.network import onnx_graph, split_convolutions

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper, version_converter
from onnxruntime.quantization import onnx_model

OPSET = 13  # the first whose DequantizeLinear has a scale for each channel
ACTIVATION_LEVELS = 255  # steps of a uint8
WEIGHT_LEVELS = 127  # steps of an int8 to each side: symmetric


class Scale(NamedTuple):
    """The scale of eight-bit values: value = step * (uint8 - zero).

    Attributes:
        step: difference of two neighbouring values.
        zero: the uint8 that represents the value 0.
    """

    step: float
    zero: int

    def round(self, values: np.ndarray) -> np.ndarray:
        """Round values of any shape to this scale, and return the rounded values, not the uint8."""
        return (np.clip(np.rint(values / self.step) + self.zero, 0, ACTIVATION_LEVELS) - self.zero) * self.step


Scales = Dict[str, Scale]  # name of a group (see Groups) -> its scale


class Part(NamedTuple):
    """A Conv node of a layer: the whole layer, or its sum over some of the input channels.

    Attributes:
        weight: weight, float32 (out, in, kernel, kernel).
        scale: scale of its input.
    """

    weight: np.ndarray
    scale: Scale


def load(path: str) -> onnx.ModelProto:
    """Load a network that RDN_pth2onnx.py exported, and convert it to OPSET if its opset is lower.

    Raises:
        ValueError: the model is already in eight bits, is in fp16, or is not a network of convolutions with weights and
            biases; the message names the file.
    """
    onnx_graph.check_whole(path)
    model = onnx_graph.load(path)
    operators = collections.Counter(node.op_type for node in model.graph.node)
    if operators['QuantizeLinear'] or operators['DequantizeLinear']:
        raise ValueError(f'{path}: is in eight bits already: give the model that it was made from')
    if onnx_graph.precision_of(path) == 'fp16':
        raise ValueError(f'{path}: is in fp16: give the model that RDN_pth2onnx.py exports without --half')
    weights = {tensor.name for tensor in model.graph.initializer}
    convs = convolutions(model)
    biases = {name_of(conv) for conv in convs if len(conv.input) == 3}  # one part of a split layer has it
    if not convs or not all(name_of(conv) in biases and set(conv.input[1:]) <= weights for conv in convs):
        raise ValueError(
            f'{path}: not a network of convolutions with their weights and biases: RDN_pth2onnx.py exports one'
        )
    return model if model.opset_import[0].version >= OPSET else version_converter.convert_version(model, OPSET)


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the Conv nodes, in the graph's order."""
    return [node for node in model.graph.node if node.op_type == 'Conv']


def name_of(conv: onnx.NodeProto) -> str:
    """Return the name of a Conv node's layer in PyTorch, such as 'rdbs.0.layers.1.conv', the same for all its parts."""
    return split_convolutions.key_of(conv.input[1]).rsplit('.', 1)[0]


class Groups:
    """The groups of tensors that share a scale: a convolution's input, or all tensors that are concatenated to it.

    All concatenations of a dense block are one group, so that eight-bit values can be concatenated without rescaling.

    Attributes:
        leaves: name of each group -> its tensors, without the outputs of Concat. A tensor can be in two groups, with a
            scale in each.
        of: name of each tensor, including the outputs of Concat -> the group in which a Conv reads it.
    """

    def __init__(self, model: onnx.ModelProto):
        """Find the groups of a network."""
        self._parts = {node.output[0]: list(node.input) for node in model.graph.node if node.op_type == 'Concat'}
        inner = set(itertools.chain.from_iterable(self._parts.values()))
        self.leaves: dict[str, list[str]] = {}
        self.of: dict[str, str] = {}
        for name in itertools.chain(self._parts, (conv.input[0] for conv in convolutions(model))):
            if name in self._parts and name not in inner or name not in self.of and name not in self._parts:
                self.leaves[name] = self._assign(name, name)

    def _assign(self, name: str, group: str) -> list[str]:
        """Assign a tensor and all tensors that are concatenated to it to a group; return its leaves."""
        self.of.setdefault(name, group)
        if name not in self._parts:
            return [name]
        return list(itertools.chain.from_iterable(self._assign(part, group) for part in self._parts[name]))


def parts_of(model: onnx.ModelProto, scales: Scales) -> dict[str, list[Part]]:
    """Return the Conv nodes of each layer: name of the layer -> its parts, both in the graph's order."""
    groups = Groups(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    parts: dict[str, list[Part]] = {}
    for conv in convolutions(model):
        weight = numpy_helper.to_array(constants[conv.input[1]])
        parts.setdefault(name_of(conv), []).append(Part(weight, scales[groups.of[conv.input[0]]]))
    return parts


class Sharing(NamedTuple):
    """The layers of dense blocks, whose inputs are rounded together.

    If a layer of a group is in eight bits, the group's tensors are rounded before their concatenation. Layers that read
    the concatenated tensors then read rounded values, even if the layers themselves are in float32.

    Attributes:
        members: name of each group -> names of its layers.
        readers: names of the layers that read concatenated tensors of such groups.
    """

    members: dict[str, list[str]]
    readers: set[str]


def sharing_of(model: onnx.ModelProto) -> Sharing:
    """Return the layers that share the rounding of their inputs."""
    groups = Groups(model)
    layers: dict[str, list[str]] = collections.defaultdict(list)
    for conv in convolutions(model):
        layers[groups.of[conv.input[0]]].append(name_of(conv))
    members = {group: names for group, names in layers.items() if len(names) > 1 and groups.leaves[group] != [group]}
    concatenated = {name for node in model.graph.node if node.op_type == 'Concat' for name in node.output}
    together = {name for names in members.values() for name in names}
    readers = {name_of(conv) for conv in convolutions(model) if conv.input[0] in concatenated}
    return Sharing(members, readers & together)


def round_weight(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a weight to int8, symmetrically.

    Args:
        weight: (out, in, kernel, kernel).

    Returns:
        (the weight as int8, the step of each output channel: float64 (out,)).
    """
    step = np.maximum(np.abs(weight).max((1, 2, 3)), 1e-12).astype(np.float64) / WEIGHT_LEVELS
    return np.rint(weight / step[:, None, None, None]).astype(np.int8), step


def quantize(model: onnx.ModelProto, scales: Scales, names: Iterable[str]) -> onnx.ModelProto:
    """Return the network with the named layers in eight bits, in QDQ form.

    QuantizeLinear and DequantizeLinear round the inputs of these layers to uint8: once for each group, before the
    concatenation. Weights are int8, with one step for each output channel. Biases are int32; their step is the product
    of the weight's and the input's. Sums, residuals and all other convolutions stay in float32.

    Args:
        model: the network in float32; it is not changed.
        scales: scale of each group.
        names: names of the layers.
    """
    names = set(names)
    groups = Groups(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = onnx_model.ONNXModel(result)
    chosen = [conv for conv in convolutions(result) if name_of(conv) in names]
    active = dict.fromkeys(groups.of[conv.input[0]] for conv in chosen)
    for conv in chosen:
        _quantize_weights(graph, conv, scales[groups.of[conv.input[0]]].step)
    readers = chosen + [node for node in graph.nodes() if node.op_type == 'Concat']
    read_as = {id(node): groups.of[node.output[0] if node.op_type == 'Concat' else node.input[0]] for node in readers}
    for group in active:
        scale = _add_constants(graph, group, step=np.float32(scales[group].step), zero=np.uint8(scales[group].zero))
        for leaf in dict.fromkeys(groups.leaves[group]):
            name = f'{leaf}/{group}'
            graph.add_node(helper.make_node('QuantizeLinear', [leaf, *scale], [f'{name}/q'], f'{name}/q'))
            graph.add_node(helper.make_node('DequantizeLinear', [f'{name}/q', *scale], [f'{name}/dq'], f'{name}/dq'))
            for node in readers:
                if read_as[id(node)] == group:
                    graph.replace_node_input(node, leaf, f'{name}/dq')
    graph.clean_initializers()
    graph.topological_sort()
    onnx.checker.check_model(result)
    return result


def _quantize_weights(graph: onnx_model.ONNXModel, conv: onnx.NodeProto, input_step: float) -> None:
    """Replace a convolution's weight with int8 and its bias with int32, each followed by DequantizeLinear."""
    weight, *biases = (numpy_helper.to_array(graph.get_initializer(name)) for name in conv.input[1:])
    levels, step = round_weight(weight)
    constants = [(levels, step)]
    for bias in biases:  # at most one: only one part of a split layer has it
        limits = np.iinfo(np.int32)
        whole = np.clip(np.rint(bias / (step * input_step)), limits.min, limits.max).astype(np.int32)
        constants.append((whole, step * input_step))
    for index, (values, steps) in enumerate(constants, 1):
        name = conv.input[index]
        zero = np.zeros(steps.shape, values.dtype)
        inputs = _add_constants(graph, name, q=values, step=steps.astype(np.float32), zero=zero)
        graph.add_node(helper.make_node('DequantizeLinear', inputs, [f'{name}/dq'], f'{name}/dq', axis=0))
        conv.input[index] = f'{name}/dq'


def _add_constants(graph: onnx_model.ONNXModel, name: str, **values: Any) -> list[str]:
    """Add values to the graph as initializers, and return their names, NAME/key."""
    for key, value in values.items():
        graph.add_initializer(numpy_helper.from_array(np.asarray(value), f'{name}/{key}'))
    return [f'{name}/{key}' for key in values]


def open_exactly(
    model: onnx.ModelProto, outputs: Sequence[str] | None = None
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Return a function that runs the network in ONNX Runtime and rounds eight bits exactly, on any processor.

    Args:
        model: the network.
        outputs: names of the tensors that the function returns; None for the network's own outputs.

    Returns:
        A function from the input, float32 (N, 3, H, W), to the list of outputs.
    """
    if outputs is not None:
        probe = onnx.ModelProto()
        probe.CopyFrom(model)
        del probe.graph.output[:]
        probe.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs)
        model = probe
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), onnx_runtime.session_options(), providers=[engines.PROVIDERS['CPU']]
    )
    name = model.graph.input[0].name
    runs = onnx_runtime.Runs(session)
    return lambda image: runs.run(None, {name: image})


def multiplications(model: onnx.ModelProto, image: np.ndarray) -> dict[str, int]:
    """Return the number of multiplications of each layer, by its name, for an image (1, 3, height, width)."""
    convs = convolutions(model)
    run = open_exactly(model, [conv.output[0] for conv in convs])
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    work: dict[str, int] = {}
    for conv, output in zip(convs, run(image)):
        work[name_of(conv)] = work.get(name_of(conv), 0) + sizes[conv.input[1]] * output.shape[2] * output.shape[3]
    return work
