"""Speeds from the logs of all tools. The text of a log shows which tool wrote it."""

from __future__ import annotations

import os
import re
from typing import Callable, TypeVar

from rdn import cli, files, run_record
from rdn.devices import base, chip, choice, rdn_infer, speed, trtexec

Figure = TypeVar('Figure')

SOURCES: tuple[type[base.SpeedSource], ...] = (trtexec.Trtexec, rdn_infer.OwnLog, *choice.DEVICES)
MAX_LOG_BYTES = 1 << 27
COLOUR = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')


def read(path: str, parse: Callable[[str, str], Figure]) -> Figure:
    """Read a log and parse it.

    Args:
        path: the log.
        parse: called with the log's text and the file's name without its folder.

    Returns:
        The result of `parse`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is too large, or `parse` raises ValueError; the message begins with the path.
    """
    files.check_plain(path, MAX_LOG_BYTES)
    with open(path, 'rb') as file:
        text = decode(file.read())
    with files.errors_naming(path):
        return parse(text, os.path.basename(path))


def decode(content: bytes) -> str:
    """Decode a log, remove colour codes, and make every line end a newline.

    Args:
        content: UTF-8, or the UTF-16 that PowerShell writes when it redirects output.
    """
    encoding = 'utf-16' if content[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    text = COLOUR.sub('', content.decode(encoding, errors='replace'))
    return text.replace('\r\n', '\n').replace('\r', '\n')


def parse_speed(text: str, name: str) -> speed.Speed:
    """Read the Speed in a log.

    Args:
        text: the log.
        name: the file's name, which may contain the batch size.

    Raises:
        ValueError: no known tool wrote the log, it is truncated, or it and its name differ in the batch size.
    """
    source = next((source for source in SOURCES if source.is_log(text)), None)
    if source is None:
        raise ValueError('neither a log of benchmark, ais_bench or trtexec, nor a result.json')
    found = source.read_speed(text)
    match = re.search(r'(?:batchsize_|_bs)(\d+)', name)
    named = int(match.group(1)) if match else None
    if named and found.batch and named != found.batch:
        raise ValueError(f'measured with batches of {found.batch}, but its name says {named}')
    return source.with_named_batch(found, named)


def source_of(found: speed.Speed) -> type[base.SpeedSource]:
    """Return the tool whose log the Speed is from."""
    return next(source for source in SOURCES if source.name == found.tool)


def card_rate(
    found: speed.Speed, record: run_record.Record | None, chips: int | None, device: str | None
) -> tuple[float, str]:
    """Return the speed of a whole card, and the card's name.

    The name comes from the log or from the record. If neither names a device, the guide's is assumed: one of the four
    devices of a 310 card for benchmark, a T4 for trtexec unless the log has another compute capability. ais_bench's
    chip stays unknown.

    Args:
        found: the Speed.
        record: the run's record; None if it has none.
        chips: the number of devices on the card, if the user gave it.
        device: the card's name, if the user gave it.

    Returns:
        Images/s of the card, and its name.

    Raises:
        ValueError: the user gave `chips` for a log of several devices; `chips` differs from the record's card, except for a
            310; or
            `device` is not the device in the log or in the record.
    """
    check_name(found, record, device)
    if found.devices > 1 and chips:
        raise ValueError(f'the log already counts {found.devices} devices: leave out --chips')
    source = source_of(found)
    name = found.device or found.unnamed_device or (record.chip if record else source.assumed_chip)
    devices = chip.devices_on_card(name, record and record.card_devices)
    if record and chips and chips != devices and name != '310':  # some boards have only one 310
        raise ValueError(f'measured on {name}, whose card has {cli.count(devices, "device")}: leave out --chips')
    if source.is_of_card or found.devices > 1:
        return found.rate, device or name
    devices = chips or (1 if device and not record and device != '310' else devices)
    return found.rate * devices, device or name


def check_name(found: speed.Speed, record: run_record.Record | None, device: str | None) -> None:
    """Check the user's name of a device against the log and the record.

    - The user's name may contain only words of the log's name: T4 for Tesla T4.
    - A log without a name may still show that its device is not the tool's assumed chip. Then that chip's name
      is refused.
    - A record has the chip's name. Cards have other names, so any name is accepted, unless the record shows that this
      machine's processor computed.

    Args:
        found: the Speed in the log.
        record: the run's record; None if it has none.
        device: the user's name; None accepts every log.

    Raises:
        ValueError: the name is refused.
    """
    asked = set((device or '').lower().split())
    if found.device and not asked <= set(found.device.lower().split()):
        raise ValueError(f'its log names {found.device}, not {device}: give only words of that name')
    if found.unnamed_device and source_of(found).assumed_chip.lower() in asked:
        raise ValueError(f'its log shows a {found.unnamed_device}, not {device}')
    if device and record and record.chip == run_record.HOST and device != run_record.HOST:
        raise ValueError(f"its record names this machine's processor, not {device}")


def batch_size(found: speed.Speed, record: run_record.Record | None) -> float | None:
    """Return the number of images in a batch.

    Args:
        found: the Speed in the log.
        record: the run's record; None if it has none.

    Returns:
        The record's batch size, else the log's, which is a fraction if it is the mean of several sizes; None if neither
        has one.

    Raises:
        ValueError: there is a record, and the log has a fraction.
    """
    if record and not found.is_of_one_batch_size:
        raise ValueError(f'its record says batches of {record.batch_size}, the log {found.batch:.4g} on average')
    return record.batch_size if record else found.batch
