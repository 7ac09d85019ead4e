"""An ONNX model of eight bits, several times as fast on processors that compute in them.

    python3 RDN_quantize.py --input-file=rdn_x2.onnx --calibration PHOTOGRAPHS --output-file=rdn_x2_int8.onnx

Takes what RDN_pth2onnx.py writes and some dozens of photographs, which are reduced as the network's inputs are; their
values give the scales. Layers whose eight bits cost more accuracy than their time is worth stay in floating point: each
is tried. RDN_infer.py and RDN_upscale.py run the model as any other, in OpenVINO where it is installed. For the
processor of this machine, not for atc: on an Ascend device the vendor's AMCT does this job.
"""

from __future__ import annotations

import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, engines, files, guides_stack
from rdn.training import patches

import numpy as np
import onnx

FREE_SIDE_PIXELS = configuration.GUIDE_SIDE  # of a crop, where the model takes any size


def pick_images(folders: list[str], count: int, scale: int, height: int, width: int, seed: int) -> list[np.ndarray]:
    """Inputs (1, 3, height, width) from the middle of `count` random pictures of these folders.

    Raises ValueError where fewer are large enough, or as patches.load_pair does for a file that is no picture.
    """
    paths = [path for folder in folders for path in patches.find_images(folder)]
    if len(paths) < count:
        raise ValueError(
            f'{" ".join(folders)}: {len(paths)} photographs, {count} are needed: add some, or lower --images'
        )
    order = np.random.RandomState(seed).permutation(len(paths))
    pairs = [patches.load_pair(paths[i], scale, max(height, width)) for i in cli.progress(order[:count], 'picture')]
    return patches.cut_middle(pairs, height, width)


def main(argv=None):
    args = parse_args(argv)
    guides_stack.check_eight_bits()
    from rdn.quantization import qdq  # not with Python 3.7's onnxruntime

    if os.path.exists(args.output_file) and os.path.samefile(args.input_file, args.output_file):
        raise ValueError(f'{args.output_file}: --output-file would overwrite the model')
    model = qdq.load(args.input_file)
    exact = engines.OnnxRuntime(args.input_file, engines.Place('CPU'))
    if exact.batch not in (None, 1):
        raise ValueError(f'{args.input_file}: made for batches of {exact.batch}: export it without --batch-size')
    scale = engines.scale_of(exact, args.input_file)
    height, width = (size or FREE_SIDE_PIXELS for size in exact.shape[1:])
    trials = max(1, args.images // 4)
    images = pick_images(args.calibration, args.images + trials, scale, height, width, args.seed)
    scales = qdq.measure_scales(model, images[trials:])
    chooser = qdq.Chooser(model, scales, images[:trials])
    choice = chooser.choose(args.max_loss, lambda names: cli.progress(names, 'layer'))
    if len(choice.kept) == len(chooser.names):
        raise ValueError(f'no layer can be of eight bits for --max-loss {args.max_loss}: give a larger one')
    with files.atomic_path(args.output_file) as path:
        onnx.save(qdq.quantize(model, scales, set(chooser.names) - set(choice.kept)), path)
    count = len(chooser.names)
    print(f'calibrated  {args.images} photographs, tried on {trials} others')
    print(f'eight bits  {count - len(choice.kept)} of {count} convolutions, {choice.share:.0%} of the multiplications')
    cli.say(f'float32     {", ".join(choice.kept) or "none"}')
    print(
        f'loss        {choice.loss:.3f} dB, of {choice.loss_of_all:.3f} with all in eight bits, at {qdq.REFERENCE_PSNR:g} dB'
    )
    cli.say(f'written     {args.output_file}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input-file', required=True, help='ONNX model of RDN_pth2onnx.py')
    parser.add_argument('--calibration', nargs='+', required=True, metavar='FOLDER', help='folders of photographs')
    parser.add_argument('--output-file', required=True, help='ONNX model to write')
    parser.add_argument(
        '--images', type=cli.positive, default=24, help='photographs to calibrate on; default %(default)s'
    )
    parser.add_argument(
        '--max-loss',
        type=cli.positive_number,
        default=0.06,
        help='dB that eight bits may cost at 38 dB; default %(default)s',
    )
    parser.add_argument('--seed', type=int, default=0, help='picks the photographs')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
