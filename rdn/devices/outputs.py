"""What the device computed, as its tools dump it: found by the images' names, read, checked.

`{stem}_1.txt|bin` from benchmark and RDN_infer.py, `{stem}_0.txt|bin|npy` from ais_bench, one an image; ais_bench has
a folder for each run, named by its time, and in it, for several devices, one for each. The outputs of a model with taps
(rdn/network/taps.py) have the numbers from these on; the first of them is the result.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import itertools
import os
import re
import shutil
from typing import Iterable, Sequence

from rdn import arrays, files, run_record
from rdn.devices import number_text, output_names

import numpy as np

OUTPUT_NAME = re.compile(r'(?P<stem>.+)_(?P<index>0|[1-9][0-9]{0,3})\.(?P<ending>txt|bin|npy)$', re.DOTALL)
FIRST_NUMBERS = (0, 1)  # of ais_bench, and of benchmark and RDN_infer.py
LEAST_WITH_TAPS = 3  # outputs of an image; two are those of two tools
DEVICE_FOLDER = re.compile(r'device\d+(_\d+)?$')  # of 2023, and of 2024 with a number of their own
TIME_STAMP = re.compile(r'\d{4}_\d{2}_\d{2}-\d{2}_\d{2}_\d{2}$')
MAX_DIFFERENCE = 1e-3  # of two devices that compute the same, values 0...1: what fp16 may round


def list_outputs(folder: str) -> list[str]:
    """Sorted names of the dumped outputs in a folder, taps among them; none where there is no such folder."""
    return sorted(name for names in outputs_by_result(folder).values() for name in names)


def outputs_by_result(folder: str) -> dict[str, list[str]]:
    """Name of each image's first output in a folder -> the names of all its outputs, in the model's order.

    They have one ending, and are numbered without a gap. An image has several of these where tools wrote different
    endings.
    """
    by_number: dict[tuple[str, str], dict[int, str]] = collections.defaultdict(dict)
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        match = OUTPUT_NAME.match(name)
        if match:
            by_number[match.group('stem'), match.group('ending')][int(match.group('index'))] = name
    found = {}
    for names in by_number.values():
        first = min(names)
        if first in FIRST_NUMBERS:
            numbers = itertools.takewhile(names.__contains__, itertools.count(first))
            found[names[first]] = [names[number] for number in numbers]
    return found


def resolve_folder(folder: str) -> str:
    """The folder of outputs that is meant: the given one, or the newest run in it where it is ais_bench's --output.

    Raises ValueError where it holds several runs without time stamps, or both outputs and device folders.
    """
    if list_outputs(folder) and _device_folders(folder):
        raise ValueError(f'{folder}: holds outputs, and folders of devices, of another run: remove one of the two')
    if list_outputs(folder) or _device_folders(folder) or not os.path.isdir(folder):
        return folder
    stamped = [path for path in _folders_in(folder) if TIME_STAMP.match(os.path.basename(path))]
    if stamped:
        return max(stamped)  # with its own error where that run failed
    runs = [path for path in _folders_in(folder) if list_outputs(path) or _device_folders(path)]
    if len(runs) > 1:
        raise ValueError(f'{folder}: outputs of several runs in it, {" and ".join(runs[:3])}: name one')
    return runs[0] if runs else folder


def find_outputs(folder: str, stems: Iterable[str]) -> dict[str, list[str]]:
    """Stem -> paths of its dumped outputs, for just these stems: one, or one of each device that computed it.

    ais_bench writes a folder for each of several devices. Raises ValueError that names a stem without an output or
    with several in one folder, an output that belongs to none (of an earlier run, say), and devices of which some
    computed a part of what others computed.
    """
    stems = list(stems)
    devices = _device_folders(folder)
    if not devices:
        found = _find_in_folder(folder, stems)
        _check_complete(folder, found)
        return {stem: paths[:1] for stem, paths in found.items()}
    sets = [_find_in_folder(device, stems) for device in devices]
    found = {stem: [path for each in sets for path in each[stem]] for stem in stems}
    _check_complete(folder, found)
    counts = {len(paths) for paths in found.values()}
    if counts not in ({1}, {len(devices)}):
        raise ValueError(f'{folder}: its devices computed neither all images each nor each a part: run inference again')
    return found


def _find_in_folder(folder: str, stems: Iterable[str]) -> dict[str, list[str]]:
    """Stem -> paths of its outputs in a folder: one or none. Raises as find_outputs does.

    ais_bench cuts an input's name at its first dot; such an output is taken where it can be of one stem only.
    """
    found: dict[str, list[str]] = {stem: [] for stem in stems}
    by_prefix = collections.defaultdict(list)
    for stem in found:
        by_prefix[output_names.output_prefix(stem)].append(stem)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, 'no such folder', folder)
    for _, dumped in sorted(outputs_by_result(folder).items()):
        for name in dumped[:1] if len(dumped) >= LEAST_WITH_TAPS else dumped:
            path = os.path.join(folder, name)
            found[_owner(name, path, found, by_prefix)].append(path)
    for stem, paths in found.items():
        if len(paths) > 1:
            names = ', '.join(map(os.path.basename, paths))
            raise ValueError(f'{folder}: {len(paths)} outputs for {stem} ({names}): keep one')
    return found


def _check_complete(folder: str, found: dict[str, list[str]]) -> None:
    for stem, paths in found.items():
        if not paths:
            expected = output_names.output_name(stem, binary=False)
            raise ValueError(f'{folder}: no output for {stem}: expected {expected} or one of its kind')


def _device_folders(folder: str) -> list[str]:
    """The folders of several devices in ais_bench's folder of outputs, sorted."""
    return [path for path in _folders_in(folder) if DEVICE_FOLDER.match(os.path.basename(path))]


