"""Reading pictures in worker processes: if a decoder crashes, only one picture fails, and the others continue.

C libraries that decode rare formats have crashed on damaged files: a segmentation fault, an abort, too much memory. No
`except` can catch that. So a worker process reads such a picture and sends its pixels back. A worker is a new Python
program, never a fork, because a fork would copy locks that other threads hold. It starts with the first picture that
needs it, and later pictures reuse it. decoder_worker.py contains the code that a worker runs.
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
SECONDS = 900  # the timeout for one picture; a decoder that needs longer is in an endless loop
LENGTH = struct.Struct('>Q')  # before each message
# The worker gets the import path of this process, because a cluster installs the packages in another folder.
PROGRAM = 'import sys; sys.path[:] = sys.argv[1:]; from pictures.formats import decoder_worker; decoder_worker.serve()'


class Reading(NamedTuple):
    """A file for a worker to read.

    Attributes:
        format_name: the name of the file's format.
        path: the file's path.
        folder: the folder that a relative path starts from; None for an absolute path.
        page: the number of the page to read with `Format.read_page`, from 0; None: use `Format.read`.
    """

    format_name: str
    path: str
    folder: str | None
    page: int | None = None


class Reply(NamedTuple):
    """A worker's answer; the pixels follow it as bytes.

    Attributes:
        content: a base.Content without its pixels; None after an error.
        shape: (H, W, C) of the pixels.
        dtype: the dtype of the pixels.
        notes: the notes on reading.
        error: the reason why the file cannot be read; None if it was read.
    """

    content: Any = None
    shape: tuple[int, ...] = ()
    dtype: str = ''
    notes: tuple[str, ...] = ()
    error: Exception | None = None


class _CrashError(Exception):
    """A worker process ended without an answer."""


def read(found: base.Format, path: str, notes: list[str], page: int | None = None) -> base.Content:
    """Read a file in a worker process.

    Args:
        found: the file's format.
        path: of the file.
        notes: receives the notes on reading.
        page: the number of the page to read, from 0; None: the picture.

    Returns:
        The pixels, the metadata and EXIF's orientation, as `found.read` or `found.read_page` returns them.

    Raises:
        ValueError: the file cannot be read, or its decoder crashed.
        OSError: the file cannot be opened.
        MemoryError: the picture is too large for this machine.
    """
    request = Reading(found.name, path, None if os.path.isabs(path) else os.getcwd(), page)
    # The second try is in a new worker, because an earlier picture may have damaged the first worker's memory.
    for is_new in (False, True):
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
    """End all workers at once. If a worker is reading a picture, that picture fails."""
    _workers.end_all()


def put(file: BinaryIO, message: object) -> None:
    """Write a message to a pipe."""
    data = pickle.dumps(message, 4)
    file.write(LENGTH.pack(len(data)) + data)
    file.flush()


def take(file: BinaryIO) -> Any:
    """Read a message from a pipe.

    Raises:
        EOFError: the other end is closed.
    """
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
        """Read a file in the worker, as `decoders.read` does; raise _CrashError if the worker ends."""
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
            self.stop()  # the pipe may contain a part of this answer, so the worker cannot be used again
            raise
        finally:
            alarm.cancel()
        notes += reply.notes
        if reply.error:
            raise reply.error
        return (array, *reply.content)

    def _take_pixels(self, reply: Reply) -> np.ndarray:
        """Read the pixels from the pipe directly into an array (H, W, C), which is empty after an error."""
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
        """Kill the process."""
        self.is_stopped = True
        self._process.kill()

    def close(self) -> None:
        """Kill the process, wait for its end, and close the pipes to it."""
        self.stop()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class _Workers:
    """All workers of this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start with no workers. In a forked process, this is necessary because the workers belong to the parent."""
        self._room = threading.BoundedSemaphore(max(1, min(MAX_WORKERS, cpu.available_cores())))
        self._lock = threading.Lock()
        self._idle: list[_DecoderProcess] = []
        self._busy: list[_DecoderProcess] = []

    @contextlib.contextmanager
    def lent(self, is_new: bool = False) -> Iterator[_DecoderProcess]:
        """Yield a worker that no other thread uses; keep it afterwards if it still runs.

        Args:
            is_new: whether the worker must be one that has not read a picture yet.
        """
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
                worker.stop()  # the thread that uses this worker closes it
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()


_workers = _Workers()
atexit.register(end_all)
os.register_at_fork(after_in_child=_workers.forget)
