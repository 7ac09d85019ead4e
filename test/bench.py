"""Speed, as ratios: ours and its peers in one run, alternating, medians.

    python3 test/bench.py whole --images ../shared/data/set14
    python3 test/bench.py infer

whole: megapixels of input a second of whole pictures, RDN_upscale.py's path against a plain loop over tiles
that do not overlap, and against PyTorch on the whole picture. infer: what RDN_infer.py adds to a bare
onnxruntime session, an image. Machines are noisy: compare within a table only.
"""

import os
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import console  # noqa: E402, I001

import numpy as np  # noqa: E402

import benchmark_files as bench  # noqa: E402
import images  # noqa: E402
import sample_images  # noqa: E402
import tiles  # noqa: E402
import upscaling  # noqa: E402
from session import Model  # noqa: E402


def alternate(ways, rounds):
    """Run each of the ways (name -> function) in turn, `rounds` times; name -> median seconds."""
    seconds = {name: [] for name in ways}
    for way in ways.values():
        way()  # warm up
    for _ in console.progress(range(rounds), 'round'):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def print_table(title, medians, unit, amount, baseline):
    """A row for each way: its rate, and its speed beside the baseline's."""
    print('\n%s\n%-42s %12s  %s' % (title, '', unit, 'speed'))
    for name, seconds in medians.items():
        print('%-42s %12.4g  %.2f' % (name, amount / seconds, medians[baseline] / seconds))


def read_inputs(folder):
    """The low-resolution pictures that a folder's images reduce to, (H, W, 3) uint8."""
    paths = images.list_images(folder) if folder else sample_images.sample_paths()
    return [np.asarray(images.reduce(images.read_rgb(path), 2)) for path in paths]


def whole(args, model):
    """Whole pictures: RDN_upscale.py's path, a plain loop, PyTorch."""
    import torch

    from models import load_rdn

    pictures = read_inputs(args.images)
    scale = upscaling.scale_of(model, args.model)
    network = load_rdn(args.weights)

    def ours(overlap):
        for pixels in pictures:
            picture = np.empty((pixels.shape[0] * scale, pixels.shape[1] * scale, 3), np.uint8)
            for tile, part in upscaling.enlarge(pixels, model, scale, overlap):
                picture[tiles.place(tile, scale)] = part

    def plain():
        height, width = model.shape[1:]
        for pixels in pictures:
            picture = np.empty((pixels.shape[0] * scale, pixels.shape[1] * scale, 3), np.uint8)
            for top in range(0, pixels.shape[0], height):
                for left in range(0, pixels.shape[1], width):
                    part = pixels[top : top + height, left : left + width].transpose(2, 0, 1) / np.float32(255)
                    tile = np.zeros((1, 3, height, width), np.float32)
                    tile[0, :, : part.shape[1], : part.shape[2]] = part
                    output = model(tile)[0, :, : part.shape[1] * scale, : part.shape[2] * scale]
                    place = picture[top * scale :, left * scale :][: output.shape[1], : output.shape[2]]
                    place[:] = np.rint(np.clip(output, 0, 1) * 255).transpose(1, 2, 0)

    def pytorch():
        with torch.no_grad():
            for pixels in pictures:
                output = network(torch.from_numpy(pixels.transpose(2, 0, 1) / np.float32(255))[None])[0]
                np.rint(np.clip(output.numpy(), 0, 1) * 255).astype(np.uint8)

    ways = {
        'plain loop, no overlap (seams)': plain,
        'RDN_upscale.py, overlap %d' % tiles.OVERLAP: lambda: ours(tiles.OVERLAP),
        'PyTorch, whole picture': pytorch,
    }
    megapixels = sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures) / 1e6
    print_table(
        '%d pictures, %.2f megapixels of input' % (len(pictures), megapixels),
        alternate(ways, args.rounds),
        'megapixels/s',
        megapixels,
        'plain loop, no overlap (seams)',
    )


def infer(args, model):
    """RDN_infer.py's loop against a bare session's."""
    import RDN_infer

    with tempfile.TemporaryDirectory() as folder:
        shape = [3] + model.shape[1:]
        inputs = [np.random.RandomState(i).rand(*shape).astype(np.float32) for i in range(5)]
        infos = []
        for index, x in enumerate(inputs):
            x.tofile(os.path.join(folder, '%d.bin' % index))
            infos.append(bench.InfoLine(os.path.join(folder, '%d.bin' % index), shape[2], shape[1]))

        def bare():
            for x in inputs:
                model.session.run(None, {model.name: x[np.newaxis]})

        ways = {
            'bare onnxruntime session': bare,
            'RDN_infer.py, -output_binary=True': lambda: RDN_infer.infer_dataset(model, infos, 1, folder, True),
            'RDN_infer.py, text': lambda: RDN_infer.infer_dataset(model, infos, 1, folder, False),
        }
        print_table('5 inputs', alternate(ways, args.rounds), 'images/s', 5, 'bare onnxruntime session')


def main(argv=None):
    parser = console.Parser(__doc__)
    parser.add_argument('what', choices=['whole', 'infer'])
    parser.add_argument('--model', default='rdn_x2.onnx')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth', help='the same network for PyTorch')
    parser.add_argument('--images', help="folder; default: scikit-image's five photographs")
    parser.add_argument('--rounds', type=console.positive, default=5)
    args = parser.parse_args(argv)
    {'whole': whole, 'infer': infer}[args.what](args, Model(args.model))


if __name__ == '__main__':
    console.run(main)
