"""Arrays in files: .npy, and plain float32. What is not just that is refused by name."""

from __future__ import annotations

import os
import threading

from rdn import escaping, files

import numpy as np

# numpy reads an .npy header with `ast`, which crashes Python 3.11 when two threads are in it.
NPY_HEADER_LOCK = threading.Lock()
MAX_NPY_BYTES = 1 << 36


def read_npy(path: str) -> np.ndarray:
    """A float array from an .npy file, in memory only once it is used: its header may promise anything.

    Raises ValueError, with the file's name, for anything else.
    """
    files.check_plain(path, MAX_NPY_BYTES)
    try:
        with NPY_HEADER_LOCK:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
    except Exception as error:  # numpy's reader of headers raises many kinds
        raise ValueError(f'{path}: not a whole .npy file: {escaping.one_line(error)}')
    if not isinstance(array, np.ndarray) or array.dtype.kind != 'f':
        raise ValueError(f'{path}: not an array of floating-point numbers')
    return array


def check_float32(path: str, shape: tuple[int, ...]) -> None:
    """Raises ValueError, with the file's name, unless it has the size of float32 of `shape`."""
    size, wanted = os.path.getsize(path), 4 * int(np.prod(shape))
    if size != wanted:
        hint = ' (half of that: fp16? float32 is wanted)' if 2 * size == wanted else ''
        raise ValueError(f'{path}: {size} bytes{hint}, expected {wanted}: float32 {list(shape)}')


def read_float32(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """A float32 binary file of just `shape`. Raises ValueError as check_float32 does."""
    check_float32(path, shape)
    return np.fromfile(path, np.float32).reshape(shape)