def _folders_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith('.'))


def _owner(name: str, path: str, stems: Iterable[str], by_prefix: dict[str, list[str]]) -> str:
    """The stem that an output belongs to. Raises ValueError, with its path, for none or several."""
    match = OUTPUT_NAME.match(name)
    assert match
    stem = match.group('stem')
    owners = [stem] if stem in stems else by_prefix.get(stem, []) if match.group('index') == '0' else []
    if not owners:
        raise ValueError(f'{path}: no label of the name {stem}: remove it, or prepare its image')
    if len(owners) > 1:
        raise ValueError(f'{path}: may be of {" or of ".join(owners)}: rename these images')
    return owners[0]


def read_outputs(paths: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """The output of one image, which several devices may have computed, as read_output reads it.

    Raises ValueError, with both names, where two devices differ by more than MAX_DIFFERENCE.
    """
    first = read_output(paths[0], shape)
    for path in paths[1:]:
        difference = float(np.abs(read_output(path, shape) - first).max())
        if difference > MAX_DIFFERENCE:
            raise ValueError(
                f'{path} and {paths[0]} differ by {difference:.2g}: two devices computed different pictures'
            )
    return first


def read_output(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """One dumped output as float32 of `shape`; text, float32 binary or npy, by its ending.

    Raises ValueError, with the file's name, for another number of values, other types, values that
    are not finite, or a file that is still being written.
    """
    array = read_tap(path, shape)
    if not np.isfinite(array).all():  # also for what float32 does not hold, 1e300 say
        raise ValueError(f'{path}: holds nan, inf or a number beyond float32: the device computed no picture')
    return array


def read_tap(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """As read_output, with values that are not finite as they are: a device that overflows writes such taps."""
    before = _state(path)
    files.check_plain(path, 4096 + 64 * int(np.prod(shape)))  # no notation takes more
    array = _read_values(path, shape)
    if _state(path) != before:
        raise ValueError(f'{path}: changed while it was read: wait until inference is done')
    if array.size != np.prod(shape):
        raise ValueError(f'{path}: {array.size} values, expected {np.prod(shape)}: {list(shape)}')
    with np.errstate(over='ignore'):
        return array.astype(np.float32).reshape(shape)


def _read_values(path: str, shape: tuple[int, ...]) -> np.ndarray:
    ending = os.path.splitext(path)[1]
    if ending == '.bin':
        return arrays.read_float32(path, shape)
    if ending == '.npy':
        return arrays.read_npy(path)
    with open(path, 'rb') as file, files.errors_naming(path):
        return number_text.parse_text(file.read())


def _state(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def move(moves: dict[str, str], target: str) -> None:
    """Put outputs (path -> new name) into the folder `target`, in place of earlier ones."""
    with files.atomic_folder(target, list_outputs(target)) as partial:
        for path, name in moves.items():
            shutil.move(path, os.path.join(partial, name))


def remove_others(folder: str, run: Iterable[str | None]) -> None:
    """Remove from a batch size's folder what earlier runs of other tools or devices left: outputs, speeds, records.

    run: the paths of what the last run left, which stays.
    """
    paths = [path for path in run if path]
    kept = {os.path.basename(name) for path in paths for name in (path, run_record.path_of(path))}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name in kept or not output_names.OF_A_RUN.match(name) or os.path.islink(path):
            continue
        for output in list_outputs(path):
            os.remove(os.path.join(path, output))
        with contextlib.suppress(OSError):  # where something of another kind lies in it
            os.rmdir(path) if os.path.isdir(path) else os.remove(path)
