"""A Ray of our own on this machine: all its processes and its folder go when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import sys
import threading
import time
from typing import Any, Iterator

from pictures.cluster import worker
from rdn import cpu, files, stopping

PLACE = '/tmp/rdn-ray'  # beside it is Ray's folder
PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl
SHUTDOWN_SECONDS = 2.5  # that Ray may take to end by itself
END_SECONDS = 3  # that killed processes may take
HANDLER_SECONDS = 0.005  # between two looks at the handler of SIGTERM


@contextlib.contextmanager
def started(ray: Any, **options: Any) -> Iterator[None]:
    """Start a Ray that lasts as long as the block, also where a signal comes in the middle of its start.

    Args:
        ray: the module.
        options: of ray.init.

    Raises:
        ValueError, RuntimeError, ConnectionError, RayError: Ray does not start.
    """
    _adopt_orphans()
    others = frozenset(_descendants())
    end = functools.partial(_end_processes, others)
    with _folder() as folder, stopping.before_exit(functools.partial(_end_at_once, end, folder)):
        try:
            ray.init('local', num_cpus=cpu.available_cores(), include_dashboard=False, **options)
            yield
        finally:
            impatient = threading.Timer(SHUTDOWN_SECONDS, end)  # Ray's shutdown waits for processes
            impatient.start()
            try:
                shut_down(ray)
            finally:
                impatient.cancel()
                end()
                worker.clean_up()


def shut_down(ray: Any) -> None:
    """Call ray.shutdown in a thread, and keep the handler of SIGTERM meanwhile, in the main thread.

    Ray makes SIGTERM end the process at once, about a second before its shutdown returns: what the run left half-written
    would stay.
    """
    handler = signal.getsignal(signal.SIGTERM)
    ending = threading.Thread(target=ray.shutdown, name='shutdown of Ray')
    ending.start()
    try:
        _keep_handler(handler, ending)
    finally:
        _keep_handler(handler, ending)  # also where the first signal came meanwhile


def _keep_handler(handler: Any, ending: threading.Thread) -> None:
    """Set the handler of SIGTERM again and again until the thread has ended."""
    while True:
        is_over = not ending.is_alive()
        signal.signal(signal.SIGTERM, handler)
        if is_over:
            return
        ending.join(HANDLER_SECONDS)


@contextlib.contextmanager
def _folder() -> Iterator[str | None]:
    """A folder for Ray's logs and sockets, short as sockets want it; None where the user chose one.

    What a killed run left of such a folder goes, too.
    """
    if 'RAY_TMPDIR' in os.environ:
        yield None
        return
    with files.scratch_folder(PLACE) as folder:
        os.environ['RAY_TMPDIR'] = folder
        try:
            yield folder
        finally:
            del os.environ['RAY_TMPDIR']
            _remove(folder)


def _remove(folder: str) -> None:
    """Remove a folder, into which a process that was just killed may write for a moment."""
    deadline = time.monotonic() + 1
    while os.path.isdir(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


def _adopt_orphans() -> None:
    """Have Linux make this process the parent of its descendants whose own parents die, so that it finds them all."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_at_once(end: Any, folder: str | None) -> None:
    end()
    if folder:
        _remove(folder)
    worker.clean_up()


def _end_processes(others: frozenset[int]) -> None:
    """Kill this process's descendants but for `others`, and wait until they are gone; they may start more meanwhile."""
    deadline, is_over = time.monotonic() + END_SECONDS, False
    while time.monotonic() < deadline:
        left = [number for number in _descendants() if number not in others]
        if not left and is_over:
            return
        is_over = not left  # once more: one may have started while /proc was read
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)


def _descendants() -> list[int]:
    """The numbers of the living descendants of this process; none where the system has no /proc.

    A process counts as dead once its first thread has ended. Its children stay below it until the last thread ends.
    """
    children: dict[int, list[int]] = {}
    dead = set()
    for name in os.listdir('/proc') if os.path.isdir('/proc/self') else ():
        with contextlib.suppress(OSError, ValueError):
            with open(f'/proc/{int(name)}/stat') as file:
                state, parent = file.read().rpartition(')')[2].split()[:2]
            children.setdefault(int(parent), []).append(int(name))
            if state in 'ZX':
                dead.add(int(name))
    found, parents = [], [os.getpid()]
    while parents:
        numbers = children.get(parents.pop(), [])
        found += numbers
        parents += numbers
    return [number for number in found if number not in dead]
