"""Guide 3.1: export the weights to ONNX, opset 9, which atc converts.

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2.onnx

The architecture and the scale are read off the weights. The file gets its name once ONNX Runtime gives
what PyTorch gives. For toolkits that know DepthToSpace (the vendor's own export since 2022), and for pictures of any size on this machine:

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2.onnx --opset 11
    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_any.onnx --upsample=deconv --height 0 --width 0

For TensorRT 11, which has no --fp16, a strongly typed model: all weights are float16; input and output stay float32.
ONNX Runtime runs it on the CPU, where it computes some nodes in fp32. It is compared with PyTorch in fp16; on PyTorch
versions without fp16 convolutions on the CPU, as torch 1.5, with PyTorch in fp32 and weights rounded to fp16. PyTorch
takes some minutes in fp16 for the guide's network:

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_fp16.onnx --half
"""

from __future__ import annotations

import copy
import inspect
import os
import warnings
from typing import NamedTuple

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, engines, files
from rdn.network import architectures, checkpoint, half_precision, onnx_graph

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional

import models

OPSETS = range(9, 18)  # what PyTorch exports; those of torch 1.5 end with 12
# From here on nn.PixelShuffle is exported as DepthToSpace, which the guide's atc does not have.
DEPTH_TO_SPACE_OPSET = 11
UPSAMPLING_OPERATORS = {
    'shuffle': {'Reshape', 'Transpose'},
    'depth-to-space': {'DepthToSpace'},
    'deconv': {'ConvTranspose'},
}
TOLERANCE = 1e-5  # fraction of the output's range, between ONNX Runtime and PyTorch
HALF_TOLERANCE = 1e-2  # the same in fp16, where the two round in different places

TRIALS = ((1, 40, 24), (2, 33, 48))  # (N, height, width) for what a shape leaves free


class Shape(NamedTuple):
    """Of an input; None is free: images, pixels."""

    batch: int | None
    height: int | None
    width: int | None


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


def with_upsampling(model: nn.Module, upsampling: str) -> nn.Module:
    """Copy a network, with other modules of the same numbers for each models.PixelShuffle inside an nn.Sequential.

    Args:
        model: the network.
        upsampling: a key of UPSAMPLING_OPERATORS.

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


def fix_free_sizes(shape: Shape) -> Shape:
    """The shape with the first trial's sizes in the place of free ones."""
    return Shape(*(size or trial for size, trial in zip(shape, TRIALS[0])))


