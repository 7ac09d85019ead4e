"""Keep the warnings of C libraries off the user's console; the libraries write them directly to file descriptor 2."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from typing import IO, Iterator, TextIO

_lock = threading.RLock()  # all threads share file descriptor 2


@contextlib.contextmanager
def libraries() -> Iterator[None]:
    """Discard the output to file descriptor 2 during the block; exceptions are still raised."""
    with open(os.devnull, 'wb') as nowhere, _redirected(nowhere):
        yield


@contextlib.contextmanager
def into(file: IO[bytes]) -> Iterator[None]:
    """Redirect file descriptor 2 to a file during the block; other threads that redirect it wait for the block's end.

    Args:
        file: an open file with a descriptor.
    """
    with _redirected(file):
        yield


@contextlib.contextmanager
def overheard() -> Iterator[list[str]]:
    """Collect the lines that are written to file descriptor 2 during the block.

    Yields:
        A list, which is empty during the block and contains the lines after it.
    """
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        with _redirected(file):
            yield lines
        file.seek(0)
        lines += file.read().decode('utf-8', errors='replace').splitlines()


@contextlib.contextmanager
def console() -> Iterator[TextIO]:
    """Open a stream to the console, for output that must appear while another thread redirects file descriptor 2.

    Yields:
        A stream that keeps the target which sys.stderr has now.
    """
    try:
        with _lock:
            descriptor = os.dup(sys.stderr.fileno())
    except (OSError, AttributeError):  # sys.stderr is closed, or is an object without a descriptor
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
        except OSError:  # file descriptor 2 is closed
            yield
            return
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
