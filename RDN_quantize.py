"""Convert an ONNX model to eight bits, which is several times as fast on processors with eight-bit instructions.

    python3 RDN_quantize.py --input-file=rdn_x2.onnx --calibration PHOTOGRAPHS --output-file=rdn_x2_int8.onnx

It needs a model from RDN_pth2onnx.py and a folder of photographs. Each photograph must be at least as large as
the network's output: 228 x 228 pixels for the guide's model. A model of any height and width needs 96 x 96 pixels times
its scale: 192 x 192 for x2. Smaller photographs are skipped. By default, at least 30 are needed: 24 for the scales, 6
for the trials.

The script estimates how much accuracy each layer loses in eight bits. Layers that lose more than the speed is worth
stay in float32. The script tries several choices, and keeps the one with the fewest layers in float32 whose loss is at
most --max-loss. If the time of --budget ends first, it uses the photographs and trials that it has, moves more layers
to float32 until the loss is small enough, and prints a note.

RDN_infer.py and RDN_upscale.py run the model like any other, in OpenVINO if it is installed. The model is for CPUs. atc
does not accept it: for an Ascend device, use the vendor's AMCT.
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NamedTuple

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, engines, escaping, files, guides_stack
from rdn.training import patches

import numpy as np
import onnx

if TYPE_CHECKING:
    from rdn.quantization import selection

FREE_SIDE_PIXELS = 96  # of an input, if the model takes any size
ESTIMATE_SIDE_PIXELS = 48  # of the smaller inputs for estimating the losses of the layers
ESTIMATE_IMAGES = 16
MIN_IMAGES = 4  # for the scales


class Photographs(NamedTuple):
    """Inputs of the network.

    Attributes:
        inputs: the inputs, each (1, 3, height, width), 0...1.
        skipped: the number of photographs that were too small.
    """

    inputs: list[np.ndarray]
    skipped: int


def pick_images(folders: list[str], count: int, scale: int, size: tuple[int, int], seed: int) -> Photographs:
    """Choose random photographs that are large enough, and cut an input out of the middle of each.

    Args:
        folders: the folders of photographs.
        count: the number of photographs to choose.
        scale: the scale of the network.
        size: (height, width) of the network's input, in pixels.
        seed: the seed for the order in which photographs are read.

    Raises:
        ValueError: too few photographs are large enough, or a file is not a picture.
    """
    paths = [path for folder in folders for path in patches.find_images(folder)]
    height, width = size
    pairs: list[patches.Pair] = []
    for tried, index in enumerate(cli.progress(np.random.RandomState(seed).permutation(len(paths)), 'photograph')):
        picture = patches.read_picture(paths[index])
        if picture.height >= height * scale and picture.width >= width * scale:
            pairs.append(patches.make_pair(picture, scale))
        if len(pairs) == count:
            return Photographs(patches.cut_middle(pairs, height, width), tried + 1 - count)
    raise ValueError(
        f'{" ".join(folders)}: {len(pairs)} of {cli.count(len(paths), "photograph")} have at least '
        f'{width * scale} x {height * scale} pixels, and {count} are needed: add {count - len(pairs)} more'
    )


def cut_middle(image: np.ndarray, side: int) -> np.ndarray:
    """Return the middle of an image (1, 3, height, width): at most side x side pixels."""
    top, left = (max(0, axis - side) // 2 for axis in image.shape[2:])
    return image[:, :, top : top + side, left : left + side]


def main(argv=None):
    args = parse_args(argv)
    guides_stack.check_eight_bits()
    from rdn.quantization import budget, calibration, qdq, selection, sensitivity  # fails with 3.7's onnxruntime

    if os.path.exists(args.output_file) and os.path.samefile(args.input_file, args.output_file):
        raise ValueError(f'{args.output_file}: --output-file would overwrite the model')
    model = qdq.load(args.input_file)
    exact = engines.OnnxRuntime(args.input_file, engines.Place('CPU'))
    if exact.batch not in (None, 1):
        raise ValueError(
            f'{args.input_file}: made for batches of {exact.batch}: export the model again without --batch-size'
        )
    network = sensitivity.load_network(args.input_file)
    size = exact.shape[1] or FREE_SIDE_PIXELS, exact.shape[2] or FREE_SIDE_PIXELS
    trial_count = max(1, args.images // 4)
    scale = engines.scale_of(exact, args.input_file)
    photographs = pick_images(args.calibration, args.images + trial_count, scale, size, args.seed)
    trial_images, images = photographs.inputs[:trial_count], photographs.inputs[trial_count:]
    crops = [cut_middle(image, ESTIMATE_SIDE_PIXELS) for image in images[:ESTIMATE_IMAGES]]
    # In units of one run of the network on one of `images`.
    passes = sensitivity.PASSES * crops[0].size / images[0].size
    units = len(images) + len(crops) * passes + trial_count * selection.USUAL_TRIALS
    with budget.Budget(args.budget, units) as time:
        scales = calibration.measure_scales(model, time.stage('photographs calibrated', images, 1, 0.5, MIN_IMAGES))
        rounded = sensitivity.round_layers(qdq.parts_of(model, scales))
        errors = sensitivity.measure(
            network, rounded, qdq.sharing_of(model), time.stage('photographs estimated', crops, passes, 0.75)
        )
        choice = selection.choose(
            selection.Trials(model, scales, trial_images),
            errors,
            qdq.multiplications(model, images[0]),
            args.max_loss,
            lambda numbers: time.stage('trials', numbers, trial_count),
        )
    with files.atomic_path(args.output_file) as path:
        onnx.save(qdq.quantize(model, scales, set(errors.own) - set(choice.kept)), path)
    skipped = f'; {photographs.skipped} skipped: too small' if photographs.skipped else ''
    print(f'photographs {args.images} to calibrate, {trial_count} for the trials{skipped}')
    print(describe(choice, len(errors.own)))
    if time.notes:
        print(f'budget      {args.budget:g} s used up after {", ".join(time.notes)}')
        print('            with a larger --budget, every machine produces the same result')
    cli.say(f'written     {args.output_file}')


def describe(choice: selection.Selection, layers: int) -> str:
    """Return the lines that describe which layers stay in float32, and the loss.

    Args:
        choice: the selected layers.
        layers: the number of all layers.
    """
    eight = layers - len(choice.kept)
    return (
        f'eight bits  {eight} of {layers} layers, {choice.share:.0%} of the multiplications\n'
        f'float32     {escaping.escape(", ".join(choice.kept) or "none")}\n'
        f'loss        {choice.loss:.3f} dB, {choice.loss_of_all:.3f} with all layers in eight bits; '
        'for a picture that float32 restores to 38 dB'
    )


def number_of_images(text: str) -> int:
    """Parse a whole number of at least MIN_IMAGES, as an argparse type.

    Raises:
        ValueError: the text is not a whole number.
        argparse.ArgumentTypeError: the number is less than MIN_IMAGES.
    """
    number = cli.positive(text)
    if number < MIN_IMAGES:
        raise argparse.ArgumentTypeError(f'{text} photographs are too few for the scales: use at least {MIN_IMAGES}')
    return number


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input-file', required=True, help='ONNX model from RDN_pth2onnx.py')
    parser.add_argument(
        '--calibration',
        nargs='+',
        required=True,
        metavar='FOLDER',
        help="folders of photographs, at least as large as the output: 228 x 228 for the guide's model",
    )
    parser.add_argument('--output-file', required=True, help='ONNX model to write')
    parser.add_argument(
        '--images',
        type=number_of_images,
        default=24,
        help=f'number of photographs for the scales, at least {MIN_IMAGES}; the trials need a quarter more; '
        'default %(default)s',
    )
    parser.add_argument(
        '--max-loss',
        type=cli.positive_number,
        default=0.06,
        help='largest accepted loss in dB, at 38 dB; default %(default)s',
    )
    parser.add_argument(
        '--budget',
        type=cli.positive_number,
        default=900,
        metavar='SECONDS',
        help='time limit: half for the scales, a quarter for the estimates, the rest for the trials; '
        'default %(default)s',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed for the choice of photographs; default %(default)s')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
