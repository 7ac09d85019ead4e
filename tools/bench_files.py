"""How fast RDN_upscale.py is beside its network: whole runs over files, with a network that does nothing but bicubic."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple, Sequence

from rdn import cli

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

WIDTHS = (26, 8, 5, 8, 16, 6)
WIDTH, HEIGHT = 1632, 1224  # 2 megapixels
PATCH = 300  # pixels of a photograph that are repeated, so that the noise of its pixels stays
CUBIC = -0.5  # of the bicubic kernel, as in Pillow
FEW = 2  # pictures of the run whose time is that of the start
STATUS = '/proc/{}/status'
WATCH_SECONDS = 0.02


class FilesRun(NamedTuple):
    """What a run took: seconds, of processors too, and the most memory, MiB."""

    seconds: float
    processor_seconds: float
    memory: float


def write_bicubic(path: str) -> None:
    """Write an ONNX that enlarges twice by the bicubic kernel: a fixed transposed convolution for each axis."""
    distances = np.abs(np.arange(-3.5, 4) / 2)
    near = ((CUBIC + 2) * distances - (CUBIC + 3)) * distances**2 + 1
    far = CUBIC * (((distances - 5) * distances + 8) * distances - 4)
    taps = np.where(distances <= 1, near, np.where(distances < 2, far, 0)).astype(np.float32)
    columns = np.tile(taps.reshape(1, 1, 8, 1), (3, 1, 1, 1))
    nodes = [
        helper.make_node('ConvTranspose', ['image', 'down'], ['tall'], strides=[2, 1], pads=[3, 0, 3, 0], group=3),
        helper.make_node('ConvTranspose', ['tall', 'right'], ['large'], strides=[1, 2], pads=[0, 3, 0, 3], group=3),
    ]
    weights = [numpy_helper.from_array(columns, 'down'), numpy_helper.from_array(columns.swapaxes(2, 3), 'right')]
    sizes = [('image', ['n', 3, 'h', 'w']), ('large', ['n', 3, 'h2', 'w2'])]
    image, large = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes)
    graph = helper.make_graph(nodes, 'bicubic', [image], [large], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)], ir_version=4), path)


def write_pictures(folder: str, paths: Sequence[str], ending: str, count: int) -> None:
    """Write pictures of 2 megapixels, patches of the photographs side by side; copies of a few, as only few differ."""
    os.makedirs(folder)
    photographs = [Image.open(path).convert('RGB') for path in paths]
    patches = [photograph.crop((0, 0, PATCH, PATCH)) for photograph in photographs]
    for number in range(count):
        path = os.path.join(folder, f'{number:04}{ending}')
        if number >= len(patches):
            shutil.copy(os.path.join(folder, f'{number % len(patches):04}{ending}'), path)
            continue
        picture = Image.new('RGB', (WIDTH, HEIGHT))
        places = [(left, top) for top in range(0, HEIGHT, PATCH) for left in range(0, WIDTH, PATCH)]
        for index, place in enumerate(places):
            picture.paste(patches[(number + index) % len(patches)], place)
        picture.save(path, quality=95)


def run_once(model: str, source: str, cores: Sequence[int], script: str) -> FilesRun:
    """Run RDN_upscale.py over a folder on some cores."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(source)) as output:
        command = [sys.executable, script, '--model', model, '--input', source, '--output', output]
        before, memory = os.times(), 0.0
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, set(cores))
        )
        while process.poll() is None:
            memory = max(memory, peak_memory(process.pid))
            time.sleep(WATCH_SECONDS)
        seconds, after = time.perf_counter() - start, os.times()
        if process.returncode:
            raise ValueError(f'{" ".join(command)} ended with {process.returncode}')
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return FilesRun(seconds, used, memory)


def peak_memory(process: int) -> float:
    """The most memory that a process had so far, MiB; 0 if that is not known."""
    with contextlib.suppress(OSError), open(STATUS.format(process)) as file:
        return next((int(line.split()[1]) / 1024 for line in file if line.startswith('VmHWM')), 0.0)
    return 0.0


def bench(paths: Sequence[str], counts: Sequence[int], scripts: Sequence[str], rounds: int) -> None:
    """Print megapixels of source a second, without the start, for JPEG and PNG, on one core and on all.

    Args:
        paths: photographs.
        counts: numbers of pictures, rows for each.
        scripts: the RDN_upscale.py of one or more checkouts.
        rounds: how often each runs, in turn; the fastest counts, since whatever else the machine does only takes time.
    """
    cores = sorted(os.sched_getaffinity(0))
    print(cli.format_row(['', 'pictures', 'cores', 'MP/s', 'MP/s a busy core', 'MiB'], WIDTHS))
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, 'bicubic.onnx')
        write_bicubic(model)
        for ending in ('.jpg', '.png'):
            sources = {number: os.path.join(folder, f'{number}{ending}') for number in (FEW, *counts)}
            for number, source in sources.items():
                write_pictures(source, paths, ending, number)
            for count in counts:
                for used in [cores[:1], cores][: len(cores)]:
                    compare(model, [sources[FEW], sources[count]], used, scripts, rounds)


def compare(model: str, sources: Sequence[str], cores: Sequence[int], scripts: Sequence[str], rounds: int) -> None:
    """Print a row for each script. sources: folders of few and of many pictures."""
    runs: dict[tuple[str, str], list[FilesRun]] = {}
    for _ in range(rounds):
        for key in itertools.product(scripts, sources):
            runs.setdefault(key, []).append(run_once(model, key[1], cores, key[0]))
    ending, count = os.path.splitext(os.listdir(sources[1])[0])[1], len(os.listdir(sources[1]))
    megapixels = (count - FEW) * WIDTH * HEIGHT / 1e6
    for script in scripts:
        start, whole = (runs[script, source] for source in sources)
        seconds = min(run.seconds for run in whole) - min(run.seconds for run in start)
        busy = min(run.processor_seconds for run in whole) - min(run.processor_seconds for run in start)
        memory = max(run.memory for run in whole)
        name = f'{ending[1:].upper()} to {ending[1:].upper()}{"" if script == scripts[0] else ", the other"}'
        cells = [name, str(count), str(len(cores)), f'{megapixels / seconds:.2f}']
        print(cli.format_row([*cells, f'{megapixels / busy:.2f}', f'{memory:.0f}'], WIDTHS), flush=True)
