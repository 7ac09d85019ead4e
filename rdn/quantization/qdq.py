"""Eight bits: the scales with which an exported network computes in them, and the convolutions that better do not."""

from __future__ import annotations

import collections
import itertools
from typing import Any, Callable, Dict, Iterable, NamedTuple, Sequence

from rdn import engines
from rdn.accuracy import metrics
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
BINS = 2048  # of a histogram of activations
REFERENCE_PSNR = 38.0  # dB, about Set5's
CLIPS = np.linspace(0.3, 1, 36)  # fractions of the range that are tried as its ends


class Scale(NamedTuple):
    """value = step * (uint8 - zero)."""

    step: float
    zero: int

    def round(self, values: np.ndarray) -> np.ndarray:
        """What is left of the values in eight bits."""
        return (np.clip(np.rint(values / self.step) + self.zero, 0, ACTIVATION_LEVELS) - self.zero) * self.step


Scales = Dict[str, Scale]  # by the group, see Groups


def load(path: str) -> onnx.ModelProto:
    """A network as RDN_pth2onnx.py exports it, at OPSET or later. Raises ValueError, with its name, for another model."""
    onnx_graph.check_whole(path)
    model = onnx_graph.load(path)
    operators = collections.Counter(node.op_type for node in model.graph.node)
    if operators['QuantizeLinear'] or operators['DequantizeLinear']:
        raise ValueError(f'{path}: is of eight bits already: give the model that it was made from')
    if onnx_graph.precision_of(path) == 'fp16':
        raise ValueError(f'{path}: is in fp16: give the model that RDN_pth2onnx.py exports without --half')
    weights = {tensor.name for tensor in model.graph.initializer}
    convs = convolutions(model)
    biases = {name_of(conv) for conv in convs if len(conv.input) == 3}  # of a split layer, one part has it
    if not convs or not all(name_of(conv) in biases and set(conv.input[1:]) <= weights for conv in convs):
        raise ValueError(
            f'{path}: not a network of convolutions with their weights and biases: RDN_pth2onnx.py exports one'
        )
    return model if model.opset_import[0].version >= OPSET else version_converter.convert_version(model, OPSET)


def convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The Conv nodes, in the graph's order."""
    return [node for node in model.graph.node if node.op_type == 'Conv']


def name_of(conv: onnx.NodeProto) -> str:
    """The layer's name in PyTorch, as in rdbs.0.layers.1.conv: its weight's without the ending. Parts of a layer share it."""
    return split_convolutions.key_of(conv.input[1]).rsplit('.', 1)[0]


class Groups:
    """The tensors of a network that share a scale: a convolution's input, or all that is concatenated to it.

    All concatenations of a dense block are one group, so that values of eight bits are laid side by side as they are.
    leaves: group -> its tensors, which are no Concat's outputs; a tensor may be in two groups, with a scale in each.
    of: tensor, Concat's outputs among them -> the group as which a Conv reads it.
    """

    def __init__(self, model: onnx.ModelProto):
        self._parts = {node.output[0]: list(node.input) for node in model.graph.node if node.op_type == 'Concat'}
        inner = set(itertools.chain.from_iterable(self._parts.values()))
        self.leaves: dict[str, list[str]] = {}
        self.of: dict[str, str] = {}
        for name in itertools.chain(self._parts, (conv.input[0] for conv in convolutions(model))):
            if name in self._parts and name not in inner or name not in self.of and name not in self._parts:
                self.leaves[name] = self._assign(name, name)

    def _assign(self, name: str, group: str) -> list[str]:
        """The leaves of a tensor, which get their group."""
        self.of.setdefault(name, group)
        if name not in self._parts:
            return [name]
        return list(itertools.chain.from_iterable(self._assign(part, group) for part in self._parts[name]))


def measure_scales(model: onnx.ModelProto, images: Sequence[np.ndarray]) -> Scales:
    """The Scale of each group that leaves the smallest squared error on what the network computes of the images.

    images: (1, 3, H, W), 0...1, of any number. The network's own input keeps 0...1 in steps of 1/255: pixels are whole.
    """
    groups = Groups(model)
    source = model.graph.input[0].name
    names = sorted(set(itertools.chain.from_iterable(groups.leaves.values())) - {source})
    run = open_exactly(model, names)

    def tensors() -> Iterable[tuple[str, np.ndarray]]:
        for image in images:
            values = dict(zip(names, run(image)))
            for group, leaves in groups.leaves.items():
                for leaf in leaves:
                    if leaf != source:
                        yield group, values[leaf]

    ends: dict[str, list[float]] = collections.defaultdict(lambda: [0.0, 0.0])  # zero is a value of every scale
    for group, values in tensors():
        ends[group] = [min(ends[group][0], float(values.min())), max(ends[group][1], float(values.max()))]
    histograms = {group: np.zeros(BINS) for group in ends}
    for group, values in tensors():
        histograms[group] += np.histogram(values, BINS, (ends[group][0], ends[group][1]))[0]
    scales = {group: best_scale(histograms[group], *ends[group]) for group in ends}
    scales[source] = Scale(1 / 255, 0)
    return scales


def best_scale(histogram: np.ndarray, low: float, high: float) -> Scale:
    """The Scale with the smallest squared error on values that are spread so over low...high, low <= 0 <= high."""
    if low == high:
        return Scale(1.0, 0)
    centres = low + (np.arange(len(histogram)) + 0.5) * (high - low) / len(histogram)

    def error(scale: Scale) -> float:
        return float(((scale.round(centres) - centres) ** 2 * histogram).sum())

    ends = itertools.product(low * CLIPS if low else [0.0], high * CLIPS if high else [0.0])
    steps = ((first, (last - first) / ACTIVATION_LEVELS) for first, last in ends)
    return min((Scale(float(step), int(round(-first / step))) for first, step in steps), key=error)


