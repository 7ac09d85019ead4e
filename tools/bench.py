"""Speed, as ratios: ours and its peers in one run, alternating, medians.

    python3 -m tools.bench engines
    python3 -m tools.bench engines --default-network
    python3 -m tools.bench infer
    python3 -m tools.bench whole --images ../shared/data/set14
    python3 -m tools.bench host
    python3 -m tools.bench train

engines: the network in PyTorch, onnxruntime and, where it is installed, OpenVINO. infer: what RDN_infer.py adds to a bare
onnxruntime session. whole: megapixels a second of whole pictures, RDN_upscale.py's path against a plain loop over tiles
that do not overlap, and against PyTorch on the whole picture. host: the scripts before and after the device, from the shell,
against the way of the public ModelZoo scripts (peers.py). train: images a second that RDN_train.py learns from.
Machines are noisy: compare within a table only.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from rdn import cli, cpu, tiles
from rdn.ascend import benchmark
from rdn.ascend.number_text import format_text
from rdn.engine import Bf16Model, Model
from rdn.hardware import has_bf16
from rdn.imaging import images, upscaler

import numpy as np

import sample_images

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def alternate(ways, rounds):
    """Run each of the ways (name -> function) in turn, `rounds` times; name -> median seconds."""
    seconds = {name: [] for name in ways}
    for way in ways.values():
        way()  # warm up
    for _ in cli.progress(range(rounds), 'round'):
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


def engines(args, model):
    """One image of the guide's size, through every engine that is here."""
    import torch

    from models import load_rdn

    network = load_rdn(args.weights)
    channels_last = load_rdn(args.weights).to(memory_format=torch.channels_last)
    x = np.random.RandomState(0).rand(1, 3, 114, 114).astype(np.float32)

    def pytorch(network, bf16=False, **layout):
        image = torch.from_numpy(x).to(**layout)
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=bf16):
            return network(image)

    ways = {
        'onnxruntime, fp32 (RDN_infer.py)': lambda: model(x),
        'PyTorch, fp32': lambda: pytorch(network),
        'PyTorch, fp32, channels last': lambda: pytorch(channels_last, memory_format=torch.channels_last),
    }
    try:
        from openvino import Core

        compiled = Core().compile_model(args.model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        ways['OpenVINO, fp32'] = lambda: compiled([x])
        if has_bf16():
            ours = Bf16Model(args.model)
            ways['OpenVINO, bf16 (-precision=bf16)'] = lambda: ours(x)
    except ImportError:
        print('OpenVINO is not installed: without it')
    if has_bf16():
        ways['PyTorch, bf16, channels last'] = lambda: pytorch(
            channels_last, bf16=True, memory_format=torch.channels_last
        )
    else:
        print('This processor does not compute in bf16: fp32 only')
    print_table(args.weights, alternate(ways, args.rounds), 'images/s', 1, 'onnxruntime, fp32 (RDN_infer.py)')


# Measured by a small process in between: a child's peak begins with its parent's memory.
WATCH = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024)
sys.exit(status != 0)
"""


def timed_script(*command):
    """A Python script's seconds from the shell, and the most memory that it took, in MiB."""
    done = subprocess.run([sys.executable, '-c', WATCH, sys.executable] + list(command), stdout=subprocess.PIPE)
    if done.returncode:
        raise ValueError('%s failed' % ' '.join(command))
    return tuple(map(float, done.stdout.split()))


