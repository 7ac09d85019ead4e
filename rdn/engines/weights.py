"""The network of a model in PyTorch: from its weights, or from an ONNX file that this project exported."""

from __future__ import annotations

from rdn import files
from rdn.engines import base, comparison, onnx_runtime
from rdn.network import checkpoint, exporter, onnx_weights

import numpy as np
from torch import nn


def network_of(path: str) -> nn.Module:
    """Load the network of a model, in evaluation mode, float32, on the CPU.

    Args:
        path: weights (.pth), or an ONNX file that RDN_pth2onnx.py exported.

    Raises:
        OSError: there is no such file.
        ValueError: the file does not contain weights of a supported network, or PyTorch's output differs from the ONNX
            file's.
    """
    if base.is_weights(path):
        return checkpoint.load(path)
    state_dict = onnx_weights.state_dict_of(path)
    with files.errors_naming(path):
        network = checkpoint.build(state_dict)
        exported = onnx_runtime.OnnxRuntime(path, base.Place('CPU'))
        sizes = exporter.Shape(exported.batch, *exported.shape[1:]).filled()
        difference = comparison.difference_on(network, exported, sizes, np.random.RandomState(0))
        if not difference < comparison.TOLERANCE:
            raise ValueError(
                f'PyTorch differs from this file by {difference:.1e} of the range: export it again with RDN_pth2onnx.py'
            )
    return network
