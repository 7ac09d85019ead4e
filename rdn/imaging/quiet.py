"""Libraries in C write their warnings to file descriptor 2 by themselves: nothing of that belongs on a person's console."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import Iterator

_lock = threading.RLock()  # one descriptor for all threads


@contextlib.contextmanager
def libraries() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere while the block lasts; what goes wrong is raised all the same."""
    with _lock:
        sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # closed already
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(nowhere)
