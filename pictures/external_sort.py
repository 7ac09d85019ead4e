"""Sort more texts than should be in memory at once."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import pickle
import tempfile
from typing import BinaryIO, Iterable, Iterator

from rdn import files

HELD = 50_000  # items in memory at a time
BLOCK = 500  # items read at a time from each temporary file


def external_sort(items: Iterable[str], held: int = HELD) -> Iterator[str]:
    """Yield the items in sorted order, with most of them in temporary files.

    Args:
        items: texts in any order.
        held: about how many items are in memory at a time.

    Raises:
        OSError: the disk of the temporary files is full.
    """
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
