"""Store the float32 pixels between two passes of the network: in memory, or in a temporary file if there are many."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from typing import Sequence

import numpy as np

HELD_BYTES = 1 << 28  # larger pictures go to a file
NO_RESERVING = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)  # errors of file systems that cannot reserve space


def spilled_bytes(shape: Sequence[int]) -> int:
    """Return the bytes on disk that planes of a shape (C, H, W) take; 0 if they stay in memory."""
    size = 4 * shape[0] * shape[1] * shape[2]
    return size if size > HELD_BYTES else 0


def new_planes(shape: Sequence[int], folder: str) -> np.ndarray:
    """Return uninitialized planes (C, H, W) of float32.

    Planes of more than HELD_BYTES are in an unnamed file, which the system removes with the array, and also when the
    process is killed.

    Args:
        shape: (C, H, W).
        folder: the folder for the file; if it does not exist, the nearest one above it that exists.

    Raises:
        ValueError: the folder's disk has too little space.
    """
    size = spilled_bytes(shape)
    if not size:
        return np.empty(shape, np.float32)
    folder = _existing(folder)
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno(), size, folder)
        return np.memmap(file, np.float32, 'r+', shape=tuple(shape))


def check_room(needed: int, folder: str) -> None:
    """Check that a folder's disk has enough space.

    Args:
        needed: bytes.
        folder: the folder, which need not exist yet.

    Raises:
        ValueError: the disk has too little space.
    """
    folder = _existing(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f'{folder}: {_gigabytes(free)} are free, but this size needs {_gigabytes(needed)} between the passes of the '
            'model: free some space, choose a smaller size, or name an --output on another disk'
        )


def check_memory(size: tuple[int, int], channels: int, dtype: np.dtype) -> None:
    """Check that a result fits into the machine's memory.

    Args:
        size: (width, height) of the result in pixels.
        channels: number of channels.
        dtype: type of a value.

    Raises:
        ValueError: the result is larger than the memory.
    """
    needed = size[0] * size[1] * channels * np.dtype(dtype).itemsize
    there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > there:
        raise ValueError(
            f'{size[0]} x {size[1]} pixels take {_gigabytes(needed)}, but this machine has {_gigabytes(there)} of memory: '
            'choose a smaller size'
        )


def _existing(folder: str) -> str:
    """Return the folder, or the nearest one above it that exists: the first result that is written makes its folder."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _reserve(descriptor: int, size: int, folder: str) -> None:
    """Reserve the space at once: if the disk became full later, a write to the mapped memory would end the process."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:  # macOS
        os.ftruncate(descriptor, size)
    except OSError as error:
        if error.errno in NO_RESERVING:
            os.ftruncate(descriptor, size)
        elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ValueError(
                f'{folder}: no space for {_gigabytes(size)} between the passes of the model: free some space'
            )
        else:
            raise


def _gigabytes(size: int) -> str:
    return f'{size / 1e9:.1f} GB'