def export_onnx(model: nn.Module, shape: Shape, opset: int, upsampling: str, path: str) -> None:
    """Write `model` as ONNX: `image` (N, C, height, width) float32 -> `output`.

    shape: what None is in is left free. upsampling: a key of UPSAMPLING_OPERATORS.
    Raises ValueError if the graph holds an operator that the offline model must do without.
    """
    options = dict(opset_version=opset, input_names=['image'], output_names=['output'])
    free = {axis: name for axis, name, size in zip((0, 2, 3), ('batch', 'height', 'width'), shape) if size is None}
    if free:
        options['dynamic_axes'] = {'image': free, 'output': {axis: f'output_{name}' for axis, name in free.items()}}
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        options['dynamo'] = False  # the newer exporter cannot write opset 9
    batch, height, width = fix_free_sizes(shape)
    image = torch.zeros(batch, model.config['num_channels'], height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')  # that this exporter is the older one, that opset 9 is old
        torch.onnx.export(with_upsampling(model, upsampling), image, path, **options)
    onnx.checker.check_model(path)
    operators = architectures.find(model.state_dict()).operators | UPSAMPLING_OPERATORS[upsampling]
    foreign = sorted(set(onnx_graph.count_operators(path)) - operators)
    if foreign:
        raise ValueError(
            f'the exported graph holds {", ".join(foreign)}: torch {torch.__version__} exports it differently'
        )


def largest_difference(model: nn.Module, path: str, shape: Shape) -> float:
    """Largest difference of ONNX Runtime to PyTorch, as a fraction of the output's range.

    Random input, 0...1; where the shape leaves a size free, of two sizes, so that one that is frozen into the graph
    shows. Raises ValueError where the shapes of the outputs differ, or PyTorch's holds values that are not finite.
    """
    exported = engines.OnnxRuntime(path, engines.Place('CPU'))
    random = np.random.RandomState(0)
    differences = []
    for trial in TRIALS if None in shape else TRIALS[:1]:
        batch, height, width = (size or other for size, other in zip(shape, trial))
        image = random.rand(batch, model.config['num_channels'], height, width).astype(np.float32)
        actual = exported(image)
        with torch.no_grad():
            expected = model(torch.from_numpy(image)).numpy()
        if actual.shape != expected.shape:
            raise ValueError(
                f'the exported graph gives {actual.shape} for an input {image.shape}, PyTorch {expected.shape}'
            )
        if not np.isfinite(expected).all():
            raise ValueError(
                'PyTorch computes values that are not finite: the weights are wrong, or too large for fp16'
            )
        differences.append(np.abs(actual - expected).max() / (np.ptp(expected) or 1))
    return float(np.max(differences))  # nan if one is nan


def check_difference(difference: float, tolerance: float, output_file: str) -> None:
    """Raise ValueError if a difference is not below the tolerance, both as fractions of the output's range."""
    if not difference < tolerance:
        raise ValueError(
            f'ONNX Runtime differs from PyTorch by {difference:.1e} of the range, more than {tolerance:.0e}: '
            f'{output_file} was not written'
        )


def choose_upsampling(asked: str, opset: int) -> str:
    """The key of UPSAMPLING_OPERATORS for what the flags ask for."""
    return 'depth-to-space' if asked == 'shuffle' and opset >= DEPTH_TO_SPACE_OPSET else asked


def main(argv=None):
    args = parse_args(argv)
    model = checkpoint.load(
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
        shape = Shape(args.batch_size, args.height or None, args.width or None)
        export_onnx(model, shape, args.opset, choose_upsampling(args.upsample, args.opset), path)
        difference = largest_difference(model, path, shape)
        check_difference(difference, TOLERANCE, args.output_file)
        if args.half:
            half_precision.convert(path)
            one = fix_free_sizes(shape)  # PyTorch takes long in fp16 on a CPU
            difference = largest_difference(half_precision.pytorch_reference(model), path, one)
            check_difference(difference, HALF_TOLERANCE, args.output_file)
        operators = onnx_graph.count_operators(path)
    batch, height, width = (size or name for size, name in zip(shape, ('N', 'H', 'W')))
    image = f'({batch}, {model.config["num_channels"]}, {height}, {width})'
    print('network     ' + ', '.join(f'{name}={value}' for name, value in model.config.items()))
    print(f'parameters  {sum(p.numel() for p in model.parameters()):,}')
    print('operators   ' + ', '.join(f'{count} {name}' for name, count in operators.items()))
    print(f'difference  {difference:.1e} of the range, largest between ONNX Runtime and PyTorch')
    half = ', fp16 with float32 input and output' if args.half else ''
    print(f'written     {args.output_file}: opset {args.opset}, image {image}{half}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input-file', required=True, help='weights, .pth')
    parser.add_argument('--output-file', required=True, help='ONNX file to write')
    usual, size = configuration.GUIDE_SIDE, 'of the input, pixels; 0: any; default %(default)s'
    for flag in ('--height', '--width'):
        parser.add_argument(flag, type=cli.not_negative, default=usual, help=size)
    parser.add_argument('--batch-size', type=cli.positive, help='fixes it in the file; default: the file takes any')
    parser.add_argument(
        '--opset',
        type=int,
        choices=OPSETS,
        default=9,
        metavar='N',
        help=f'default 9, for any atc; from {DEPTH_TO_SPACE_OPSET} on DepthToSpace stands for Reshape and Transpose',
    )
    parser.add_argument(
        '--upsample',
        choices=['shuffle', 'deconv'],
        default='shuffle',
        help='deconv: no Transpose in the graph, so no white list to patch; the same numbers',
    )
    parser.add_argument('--half', action='store_true', help='fp16, strongly typed, for TensorRT 11')
    agree = parser.add_argument_group('to agree with the weights, which say them anyway')
    agree.add_argument('--scale', type=int, choices=cli.SCALES)
    for flag in ('--num-features', '--growth-rate', '--num-blocks', '--num-layers'):
        agree.add_argument(flag, type=cli.positive)
    args = parser.parse_args(argv)
    if not (args.height and args.width) and choose_upsampling(args.upsample, args.opset) == 'shuffle':
        parser.error('--height 0 and --width 0 go with --upsample=deconv or --opset 11: a Reshape has its sizes fixed')
    return args


if __name__ == '__main__':
    cli.run(main)
