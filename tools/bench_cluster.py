"""For tools.bench: compare RDN_upscale.py with and without --cluster on the same cores; measure the driver's memory."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from typing import Any, Iterator, Sequence

from rdn import cli, cpu

from PIL import Image, ImageOps

from tools import bench_scripts

WORKERS = (1, 2, 3)
PICTURES = 8  # of one megapixel each
SIDE = 1000
TINY_SIDE = 8
WIDTHS = [-9, 5, 12, 12, 6, 12]


@contextlib.contextmanager
def cluster_of(workers: int) -> Iterator[str]:
    """Start a Ray cluster on this machine, whose workers have one core each, and yield its address.

    While it runs, this process and its children use as many cores as there are workers.
    """
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    if 'RAY_AUTH_MODE' not in os.environ:  # else the user's own token is used
        os.environ.update(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN=secrets.token_hex(32))
    import ray.cluster_utils

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:workers])
    # A short path, as Ray's sockets need, and a new one, so that another Ray on this machine is not disturbed.
    os.environ['RAY_TMPDIR'] = tempfile.mkdtemp(prefix='ray')
    try:
        started = ray.cluster_utils.Cluster(
            initialize_head=True, head_node_args=dict(num_cpus=workers, include_dashboard=False)
        )
        try:
            yield started.address
        finally:
            started.shutdown()
    finally:
        os.sched_setaffinity(0, cores)
        shutil.rmtree(os.environ.pop('RAY_TMPDIR'))


def upscale(source: str, target: str, model: str, *flags: str) -> list[str]:
    """Return RDN_upscale.py's command for a folder of pictures, with these flags."""
    places = ['--input', source, '--output', target, '--model', model]
    return ['env', 'PYTHONUNBUFFERED=1', *bench_scripts.script('RDN_upscale.py', *places, '--overwrite', *flags)]


def rate(command: Sequence[str], target: str, first: int) -> tuple[float, float]:
    """Run a command of `upscale` and measure its speed.

    Args:
        command: the command.
        target: the folder of the results, which its lines of output begin with.
        first: how many results the start-up includes; the speed counts from the last of them on.

    Returns:
        (pictures per second after the start-up, seconds until the first result).

    Raises:
        ValueError: the command fails.
    """
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        times = [time.perf_counter() for line in process.stdout if line.startswith(target)]
    if process.returncode:
        raise ValueError(f'{" ".join(command)} failed')
    return (len(times) - first) / (times[-1] - times[first - 1]), times[0] - started


def bench(model: str, paths: Sequence[str], precision: Sequence[str], tiny: Sequence[int], rounds: int) -> None:
    """Print two tables: megapixels per second for 1, 2 and 3 workers, and the driver's memory for many tiny pictures.

    Args:
        model: path of the model.
        paths: photographs, from which the pictures are made.
        precision: the flag for the model's precision.
        tiny: numbers of tiny pictures, each for a row of the second table.
        rounds: how often each command is timed.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, 'in'), os.path.join(folder, 'out')
        os.mkdir(source)
        for number in range(PICTURES):
            with Image.open(paths[number % len(paths)]) as photo:
                picture = ImageOps.fit(photo.convert('RGB'), (SIDE, SIDE))
            picture.save(os.path.join(source, f'{number:03}.jpg'))
        print(cli.format_row(['workers', 'cores', 'one machine', '--cluster', 'ratio', 'start-up, s'], WIDTHS))
        for workers in WORKERS:
            bench_workers(source, target, [model, *precision], workers, rounds)
        print(cli.format_row(['\npictures', '', 'driver, MiB', 'ms each', '', ''], WIDTHS))
        for count in tiny:
            bench_many(os.path.join(folder, str(count)), target, [model, *precision], count)


def bench_workers(source: str, target: str, model: Sequence[str], workers: int, rounds: int) -> None:
    """Print the row for one number of workers: medians of alternating rounds.

    Args:
        source: the folder of pictures.
        target: the folder for the results.
        model: the model's path, then further flags.
        workers: the number of workers, and of cores.
        rounds: how often each command is timed.
    """
    with cluster_of(workers) as address:
        cores = cpu.available_cores()
        flags = {'one machine': f'--threads={cores}', '--cluster': f'--cluster={address}'}
        found: dict[str, list[Any]] = {name: [] for name in flags}
        for _ in range(rounds):
            for name, flag in flags.items():
                own = [flag, '--threads=1'] if name == '--cluster' else [flag]
                found[name].append(rate(upscale(source, target, *model, *own), target, workers))
    here, there = (statistics.median(each for each, _ in found[name]) * SIDE * SIDE / 1e6 for name in flags)
    start_up = statistics.median(seconds for _, seconds in found['--cluster'])
    cells = [
        str(workers),
        str(cores),
        f'{here:.3f} MP/s',
        f'{there:.3f} MP/s',
        f'{there / here:.2f}',
        f'{start_up:.1f}',
    ]
    print(cli.format_row(cells, WIDTHS), flush=True)


def bench_many(source: str, target: str, model: Sequence[str], count: int) -> None:
    """Print the row for a number of tiny pictures: the driver's memory, and milliseconds per picture.

    Args:
        source: the folder to make and fill with pictures.
        target: the folder for the results.
        model: the model's path, then further flags.
        count: the number of pictures.
    """
    os.mkdir(source)
    first = os.path.join(source, f'{0:07}.png')
    Image.new('RGB', (TINY_SIDE, TINY_SIDE), 'olive').save(first)
    for number in range(1, count):
        shutil.copy(first, os.path.join(source, f'{number:07}.png'))
    with cluster_of(cpu.available_cores()) as address:
        command = upscale(source, target, *model, f'--cluster={address}', '--threads=1')
        seconds, memory = bench_scripts.timed(command)
    print(cli.format_row([str(count), '', f'{memory:.0f}', f'{seconds / count * 1e3:.1f}', '', ''], WIDTHS), flush=True)
