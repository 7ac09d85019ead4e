"""Libraries in C write their warnings to file descriptor 2 by themselves: nothing of that belongs on a person's console."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from typing import IO, Iterator, TextIO

_lock = threading.RLock()  # one descriptor for all threads


@contextlib.contextmanager
def libraries() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere while the block lasts; what goes wrong is raised all the same."""
    with open(os.devnull, 'wb') as nowhere, _redirected(nowhere):
        yield


@contextlib.contextmanager
def into(file: IO[bytes]) -> Iterator[None]:
    """Send what is written to file descriptor 2 to a file while the block lasts. Other threads must not redirect it."""
    with _redirected(file):
        yield


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, the lines that were written to file descriptor 2 in it."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        with _redirected(file):
            yield lines
        file.seek(0)
        lines += file.read().decode('utf-8', errors='replace').splitlines()


@contextlib.contextmanager
def console() -> Iterator[TextIO]:
    """Yield a stream to where sys.stderr goes now, for what has to arrive there while another thread redirects that."""
    try:
        with _lock:
            descriptor = os.dup(sys.stderr.fileno())
    except (OSError, AttributeError):  # it is closed, or another object that has no descriptor
        yield sys.stderr
        return
    with open(descriptor, 'w', encoding=sys.stderr.encoding, errors=sys.stderr.errors) as stream:
        yield stream


@contextlib.contextmanager
def _redirected(file: IO[bytes]) -> Iterator[None]:
    with _lock:
        sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # closed already
            yield
            return
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
