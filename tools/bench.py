"""Compare the speed of this project with alternatives, which take turns in one run. The tables show medians and ratios.

    python3 -m tools.bench engines
    python3 -m tools.bench engines --default-network
    python3 -m tools.bench engines --int8-model rdn_x2_int8.onnx
    python3 -m tools.bench graphs --tile 114 256
    python3 -m tools.bench batches
    python3 -m tools.bench infer
    python3 -m tools.bench whole --images SET14
    python3 -m tools.bench tiles
    python3 -m tools.bench host
    python3 -m tools.bench files
    python3 -m tools.bench train
    python3 -m tools.bench gpu --default-network
    python3 -m tools.bench cluster --precision bf16

engines  the network in PyTorch, ONNX Runtime and, if it is installed, OpenVINO
graphs   the network with and without Concat in ONNX Runtime and OpenVINO, in each precision that the processor
         supports, with the largest difference to PyTorch. ONEDNN_MAX_CPU_ISA=AVX2 in front of the command limits
         OpenVINO to AVX2; ONNX Runtime ignores it
batches  images per second in batches of 1 to 16, and in several runs at a time with a part of the cores each
infer    the overhead of RDN_infer.py over a bare ONNX Runtime session
whole    megapixels per second of whole pictures: RDN_upscale.py's code, a plain loop over tiles without overlap, and
         PyTorch on the whole picture
tiles    megapixels per second of a model with free height and width, for several sizes of tiles
host     the scripts before and after the device, from the shell, and the public ModelZoo scripts' method (peers.py)
files    megapixels of source per second that RDN_upscale.py reads and writes, with bicubic interpolation in place of a
         network (bench_files.py)
train    images per second that RDN_train.py trains on
gpu      the network on a GPU: batches of 1 to 64 through the engine and through a bare PyTorch loop, and a photograph
         of 12 megapixels through RDN_upscale.py's code
cluster  RDN_upscale.py --cluster with 1, 2 and 3 workers of one core each, and RDN_upscale.py on the same cores; the
         driver's memory for 1,000 and 100,000 tiny pictures

Machines are noisy: compare figures only within one table.
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
from typing import Callable, Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures import processing, upscaler
from rdn import cli, cpu, engines, images, tiles
from rdn.devices import benchmark
from rdn.network import checkpoint
from rdn.training import patches, ways

import numpy as np
import torch
from PIL import Image

import models
import RDN_infer
import sample_images
from tools import bench_cluster, bench_files, bench_gpu, bench_graphs, bench_scripts, timing

BASE_ENGINE = 'onnxruntime, fp32 (RDN_infer.py)'
BARE_SESSION = 'bare onnxruntime session'
INFER_INPUTS = 20
BATCHES = (1, 2, 4, 8, 16)
WAYS = ('engines', 'graphs', 'batches', 'infer', 'whole', 'tiles', 'host', 'files', 'train', 'gpu', 'cluster')


def bench_engines(weights: str, model_path: str, int8_path: str | None, rounds: int) -> None:
    """Print the speed of every installed engine on one image of the guide's size.

    Args:
        weights: path of the weights for PyTorch.
        model_path: path of the same network as ONNX.
        int8_path: path of the same network from RDN_quantize.py; None to leave it out.
        rounds: how often each engine is timed.
    """
    model = engines.OnnxRuntime(model_path)
    network = checkpoint.load(weights)
    channels_last = checkpoint.load(weights).to(memory_format=torch.channels_last)
    x = np.random.RandomState(0).rand(1, 3, 114, 114).astype(np.float32)

    def pytorch(network, **layout):
        with torch.no_grad():
            return network(torch.from_numpy(x).to(**layout))

    def pytorch_bf16():
        with torch.autocast('cpu', torch.bfloat16):
            return pytorch(channels_last, memory_format=torch.channels_last)

    candidates: dict[str, Callable[[], object]] = {
        BASE_ENGINE: lambda: model(x),
        'PyTorch, fp32': lambda: pytorch(network),
        'PyTorch, fp32, channels last': lambda: pytorch(channels_last, memory_format=torch.channels_last),
    }
    try:
        from openvino import Core

        compiled = Core().compile_model(model_path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        candidates['OpenVINO, fp32'] = lambda: compiled([x])
        if cpu.has_bf16():
            ours = engines.OpenVino(model_path, 'bf16')
            candidates['OpenVINO, bf16 (-precision=bf16)'] = lambda: ours(x)
    except ImportError:
        print('OpenVINO is not installed: it is left out')
    if cpu.has_bf16():
        candidates['PyTorch, bf16, channels last'] = pytorch_bf16
    else:
        print('This processor does not support bf16: fp32 only')
    if int8_path:
        eight = engines.open_model(int8_path, precision='int8')
        candidates[f'{eight.name} (RDN_quantize.py)'] = lambda: eight(x)
    timing.print_rates(weights, timing.alternate(candidates, rounds), 'images/s', 1, BASE_ENGINE)


def bench_batches(model_path: str, precision: str, rounds: int) -> None:
    """Print the speed of RDN_infer.py's engine in batches, and in several runs of one image at a time.

    Args:
        model_path: path of an ONNX model for inputs of 114 x 114 pixels.
        precision: of the engine.
        rounds: how often each way is timed.
    """
    threads = cpu.available_cores()
    model = engines.open_model(model_path, precision=precision)
    side_by_side = engines.open_model(
        model_path, precision=precision, place=engines.Place(threads=threads, streams=threads)
    )
    count = max(BATCHES)
    images_in = np.random.RandomState(0).rand(count, 3, 114, 114).astype(np.float32)

    def batches(size):
        for start in range(0, count, size):
            model(images_in[start : start + size])

    def streams():
        for _ in cpu.map_in_order(side_by_side, (x[None] for x in images_in), threads):
            pass

    candidates: dict[str, Callable[[], object]] = {f'batches of {n}': functools.partial(batches, n) for n in BATCHES}
    candidates[f'{threads} runs of one at a time'] = streams
    title = f'{model.name}, {model.precision}, {threads} threads'
    timing.print_rates(title, timing.alternate(candidates, rounds), 'images/s', count, f'batches of {BATCHES[0]}')


def bench_infer(model_path: str, rounds: int) -> None:
    """Print the speed of RDN_infer.py's loop and of a bare session.

    Args:
        model_path: path of an ONNX model for inputs of 114 x 114 pixels.
        rounds: how often each way is timed.
    """
    model = engines.OnnxRuntime(model_path)
    with tempfile.TemporaryDirectory() as folder:
        inputs = [np.random.RandomState(i).rand(3, 114, 114).astype(np.float32) for i in range(INFER_INPUTS)]
        infos = [benchmark.InfoLine(os.path.join(folder, f'{i}.bin'), 114, 114) for i in range(INFER_INPUTS)]
        for x, info in zip(inputs, infos):
            x.tofile(info.path)

        inside: dict[bool, list[float]] = {True: [], False: []}  # seconds of the stage [infer], by -output_binary

        def bare():
            for x in inputs:
                model.session.run(None, {model.input_name: x[np.newaxis]})

        def whole(binary):
            inside[binary].append(RDN_infer.infer_dataset(model, infos, 1, folder, binary).stages['infer'])

        medians = timing.alternate(
            {
                BARE_SESSION: bare,
                'RDN_infer.py, -output_binary=True': lambda: whole(True),
                'RDN_infer.py, text': lambda: whole(False),
            },
            rounds,
        )
        medians['throughputRate, -output_binary=True'] = statistics.median(inside[True][1:])
        medians['throughputRate, text'] = statistics.median(inside[False][1:])
        timing.print_rates(cli.count(len(inputs), 'input'), medians, 'images/s', len(inputs), BARE_SESSION)


def bench_whole(weights: str, model_path: str, paths: Sequence[str], rounds: int) -> None:
    """Print the speed of whole pictures through RDN_upscale.py's code, a plain loop over tiles, and PyTorch.

    Args:
        weights: path of the weights for PyTorch.
        model_path: path of the same network as ONNX.
        paths: the pictures, which are first reduced to half their size.
        rounds: how often each way is timed.
    """
    threads = cpu.available_cores()
    model = engines.OnnxRuntime(model_path)
    side_by_side = engines.OnnxRuntime(
        model_path, engines.Place(threads=threads, streams=min(threads, processing.MAX_STREAMS))
    )
    pictures = [np.asarray(images.bicubic_downsample(images.read_rgb(path), 2)) for path in paths]
    scale = engines.scale_of(model, model_path)
    network = checkpoint.load(weights)

    def ours():
        for pixels in pictures:
            picture = np.empty((pixels.shape[0] * scale, pixels.shape[1] * scale, 3), np.uint8)
            layout = upscaler.layout_for(model, pixels.shape[:2], processing.TILE_SIZE, tiles.OVERLAP, scale)
            for tile, part in upscaler.upscale_pixels(pixels, side_by_side, layout):
                picture[tiles.target_slices(tile, scale)] = part

    def plain():
        height, width = (size or 0 for size in model.shape[1:])
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

    candidates = {
        'plain loop, no overlap (seams)': plain,
        f'RDN_upscale.py, overlap {tiles.OVERLAP}': ours,
        'PyTorch, whole picture': pytorch,
    }
    megapixels = sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures) / 1e6
    title = f'{len(pictures)} pictures, {megapixels:.2f} megapixels of input'
    timing.print_rates(
        title, timing.alternate(candidates, rounds), 'megapixels/s', megapixels, 'plain loop, no overlap (seams)'
    )


TILE_SIZES = (114, 160, 192, 224, 256, 320, 384)


def bench_tiles(weights: str, folder: str, megapixels: float, rounds: int) -> None:
    """Print the speed of a model with free height and width for tiles of several sizes.

    Args:
        weights: path of the network's weights.
        folder: for the model.
        megapixels: the size of the picture.
        rounds: how often each size of tiles is timed.
    """
    path = os.path.join(folder, 'any.onnx')
    flags = ['--upsample=deconv', '--height=0', '--width=0']
    bench_scripts.timed(
        bench_scripts.script('RDN_pth2onnx.py', f'--input-file={weights}', f'--output-file={path}', *flags)
    )
    side = int((megapixels * 1e6) ** 0.5)
    photograph = images.read_rgb(sample_images.sample_paths()[0])
    pixels = np.asarray(photograph.resize((side, side)))
    threads = cpu.available_cores()
    model = engines.OnnxRuntime(path, engines.Place(threads=threads, streams=min(threads, processing.MAX_STREAMS)))

    def through(size):
        layout = upscaler.layout_for(model, pixels.shape[:2], size, tiles.OVERLAP, 2)
        for _ in upscaler.upscale_pixels(pixels, model, layout):
            pass

    candidates: dict[str, Callable[[], object]] = {f'tiles of {n}': functools.partial(through, n) for n in TILE_SIZES}
    title = f'{side} x {side} pixels, overlap {tiles.OVERLAP}, {threads} threads'
    timing.print_rates(
        title, timing.alternate(candidates, rounds), 'megapixels/s', side * side / 1e6, f'tiles of {TILE_SIZES[0]}'
    )


def bench_train(config: Sequence[int], rounds: int) -> None:
    """Print the speed of RDN_train.py's training steps on random pictures: several batch sizes, and each way on a GPU.

    Args:
        config: the network's features, growth rate, blocks and layers per block.
        rounds: how often a step is timed.
    """
    fastest = ways.choose()
    candidates = {fastest.precision: fastest}
    if fastest.graph:
        candidates = {
            f'{fastest.precision}, CUDA graph, compiled blocks': fastest,
            f'{fastest.precision}, CUDA graph': fastest._replace(compiled=False),
            'fp32, CUDA graph': fastest._replace(compiled=False, precision='fp32'),
            'fp32, plain loop': fastest._replace(compiled=False, precision='fp32', graph=False),
        }
    random = np.random.RandomState(0)
    pair = [patches.make_pair(Image.fromarray(random.randint(0, 256, (400, 400, 3), np.uint8)), 2)]
    rows = [(f'images/s on {fastest.device}', *candidates)]
    for batch, patch in ((8, 36), (16, 24), (16, 36), (16, 48), (32, 48), (64, 48)):
        cells = []
        for way in candidates.values():
            steps = ways.begin(way, models.RDN(2, 3, *config), pair, patch, batch, 0)
            cells.append(batch / statistics.median(steps.trial_seconds() for _ in range(rounds)))
        rows.append((f'batches of {batch}, {patch} x {patch}', *(f'{cell:.4g}' for cell in cells)))
    print(cli.format_table(rows))


def random_default_network() -> models.RDN:
    """Return the guide's network with random weights."""
    torch.manual_seed(0)
    return models.RDN(2, 3, 64, 64, 16, 8).eval()


