"""Guide 3.1: export the weights to ONNX, opset 9, which atc converts.

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2.onnx

The architecture and the scale are read off the weights. The file gets its name once ONNX Runtime gives
what PyTorch gives.
"""

from __future__ import annotations

import copy
import inspect
import os
import warnings

from rdn import checkpoint, cli, engine, files, onnx_graph

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional

import models

OPSET = 9  # from 11 on PixelShuffle becomes DepthToSpace, which the guide's atc does not have
OPERATORS = {'Conv', 'Relu', 'Concat', 'Add', 'Reshape', 'Transpose', 'Constant', 'ConvTranspose'}
TOLERANCE = 1e-5  # fraction of the output's range, between ONNX Runtime and PyTorch


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


def without_transpose(model: models.RDN) -> models.RDN:
    """A copy of the network whose upscaling is a Deconv: no Transpose and no Reshape in its graph."""
    model = copy.deepcopy(model)
    deconv = None  # one for both steps of x4: of two equal kernels the exporter makes an Identity
    for index, module in enumerate(model.upscale):
        if isinstance(module, models.PixelShuffle):
            channels = model.upscale[index - 1].out_channels // module.factor**2
            deconv = deconv or Deconv(module.factor, channels)
            model.upscale[index] = deconv
    return model


def export_onnx(model: models.RDN, height: int, width: int, path: str) -> None:
    """Write `model` as ONNX: `image` (N, C, height, width) float32, N free -> `output`.

    Raises ValueError if the graph holds an operator that the offline model must do without.
    """
    options = dict(
        opset_version=OPSET,
        input_names=['image'],
        output_names=['output'],
        dynamic_axes={'image': {0: 'batch'}, 'output': {0: 'batch'}},
    )
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the newer exporter cannot write opset 9
    image = torch.zeros(1, model.config['num_channels'], height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # that this exporter is the older one, that opset 9 is old
        torch.onnx.export(model, image, path, **options)
    onnx.checker.check_model(path)
    foreign = sorted(set(onnx_graph.count_operators(path)) - OPERATORS)
    if foreign:
        raise ValueError(
            f'the exported graph holds {", ".join(foreign)}: torch {torch.__version__} exports it differently'
        )


def largest_difference(model: models.RDN, path: str, height: int, width: int) -> float:
    """Largest difference of ONNX Runtime to PyTorch, as a fraction of the output's range.

    Random input, 0...1, of one image and of two, so that a batch size frozen into the graph shows.
    """
    exported = engine.OnnxRuntime(path, provider='CPU')
    random = np.random.RandomState(0)
    largest = 0.0
    for batch in (1, 2):
        image = random.rand(batch, model.config['num_channels'], height, width).astype(np.float32)
        actual = exported(image)
        with torch.no_grad():
            expected = model(torch.from_numpy(image)).numpy()
        if actual.shape != expected.shape:
            raise ValueError(
                f'the exported graph gives {actual.shape} for a batch of {batch}, PyTorch {expected.shape}'
            )
        largest = max(largest, float(np.abs(actual - expected).max() / np.ptp(expected)))
    return largest


def main(argv=None):
    args = parse_args(argv)
    model = checkpoint.load_rdn(
        args.input_file,
        num_features=args.num_features,
        growth_rate=args.growth_rate,
        num_blocks=args.num_blocks,
        num_layers=args.num_layers,
        scale_factor=args.scale,
    )
    if os.path.exists(args.output_file) and os.path.samefile(args.input_file, args.output_file):
        raise ValueError(f'{args.output_file}: --output-file would overwrite the weights')
    with files.atomic_path(args.output_file) as path:
        exported = without_transpose(model) if args.upsample == 'deconv' else model
        export_onnx(exported, args.height, args.width, path)
        difference = largest_difference(model, path, args.height, args.width)
        if not difference < TOLERANCE:
            raise ValueError(
                f'ONNX Runtime differs from PyTorch by {difference:.1e} of the range, more than {TOLERANCE:.0e}: '
                f'{args.output_file} was not written'
            )
        operators = onnx_graph.count_operators(path)
    shape = f'(N, {model.config["num_channels"]}, {args.height}, {args.width})'
    print('network     ' + ', '.join(f'{name}={value}' for name, value in model.config.items()))
    print(f'parameters  {sum(p.numel() for p in model.parameters()):,}')
    print('operators   ' + ', '.join(f'{count} {name}' for name, count in operators.items()))
    print(f'difference  {difference:.1e} of the range, largest between ONNX Runtime and PyTorch')
    print(f'written     {args.output_file}: opset {OPSET}, image {shape}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input-file', required=True, help='weights, .pth')
    parser.add_argument('--output-file', required=True, help='ONNX file to write')
    parser.add_input_size()
    parser.add_argument(
        '--upsample',
        choices=['shuffle', 'deconv'],
        default='shuffle',
        help='deconv: no Transpose in the graph, so no white list to patch; the same numbers',
    )
    agree = parser.add_argument_group('to agree with the weights, which say them anyway')
    agree.add_argument('--scale', type=int, choices=cli.SCALES)
    for flag in ('--num-features', '--growth-rate', '--num-blocks', '--num-layers'):
        agree.add_argument(flag, type=cli.positive)
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
