"""How a network enlarges: the operators that stand for its pixel shuffles in an exported graph."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

import models

# From this opset on nn.PixelShuffle is exported as DepthToSpace, which the guide's atc does not have.
DEPTH_TO_SPACE_OPSET = 11
OPERATORS = {
    'shuffle': {'Reshape', 'Transpose'},
    'depth-to-space': {'DepthToSpace'},
    'deconv': {'ConvTranspose'},
}


class Deconv(nn.Module):
    """PixelShuffle as a transposed convolution with a fixed kernel of 0 and 1: the same numbers.

    (N, C*f*f, H, W) -> (N, C, f*H, f*W). Input channel c*f*f + i*f + j goes to row i, column j of each f x f
    cell of output channel c; the stride is f, so that cells do not overlap. Not grouped, since few
    converters plan grouped ones well; the zeros cost 0.3 % of the default network.
    """

    def __init__(self, factor: int, channels: int):
        super().__init__()
        self.factor = factor
        kernel = torch.eye(channels * factor**2).reshape(channels * factor**2, channels, factor, factor)
        self.register_buffer('kernel', kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose2d(x, self.kernel, stride=self.factor)


def choose(asked: str, opset: int) -> str:
    """Return the key of OPERATORS for a key that was asked for: from opset 11 on, depth-to-space for shuffle."""
    return 'depth-to-space' if asked == 'shuffle' and opset >= DEPTH_TO_SPACE_OPSET else asked


def with_upsampling(model: nn.Module, upsampling: str) -> nn.Module:
    """Copy a network, with other modules of the same numbers for each models.PixelShuffle inside an nn.Sequential.

    Args:
        model: the network.
        upsampling: a key of OPERATORS.

    Raises:
        ValueError: a PixelShuffle has no convolution before it, which a transposed convolution needs.
    """
    model = copy.deepcopy(model)
    deconvs: dict[tuple[int, int], Deconv] = {}  # one for each kernel: of two equal ones the exporter makes an Identity
    for sequential in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        for index, module in enumerate(sequential):
            if isinstance(module, models.PixelShuffle) and upsampling == 'deconv':
                sizes = module.factor, _channels_before(sequential, index) // module.factor**2
                sequential[index] = deconvs.setdefault(sizes, Deconv(*sizes))
            elif isinstance(module, models.PixelShuffle) and upsampling == 'depth-to-space':
                sequential[index] = nn.PixelShuffle(module.factor)
    return model


def _channels_before(sequential: nn.Sequential, index: int) -> int:
    """How many channels the module at an index receives: those of the last convolution before it."""
    for module in reversed(list(sequential)[:index]):
        if isinstance(module, nn.Conv2d):
            return module.out_channels
    raise ValueError('a PixelShuffle without a convolution before it: export with --upsample=shuffle')
