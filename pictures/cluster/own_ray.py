"""A Ray of our own on this machine: all its processes and its folder go when the run ends, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from typing import Any, Iterator

from pictures.cluster import worker
from rdn import cpu, stopping

PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl
SHUTDOWN_SECONDS = 2.5  # that Ray may take to end by itself
END_SECONDS = 2  # that killed processes may take


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
                ray.shutdown()
            finally:
                impatient.cancel()
                end()
                worker.clean_up()


@contextlib.contextmanager
def _folder() -> Iterator[str | None]:
    """A folder for Ray's logs and sockets, short as sockets want it; None where the user chose one."""
    if 'RAY_TMPDIR' in os.environ:
        yield None
        return
    folder = tempfile.mkdtemp(prefix='rdn-ray-', dir='/tmp')
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
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        left = [number for number in _descendants() if number not in others]
        if not left:
            return
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)


def _descendants() -> list[int]:
    """The numbers of the living descendants of this process; none where the system has no /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir('/proc') if os.path.isdir('/proc/self') else ():
        with contextlib.suppress(OSError, ValueError):
            with open(f'/proc/{int(name)}/stat') as file:
                state, parent = file.read().rpartition(')')[2].split()[:2]
            if state not in 'ZX':
                children.setdefault(int(parent), []).append(int(name))
    found, parents = [], [os.getpid()]
    while parents:
        numbers = children.get(parents.pop(), [])
        found += numbers
        parents += numbers
    return found
