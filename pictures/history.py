"""What earlier runs made: a hidden file in each folder of results says which result is of which picture and how it was made.

A line is believed only while the result and its source have the size and the time of their last change that it names.
So a result that someone edited, replaced or copied is a foreign file, which no run replaces without being asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from typing import Any, NamedTuple

from rdn import files

NAME = '.rdn-upscale.jsonl'
MAX_BYTES = 1 << 28  # of a million results


class Made(NamedTuple):
    """A line of a record.

    Attributes:
        result: the name of the result, which lies beside the record.
        source: the path of the picture, from the folder of the record.
        made: a digest of the model and the settings.
        result_state: its size in bytes and the time of its last change in nanoseconds.
        source_state: the same of the picture.
    """

    result: str
    source: str
    made: str
    result_state: list[int]
    source_state: list[int]


class History:
    """The records of all folders of results. Threads may use it at once."""

    def __init__(self, made: str = ''):
        """Prepare to read and write records. made: a digest of the model and the settings of this run."""
        self._made = made
        self._folders: dict[str, dict[str, Made]] = {}  # folder -> result -> its last line
        self._sizes: dict[str, int] = {}  # folder -> bytes of its record that are known here
        self._lock = threading.Lock()

    def proves(self, source: str, target: str) -> bool:
        """Return whether `target` is the result that this model and these settings made of `source`, unchanged since."""
        entry = self._entry(target)
        if not entry or entry.made != self._made or entry.source != _from_folder(source, target):
            return False
        return entry.result_state == _state_of(target) and entry.source_state == _state_of(source)

    def is_result(self, path: str, source: str | None = None) -> bool:
        """Return whether a file is a result of any model and settings, unchanged since; source: of that picture."""
        entry = self._entry(path)
        if not entry or entry.result_state != _state_of(path):
            return False
        return source is None or entry.source == _from_folder(source, path)

    def is_of_this_run(self, path: str) -> bool:
        """Return whether the model and the settings of this run made a file, unchanged since."""
        entry = self._entry(path)
        return entry is not None and entry.made == self._made and entry.result_state == _state_of(path)

    def source_of(self, target: str) -> str | None:
        """Return the absolute path of the picture that a result was last made of; None where no record says it."""
        entry = self._entry(target)
        return entry and os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(target)), entry.source))

    def results_in(self, folder: str) -> list[str]:
        """Return the paths of all results that the record of a folder names, first ones first."""
        return [os.path.join(folder, name) for name in self._load(folder)]

    def add(self, source: str, target: str, partial: int) -> None:
        """Write a line on a result, before it takes its name: a result without a line would be foreign.

        A record that cannot be written is left as it is: the result counts as foreign then.

        Args:
            source: the path of the picture.
            target: the path that the result will have.
            partial: a descriptor of the complete result.
        """
        folder = os.path.dirname(os.path.abspath(target))
        states = _state(os.fstat(partial)), _state_of(source) or []
        entry = Made(os.path.basename(target), _from_folder(source, target), self._made, *states)
        line = '\n' + json.dumps(entry._asdict())  # the line break first: an earlier line may have been cut short
        with self._lock, contextlib.suppress(OSError):
            self._load_locked(folder)[entry.result] = entry
            _append(os.path.join(folder, NAME), line.encode())
            self._sizes[folder] = self._sizes.get(folder, 0) + len(line.encode())

    def refresh(self, target: str) -> None:
        """Read the record of a result's folder again if another run wrote to it since."""
        folder = os.path.dirname(os.path.abspath(target))
        with self._lock:
            if folder in self._folders and _size(os.path.join(folder, NAME)) != self._sizes.get(folder):
                del self._folders[folder]

    def _entry(self, target: str) -> Made | None:
        return self._load(os.path.dirname(os.path.abspath(target))).get(os.path.basename(target))

    def _load(self, folder: str) -> dict[str, Made]:
        with self._lock:
            return self._load_locked(os.path.abspath(folder))

    def _load_locked(self, folder: str) -> dict[str, Made]:
        if folder not in self._folders:
            path = os.path.join(folder, NAME)
            self._sizes[folder] = _size(path)
            self._folders[folder] = _read(path)
        return self._folders[folder]


def _read(path: str) -> dict[str, Made]:
    """The last line on each result. A line that was cut short or that someone edited says nothing."""
    entries: dict[str, Made] = {}
    with contextlib.suppress(OSError, ValueError):
        files.check_plain(path, MAX_BYTES)
        with open(path, 'rb') as file:
            for line in file:
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    entry = Made(**files.parse_json(line.decode()))
                    if all(isinstance(text, str) for text in entry[:3]):
                        entries[entry.result] = entry
    return entries


def _size(path: str) -> int:
    """Of a file, in bytes; 0 where there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _append(path: str, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _from_folder(source: str, target: str) -> str:
    """The path of a source from the folder of a result: both may move together."""
    return os.path.relpath(os.path.abspath(source), os.path.dirname(os.path.abspath(target)))


def _state_of(path: str) -> list[int] | None:
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def _state(status: Any) -> list[int]:
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else []


def digest_of(*settings: object) -> str:
    """Return a digest of what a result depends on. settings: texts and numbers, and tuples of them."""
    return files.digest_of_text(json.dumps(settings, default=str))
