"""Half precision: converts an exported model to float16, and computes PyTorch's output in float16 for comparison."""

from __future__ import annotations

import copy
from typing import Any, Iterator

from rdn.network import onnx_graph

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

LARGEST = float(np.finfo(np.float16).max)  # 65504


def convert(path: str) -> None:
    """Convert an exported model to float16, in place.

    Its input and outputs stay float32; a Cast node converts each of them. All weights, and all values between the Cast
    nodes, are float16. So an engine that follows the model's types ("strongly typed") computes in fp16 without a flag.

    Args:
        path: an ONNX file from RDN_pth2onnx.py, which is overwritten.

    Raises:
        ValueError: a weight is too large for float16; names the weight.
    """
    model = onnx_graph.load(path)
    graph = model.graph
    for tensor in _constants(graph):
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if np.abs(values).max(initial=0) > LARGEST:
                raise ValueError(f'{tensor.name} contains values beyond {LARGEST:g}, the largest number in fp16')
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
    image, outputs = graph.input[0].name, [output.name for output in graph.output]
    inner = {name: f'{name}_fp16' for name in (image, *outputs)}
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
        node.output[:] = [inner.get(name, name) for name in node.output]
    graph.node.insert(0, helper.make_node('Cast', [image], [inner[image]], to=TensorProto.FLOAT16))
    for name in outputs:
        graph.node.append(helper.make_node('Cast', [inner[name]], [name], to=TensorProto.FLOAT))
    del graph.value_info[:]  # its types are still float32
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from (node.attribute[0].t for node in graph.node if node.op_type == 'Constant')


def pytorch_reference(model: nn.Module) -> nn.Module:
    """Return a copy of a network that computes in fp16. Its inputs and outputs are float32.

    If PyTorch has no fp16 convolution on the CPU (torch 1.5), the copy computes in fp32 with weights rounded to fp16.
    """
    half = _HalfNetwork(model)
    try:
        with torch.no_grad():
            half(torch.zeros(1, model.config['num_channels'], 8, 8))
    except RuntimeError:  # 'not implemented for Half'
        return copy.deepcopy(model).half().float()
    return half


class _HalfNetwork(nn.Module):
    """A copy of a network with float16 weights and values, in a memory format that makes PyTorch ten times faster."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.config: dict[str, Any] = model.config
        self.network = copy.deepcopy(model).half().to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute in float16, from a float32 input to a float32 output."""
        return self.network(x.half().contiguous(memory_format=torch.channels_last)).float()
