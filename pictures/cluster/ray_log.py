"""What Ray prints by itself: into a file that a line names where a node was lost, so that the console has that line alone."""

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
    """The file of Ray's own lines, which is there once it is named."""

    def __init__(self, path: str, lines: IO[bytes]):
        """lines: what Ray has printed so far, in a file without a name."""
        self._path, self._lines = path, lines
        self.is_named = False

    def describe_lost(self, address: str) -> str:
        """The line on a node that was lost; the file that it names is there from now on."""
        self.is_named = True
        self.write()
        return f"a node was lost: {address}; its pictures are done again, and Ray's own lines are in {self._path}"

    def describe_end(self) -> str:
        """The line on this process, which ended without one; the file that it names is there from now on."""
        self.is_named = True
        self.write()
        return f"the run was ended from outside or by Ray: the same command with --resume goes on; Ray's own lines are in {self._path}\n"

    def write(self) -> None:
        """Bring the file up to date, if it has been named."""
        if self.is_named:
            with files.atomic_file(self._path) as file:
                file.write(self.content())

    def content(self) -> bytes:
        """What Ray has printed. It goes on printing, so the position in the file stays where it is."""
        number = self._lines.fileno()
        return os.pread(number, os.fstat(number).st_size, 0)


class _Divided:
    """Standard output of the thread that makes it; what other threads print, which are Ray's, goes into a file."""

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
    """Say so on stderr if this process ends within the block without a word, as Ray's C++ may have it do.

    A child of this process waits for its end.
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
    """What the child does: nothing of Python's that a fork may have left locked."""
    try:
        for number in stopping.NUMBERS:
            signal.signal(number, signal.SIG_IGN)
        if not os.read(reading, 1):
            os.write(errors, log.describe_end().encode(errors='replace'))
    finally:
        os._exit(0)


@contextlib.contextmanager
def captured(failures: str | None) -> Iterator[RayLog]:
    """Take what Ray prints while the block lasts; where the block fails, show it on stderr as it came.

    Ray's C++ writes to file descriptor 2. A thread of Ray's prints messages of other machines on standard output.

    Args:
        failures: the path of the run's log, in whose folder Ray's lies; None for the current folder.

    Yields:
        The file of Ray's lines.
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
