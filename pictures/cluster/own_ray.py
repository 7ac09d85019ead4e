"""Run a Ray of our own on this machine; its processes and its folder are removed when the run ends in any way."""

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

PLACE = '/tmp/rdn-ray'  # Ray's folder is next to this path, with a name made from it
PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl
SHUTDOWN_SECONDS = 2.5  # before processes of Ray that do not end by themselves are killed
END_SECONDS = 3  # that killed processes may take to end
HANDLER_SECONDS = 0.005  # between two settings of the handler of SIGTERM


@contextlib.contextmanager
def started(ray: Any, **options: Any) -> Iterator[None]:
    """Start a Ray that ends with the block, even if a signal arrives while it starts.

    Args:
        ray: the module.
        options: passed to ray.init.

    Raises:
        ValueError: Ray does not start.
        RuntimeError: Ray does not start.
        ConnectionError: Ray does not start.
        RayError: Ray does not start.
    """
    _adopt_orphans()
    others = frozenset(_descendants())
    end = functools.partial(_end_processes, others)
    with _folder() as folder, stopping.before_exit(functools.partial(_end_at_once, end, folder)):
        try:
            ray.init('local', num_cpus=cpu.available_cores(), include_dashboard=False, **options)
            yield
        finally:
            impatient = threading.Timer(SHUTDOWN_SECONDS, end)  # ray.shutdown waits for its processes, maybe for long
            impatient.start()
            try:
                shut_down(ray)
            finally:
                impatient.cancel()
                end()
                worker.clean_up()


def shut_down(ray: Any) -> None:
    """Call ray.shutdown in a thread, and meanwhile keep our handler of SIGTERM in the main thread.

    About a second before ray.shutdown returns, it replaces the handler: SIGTERM would then end the process at once, and
    half-written files would stay.

    Args:
        ray: the module.
    """
    handler = signal.getsignal(signal.SIGTERM)
    ending = threading.Thread(target=ray.shutdown, name='shutdown of Ray')
    ending.start()
    try:
        _keep_handler(handler, ending)
    finally:
        _keep_handler(handler, ending)  # a signal may have interrupted the first call


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
    """Make a folder for Ray's logs and sockets, and yield its path; yield None if the user set RAY_TMPDIR.

    The path is short, because the paths of sockets are limited. Folders that killed runs left are removed.
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
    """Remove a folder; try for up to a second, because a process that was just killed may still write to it."""
    deadline = time.monotonic() + 1
    while os.path.isdir(folder) and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)


def _adopt_orphans() -> None:
    """Make this process the parent of descendants whose parents die (Linux), so that _descendants finds them all."""
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_at_once(end: Any, folder: str | None) -> None:
    end()
    if folder:
        _remove(folder)
    worker.clean_up()


def _end_processes(others: frozenset[int]) -> None:
    """Kill the descendants of this process except `others`, and wait until they and any new ones have ended."""
    deadline, is_over = time.monotonic() + END_SECONDS, False
    while time.monotonic() < deadline:
        left = [number for number in _descendants() if number not in others]
        if not left and is_over:
            return
        is_over = not left  # then look once more: a process may have started while /proc was read
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)


def _descendants() -> list[int]:
    """Return the process IDs of the living descendants of this process; an empty list if the system has no /proc.

    A process counts as dead as soon as its first thread has ended. Its children keep it as their parent until its last
    thread ends.
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
