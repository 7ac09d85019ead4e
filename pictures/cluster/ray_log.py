"""Keep Ray's own messages off the console, in a file that exists only if a line on the console names it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from typing import IO, Any, Iterator, NoReturn, TextIO

from pictures.formats import stderr_capture
from rdn import files, stopping

NAME = 'ray.log'


class RayLog:
    """The file of Ray's own messages, written only after the console has named it.

    Attributes:
        is_named: whether the console has named the file.
    """

    def __init__(self, path: str, lines: IO[bytes]):
        """Prepare the file, without writing it.

        Args:
            path: the path of the file.
            lines: a temporary file, to which Ray prints.
        """
        self._path, self._lines = path, lines
        self.is_named = False

    def describe_lost(self, address: str) -> str:
        """Write the file, and return the line on a node that was lost, which names it."""
        self.is_named = True
        self.write()
        return f"a node was lost: {address}; its pictures are retried; Ray's own messages are in {self._path}"

    def describe_end(self) -> str:
        """Write the file, and return the line on the sudden end of this process, which names it."""
        self.is_named = True
        self.write()
        return (
            'the run was ended from outside or by Ray: the same command with --resume continues; '
            f"Ray's own messages are in {self._path}\n"
        )

    def write(self) -> None:
        """Update the file with all messages, if the console has named it."""
        if self.is_named:
            with files.atomic_file(self._path) as file:
                file.write(self.content())

    def content(self) -> bytes:
        """Return all that Ray has printed."""
        number = self._lines.fileno()  # pread keeps the position in the file, where Ray continues to print
        return os.pread(number, os.fstat(number).st_size, 0)


class _Divided:
    """A standard output for one thread, the one that makes it; the text of Ray's threads goes into a file."""

    def __init__(self, stream: TextIO, lines: IO[bytes]):
        self._stream, self._lines, self._owner = stream, lines, threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._owner:
            return self._stream.write(text)
        os.write(self._lines.fileno(), text.encode(errors='replace'))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _watched(log: RayLog) -> Iterator[None]:
    """Print a line on stderr if this process ends suddenly within the block, as Ray's C++ code may make it do.

    A child process waits for the end of this one and prints the line.
    """
    errors = stopping.duplicate_of_stderr()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        _wait_and_say(reading, errors, log)

    def release() -> None:
        with contextlib.suppress(OSError):
            os.write(writing, b'.')

    os.close(reading)
    try:
        with stopping.before_exit(release):
            yield
    finally:
        release()
        os.close(writing)
        os.close(errors)
        os.waitpid(child, 0)


def _wait_and_say(reading: int, errors: int, log: RayLog) -> NoReturn:
    """Run as the child process: wait, print the line if needed, and exit without using locks that the fork copied."""
    try:
        for number in stopping.NUMBERS:
            signal.signal(number, signal.SIG_IGN)
        if not os.read(reading, 1):
            os.write(errors, log.describe_end().encode(errors='replace'))
    finally:
        os._exit(0)


@contextlib.contextmanager
def captured(failures: str | None) -> Iterator[RayLog]:
    """Collect Ray's messages for the time of the block; if the block fails, print them on stderr.

    Ray's C++ code writes to file descriptor 2, and a thread of Ray prints messages from other machines on standard output.

    Args:
        failures: the path of the run's log, whose folder is used for Ray's log too; None: the current folder.

    Yields:
        The file of Ray's messages.
    """
    path = os.path.join(os.path.dirname(failures or ''), NAME)
    with tempfile.TemporaryFile() as lines:
        found = RayLog(path, lines)
        try:
            with _watched(found), stderr_capture.into(lines), contextlib.redirect_stdout(_Divided(sys.stdout, lines)):
                yield found
        except Exception:
            if not found.is_named:
                sys.stderr.write(found.content().decode(errors='replace'))
            raise
        finally:
            found.write()
