"""Guide 3.1: export the weights to ONNX, opset 9, which atc converts.

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2.onnx

The script reads the architecture and the scale from the weights. It keeps the file only if ONNX Runtime computes the
same as PyTorch. The next commands are for toolkits that support DepthToSpace (the vendor's own export since 2022), and
for pictures of any size on this machine:

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2.onnx --opset 11
    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_any.onnx --upsample=deconv --height 0 --width 0

Concat copies each feature of a dense block again for every later layer. This exports sums of convolutions instead. The
results are the same, and some engines are faster (docs/performance.md, "A graph without Concat"):

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_split.onnx --dense=split

TensorRT 11 has no --fp16 and needs a strongly typed model: all weights are float16; input and output stay float32.
ONNX Runtime runs this model on the CPU, with some nodes in fp32. The script compares it with PyTorch in fp16. PyTorch
versions without fp16 convolutions on the CPU, such as torch 1.5, compute in fp32 with weights rounded to fp16. In fp16,
PyTorch takes some minutes for the guide's network:

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_fp16.onnx --half

To find out where a device loses accuracy, export the network with taps. These are additional outputs with the values
between the stages, which RDN_compare.py compares with PyTorch's:

    python3 RDN_pth2onnx.py --input-file=rdn_x2.pth --output-file=rdn_x2_taps.onnx --taps
"""

from __future__ import annotations

import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, files
from rdn.engines import comparison
from rdn.network import checkpoint, exporter, half_precision, onnx_graph, upsampling


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
        shape = exporter.Shape(args.batch_size, args.height or None, args.width or None)
        variant = exporter.Variant(upsampling.choose(args.upsample, args.opset), args.dense, args.taps)
        exporter.export_onnx(model, shape, args.opset, variant, path)
        difference = comparison.largest_difference(exporter.with_taps(model) if args.taps else model, path, shape)
        comparison.check_difference(difference, comparison.TOLERANCE, args.output_file)
        if args.half:
            half_precision.convert(path)
            one = exporter.Shape(*shape.filled())  # PyTorch takes long in fp16 on a CPU
            difference = comparison.largest_difference(half_precision.pytorch_reference(model), path, one)
            comparison.check_difference(difference, comparison.HALF_TOLERANCE, args.output_file)
        operators, names = onnx_graph.count_operators(path), onnx_graph.output_names(path)
    batch, height, width = (size or name for size, name in zip(shape, ('N', 'H', 'W')))
    image = f'({batch}, {model.config["num_channels"]}, {height}, {width})'
    print('network     ' + ', '.join(f'{name}={value}' for name, value in model.config.items()))
    print(f'parameters  {sum(p.numel() for p in model.parameters()):,}')
    cli.say('operators   ' + ', '.join(f'{count} {name}' for name, count in operators.items()))
    print(f'difference  {difference:.1e} of the range, largest between ONNX Runtime and PyTorch')
    half = ', fp16 with float32 input and output' if args.half else ''
    cli.say(f'written     {args.output_file}: opset {args.opset}, image {image}{half}')
    if args.taps:
        cli.say(f'outputs     {", ".join(names)}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input-file', required=True, help='weights, .pth')
    parser.add_argument('--output-file', required=True, help='ONNX file to write')
    usual, size = configuration.GUIDE_SIDE, 'size of the input in pixels; 0: any; default %(default)s'
    for flag in ('--height', '--width'):
        parser.add_argument(flag, type=cli.not_negative, default=usual, help=size)
    parser.add_argument(
        '--batch-size', type=cli.positive, help='fix this batch size in the file; default: the file accepts any'
    )
    parser.add_argument(
        '--opset',
        type=int,
        choices=exporter.OPSETS,
        default=9,
        metavar='N',
        help=f'default 9, for any atc; from {upsampling.DEPTH_TO_SPACE_OPSET} on, DepthToSpace replaces Reshape and '
        'Transpose',
    )
    parser.add_argument(
        '--upsample',
        choices=['shuffle', 'deconv'],
        default='shuffle',
        help='deconv: no Transpose in the graph, so no white list to patch; same results; default shuffle',
    )
    parser.add_argument(
        '--dense',
        choices=exporter.DENSE,
        default='concat',
        help='split: sums of convolutions and no Concat in the graph; same results; default concat',
    )
    parser.add_argument('--half', action='store_true', help='strongly typed fp16, for TensorRT 11')
    parser.add_argument(
        '--taps', action='store_true', help='additional outputs with the values between the stages, for RDN_compare.py'
    )
    agree = parser.add_argument_group('must match the weights; not needed, since the weights define them')
    agree.add_argument('--scale', type=int, choices=cli.SCALES)
    for flag in ('--num-features', '--growth-rate', '--num-blocks', '--num-layers'):
        agree.add_argument(flag, type=cli.positive)
    args = parser.parse_args(argv)
    if not (args.height and args.width) and upsampling.choose(args.upsample, args.opset) == 'shuffle':
        parser.error('--height 0 and --width 0 need --upsample=deconv or --opset 11, because a Reshape has fixed sizes')
    return args


if __name__ == '__main__':
    cli.run(main)
