"""For tools.bench: compare the scripts before and after the device with the method of the public ModelZoo scripts."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import Sequence

import rdn
from rdn import cli
from rdn.devices import number_text

import numpy as np

# A small process starts the command and measures it, because a child's peak memory includes its parent's at the start.
WATCH = """
import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - start, usage.ru_maxrss / 1024)
sys.exit(status != 0)
"""
PEERS = [sys.executable, '-m', 'tools.peers']
WIDTHS = [-32, 7, 7, 7, 6, 9]


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a command, and return its seconds and its peak memory in MiB.

    Raises:
        ValueError: the command fails.
    """
    done = subprocess.run([sys.executable, '-c', WATCH, *command], stdout=subprocess.PIPE, cwd=rdn.ROOT)
    if done.returncode:
        raise ValueError(f'{" ".join(command)} failed')
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def script(name: str, *arguments: str) -> list[str]:
    """Return the command for one of the project's scripts."""
    return [sys.executable, os.path.join(rdn.ROOT, name), *arguments]


def compare(name: str, count: int, rounds: int, ours: Sequence[str], peer: Sequence[str] | None) -> None:
    """Run two commands in turn, and print a row with their medians.

    Args:
        name: the row's name.
        count: the number of images.
        rounds: how often each command runs.
        ours: the command of this project.
        peer: the command to compare with; None to run only ours.
    """
    seconds, memory, theirs = [], [], []
    for _ in range(rounds):
        elapsed, peak = timed(ours)
        seconds.append(elapsed)
        memory.append(peak)
        if peer:
            theirs.append(timed(peer)[0])
    mine = statistics.median(seconds)
    other = [f'{statistics.median(theirs):.2f}', f'{statistics.median(theirs) / mine:.2f}'] if theirs else ['-', '-']
    print(cli.format_row([name, str(count), f'{mine:.2f}', *other, f'{max(memory):.0f}'], WIDTHS), flush=True)


def bench(paths: Sequence[str], most: int, rounds: int) -> None:
    """Print a table for three numbers of images: the given ones, `most` / 10 and `most`.

    Args:
        paths: the images, which are copied to reach the larger numbers.
        most: the largest number of images.
        rounds: how often each command runs.
    """
    print(cli.format_row(['', 'images', 'ours, s', 'peer, s', 'ratio', 'ours, MiB'], WIDTHS))
    for count in (len(paths), most // 10, most):
        with tempfile.TemporaryDirectory() as folder:
            bench_count(folder, paths, count, rounds, with_outputs=count < most)  # all outputs would be gigabytes


def bench_count(folder: str, paths: Sequence[str], count: int, rounds: int, with_outputs: bool) -> None:
    """Print the rows for one number of images.

    Args:
        folder: an empty folder to work in.
        paths: the images to copy.
        count: the number of copies.
        rounds: how often each command runs.
        with_outputs: whether to measure the postprocessing of outputs too.
    """
    source, prep = (os.path.join(folder, name) for name in ('images', 'prep'))
    os.mkdir(source)
    for index in range(count):
        path = paths[index % len(paths)]
        shutil.copy(path, os.path.join(source, f'{index:06}{os.path.splitext(path)[1]}'))
    ours = script('RDN_preprocess.py', '--src-path', source, '--save-path', prep)
    compare('preprocess', count, rounds, ours, [*PEERS, 'preprocess', source, f'{prep}_peer'])
    info = os.path.join(folder, 'RDN_prep_bin.info')
    compare(
        'dataset list', count, rounds, script('gen_dataset_info.py', 'bin', f'{prep}/data', info, '114', '114'), None
    )
    if not with_outputs:
        return
    values = np.random.RandomState(0).rand(3, 228, 228).astype(np.float32)
    texts = {"RDN_infer.py's text": number_text.format_text(values), 'text as of %g': number_text.format_any(values)}
    for kind, text in texts.items():
        predictions = os.path.join(folder, kind)
        os.mkdir(predictions)
        for index in range(count):
            with open(os.path.join(predictions, f'{index:06}_1.txt'), 'wb') as file:
                file.write(text)
        places = ['--pred-path', predictions, '--label-path', f'{prep}/label', '--result-path', f'{folder}/r.json']
        ours = script('RDN_postprocess.py', *places, '--allow-mismatch')  # the outputs are noise
        compare(f'postprocess, {kind}', count, rounds, ours, [*PEERS, 'postprocess', predictions, f'{prep}/label'])