def quantize(model: onnx.ModelProto, scales: Scales, names: Iterable[str]) -> onnx.ModelProto:
    """The network with the named convolutions in eight bits, in QDQ form.

    Each of their inputs goes through QuantizeLinear to uint8 and DequantizeLinear back, once for a group: before the
    concatenation. Weights are int8 with a step for each output channel, biases int32 in units of both steps.
    Sums, residuals and all other convolutions stay in float32.
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
    """Put int8 weights and an int32 bias, with a DequantizeLinear each, in the place of a convolution's own."""
    weight, *biases = (numpy_helper.to_array(graph.get_initializer(name)) for name in conv.input[1:])
    step = np.maximum(np.abs(weight).max((1, 2, 3)), 1e-12).astype(np.float64) / WEIGHT_LEVELS
    limits = np.iinfo(np.int32)
    whole = [np.rint(weight / step[:, None, None, None]).astype(np.int8)]
    for bias in biases:  # none where another part of the layer has it
        whole.append(np.clip(np.rint(bias / (step * input_step)), limits.min, limits.max).astype(np.int32))
    for index, (values, steps) in enumerate(zip(whole, (step, step * input_step)), 1):
        name = conv.input[index]
        zero = np.zeros(steps.shape, values.dtype)
        inputs = _add_constants(graph, name, q=values, step=steps.astype(np.float32), zero=zero)
        graph.add_node(helper.make_node('DequantizeLinear', inputs, [f'{name}/dq'], f'{name}/dq', axis=0))
        conv.input[index] = f'{name}/dq'


def _add_constants(graph: onnx_model.ONNXModel, name: str, **values: Any) -> list[str]:
    """The names of the values, NAME/key, which become initializers."""
    for key, value in values.items():
        graph.add_initializer(numpy_helper.from_array(np.asarray(value), f'{name}/{key}'))
    return [f'{name}/{key}' for key in values]


def open_exactly(
    model: onnx.ModelProto, outputs: Sequence[str] | None = None
) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function from the network's input to its outputs, in which eight bits are rounded exactly, on any processor.

    outputs: the tensors that it returns; None: the network's own.
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
    return lambda image: session.run(None, {name: image})


class Selection(NamedTuple):
    """Which layers stay in float32, in the network's order; the fraction of the multiplications in eight bits.

    loss, loss_of_all: in dB, as Chooser has it, with these layers kept and with none.
    """

    kept: list[str]
    share: float
    loss: float
    loss_of_all: float


class Chooser:
    """Finds the convolutions that stay in floating point: those whose eight bits cost most accuracy for their work.

    A loss is in dB: what the differences to the network in float32 on the images take from the luma PSNR of a picture
    that float32 restores to REFERENCE_PSNR, as far as both errors are independent: 10 log10(1 + their MSEs' ratio).
    """

    def __init__(self, model: onnx.ModelProto, scales: Scales, images: Sequence[np.ndarray]):
        self.model, self.scales, self.images = model, scales, images
        self.names = list(dict.fromkeys(name_of(conv) for conv in convolutions(model)))
        self.exact = self._lumas(model)

    def loss(self, kept: Iterable[str]) -> float:
        """What all convolutions but the kept ones cost in eight bits."""
        lumas = self._lumas(quantize(self.model, self.scales, set(self.names) - set(kept)))
        error = np.mean([np.mean((a - b) ** 2) for a, b in zip(lumas, self.exact)])
        return float(10 * np.log10(1 + error / 255**2 * 10 ** (REFERENCE_PSNR / 10)))

    def choose(self, max_loss: float, progress: Callable[[Sequence[str]], Iterable[str]] = iter) -> Selection:
        """The layers to keep, so that the loss is `max_loss` at most.

        Each one's share is what the loss of all falls by when it alone stays; those with the largest share for their
        multiplications are kept first. progress: shows how far this is.
        """
        loss = everything = self.loss([])
        work = multiplications(self.model, self.images[0])
        share = {name: (everything - self.loss([name])) / work[name] for name in progress(self.names)}
        order = sorted(self.names, key=lambda name: -share[name])
        kept: list[str] = []
        while len(kept) < len(order) and loss > max_loss:
            kept = order[: len(kept) + 1]
            loss = self.loss(kept)
        share_of_work = 1 - sum(work[name] for name in kept) / sum(work.values())
        return Selection(sorted(kept, key=self.names.index), share_of_work, loss, everything)

    def _lumas(self, model: onnx.ModelProto) -> list[np.ndarray]:
        run = open_exactly(model)
        return [metrics.luma(np.clip(run(image)[0][0], 0, 1) * 255) for image in self.images]


def multiplications(model: onnx.ModelProto, image: np.ndarray) -> dict[str, int]:
    """The multiplications of each layer, all parts of it together, for an image (1, 3, H, W)."""
    convs = convolutions(model)
    run = open_exactly(model, [conv.output[0] for conv in convs])
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    work: dict[str, int] = collections.defaultdict(int)
    for conv, output in zip(convs, run(image)):
        work[name_of(conv)] += sizes[conv.input[1]] * output.shape[2] * output.shape[3]
    return dict(work)
