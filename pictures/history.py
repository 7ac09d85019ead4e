"""Records of earlier runs: a hidden file in each folder of results names the source and the settings of each result.

A line of a record is valid only while the result and its source have the recorded sizes and modification times. A result
that someone edited, replaced or copied therefore counts as a foreign file, which no run replaces unless a flag says so.
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
MAX_BYTES = 1 << 28  # enough for a million results


class Made(NamedTuple):
    """A line of a record.

    Attributes:
        result: the file name of the result, which is in the folder of the record.
        source: the path of the picture, relative to the folder of the record.
        made: a digest of the model and the settings.
        result_state: size in bytes and modification time in nanoseconds of the result.
        source_state: size and modification time of the picture.
    """

    result: str
    source: str
    made: str
    result_state: list[int]
    source_state: list[int]


class History:
    """The records of all folders of results; safe to use from several threads."""

    def __init__(self, made: str = ''):
        """Prepare to read and write records.

        Args:
            made: a digest of the model and the settings of this run.
        """
        self._made = made
        self._folders: dict[str, dict[str, Made]] = {}  # folder -> result -> its last line
        self._sizes: dict[str, int] = {}  # folder -> size in bytes of its record when it was read or last written
        self._lock = threading.Lock()

    def proves(self, source: str, target: str) -> bool:
        """Return whether this model and these settings made `target` from `source`, and neither has changed since."""
        entry = self._entry(target)
        if not entry or entry.made != self._made or entry.source != _from_folder(source, target):
            return False
        return entry.result_state == _state_of(target) and entry.source_state == _state_of(source)

    def is_result(self, path: str, source: str | None = None) -> bool:
        """Return whether a file is a result of any model and settings, unchanged since.

        Args:
            path: the file.
            source: the picture that it must be a result of; None: any picture.
        """
        entry = self._entry(path)
        if not entry or entry.result_state != _state_of(path):
            return False
        return source is None or entry.source == _from_folder(source, path)

    def is_of_this_run(self, path: str) -> bool:
        """Return whether the model and the settings of this run made a file, and it has not changed since."""
        entry = self._entry(path)
        return entry is not None and entry.made == self._made and entry.result_state == _state_of(path)

    def source_of(self, target: str) -> str | None:
        """Return the absolute path of the picture that a result was last made from; None if no record names it."""
        entry = self._entry(target)
        return entry and os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(target)), entry.source))

    def results_in(self, folder: str) -> list[str]:
        """Return the paths of all results that the record of a folder names, in the order of the record."""
        return [os.path.join(folder, name) for name in self._load(folder)]

    def add(self, source: str, target: str, partial: int) -> None:
        """Add a result to the record of its folder.

        Call this before the result is renamed to its final name: a result without a line would count as a foreign file.
        If the record cannot be written, no error is raised, and the result counts as foreign.

        Args:
            source: the path of the picture.
            target: the final path of the result.
            partial: a file descriptor of the complete result.
        """
        folder = os.path.dirname(os.path.abspath(target))
        states = _state(os.fstat(partial)), _state_of(source) or []
        entry = Made(os.path.basename(target), _from_folder(source, target), self._made, *states)
        line = '\n' + json.dumps(entry._asdict())  # the line break comes first: the previous line may be truncated
        with self._lock, contextlib.suppress(OSError):
            self._load_locked(folder)[entry.result] = entry
            _append(os.path.join(folder, NAME), line.encode())
            self._sizes[folder] = self._sizes.get(folder, 0) + len(line.encode())

    def refresh(self, target: str) -> None:
        """Forget the record of a result's folder if another run has changed it, so that it is read again."""
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
    """Return the last line on each result; skip lines that are truncated or invalid."""
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
    """Return the size of a file in bytes; 0 if there is no file."""
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
    """Return the path of a source relative to the folder of a result, which stays valid if both move together."""
    return os.path.relpath(os.path.abspath(source), os.path.dirname(os.path.abspath(target)))


def _state_of(path: str) -> list[int] | None:
    try:
        return _state(os.stat(path))
    except OSError:
        return None


def _state(status: Any) -> list[int]:
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else []


def digest_of(*settings: object) -> str:
    """Return a digest of the settings that a result depends on.

    Args:
        settings: texts and numbers, and tuples of them.
    """
    return files.digest_of_text(json.dumps(settings, default=str))