def write_default_network(folder: str) -> tuple[str, str]:
    """Write the guide's network with random weights into a folder, and return the paths of its .pth and .onnx."""
    weights, path = os.path.join(folder, 'default.pth'), os.path.join(folder, 'default.onnx')
    torch.save(random_default_network().state_dict(), weights)
    bench_scripts.timed(bench_scripts.script('RDN_pth2onnx.py', f'--input-file={weights}', f'--output-file={path}'))
    return weights, path


def main(argv=None):
    args = parse_args(argv)
    paths = images.list_images(args.images) if args.images else sample_images.sample_paths()
    with tempfile.TemporaryDirectory() as folder:
        weights, model_path = args.weights, args.model
        if args.default_network and args.what not in ('train', 'graphs'):
            weights, model_path = write_default_network(folder)
        if args.what == 'engines':
            bench_engines(weights, model_path, args.int8_model, args.rounds)
        elif args.what == 'graphs':
            network = random_default_network() if args.default_network else checkpoint.load(weights)
            for side in args.tile:
                bench_graphs.bench(network, side, args.rounds)
        elif args.what == 'batches':
            bench_batches(model_path, args.precision, args.rounds)
        elif args.what == 'infer':
            bench_infer(model_path, args.rounds)
        elif args.what == 'whole':
            bench_whole(weights, model_path, paths, args.rounds)
        elif args.what == 'tiles':
            bench_tiles(weights, folder, args.megapixels, args.rounds)
        elif args.what == 'host':
            bench_scripts.bench(paths, args.many, args.rounds)
        elif args.what == 'gpu':
            bench_gpu.bench(weights, args.device, args.rounds)
        elif args.what == 'files':
            others = [os.path.join(args.beside, 'RDN_upscale.py')] if args.beside else []
            bench_files.bench(paths, args.pictures, ['RDN_upscale.py', *others], args.rounds)
        elif args.what == 'cluster':
            bench_cluster.bench(model_path, paths, [f'--precision={args.precision}'], args.tiny, args.rounds)
        else:
            bench_train((64, 64, 16, 8) if args.default_network else (32, 32, 6, 4), args.rounds)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('what', choices=WAYS)
    parser.add_argument('--model', default='rdn_x2.onnx')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth', help='the same network for PyTorch')
    parser.add_argument(
        '--default-network', action='store_true', help="measure the guide's network, with random weights"
    )
    parser.add_argument('--int8-model', metavar='FILE', help='engines: the same network from RDN_quantize.py')
    parser.add_argument(
        '--precision',
        choices=[engines.AUTO, *engines.PRECISIONS],
        default=engines.AUTO,
        help="batches, cluster: the model's precision",
    )
    parser.add_argument('--images', help="folder; default: scikit-image's five photographs")
    parser.add_argument(
        '--many', type=cli.positive, default=2000, help='host: the largest number of images; default 2000'
    )
    parser.add_argument(
        '--tiny', type=cli.positive, nargs='+', default=[1000, 100000], help='cluster: numbers of tiny pictures'
    )
    parser.add_argument(
        '--tile', type=cli.positive, nargs='+', default=[114], help='graphs: sides of the input in pixels; default 114'
    )
    parser.add_argument('--megapixels', type=float, default=1.0, help='tiles: size of the picture; default 1')
    parser.add_argument(
        '--device', metavar='NAME', help='gpu: the device, for example cuda:0; default: the first that works'
    )
    parser.add_argument(
        '--pictures', type=cli.positive, nargs='+', default=[50], help='files: numbers of pictures; default 50'
    )
    parser.add_argument('--beside', metavar='FOLDER', help='files: another checkout of this project to compare with')
    parser.add_argument('--rounds', type=cli.positive, default=5, help='how often each candidate is timed; default 5')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
