"""For tools.bench: the speed of RDN_upscale.py without its network, in runs whose model only interpolates (bicubic)."""

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
PATCH = 300  # side of the part of a photograph that is repeated: enlarging it would remove the noise of its pixels
CUBIC = -0.5  # the parameter of the bicubic kernel, as in Pillow
FEW = 2  # pictures of the run that measures the start-up
STATUS = '/proc/{}/status'
WATCH_SECONDS = 0.02


class FilesRun(NamedTuple):
    """The cost of a run.

    Attributes:
        seconds: the elapsed time.
        processor_seconds: the time of all processor cores together.
        memory: the peak memory in MiB.
    """

    seconds: float
    processor_seconds: float
    memory: float


def write_bicubic(path: str) -> None:
    """Write an ONNX model that doubles the size by bicubic interpolation: one fixed transposed convolution per axis."""
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
    """Write pictures of 2 megapixels, each a mosaic of patches of the photographs.

    There is one different picture per photograph; the others are copies.

    Args:
        folder: the folder to make.
        paths: the photographs.
        ending: the format, for example `.jpg`.
        count: the number of pictures.
    """
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
    """Run RDN_upscale.py over a folder on some cores.

    Args:
        model: path of the model.
        source: the folder of pictures.
        cores: the numbers of the cores.
        script: path of RDN_upscale.py.

    Returns:
        The run's cost.

    Raises:
        ValueError: the run fails.
    """
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
    """Return the peak memory of a running process in MiB; 0 if it is unknown."""
    with contextlib.suppress(OSError), open(STATUS.format(process)) as file:
        return next((int(line.split()[1]) / 1024 for line in file if line.startswith('VmHWM')), 0.0)
    return 0.0


def bench(paths: Sequence[str], counts: Sequence[int], scripts: Sequence[str], rounds: int) -> None:
    """Print megapixels of source per second without the start-up, for JPEG and PNG, on one core and on all.

    Args:
        paths: photographs.
        counts: numbers of pictures, each for rows of its own.
        scripts: the RDN_upscale.py of one or more checkouts.
        rounds: how often each runs, in turn. The fastest run counts, since other work on the machine only slows runs.
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
    """Print a row for each script.

    Args:
        model: path of the model.
        sources: two folders, one with few pictures and one with many.
        cores: the numbers of the cores to use.
        scripts: the RDN_upscale.py of one or more checkouts.
        rounds: how often each runs.
    """
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
