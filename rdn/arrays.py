"""Read arrays from .npy files and from plain float32 files. Errors name the file."""

from __future__ import annotations

import os
import threading

from rdn import escaping, files

import numpy as np

# numpy reads an .npy header with `ast`, which crashes Python 3.11 when two threads are in it.
NPY_HEADER_LOCK = threading.Lock()
MAX_NPY_BYTES = 1 << 36


def read_npy(path: str) -> np.ndarray:
    """Return the floating-point array in an .npy file.

    The array is memory-mapped: a header that claims a huge array costs no memory until the array is used.

    Args:
        path: the .npy file, of at most MAX_NPY_BYTES.

    Returns:
        The array, of any shape and floating-point type.

    Raises:
        ValueError: the file is not a complete .npy file of floating-point numbers; with the file's name.
    """
    files.check_plain(path, MAX_NPY_BYTES)
    try:
        with NPY_HEADER_LOCK:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
    except Exception as error:  # numpy raises many types of errors for a corrupt header
        raise ValueError(f'{path}: not a complete .npy file: {escaping.one_line(error)}')
    if not isinstance(array, np.ndarray) or array.dtype.kind != 'f':
        raise ValueError(f'{path}: not an array of floating-point numbers')
    return array


def check_float32(path: str, shape: tuple[int, ...]) -> None:
    """Check that a file has the size of a float32 array of this shape.

    Args:
        path: the file.
        shape: the shape of the array that the file should contain.

    Raises:
        ValueError: the file has another size; with the file's name.
    """
    size, wanted = os.path.getsize(path), 4 * int(np.prod(shape))
    if size != wanted:
        hint = '; it may be float16: write float32' if 2 * size == wanted else ''
        raise ValueError(f'{path}: {size} bytes, expected {wanted}: float32 {list(shape)}{hint}')


def read_float32(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array in a float32 file without a header.

    Args:
        path: the file.
        shape: the shape of the array.

    Returns:
        The array: float32, of this shape.

    Raises:
        ValueError: the file does not have the size of such an array; with the file's name.
    """
    check_float32(path, shape)
    return np.fromfile(path, np.float32).reshape(shape)
