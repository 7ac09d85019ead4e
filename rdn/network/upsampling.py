"""Upsampling in an exported graph: the operators that replace a network's pixel shuffles."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

import models

# Since this opset PyTorch exports nn.PixelShuffle as DepthToSpace, which the guide's atc does not support.
DEPTH_TO_SPACE_OPSET = 11
OPERATORS = {
    'shuffle': {'Reshape', 'Transpose'},
    'depth-to-space': {'DepthToSpace'},
    'deconv': {'ConvTranspose'},
}


class Deconv(nn.Module):
    """PixelShuffle as a transposed convolution with a fixed kernel of 0 and 1, which computes the same numbers.

    It computes (N, C*f*f, H, W) -> (N, C, f*H, f*W). Input channel c*f*f + i*f + j goes to row i, column j of each
    f x f cell of output channel c. The stride is f, so the cells do not overlap.

    The convolution is not grouped, because few converters optimize grouped ones well. Multiplying by the zeros takes
    0.3 % of the default network's work.
    """

    def __init__(self, factor: int, channels: int):
        super().__init__()
        self.factor = factor
        kernel = torch.eye(channels * factor**2).reshape(channels * factor**2, channels, factor, factor)
        self.register_buffer('kernel', kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Enlarge (N, C*f*f, H, W) to (N, C, f*H, f*W)."""
        return functional.conv_transpose2d(x, self.kernel, stride=self.factor)


def choose(asked: str, opset: int) -> str:
    """Choose the operators to export.

    Args:
        asked: the user's choice, a key of OPERATORS.
        opset: the opset of the export.

    Returns:
        A key of OPERATORS: the user's choice; but since opset 11, 'depth-to-space' for 'shuffle'.
    """
    return 'depth-to-space' if asked == 'shuffle' and opset >= DEPTH_TO_SPACE_OPSET else asked


def with_upsampling(model: nn.Module, upsampling: str) -> nn.Module:
    """Copy a network, and replace each models.PixelShuffle inside an nn.Sequential by an equivalent module.

    Args:
        model: the network.
        upsampling: a key of OPERATORS.

    Raises:
        ValueError: there is no convolution before a PixelShuffle, which 'deconv' requires.
    """
    model = copy.deepcopy(model)
    deconvs: dict[tuple[int, int], Deconv] = {}  # shared, because for equal kernels the exporter writes an Identity
    for sequential in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for index, module in enumerate(sequential):
            if isinstance(module, models.PixelShuffle) and upsampling == 'deconv':
                sizes = module.factor, _channels_before(sequential, index) // module.factor**2
                sequential[index] = deconvs.setdefault(sizes, Deconv(*sizes))
            elif isinstance(module, models.PixelShuffle) and upsampling == 'depth-to-space':
                sequential[index] = nn.PixelShuffle(module.factor)
    return model


def _channels_before(sequential: nn.Sequential, index: int) -> int:
    """Return the number of channels that the module at an index receives from the last convolution before it."""
    for module in reversed(list(sequential)[:index]):
        if isinstance(module, nn.Conv2d):
            return module.out_channels
    raise ValueError('a PixelShuffle without a convolution before it: export with --upsample=shuffle')
