"""Speeds from the logs of benchmark, ais_bench and trtexec; the accuracy from result.json. The content says which it is.

A figure counts only when its line is whole: it ends in a line end, or in what always follows it. The digits that a log
cut short ends in would be a wrong number.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, Callable, NamedTuple, TypeVar

from rdn import files, run_record

Figure = TypeVar('Figure')

MAX_LOG_BYTES = 1 << 27
NPU = 'NPU'  # a device whose chip is not known
# A figure with a decimal comma is none: reading the digits before it would be a wrong number.
NUMBER = r'([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9.]|,[0-9])'
COLOUR = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')


class Speed(NamedTuple):
    """What a speed log says: the tool, the images in a batch (None where it does not say), images/s.

    devices: how many devices the rate is of; 1 but for a log of several.
    """

    tool: str
    batch: int | None
    rate: float
    devices: int = 1


def read(path: str, parse: Callable[[str, str], Figure]) -> Figure:
    """parse(text, name) of a file. Raises ValueError with the file's name before what `parse` says."""
    files.check_plain(path, MAX_LOG_BYTES)
    with open(path, 'rb') as file:
        text = decode(file.read())
    with files.errors_naming(path):
        return parse(text, os.path.basename(path))


def decode(content: bytes) -> str:
    """The text of a log: UTF-8, or UTF-16 as PowerShell redirects it; without colours, every line end a newline."""
    encoding = 'utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    text = COLOUR.sub('', content.decode(encoding, errors='replace'))
    return text.replace('\r\n', '\n').replace('\r', '\n')


def is_result(text: str) -> bool:
    """Whether a text is a result.json rather than a log or ais_bench's summary."""
    return text.lstrip().startswith('{') and 'NPU_compute_time' not in text


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

    Raises ValueError for a text that is not a log of these tools, for one cut short, and where name and content differ
    in the batch size.
    """
    if 'GPU Compute' in text:
        speed = _trtexec(text)
    elif 'ave_throughputRate' in text:
        speed = _pure_inference(text)
    elif 'NPU_compute_time' in text:
        speed = _ais_bench_summary(text) if text.lstrip().startswith('{') else _ais_bench(text)
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


def parse_figure(text: str, name: str) -> float | Speed:
    """The average PSNR in dB of a result.json, the Speed of a log. Raises ValueError as the two do."""
    return parse_accuracy(text, name) if is_result(text) else parse_speed(text, name)


def card_rate(
    speed: Speed, record: run_record.Record | None, chips: int | None, device: str | None
) -> tuple[float, str]:
    """(images/s of a whole card, its name).

    record: what is known of the run; chips, device: what the person says instead. A log without a record is believed to
    be the guide's: benchmark's of one device of a 310, which has four, trtexec's of a T4. Of ais_bench's the chip is not
    known. Raises ValueError for a log of several devices that is to be multiplied, and for more devices than are on the
    card of the record.
    """
    if speed.devices > 1 and chips:
        raise ValueError(f'the log is of {speed.devices} devices already: leave --chips out')
    if record:
        devices, name = record.devices(), record.chip
        if chips and chips != devices and record.chip != '310':  # of which there are boards with one
            raise ValueError(f'measured on {record.chip}, of which a card holds {devices}: leave --chips out')
    else:
        name = {'trtexec': 'T4', 'benchmark': '310'}.get(speed.tool, NPU)
        devices = run_record.DEVICES.get(name, 1)
    if speed.tool == 'trtexec' or speed.devices > 1:
        return speed.rate, device or name
    devices = chips or (1 if device and not record and device != '310' else devices)
    return speed.rate * devices, device or name


def _performance(text: str) -> Speed:
    """The Speed in benchmark's performance file: inside its inference call, Interface throughputRate."""
    rate = _number(
        rf'^\[infer(?:ence)?\].{{0,200}}Interface throughputRate: *{NUMBER} *(?:samples/s)?(?=,|[ \t]*\n)',
        text,
        'an [infer] line with Interface throughputRate',
    )
    return Speed('benchmark', None, rate)


def _pure_inference(text: str) -> Speed:
    """The Speed in benchmark's file, or output, of pure inference."""
    rate = _number(rf'ave_throughputRate *[:=] *{NUMBER} *samples/s', text, 'ave_throughputRate')
    return Speed('benchmark', None, rate)