def host(args, model):
    """The scripts before and after the device, and ModelZoo's way, for a few images and for many."""
    paths = images.list_images(args.images) if args.images else sample_images.sample_paths()
    peers = os.path.join(ROOT, 'tools', 'peers.py')
    print('%-32s %7s  %8s  %8s  %6s  %12s' % ('', 'images', 'ours', 'peer', 'ratio', 'ours, MiB'))
    for count in (len(paths), args.many // 10, args.many):
        with tempfile.TemporaryDirectory() as folder:
            source, prep, result = (os.path.join(folder, name) for name in ('images', 'prep', 'result'))
            info = os.path.join(folder, 'RDN_prep_bin.info')
            os.mkdir(source)
            for index in range(count):
                path = paths[index % len(paths)]
                shutil.copy(path, os.path.join(source, '%06d%s' % (index, os.path.splitext(path)[1])))
            ours = os.path.join(ROOT, 'RDN_preprocess.py'), '--src-path', source, '--save-path', prep
            compare_scripts('RDN_preprocess.py', count, args, ours, (peers, 'preprocess', source, prep + '_peer'))
            listing = os.path.join(ROOT, 'gen_dataset_info.py'), 'bin', prep + '/data', info, '114', '114'
            compare_scripts('gen_dataset_info.py', count, args, listing, None)
            if count == args.many:  # gigabytes of text
                continue
            os.mkdir(result)
            output = format_text(model(np.zeros((1, 3, 114, 114), np.float32))[0] + np.float32(0.123456789))
            for index in range(count):
                with open(os.path.join(result, '%06d_1.txt' % index), 'wb') as file:
                    file.write(output)
            judge = [os.path.join(ROOT, 'RDN_postprocess.py'), '--pred-path', result, '--label-path', prep + '/label']
            judge += ['--result-path', os.path.join(folder, 'result.json'), '--allow-mismatch']  # grey on photographs
            compare_scripts('RDN_postprocess.py', count, args, judge, (peers, 'postprocess', result, prep + '/label'))


def compare_scripts(name, count, args, ours, peer):
    seconds, memory, theirs = [], [], []
    for _ in range(args.rounds):
        for command, times in ((ours, seconds), (peer, theirs)):
            if command:
                elapsed, peak = timed_script(*command)
                times.append(elapsed)
                if command is ours:
                    memory.append(peak)
    mine = statistics.median(seconds)
    other = ('%6.2f s  %6.2f' % (statistics.median(theirs), statistics.median(theirs) / mine)) if theirs else ''
    print('%-32s %7d  %6.2f s  %-16s  %12.0f' % (name, count, mine, other, max(memory)), flush=True)


def train(args, model):
    """A step of RDN_train.py on random pictures, for batches and layouts; the fastest is the one to take."""
    from rdn.training import patches, trainer

    import torch

    import models
    from RDN_train import choose_device

    device, bf16, compiled = choose_device()
    pair = [patches.Pair(np.zeros((200, 200, 3), np.uint8), np.zeros((400, 400, 3), np.uint8))]
    shape = (64, 64, 16, 8) if args.default_network else (32, 32, 6, 4)
    print('%-42s %12s' % ('%s on %s' % ('bf16' if bf16 else 'fp32', device), 'images/s'))
    for batch, patch in ((8, 36), (16, 24), (16, 36), (16, 48), (32, 48), (64, 48)):
        settings = dict(
            scale_factor=2, patch=patch, batch_size=batch, learning_rate=1e-5, seed=0, minutes=None, steps=9
        )
        run = trainer.Training(models.RDN(2, 3, *shape), settings, device, bf16, compiled)
        seconds = []
        for step in range(2 + args.rounds):
            start = time.perf_counter()
            run.learn(pair)
            if device.type == 'cuda':
                torch.cuda.synchronize()
            if step >= 2:
                seconds.append(time.perf_counter() - start)
        print('%-42s %12.4g' % ('batches of %d, %d x %d' % (batch, patch, patch), batch / statistics.median(seconds)))


def whole(args, model):
    """Whole pictures: RDN_upscale.py's path, a plain loop, PyTorch."""
    import torch

    import RDN_upscale
    from models import load_rdn

    threads = cpu.cores()
    side_by_side = Model(args.model, threads=threads, streams=min(threads, RDN_upscale.MOST_STREAMS))
    pictures = read_inputs(args.images)
    scale = upscaler.scale_of(model, args.model)
    network = load_rdn(args.weights)

    def ours(overlap):
        for pixels in pictures:
            picture = np.empty((pixels.shape[0] * scale, pixels.shape[1] * scale, 3), np.uint8)
            for tile, part in upscaler.enlarge(pixels, side_by_side, scale, overlap):
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
            infos.append(benchmark.InfoLine(os.path.join(folder, '%d.bin' % index), shape[2], shape[1]))

        def bare():
            for x in inputs:
                model.session.run(None, {model.name: x[np.newaxis]})

        ways = {
            'bare onnxruntime session': bare,
            'RDN_infer.py, -output_binary=True': lambda: RDN_infer.infer_dataset(model, infos, 1, folder, True),
            'RDN_infer.py, text': lambda: RDN_infer.infer_dataset(model, infos, 1, folder, False),
        }
        print_table('5 inputs', alternate(ways, args.rounds), 'images/s', 5, 'bare onnxruntime session')


def default_network(folder):
    """Paths of the guide's network with random weights, .pth and .onnx."""
    import torch

    import models

    weights, path = os.path.join(folder, 'default.pth'), os.path.join(folder, 'default.onnx')
    torch.manual_seed(0)
    torch.save(models.RDN(2, 3, 64, 64, 16, 8).state_dict(), weights)
    exporter = os.path.join(ROOT, 'RDN_pth2onnx.py')
    timed_script(exporter, '--input-file=' + weights, '--output-file=' + path)
    return weights, path


def main(argv=None):
    tables = {'engines': engines, 'infer': infer, 'whole': whole, 'host': host, 'train': train}
    parser = cli.Parser(__doc__)
    parser.add_argument('what', choices=list(tables))
    parser.add_argument('--model', default='rdn_x2.onnx')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth', help='the same network for PyTorch')
    parser.add_argument('--default-network', action='store_true', help="the guide's, with random weights, instead")
    parser.add_argument('--images', help="folder; default: scikit-image's five photographs")
    parser.add_argument('--many', type=cli.positive, default=2000, help='host: the most images; default 2000')
    parser.add_argument('--rounds', type=cli.positive, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if args.default_network and args.what != 'train':
            args.weights, args.model = default_network(folder)
        tables[args.what](args, Model(args.model) if args.what != 'train' else None)


if __name__ == '__main__':
    cli.run(main)
