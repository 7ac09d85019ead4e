"""Speeds from the logs of benchmark, ais_bench and trtexec; the accuracy from result.json. The content says which it is."""

from __future__ import annotations

import json
import os
import re
from typing import Callable, NamedTuple, TypeVar

from rdn import files

Figure = TypeVar('Figure')

MAX_LOG_LENGTH = 1 << 26  # characters
# A figure with a decimal comma is none: reading the digits before it would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'


class Speed(NamedTuple):
    """What a speed log says: the tool, the images in a batch (None where it does not say), images/s of one device."""

    tool: str
    batch: int | None
    rate: float


def read(path: str, parse: Callable[[str, str], Figure]) -> Figure:
    """parse(text, name) of a file. Raises ValueError with the file's name before what `parse` says."""
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read(MAX_LOG_LENGTH)
    with files.errors_naming(path):
        if len(text) == MAX_LOG_LENGTH:
            raise ValueError('too large for a log')
        return parse(text, os.path.basename(path))


def is_result(text: str) -> bool:
    """Whether a text is a result.json rather than a log."""
    return text.lstrip().startswith('{')


def parse_accuracy(text: str, name: str = '') -> float:
    """Average PSNR in dB of a result.json. Raises ValueError for other content."""
    try:
        values = {pair['key']: pair['value'] for pair in json.loads(text)['value']}
        psnr = float(values['Avg PSNR'])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError('not a result.json of RDN_postprocess.py: "Avg PSNR" is missing')
    if not 0 < psnr:  # also for nan
        raise ValueError(f'"Avg PSNR" is {psnr}')
    return psnr


def parse_speed(text: str, name: str) -> Speed:
    """The Speed of a log; name: of its file, which may say the batch size too.

    Raises ValueError for a text that is not a log of these tools, and where name and content differ in the batch size.
    """
    if 'GPU Compute' in text:
        speed = _trtexec(text)
    elif 'ave_throughputRate' in text:
        speed = _pure_inference(text)
    elif 'NPU_compute_time' in text:
        speed = _ais_bench(text)
    elif 'throughputRate' in text:
        speed = _performance(text)
    else:
        raise ValueError('neither a log of benchmark, ais_bench or trtexec, nor a result.json')
    match = re.search(r'(?:batchsize_|_bs)(\d+)', name)
    named = int(match.group(1)) if match else None
    if named and speed.batch and named != speed.batch:
        raise ValueError(f'measured with batches of {speed.batch}, its name says {named}')
    if speed.tool == 'trtexec' and named and not speed.batch:
        speed = speed._replace(rate=speed.rate * named)  # the log gives the time of a batch
    return speed._replace(batch=speed.batch or named or 1)


def _performance(text: str) -> Speed:
    """Of benchmark's performance file: inside its inference call, Interface throughputRate."""
    rate = _number(
        r'^\[infer(?:ence)?\].{0,200}Interface throughputRate: *' + NUMBER,
        text,
        'an [infer] line with Interface throughputRate',
    )
    return Speed('benchmark', None, rate)


def _pure_inference(text: str) -> Speed:
    """Of benchmark's file, or output, of pure inference."""
    rate = _number(r'ave_throughputRate *[:=] *' + NUMBER + ' *samples/s', text, 'ave_throughputRate')
    return Speed('benchmark', None, rate)


def _ais_bench(text: str) -> Speed:
    """Of ais_bench's (ais_infer's) summary, of any version."""
    rate = _number(r'throughput\b.{0,200}NPU_compute_time.{0,200}: *' + NUMBER + r'\s*$', text, 'throughput')
    batch = re.search(r'throughput.{0,200}\bbatchsize(?:\.mean)?\((\d+)(?:\.0+)?\)', text)
    return Speed('ais_bench', int(batch.group(1)) if batch else None, rate)


def _trtexec(text: str) -> Speed:
    """Of trtexec, from the mean of GPU compute: TensorRT 7's block of lines, or the one line of 8 on."""
    mean = _number(
        r'GPU Compute Time: .{0,200}?\bmean = ' + NUMBER + ' ms|'
        r'GPU Compute[ \t\r]*\n(?:.*\n){0,4}?.*\bmean: ' + NUMBER + ' ms',
        text,
        'the mean of GPU Compute',
    )
    match = re.search(r'--(?:shapes|optShapes)=[^:\s]+:(\d+)x|--batch=(\d+)', text)
    batch = int(match.group(1) or match.group(2)) if match else None
    return Speed('trtexec', batch, 1000 * (batch or 1) / mean)


def _number(pattern: str, text: str, what: str) -> float:
    """The one number that a pattern finds. Raises ValueError for none, for several values, and for 0."""
    matches = re.finditer(pattern, text, re.MULTILINE)
    numbers = sorted({float(next(filter(None, match.groups()))) for match in matches})
    if not numbers:
        raise ValueError(f'{what} not found in it')
    if len(numbers) > 1:
        raise ValueError(
            f'{what} stands in it with several values, {numbers[0]:g} and {numbers[1]:g}: of several runs?'
        )
    if not 0 < numbers[0] < float('inf'):
        raise ValueError(f'{what} is {numbers[0]}')
    return numbers[0]
