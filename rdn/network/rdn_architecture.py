"""RDN as an architecture: its state dicts, their configuration and shapes. The network itself is in models.py."""

from __future__ import annotations

import re
from typing import Any

from rdn.network import base, taps

PREFIXES = ('sfe1.', 'sfe2.', 'rdbs.', 'gff.')  # only RDN's keys begin with these


class Rdn(base.Architecture):
    """The Residual Dense Network, with the keys of the public RDN-pytorch checkpoints."""

    name = 'rdn'
    title = 'RDN'
    operators = frozenset({'Conv', 'Relu', 'Concat', 'Add', 'Constant'})

    def owns(self, state_dict: base.StateDict) -> bool:
        """Return whether a key begins with one of PREFIXES."""
        return any(key.startswith(PREFIXES) for key in state_dict)

    def infer_config(self, state_dict: base.StateDict) -> base.Config:
        """Infer the arguments of models.RDN; raise ValueError if a key is missing or has a wrong shape."""

        def shape(key: str) -> Any:
            if key not in state_dict:
                raise ValueError(f'no key {key}')
            if state_dict[key].dim() != 4:
                raise ValueError(f'{key} has shape {list(state_dict[key].shape)}, not that of a convolution')
            return state_dict[key].shape

        def count(pattern: str) -> int:
            matches = [re.match(pattern, key) for key in state_dict]
            last = max([int(match.group(1)) for match in matches if match] or [-1])
            return min(last, len(state_dict)) + 1  # a corrupt, huge index must not lead to a huge network

        num_features, num_channels = shape('sfe1.weight')[:2]
        growth_rate = shape('rdbs.0.layers.0.conv.weight')[0]
        factor2 = shape('upscale.0.weight')[0] / num_features
        scale = {4: 4 if 'upscale.2.weight' in state_dict else 2, 9: 3}.get(factor2)
        if scale is None:
            raise ValueError(
                f'upscale.0.weight has shape {list(shape("upscale.0.weight"))}, '
                f'which does not fit the scales 2, 3 or 4 with {num_features} features'
            )
        return dict(
            scale_factor=scale,
            num_channels=num_channels,
            num_features=num_features,
            growth_rate=growth_rate,
            num_blocks=count(r'rdbs\.(\d+)\.'),
            num_layers=count(r'rdbs\.0\.layers\.(\d+)\.'),
        )

    def parameter_shapes(self, config: base.Config) -> base.Shapes:
        """Return key -> shape for each parameter of models.RDN."""
        features, growth = config['num_features'], config['growth_rate']
        channels, blocks, layers = (config[name] for name in ('num_channels', 'num_blocks', 'num_layers'))
        shapes: base.Shapes = {}

        def conv(name: str, in_channels: int, out_channels: int, size: int) -> None:
            shapes[f'{name}.weight'] = out_channels, in_channels, size, size
            shapes[f'{name}.bias'] = (out_channels,)

        conv('sfe1', channels, features, 3)
        conv('sfe2', features, features, 3)
        for block in range(blocks):
            for layer in range(layers):
                conv(f'rdbs.{block}.layers.{layer}.conv', features + growth * layer, growth, 3)
            conv(f'rdbs.{block}.lff', features + growth * layers, features, 1)
        conv('gff.0', features * blocks, features, 1)
        conv('gff.1', features, features, 3)
        for step, factor in enumerate([2, 2] if config['scale_factor'] == 4 else [config['scale_factor']]):
            conv(f'upscale.{2 * step}', features, features * factor**2, 3)
        conv('output', features, channels, 3)
        return shapes

    def build(self, config: base.Config) -> Any:
        """Return a models.RDN."""
        import models  # imports torch, which takes seconds and is not needed for names and titles

        return models.RDN(**config)

    def stages(self, network: Any) -> list[taps.Stage]:
        """Return stages for sfe1, sfe2, each dense block, the two convolutions of gff, upscale and output."""

        def fuse(*blocks: Any) -> Any:
            import torch  # costs nothing here, because whoever has a network has imported it

            return network.gff[0](torch.cat(blocks, 1))

        def block(rdb: Any) -> dict[str, Any]:
            return dict(compute=rdb, without_residual=lambda x: rdb(x) - x)

        blocks = [f'rdbs.{index}' for index in range(len(network.rdbs))]
        return [
            taps.Stage('sfe1', (taps.IMAGE,), network.sfe1),
            taps.Stage('sfe2', ('sfe1',), network.sfe2),
            *(
                taps.Stage(name, (before,), **block(rdb))
                for name, before, rdb in zip(blocks, ['sfe2', *blocks], network.rdbs)
            ),
            taps.Stage('gff.0', tuple(blocks), fuse),
            taps.Stage('gff.1', ('gff.0',), network.gff[1]),
            taps.Stage(
                'upscale',
                ('gff.1', 'sfe1'),
                lambda fused, first: network.upscale(fused + first),  # the global residual
                lambda fused, first: network.upscale(fused),
            ),
            taps.Stage(taps.RESULT, ('upscale',), network.output),
        ]
