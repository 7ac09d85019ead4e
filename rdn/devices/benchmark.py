"""The files of the vendor's benchmark, CANN 5: the list of inputs that it reads, the names and reports that it writes.

Info file: `index path width height` a line. Outputs: `{stem}_1.txt|bin`, one an image (rdn/devices/outputs.py reads
them). Performance file: a line a stage.
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping, NamedTuple

from rdn import files

INFO_LINE = re.compile(r'([0-9]{1,9}) (\S+) ([1-9][0-9]{0,5}) ([1-9][0-9]{0,5})\s*$')
MAX_INFO_BYTES = 1 << 28


class InfoLine(NamedTuple):
    """An input that benchmark is to read, and its size in pixels."""

    path: str
    width: int
    height: int


def check_path(path: str) -> None:
    """Raises ValueError for a path with white space: benchmark splits its info file's lines there."""
    if path.split() != [path]:
        raise ValueError(f'{path}: white space in a path, which benchmark cannot read: rename it')


def format_info(lines: Iterable[InfoLine]) -> str:
    """The text of an info file, numbered from 0. Raises ValueError as check_path does."""
    rows = []
    for index, (path, width, height) in enumerate(lines):
        check_path(path)
        rows.append(f'{index} {path} {width} {height}\n')
    return ''.join(rows)


def read_info(path: str) -> list[InfoLine]:
    """The InfoLines of an info file. Raises ValueError, with file and line, for any other content."""
    files.check_plain(path, MAX_INFO_BYTES)
    with open(path, encoding='utf-8', errors='surrogateescape') as file:
        lines = file.read().splitlines()
    infos = []
    for number, line in enumerate(lines, 1):
        match = INFO_LINE.match(line)
        if not match or int(match.group(1)) != number - 1:
            raise ValueError(f'{path} line {number}: expected "{number - 1} path width height", found {line[:80]!r}')
        infos.append(InfoLine(match.group(2), int(match.group(3)), int(match.group(4))))
    if not infos:
        raise ValueError(f'{path}: empty: gen_dataset_info.py writes it')
    return infos


def output_name(stem: str, binary: bool) -> str:
    """The name under which benchmark dumps the output of `stem`."""
    return f'{stem}_1.{"bin" if binary else "txt"}'


def format_performance(images: int, total: float, stages: Mapping[str, float]) -> str:
    """The text of benchmark's performance file. All times in seconds, over all images.

    stages: `data read`, `preprocess`, `infer`, `post`, each with its time.
    """
    lines = [f'[e2e] throughputRate: {images / total:g}, latency: {total * 1e3:g}']
    for stage, seconds in stages.items():
        rate = f'throughputRate: {images / seconds:g}'
        if stage == 'infer':
            rate += f', Interface {rate}'
        lines.append(f'[{stage}] {rate}, moduleLatency: {seconds * 1e3 / images:g}')
    return '\n'.join(lines) + '\n'


def format_pure_inference(images: int, seconds: float) -> str:
    """The text of benchmark's file for pure inference; latency is milliseconds an image."""
    return f'[INFO] ave_throughputRate: {images / seconds:g}samples/s, ave_latency: {seconds * 1e3 / images:g}ms\n'
