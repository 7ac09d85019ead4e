"""Sorting of more than memory should hold."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import pickle
import tempfile
from typing import BinaryIO, Iterable, Iterator

from rdn import files

HELD = 50_000
BLOCK = 500  # of a part in a file, read at a time


def external_sort(items: Iterable[str], held: int = HELD) -> Iterator[str]:
    """Yield the items in order. About `held` of them are in memory at a time, the others in temporary files."""
    rest = iter(items)
    part = sorted(itertools.islice(rest, held))
    if len(part) < held:
        yield from part
        return
    with contextlib.ExitStack() as stack:
        parts = []
        while part:
            file = stack.enter_context(tempfile.TemporaryFile())
            for start in range(0, len(part), BLOCK):
                with files.full_disk_naming(tempfile.gettempdir()):
                    pickle.dump(part[start : start + BLOCK], file)
            file.seek(0)
            parts.append(_read(file))
            part = sorted(itertools.islice(rest, held))
        yield from heapq.merge(*parts)


def _read(file: BinaryIO) -> Iterator[str]:
    with contextlib.suppress(EOFError):
        while True:
            yield from pickle.load(file)
