"""Speeds from the logs of all tools: the content says which tool wrote it."""

from __future__ import annotations

import os
import re
from typing import Callable, TypeVar

from rdn import files, run_record
from rdn.devices import base, chip, choice, rdn_infer, speed, trtexec

Figure = TypeVar('Figure')

SOURCES: tuple[type[base.SpeedSource], ...] = (trtexec.Trtexec, rdn_infer.OwnLog, *choice.DEVICES)
MAX_LOG_BYTES = 1 << 27
COLOUR = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')


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


def parse_speed(text: str, name: str) -> speed.Speed:
    """Read the Speed of a log.

    Args:
        text: the log.
        name: of its file, which may say the batch size too.

    Raises:
        ValueError: it is not a log of these tools, is truncated, or name and content differ in the batch size.
    """
    source = next((source for source in SOURCES if source.is_log(text)), None)
    if source is None:
        raise ValueError('neither a log of benchmark, ais_bench or trtexec, nor a result.json')
    found = source.read_speed(text)
    match = re.search(r'(?:batchsize_|_bs)(\d+)', name)
    named = int(match.group(1)) if match else None
    if named and found.batch and named != found.batch:
        raise ValueError(f'measured with batches of {found.batch}, its name says {named}')
    return source.with_named_batch(found, named)


def source_of(found: speed.Speed) -> type[base.SpeedSource]:
    """The tool that a Speed comes from."""
    return next(source for source in SOURCES if source.name == found.tool)


def card_rate(
    found: speed.Speed, record: run_record.Record | None, chips: int | None, device: str | None
) -> tuple[float, str]:
    """Return (images/s of a whole card, its name).

    A log that names its device is of that device. Another one without a record is taken to be the guide's: benchmark's
    of one device of a 310, which has four, trtexec's of a T4 unless its compute capability differs. The chip of
    ais_bench's is not known.

    Args:
        found: the Speed.
        record: what is known of the run.
        chips: how many devices the card holds, if the user says so.
        device: the card's name, if the user says so.

    Raises:
        ValueError: a log of several devices is to be multiplied, or by more devices than the record's card holds; the
            user's name is not of the device that the log or the record names.
    """
    check_name(found, record, device)
    if found.devices > 1 and chips:
        raise ValueError(f'the log is of {found.devices} devices already: leave --chips out')
    source = source_of(found)
    name = found.device or found.unnamed_device or (record.chip if record else source.assumed_chip)
    devices = chip.devices_on_card(name, record and record.card_devices)
    if record and chips and chips != devices and name != '310':  # there are boards with one
        raise ValueError(f'measured on {name}, of which a card holds {devices}: leave --chips out')
    if source.is_of_card or found.devices > 1:
        return found.rate, device or name
    devices = chips or (1 if device and not record and device != '310' else devices)
    return found.rate * devices, device or name


def check_name(found: speed.Speed, record: run_record.Record | None, device: str | None) -> None:
    """Raises ValueError where the user's name for a device is not of the one that the log or the record names.

    The user's name may be a part of the log's (T4 of Tesla T4), but may not add words. A log that shows that its
    unnamed device is not the tool's assumed chip refuses that chip's name. A record names a chip, whose cards have other
    names; only this machine's processor is no card.
    """
    asked = set((device or '').lower().split())
    if found.device and not asked <= set(found.device.lower().split()):
        raise ValueError(
            f'measured on {found.device}, by its log: not on {device}; only words of that name may be given'
        )
    if found.unnamed_device and source_of(found).assumed_chip.lower() in asked:
        raise ValueError(f'measured on a {found.unnamed_device}, by its log: not on {device}')
    if device and record and record.chip == run_record.HOST and device != run_record.HOST:
        raise ValueError(f"measured on this machine's processor, by its record: not on {device}")


def batch_size(found: speed.Speed, record: run_record.Record | None) -> float | None:
    """The images in a batch: as the record has it, else the log; a fraction where the log gives a mean of several sizes.

    Raises:
        ValueError: there is a record, and the log gives a fraction.
    """
    if record and not found.is_of_one_batch_size:
        raise ValueError(f'its record says batches of {record.batch_size}, the log {found.batch:.4g} on average')
    return record.batch_size if record else found.batch
