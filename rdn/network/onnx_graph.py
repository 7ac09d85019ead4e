"""The contents of an ONNX file: its operators, weights, precision, and the shapes of its Transposes."""

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
# Operators whose constants are not learned: ConvTranspose has the fixed kernel of --upsample=deconv, the others have
# the scales of int8.
NOT_LEARNED = {'ConvTranspose', 'QuantizeLinear', 'DequantizeLinear'}


def load(path: str) -> Any:
    """Load an ONNX file as an onnx.ModelProto, without data that it stores in other files.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model; names the file.
    """
    import onnx  # takes half a second, and most runs of an engine do not need it

    files.check_plain(path, MAX_MODEL_BYTES)
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's exceptions, and others
        raise ValueError(f'{path}: not an ONNX model: {escaping.one_line(error)}')


def check_whole(path: str) -> None:
    """Check that an engine may open a file: that it is an ONNX model of allowed size without data in other files.

    Older versions of onnxruntime follow the names of other files anywhere, for example to ../../etc/passwd.

    Raises:
        OSError: there is no such file.
        ValueError: the file is too large, is not an ONNX file, or stores weights in other files; names the file.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, 'no such model', path)
    files.check_plain(path, MAX_MODEL_BYTES)
    if path.endswith('.om'):
        raise ValueError(
            f'{path}: an offline model runs only on an Ascend device: give the .onnx file that it was made from'
        )
    if path.endswith(('.pth', '.pt')):
        flag = f'--input-file={shlex.quote(path)}'
        raise ValueError(f'{path}: these are PyTorch weights: make an ONNX model with RDN_pth2onnx.py {flag}')
    with open(path, 'rb') as file:
        if b'location' not in file.read():
            return
    model = load(path)
    if guides_stack.has_unknown_parts(model):
        raise ValueError(f'{path}: has parts that onnx on Python 3.7 cannot check: use Python 3.8 or later')
    if any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(model)):
        raise ValueError(f'{path}: stores weights in other files, which are not read: save it as one file')


def precision_of(path: str) -> str:
    """Return the precision of an ONNX file's values: 'int8' (in QDQ form), 'fp16' or 'fp32'.

    Raises:
        OSError: there is no such file.
        ValueError: an engine must not open the file, for a reason that `check_whole` lists; names the file.
    """
    check_whole(path)
    with open(path, 'rb') as file:
        content = file.read()
    if b'DequantizeLinear' in content:
        return 'int8'
    if b'Cast' not in content:  # a quick answer for most models, without parsing them
        return 'fp32'
    return 'fp16' if any(tensor.data_type == tensor.FLOAT16 for tensor in _tensors(load(path))) else 'fp32'


def _tensors(message: Any) -> Iterator[Any]:
    """Yield all tensors inside an ONNX message, including those in nested graphs and functions."""
    from onnx import TensorProto

    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, 'ListFields') else value:
                yield from _tensors(part)


def count_operators(path: str) -> dict[str, int]:
    """Count the operators in a graph.

    Returns:
        Operator -> number of nodes, the most frequent first.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model; names the file.
    """
    counts = collections.Counter(node.op_type for node in load(path).graph.node)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def output_names(path: str) -> list[str]:
    """Return the names of a model's outputs, in its order.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model; names the file.
    """
    return [output.name for output in load(path).graph.output]


def count_parameters(path: str) -> int:
    """Count the numbers in a model's weights and biases, as PyTorch counts them.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model; names the file.
    """
    return sum(functools.reduce(operator.mul, tensor.dims, 1) for tensor in learned_tensors(path))


def learned_tensors(path: str) -> list[Any]:
    """Return a model's weights and biases, each an onnx.TensorProto.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model; names the file.
    """
    graph = load(path).graph
    learned = {name for node in graph.node if node.op_type not in NOT_LEARNED for name in node.input}
    floats = {1, 10}  # TensorProto.FLOAT and FLOAT16
    return [tensor for tensor in graph.initializer if tensor.name in learned and tensor.data_type in floats]


def transpose_shapes(path: str, batch_size: int) -> list[list[int]]:
    """Return the input shapes of the Transpose nodes of an ONNX model, without repeats.

    The shapes are read from the Reshape before each Transpose, in which N is free and the other sizes are fixed.

    Args:
        path: the ONNX file.
        batch_size: images in a batch, the first size of each shape.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not an ONNX model, or has no Transpose, or a Transpose has no fixed shape; names the
            file.
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
                f'{path}: the shape of {name} is {[first] + rest}, not that of {batch_size} images: '
                'give it with --shape'
            )
        if [batch_size] + rest not in shapes:
            shapes.append([batch_size] + rest)
    if not shapes:
        raise ValueError(f'{path}: contains no Transpose, so there is no shape to add')
    return shapes
