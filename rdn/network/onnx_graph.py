"""What stands in an ONNX file: its operators, the shapes of its Transposes, weights that it keeps elsewhere."""

from __future__ import annotations

import collections
import errno
import functools
import operator
import os
import shlex
from typing import Any, Iterator

from rdn import escaping, files, guides_stack

MAX_MODEL_BYTES = 1 << 31  # protobuf's own limit
# Whose constants were not learned: the kernel of 0 and 1 of RDN_pth2onnx.py --upsample=deconv, the scales of eight bits.
NOT_LEARNED = {'ConvTranspose', 'QuantizeLinear', 'DequantizeLinear'}


def load(path: str) -> Any:
    """The onnx.ModelProto of a file, without what it keeps in other files.

    Raises ValueError, with the file's name, for what is not an ONNX model.
    """
    import onnx  # half a second, which most runs of the engine need not pay

    files.check_plain(path, MAX_MODEL_BYTES)
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise ValueError(f'{path}: not an ONNX model: {escaping.one_line(error)}')


def check_whole(path: str) -> None:
    """Raises OSError or ValueError, with the file's name, for a file that an engine must not be given.

    That is one which is not there, is too large, or keeps weights in other files: older versions of onnxruntime
    follow such a name anywhere, ../../etc/passwd say.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, 'no such model', path)
    files.check_plain(path, MAX_MODEL_BYTES)
    if path.endswith('.om'):
        raise ValueError(
            f'{path}: an offline model, which runs on an Ascend device only: give the .onnx it was made from'
        )
    if path.endswith(('.pth', '.pt')):
        flag = f'--input-file={shlex.quote(path)}'
        raise ValueError(f'{path}: weights of PyTorch: RDN_pth2onnx.py {flag} makes an ONNX model of them')
    with open(path, 'rb') as file:
        if b'location' not in file.read():
            return
    model = load(path)
    if guides_stack.has_unknown_parts(model):
        raise ValueError(f'{path}: has parts that onnx of Python 3.7 cannot check: use Python 3.8 or later')
    if any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(model)):
        raise ValueError(f'{path}: keeps weights in other files, which are not read: save it as one file')


def precision_of(path: str) -> str:
    """Return the precision of an ONNX file's values: int8 in QDQ form, fp16, or fp32. Raises as check_whole does."""
    check_whole(path)
    with open(path, 'rb') as file:
        content = file.read()
    if b'DequantizeLinear' in content:
        return 'int8'
    if b'Cast' not in content:  # so most models need not be parsed
        return 'fp32'
    return 'fp16' if any(tensor.data_type == tensor.FLOAT16 for tensor in _tensors(load(path))) else 'fp32'


def _tensors(message: Any) -> Iterator[Any]:
    """All tensors inside a message of ONNX: of graphs, of graphs inside them, of functions, whatever holds them."""
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, 'ListFields') else value:
                yield from _tensors(part)


def count_operators(path: str) -> dict[str, int]:
    """Operator -> how often it stands in the graph, most frequent first. Raises ValueError as `load` does."""
    counts = collections.Counter(node.op_type for node in load(path).graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def output_names(path: str) -> list[str]:
    """Return the names of a model's outputs, in its order. Raises ValueError as `load` does."""
    return [output.name for output in load(path).graph.output]


def count_parameters(path: str) -> int:
    """Count the numbers in a model's weights and biases, as PyTorch does. Raises ValueError as `load` does."""
    return sum(functools.reduce(operator.mul, tensor.dims, 1) for tensor in learned_tensors(path))


def learned_tensors(path: str) -> list[Any]:
    """Return a model's weights and biases, each an onnx.TensorProto. Raises ValueError as `load` does."""
    graph = load(path).graph
    learned = {name for node in graph.node if node.op_type not in NOT_LEARNED for name in node.input}
    floats = {1, 10}  # TensorProto.FLOAT and FLOAT16
    return [tensor for tensor in graph.initializer if tensor.name in learned and tensor.data_type in floats]


def transpose_shapes(path: str, batch_size: int) -> list[list[int]]:
    """Input shapes of the Transpose nodes of an ONNX model, for `batch_size` images, without repeats.

    They stand in the Reshape before each: N is free there, the rest is fixed. Raises ValueError, with
    the file's name, for what is not an ONNX model, has no Transpose, or one whose shape is not said so.
    """
    from onnx import numpy_helper

    graph = load(path).graph
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants.update((node.output[0], node.attribute[0].t) for node in graph.node if node.op_type == 'Constant')
    shapes: list[list[int]] = []
    for node in graph.node:
        if node.op_type != 'Transpose':
            continue
        name = node.input[0]
        reshape = producers.get(name)
        if reshape is None or reshape.op_type != 'Reshape' or reshape.input[1] not in constants:
            raise ValueError(f'{path}: the shape of {name} is not fixed: give it with --shape')
        first, *rest = numpy_helper.to_array(constants[reshape.input[1]]).tolist()
        if first not in (-1, 0, batch_size) or min(rest) < 1:
            raise ValueError(
                f'{path}: the shape of {name} is {[first] + rest}, not one of {batch_size} images: give it with --shape'
            )
        if [batch_size] + rest not in shapes:
            shapes.append([batch_size] + rest)
    if not shapes:
        raise ValueError(f'{path}: no Transpose in it, so no shape to add')
    return shapes