def _ais_bench(text: str) -> Speed:
    """The Speed in ais_bench's (ais_infer's) output, of any version, on one device or several."""
    batches = {int(x) for x in re.findall(r'(?i)throughput.{0,200}\bbatchsize(?:\.mean)?\((\d+)(?:\.0+)?\)', text)}
    if len(batches) > 1:
        raise ValueError(
            f'throughput stands in it for batches of {" and ".join(map(str, sorted(batches)))}: of several runs?'
        )
    failed = re.search(r'multidevice run end .{0,40}result:[1-9]', text)
    if failed:
        raise ValueError('one of several devices failed: the summary throughput is that of the others alone')
    devices = len(set(re.findall(r'\bi:(\d+) device_\d+ throughput:', text)))
    if devices > 1 or 'summary throughput' in text:
        rate = _number(rf'summary throughput *: *{NUMBER}[ \t]*\n', text, 'summary throughput, of all devices')
        return Speed('ais_bench', min(batches, default=None), rate, max(1, devices))
    rate = _number(rf'(?i)throughput\b.{{0,200}}NPU_compute_time.{{0,200}}: *{NUMBER}[ \t]*\n', text, 'throughput')
    if batches:
        return Speed('ais_bench', batches.pop(), rate)
    mean = re.findall(rf'NPU_compute_time \(ms\):.*\bmean = {NUMBER},', text)
    return Speed('ais_bench', _batch_of(rate, float(mean[0])) if len(mean) == 1 else None, rate)


def _ais_bench_summary(text: str) -> Speed:
    """The Speed in ais_bench's *_summary.json, or the older sumary.json."""
    try:
        content = json.loads(text)
        rate, mean = float(content['throughput']), float(content['NPU_compute_time']['mean'])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError('not a whole summary of ais_bench: throughput or NPU_compute_time is missing')
    if not (0 < rate < float('inf') and 0 < mean < float('inf')):
        raise ValueError(f'throughput is {rate}, the mean of NPU_compute_time {mean}')
    return Speed('ais_bench', _batch_of(rate, mean) or _named_batch(content), rate)


def _named_batch(content: dict[str, Any]) -> int | None:
    """The batch size among ais_bench's arguments: a mapping, or the words of its command line."""
    args = content.get('args')
    if isinstance(args, list):
        words = dict(zip(args, args[1:]))
        args = {'batchsize': int(words['--batchsize'])} if str(words.get('--batchsize', '')).isdigit() else None
    batch = args.get('batchsize') if isinstance(args, dict) else None
    return batch if type(batch) is int and batch > 0 else None


def _batch_of(rate: float, milliseconds: float) -> int | None:
    """The batch size that a rate was computed with: throughput = 1000 * batch size / mean time."""
    batch = rate * milliseconds / 1000
    return round(batch) if round(batch) >= 1 and abs(batch - round(batch)) < 0.01 * batch else None


def _trtexec(text: str) -> Speed:
    """The Speed in trtexec's log, from the mean of GPU compute: TensorRT 7's block of lines, or the one line of 8 on.

    With several streams that mean is of one of them, and the rate in queries is the figure of the whole.
    """
    batch = _trtexec_batch(text)
    streams = max([int(count) for count in re.findall(r'--streams=(\d+)', text)] or [1])
    if streams > 1:
        queries = _number(rf'Throughput: {NUMBER} qps', text, f'Throughput in qps, of {streams} streams,')
        return Speed('trtexec', batch, queries * (batch or 1))
    mean = _number(
        rf'GPU Compute Time: .{{0,200}}?\bmean = {NUMBER} ms\b|'
        rf'GPU Compute[ \t]*\n(?:.*\n){{0,4}}?.*\bmean: {NUMBER} ms\b',
        text,
        'the mean of GPU Compute',
    )
    return Speed('trtexec', batch, 1000 * (batch or 1) / mean)


def _trtexec_batch(text: str) -> int | None:
    """The batch size: what was bound counts, then what was asked for, in the order of what trtexec obeys."""
    patterns = (
        r'[Ii]nput binding for \S+ with dimensions (\d+)x',
        r'--shapes=\S+?:(\d+)x',
        r'--optShapes=\S+?:(\d+)x',
        r'--batch=(\d+)',
    )
    for pattern in patterns:
        found = {int(batch) for batch in re.findall(pattern, text)}
        if len(found) > 1:
            raise ValueError(f'inputs of batches of {" and ".join(map(str, sorted(found)))} in it: of several runs?')
        if found:
            return found.pop()
    return None


def _number(pattern: str, text: str, what: str) -> float:
    """The one number that a pattern finds. Raises ValueError for none, for several values, and for 0."""
    matches = re.finditer(pattern, text, re.MULTILINE)
    numbers = sorted({float(next(filter(None, match.groups()))) for match in matches})
    if not numbers:
        raise ValueError(f'{what} not found in it, or cut short')
    if len(numbers) > 1:
        raise ValueError(
            f'{what} stands in it with several values, {numbers[0]:g} and {numbers[1]:g}: of several runs?'
        )
    if not 0 < numbers[0] < float('inf'):
        raise ValueError(f'{what} is {numbers[0]}')
    return numbers[0]
