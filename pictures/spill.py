"""Pixels in float32 between two passes of the network: in memory, or if they are many, in a file without a name."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from typing import Sequence

import numpy as np

HELD_BYTES = 1 << 28  # more than that goes to a file
NO_RESERVING = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)  # of file systems that cannot


def spilled_bytes(shape: Sequence[int]) -> int:
    """Return how much room on the disk planes of a shape (C, H, W) take; 0 if they stay in memory."""
    size = 4 * shape[0] * shape[1] * shape[2]
    return size if size > HELD_BYTES else 0


def new_planes(shape: Sequence[int], folder: str) -> np.ndarray:
    """Return planes (C, H, W) of float32 with arbitrary content.

    Those of more than HELD_BYTES lie in a file of the folder that has no name, so the system removes it with the array,
    and also when the process is killed.

    Raises:
        ValueError: the folder has no room.
    """
    size = spilled_bytes(shape)
    if not size:
        return np.empty(shape, np.float32)
    folder = _existing(folder)
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file.fileno(), size, folder)
        return np.memmap(file, np.float32, 'r+', shape=tuple(shape))


def check_room(needed: int, folder: str) -> None:
    """Raise ValueError where a folder, or the one in which it will be made, has less room than so many bytes."""
    folder = _existing(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f'{folder}: {_gigabytes(free)} are free, and this size needs {_gigabytes(needed)} between the passes of the '
            'model: free some, ask for a smaller size, or name an --output on another disk'
        )


def check_memory(size: tuple[int, int], channels: int, dtype: np.dtype) -> None:
    """Raise ValueError for a result (width, height) that is larger than the machine's memory, which has to hold it."""
    needed = size[0] * size[1] * channels * np.dtype(dtype).itemsize
    there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > there:
        raise ValueError(
            f'{size[0]} x {size[1]} pixels take {_gigabytes(needed)}, and this machine has {_gigabytes(there)} of memory: '
            'ask for a smaller size'
        )


def _existing(folder: str) -> str:
    """The folder, or the nearest one above it that exists: those of results are made when the first result is written."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _reserve(descriptor: int, size: int, folder: str) -> None:
    """Take the room at once: a full disk would end the process later, in the middle of a write to memory."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except AttributeError:  # macOS
        os.ftruncate(descriptor, size)
    except OSError as error:
        if error.errno in NO_RESERVING:
            os.ftruncate(descriptor, size)
        elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ValueError(f'{folder}: no room for {_gigabytes(size)} between the passes of the model: free some')
        else:
            raise


def _gigabytes(size: int) -> str:
    return f'{size / 1e9:.1f} GB'
