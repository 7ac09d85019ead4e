"""Reads the weights in an ONNX file that RDN_pth2onnx.py wrote without --half back into a state dict."""

from __future__ import annotations

from rdn import files
from rdn.network import base, checkpoint, onnx_graph, split_convolutions

import torch
from onnx import numpy_helper


def state_dict_of(path: str) -> base.StateDict:
    """Read the weights of an exported model, with concatenated features or with split convolutions.

    Only names and shapes are checked. A graph that uses the same weights for another computation is not detected.

    Args:
        path: the ONNX file.

    Returns:
        The state dict's key -> torch.Tensor, float32, complete and in the network's order.

    Raises:
        OSError: there is no such file.
        ValueError: the file's weights were rounded to fp16 or int8; or they do not belong to an architecture that
            architectures.py lists, because some are renamed, missing, folded into others or of other shapes. Names the
            file.
    """
    remedy = 'give the weights (.pth) that it was made from'
    precision = onnx_graph.precision_of(path)
    if precision != 'fp32':
        raise ValueError(f'{path}: its weights are rounded to {precision}: {remedy}')
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx_graph.learned_tensors(path)}
    if not arrays:
        raise ValueError(f'{path}: has no weights: {remedy}')
    with files.errors_naming(path):
        try:
            weights = {key: torch.from_numpy(array.copy()) for key, array in split_convolutions.join(arrays).items()}
            return checkpoint.ordered(weights)
        except ValueError as error:
            raise ValueError(f'not a model that RDN_pth2onnx.py exported ({error}): {remedy}')
