"""RDN, the Residual Dense Network of arXiv 1802.08797.

The attribute names are the paper's (SFE, RDB, LFF, GFF). They are the same as in the public RDN-pytorch checkpoints,
so their state dicts load here without changes.
"""

from __future__ import annotations

import torch
from torch import nn


class DenseLayer(nn.Module):
    """Conv 3x3 and ReLU. The output is appended to the input's channels (paper, eq. 3).

    Args:
        in_channels: the channels of the input.
        out_channels: the channels to append, G in the paper.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute (N, in, H, W) -> (N, in + out, H, W)."""
        return torch.cat([x, torch.relu(self.conv(x))], 1)  # (N, in + out, H, W)


class RDB(nn.Module):
    """Residual dense block: dense layers, local feature fusion, and a local residual.

    Args:
        num_features: the channels of input and output, G0 in the paper.
        growth_rate: the channels that each layer appends, G in the paper.
        num_layers: the number of dense layers, C in the paper.
    """

    def __init__(self, num_features: int, growth_rate: int, num_layers: int):
        super().__init__()
        self.layers = nn.Sequential(
            *[DenseLayer(num_features + growth_rate * i, growth_rate) for i in range(num_layers)]
        )
        self.lff = nn.Conv2d(num_features + growth_rate * num_layers, num_features, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute (N, G0, H, W) -> (N, G0, H, W)."""
        return x + self.lff(self.layers(x))  # (N, G0, H, W)


class PixelShuffle(nn.Module):
    """The pixel shuffle of arXiv 1609.05158: (N, C*f*f, H, W) -> (N, C, f*H, f*W).

    The results are those of torch.nn.PixelShuffle. That class adds Squeeze and Unsqueeze to the exported graph if it is
    used twice, as for x4. So here every size except N is a constant.

    Args:
        factor: f, the factor of the height and width.
    """

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute (N, C*f*f, H, W) -> (N, C, f*H, f*W)."""
        f, (c, h, w) = self.factor, [int(size) for size in x.shape[1:]]
        x = x.reshape(-1, c // (f * f), f, f, h, w)
        x = x.permute(0, 1, 4, 2, 5, 3)  # (N, C, H, f, W, f)
        return x.reshape(-1, c // (f * f), h * f, w * f)


class RDN(nn.Module):
    """The residual dense network of the paper.

    The arguments have the names of the public class. The paper's network has G0 = 64, G = 64, D = 16 and C = 8.

    Args:
        scale_factor: the scale: 2, 3 or 4.
        num_channels: the channels of a picture: 3 for RGB.
        num_features: the channels of the features, G0 in the paper.
        growth_rate: the channels that each dense layer appends, G in the paper.
        num_blocks: the number of residual dense blocks, D in the paper.
        num_layers: the number of dense layers in a block, C in the paper.

    Attributes:
        config: the arguments: name -> value.

    Raises:
        ValueError: the scale is not 2, 3 or 4.
    """

    def __init__(
        self,
        scale_factor: int,
        num_channels: int,
        num_features: int,
        growth_rate: int,
        num_blocks: int,
        num_layers: int,
    ):
        super().__init__()
        if scale_factor not in (2, 3, 4):
            raise ValueError(f'scale {scale_factor}: must be 2, 3 or 4')
        self.config = dict(
            scale_factor=scale_factor,
            num_channels=num_channels,
            num_features=num_features,
            growth_rate=growth_rate,
            num_blocks=num_blocks,
            num_layers=num_layers,
        )
        self.sfe1 = nn.Conv2d(num_channels, num_features, kernel_size=3, padding=1)
        self.sfe2 = nn.Conv2d(num_features, num_features, kernel_size=3, padding=1)
        self.rdbs = nn.ModuleList([RDB(num_features, growth_rate, num_layers) for _ in range(num_blocks)])
        self.gff = nn.Sequential(
            nn.Conv2d(num_features * num_blocks, num_features, kernel_size=1),
            nn.Conv2d(num_features, num_features, kernel_size=3, padding=1),
        )
        steps = []
        for factor in [2, 2] if scale_factor == 4 else [scale_factor]:
            steps.append(nn.Conv2d(num_features, num_features * factor**2, kernel_size=3, padding=1))
            steps.append(PixelShuffle(factor))
        self.upscale = nn.Sequential(*steps)
        self.output = nn.Conv2d(num_features, num_channels, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Enlarge pictures of 0...1: (N, num_channels, H, W) -> (N, num_channels, scale*H, scale*W)."""
        sfe1 = self.sfe1(x)  # (N, G0, H, W)
        x = self.sfe2(sfe1)
        blocks = []
        for rdb in self.rdbs:
            x = rdb(x)
            blocks.append(x)
        x = self.gff(torch.cat(blocks, 1)) + sfe1  # global feature fusion and residual
        return self.output(self.upscale(x))  # (N, channels, scale*H, scale*W)
