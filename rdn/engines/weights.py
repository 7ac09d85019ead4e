"""The network of a model in PyTorch: from its weights, or from an ONNX file that this project exported."""

from __future__ import annotations

from rdn import files
from rdn.engines import base, onnx_runtime
from rdn.network import checkpoint, onnx_weights

import numpy as np
import torch
from torch import nn

TRIAL_SIDES = (40, 24)  # pixels: height and width for a model that takes any size
TOLERANCE = 1e-5  # fraction of the output's range, between ONNX Runtime and PyTorch


def network_of(path: str) -> nn.Module:
    """Load the network of a model, in evaluation mode, float32, on the CPU.

    Args:
        path: of weights (.pth), or of an ONNX file that RDN_pth2onnx.py exported.

    Raises:
        OSError: there is no such file.
        ValueError: the file holds no weights of ours, or PyTorch does not compute with them as the ONNX file does.
    """
    if base.is_weights(path):
        return checkpoint.load(path)
    state_dict = onnx_weights.state_dict_of(path)
    with files.errors_naming(path):
        network = checkpoint.build(state_dict)
        difference = _difference(network, onnx_runtime.OnnxRuntime(path, base.Place('CPU')))
        if not difference < TOLERANCE:
            raise ValueError(
                f'PyTorch differs from this file by {difference:.1e} of the range: it is not as RDN_pth2onnx.py exports it'
            )
    return network


def _difference(network: nn.Module, model: base.Engine) -> float:
    """The largest difference of the two on a tile, as a fraction of the output's range; infinite for other sizes."""
    sides = [size or trial for size, trial in zip(model.shape[1:], TRIAL_SIDES)]
    shape = model.batch or 1, network.config['num_channels'], *sides
    tile = np.random.RandomState(0).rand(*shape).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(tile)).numpy()
    actual = model(tile)
    if actual.shape != expected.shape:
        return float('inf')
    return float(np.abs(actual - expected).max() / (np.ptp(expected) or 1))
