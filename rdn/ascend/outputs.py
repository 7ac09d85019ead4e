"""What the device computed, as its tools dump it: found by the images' names, read, checked.

`{stem}_1.txt|bin` from benchmark and RDN_infer.py, `{stem}_0.txt|bin|npy` from ais_bench, one an image.
"""

from __future__ import annotations

import collections
import errno
import os
import re
from typing import Iterable

from rdn import arrays, files
from rdn.ascend import ais_bench, benchmark, number_text

import numpy as np

OUTPUT_NAME = re.compile(r'(?P<stem>.+)_(?P<index>[01])\.(?P<ending>txt|bin|npy)$', re.DOTALL)


def list_outputs(folder: str) -> list[str]:
    """Sorted names of the dumped outputs in a folder; none where there is no such folder."""
    return sorted(filter(OUTPUT_NAME.match, os.listdir(folder))) if os.path.isdir(folder) else []


def find_outputs(folder: str, stems: Iterable[str]) -> dict[str, str]:
    """Stem -> path of its dumped output, for just these stems.

    ais_bench cuts an input's name at its first dot; such an output is taken where it can be of one
    stem only. Raises ValueError that names a stem without an output or with several, and an output
    that belongs to none (of an earlier run, say).
    """
    found: dict[str, list[str]] = {stem: [] for stem in stems}
    by_prefix = collections.defaultdict(list)
    for stem in found:
        by_prefix[ais_bench.output_prefix(stem)].append(stem)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, 'no such folder', folder)
    for name in list_outputs(folder):
        path = os.path.join(folder, name)
        found[_owner(name, path, found, by_prefix)].append(path)
    for stem, paths in found.items():
        if not paths:
            expected = benchmark.output_name(stem, binary=False)
            raise ValueError(f'{folder}: no output for {stem}: expected {expected} or one of its kind')
        if len(paths) > 1:
            names = ', '.join(map(os.path.basename, paths))
            raise ValueError(f'{folder}: {len(paths)} outputs for {stem} ({names}): keep one')
    return {stem: paths[0] for stem, paths in found.items()}


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


def read_output(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """One dumped output as float32 of `shape`; text, float32 binary or npy, by its ending.

    Raises ValueError, with the file's name, for another number of values, other types, values that
    are not finite, or a file that is still being written.
    """
    before = _state(path)
    files.check_plain(path, 4096 + 64 * int(np.prod(shape)))  # no notation takes more
    array = _read_values(path, shape)
    if _state(path) != before:
        raise ValueError(f'{path}: changed while it was read: wait until inference is done')
    if array.size != np.prod(shape):
        raise ValueError(f'{path}: {array.size} values, expected {np.prod(shape)}: {list(shape)}')
    with np.errstate(over='ignore'):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():  # also for what float32 does not hold, 1e300 say
        raise ValueError(f'{path}: holds nan, inf or a number beyond float32: the device computed no picture')
    return array.reshape(shape)


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
