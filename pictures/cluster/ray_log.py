"""What Ray prints by itself: into a file that a line names where a node was lost, so that the console has that line alone."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from typing import IO, Iterator

from pictures.formats import stderr_capture
from rdn import files

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

    def write(self) -> None:
        """Bring the file up to date, if it has been named."""
        if self.is_named:
            with files.atomic_file(self._path) as file:
                file.write(self.content())

    def content(self) -> bytes:
        """What Ray has printed. It goes on printing, so the position in the file stays where it is."""
        number = self._lines.fileno()
        return os.pread(number, os.fstat(number).st_size, 0)


@contextlib.contextmanager
def captured(failures: str | None) -> Iterator[RayLog]:
    """Take what is written to file descriptor 2 while the block lasts; where it fails, show that as it came.

    Args:
        failures: the path of the run's log, in whose folder Ray's lies; None for the current folder.

    Yields:
        The file of Ray's lines.
    """
    path = os.path.join(os.path.dirname(failures or ''), NAME)
    with tempfile.TemporaryFile() as lines:
        found = RayLog(path, lines)
        try:
            with stderr_capture.into(lines):
                yield found
        except Exception:
            if not found.is_named:
                sys.stderr.write(found.content().decode(errors='replace'))
            raise
        finally:
            found.write()
