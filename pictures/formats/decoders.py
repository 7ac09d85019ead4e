"""Decoders that may crash, each in a process of its own: a crash costs one picture, and the others go on.

Libraries in C that decode rare formats have crashed on damaged files: a segmentation fault, an abort, too much memory. No
`except` catches that, so a worker process reads such a picture and sends its pixels back. A worker is a new Python program,
never a fork, because a fork copies locked locks of other threads. It starts with the first picture that needs it and is
reused. decoder_worker.py is what runs there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO, Iterator, NamedTuple

from pictures.formats import base
from rdn import cpu

import numpy as np

MAX_WORKERS = 4  # each holds 100 MB and more
SECONDS = 900  # for one picture; after that its decoder is in an endless loop
LENGTH = struct.Struct('>Q')  # before each message
# The worker imports from where this process does: a cluster puts our packages elsewhere.
PROGRAM = 'import sys; sys.path[:] = sys.argv[1:]; from pictures.formats import decoder_worker; decoder_worker.serve()'


class Reading(NamedTuple):
    """A file for a worker to read.

    Attributes:
        format_name: of the Format that reads it.
        path: of the file.
        folder: where a relative path begins.
        page: the number of the page to read, from 0; None: the picture, as `Format.read` does.
    """

    format_name: str
    path: str
    folder: str | None
    page: int | None = None


class Reply(NamedTuple):
    """A worker's answer, after which the pixels follow as bytes.

    Attributes:
        content: a base.Content without its pixels; None after an error.
        shape: of the pixels (H, W, C).
        dtype: of the pixels.
        notes: on reading.
        error: why the file is not read; None where it is.
    """

    content: Any = None
    shape: tuple[int, ...] = ()
    dtype: str = ''
    notes: tuple[str, ...] = ()
    error: Exception | None = None


class _CrashError(Exception):
    """A worker that ended without an answer."""


def read(found: base.Format, path: str, notes: list[str], page: int | None = None) -> base.Content:
    """Read a file in a worker process.

    Args:
        found: the file's format.
        path: of the file.
        notes: is extended.
        page: as of Reading.

    Returns:
        The pixels and what the file says beside them, as `found.read` or `found.read_page` returns them.

    Raises:
        ValueError: the file cannot be read, or its decoder crashed.
        OSError: the file cannot be opened.
        MemoryError: the picture is too large for this machine.
    """
    request = Reading(found.name, path, None if os.path.isabs(path) else os.getcwd(), page)
    for is_new in (False, True):  # a second time where an earlier picture may have damaged the worker's memory
        with _workers.lent(is_new) as worker:
            is_last = worker.is_new
            try:
                return worker.read(request, notes)
            except _CrashError as error:
                crash = str(error)
                if is_last or worker.is_stopped:
                    break
    raise ValueError(crash)


def end_all() -> None:
    """End all workers at once, also those that are reading a picture, which then fails."""
    _workers.end_all()


def put(file: BinaryIO, message: object) -> None:
    """Write a message to a pipe."""
    data = pickle.dumps(message, 4)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def take(file: BinaryIO) -> Any:
    """Read a message from a pipe. Raises EOFError where the other end is closed."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    length = LENGTH.unpack(head)[0]
    data = file.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


class _DecoderProcess:
    """A worker process."""

    def __init__(self) -> None:
        self.is_new, self.is_stopped, self._is_late = True, False, False
        places = [place for place in sys.path if isinstance(place, str)]
        command = [sys.executable, '-c', PROGRAM, *places]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._requests: Any = self._process.stdin
        self._answers: Any = self._process.stdout

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def read(self, request: Reading, notes: list[str]) -> base.Content:
        """As `decoders.read`. Raises _CrashError where the worker ends."""
        self.is_new = False
        alarm = threading.Timer(SECONDS, self._stop_late)
        alarm.daemon = True
        alarm.start()
        try:
            put(self._requests, request)
            reply = take(self._answers)
            array = self._take_pixels(reply)
        except (EOFError, BrokenPipeError):
            self._process.wait()
            raise _CrashError(self._cause(request.format_name))
        except BaseException:
            self.stop()  # the pipe still holds a part of this answer
            raise
        finally:
            alarm.cancel()
        notes += reply.notes
        if reply.error:
            raise reply.error
        return (array, *reply.content)

    def _take_pixels(self, reply: Reply) -> np.ndarray:
        """Read the pixels straight into their array: (H, W, C), empty after an error."""
        array = np.empty(reply.shape or 0, reply.dtype or np.uint8)
        if array.size and self._answers.readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:
            raise EOFError
        return array

    def _stop_late(self) -> None:
        self._is_late = True
        self.stop()

    def _cause(self, format_name: str) -> str:
        status = self._process.returncode
        if self._is_late:
            return f'the decoder of {format_name} did not end within {SECONDS // 60} minutes'
        if self.is_stopped:
            return 'interrupted'
        ended = f'status {status}'
        with contextlib.suppress(ValueError):
            ended = signal.Signals(-status).name
        remedy = 'free some memory' if ended == 'SIGKILL' else 'open it in another program, and save it as PNG'
        return f'the decoder of {format_name} crashed ({ended}): {remedy}'

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.is_stopped = True
        self._process.kill()

    def close(self) -> None:
        """Stop, and free what this process has of it."""
        self.stop()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class _Workers:
    """The worker processes of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without workers: in a fork they are the parent's."""
        self._room = threading.BoundedSemaphore(max(1, min(MAX_WORKERS, cpu.available_cores())))
        self._lock = threading.Lock()
        self._idle: list[_DecoderProcess] = []
        self._busy: list[_DecoderProcess] = []

    @contextlib.contextmanager
    def lent(self, is_new: bool = False) -> Iterator[_DecoderProcess]:
        """Yield a worker, for this thread alone; it is kept afterwards if it lives. is_new: one that has read nothing yet."""
        with self._room:
            worker = self._take(is_new)
            try:
                yield worker
            finally:
                with self._lock:
                    self._busy.remove(worker)
                    is_kept = worker.is_alive() and not worker.is_stopped
                    if is_kept:
                        self._idle.append(worker)
                if not is_kept:
                    worker.close()

    def _take(self, is_new: bool) -> _DecoderProcess:
        with self._lock:
            worker = None
            while self._idle and worker is None:
                worker = self._idle.pop()
                if is_new or not worker.is_alive():
                    worker.close()
                    worker = None
            worker = worker or _DecoderProcess()
            self._busy.append(worker)
            return worker

    def end_all(self) -> None:
        with self._lock:
            for worker in self._busy:
                worker.stop()  # the thread that reads from it closes it
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


_workers = _Workers()
atexit.register(end_all)
os.register_at_fork(after_in_child=_workers.forget)
