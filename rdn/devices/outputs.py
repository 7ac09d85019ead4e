"""The outputs that the device's tools dump: finds them by the images' names, reads and checks them.

benchmark and RDN_infer.py write `{stem}_1.txt|bin` for each image, ais_bench writes `{stem}_0.txt|bin|npy`.
ais_bench makes a folder for each run, named after the time. If several devices compute, it contains a folder for each.
A model with taps (rdn/network/taps.py) has several outputs per image. They are numbered from 1 or 0, like a single
output; the first one is the result.
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
FIRST_NUMBERS = (0, 1)  # 0 from ais_bench, 1 from benchmark and RDN_infer.py
LEAST_WITH_TAPS = 3  # outputs of an image; two outputs are the results of two tools
DEVICE_FOLDER = re.compile(r'device\d+(_\d+)?$')  # ais_bench adds the second number since 2024
TIME_STAMP = re.compile(r'\d{4}_\d{2}_\d{2}-\d{2}_\d{2}_\d{2}$')
MAX_DIFFERENCE = 1e-3  # between two devices' outputs of an image, values 0...1: fp16 rounds by less


def list_outputs(folder: str) -> list[str]:
    """Return the sorted names of the dumped outputs in a folder, including taps; empty if there is no such folder."""
    return sorted(name for names in outputs_by_result(folder).values() for name in names)


def outputs_by_result(folder: str) -> dict[str, list[str]]:
    """Group the names of the outputs in a folder by result.

    Returns:
        The name of a result -> its name and those of its taps, in the model's order. The names in a group have the same
        ending and consecutive numbers. If tools wrote different endings for an image, it has several groups.
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
    """Find the folder with the outputs of one run.

    Args:
        folder: a folder of outputs, or ais_bench's --output, which contains a folder for each run.

    Returns:
        The given folder, or the newest run in it.

    Raises:
        ValueError: the folder contains several runs without time stamps, or both outputs and device folders.
    """
    if list_outputs(folder) and _device_folders(folder):
        raise ValueError(f'{folder}: contains both outputs and device folders, from different runs: remove one of them')
    if list_outputs(folder) or _device_folders(folder) or not os.path.isdir(folder):
        return folder
    stamped = [path for path in _folders_in(folder) if TIME_STAMP.match(os.path.basename(path))]
    if stamped:
        return max(stamped)  # even if this run failed: then its own error is better than an older run's outputs
    runs = [path for path in _folders_in(folder) if list_outputs(path) or _device_folders(path)]
    if len(runs) > 1:
        raise ValueError(f'{folder}: contains the outputs of several runs, {" and ".join(runs[:3])}: name one of them')
    return runs[0] if runs else folder


def find_outputs(folder: str, stems: Iterable[str]) -> dict[str, list[str]]:
    """Find the dumped outputs of images.

    Args:
        folder: the outputs; or ais_bench's folder that contains one for each device.
        stems: the images' names without their ending. Each must have an output, and each output must have a stem.

    Returns:
        Stem -> the paths of its outputs: one path, or one for each device if every device computed every image.

    Raises:
        OSError: there is no such folder.
        ValueError: a stem has no output, or several in one folder; an output belongs to none of the stems; or only
            some of the images were computed by several devices.
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
        raise ValueError(
            f'{folder}: either every device must compute all images, or only one device each image: run inference again'
        )
    return found


def _find_in_folder(folder: str, stems: Iterable[str]) -> dict[str, list[str]]:
    """Return stem -> the paths of its outputs in a folder, one or none. Raises the errors of `find_outputs`.

    ais_bench cuts an input's name at its first dot. Such an output is accepted if only one stem matches it.
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
    """Return the folders of devices in ais_bench's folder of outputs, sorted."""
    return [path for path in _folders_in(folder) if DEVICE_FOLDER.match(os.path.basename(path))]


def _folders_in(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith('.'))


def _owner(name: str, path: str, stems: Iterable[str], by_prefix: dict[str, list[str]]) -> str:
    """Return the stem of an output. Raises ValueError, with the output's path, if no stem or several match."""
    match = OUTPUT_NAME.match(name)
    assert match
    stem = match.group('stem')
    owners = [stem] if stem in stems else by_prefix.get(stem, []) if match.group('index') == '0' else []
    if not owners:
        raise ValueError(f'{path}: there is no label {stem}: remove this output, or prepare its image')
    if len(owners) > 1:
        raise ValueError(f'{path}: may belong to {" or ".join(owners)}: rename these images')
    return owners[0]


def read_outputs(paths: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """Read the output of one image, which several devices may have computed.

    Args:
        paths: the image's output from each device.
        shape: of the output.

    Returns:
        The first device's output, float32 of `shape`.

    Raises:
        OSError: a file cannot be read.
        ValueError: an output is corrupt, or two outputs differ by more than MAX_DIFFERENCE; names the files.
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
    """Read one dumped output: text, float32 binary (.bin) or .npy, according to its ending.

    Args:
        path: the output.
        shape: of the output.

    Returns:
        float32 of `shape`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has another number of values or other types, a value is not finite, or the file is still
            being written; names the file.
    """
    array = read_tap(path, shape)
    if not np.isfinite(array).all():  # a number beyond float32, such as 1e300, became inf
        raise ValueError(f'{path}: contains nan, inf or a number beyond float32: the device computed no picture')
    return array


def read_tap(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read one dumped output like `read_output`, but accept nan and inf, which a device writes if it overflows.

    Args:
        path: the output.
        shape: of the output.

    Returns:
        float32 of `shape`.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has another number of values or other types, or it is still being written.
    """
    before = _state(path)
    files.check_plain(path, 4096 + 64 * int(np.prod(shape)))  # a number's text is never longer than 64 bytes
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
    """Move outputs into a folder, and replace the earlier ones there.

    Args:
        moves: path -> new name.
        target: the folder.
    """
    with files.atomic_folder(target, list_outputs(target)) as partial:
        for path, name in moves.items():
            shutil.move(path, os.path.join(partial, name))


def remove_others(folder: str, run: Iterable[str | None]) -> None:
    """Remove the outputs, speeds and records that earlier runs with other tools or devices left in a folder.

    Args:
        folder: a batch size's folder.
        run: the paths of the last run's results, which stay.
    """
    paths = [path for path in run if path]
    kept = {os.path.basename(name) for path in paths for name in (path, run_record.path_of(path))}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name in kept or not output_names.OF_A_RUN.match(name) or os.path.islink(path):
            continue
        for output in list_outputs(path):
            os.remove(os.path.join(path, output))
        with contextlib.suppress(OSError):  # a folder that contains other files stays
            os.rmdir(path) if os.path.isdir(path) else os.remove(path)
