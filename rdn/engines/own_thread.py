"""A thread that makes all calls of a library whose calls must not be interrupted and must come from one thread.

Python raises Ctrl-C only in the main thread, and possibly right after a call: the pointer that the call returned would
then be lost. With this thread the main thread only waits. A call that has begun is completed, and its result can be
freed.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from typing import Any, Callable, TypeVar

Result = TypeVar('Result')


class OwnThread:
    """A thread that runs jobs one after the other. It ends with `end` or with the process."""

    def __init__(self, name: str):
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], Result]) -> Result:
        """Run a job in the thread, after all earlier jobs, and wait for it.

        If Ctrl-C interrupts the caller, it stops waiting, but the job goes on.

        Args:
            job: called without arguments.

        Returns:
            The result of the job. An exception in the job is raised here.
        """
        if threading.current_thread() is self._thread:  # garbage collection in this thread may close a model
            return job()
        done: concurrent.futures.Future = concurrent.futures.Future()
        self._jobs.put((job, done))
        return done.result()

    def end(self) -> None:
        """End the thread after its remaining jobs."""
        self._jobs.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until the thread has ended, but at most this many seconds."""
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)


def _work(jobs: queue.SimpleQueue) -> None:
    while True:
        entry = jobs.get()
        if entry is None:
            return
        job, done = entry
        try:
            done.set_result(job())
        except BaseException as error:
            done.set_exception(error)
        del entry, job, done  # they refer to arrays, and the next job may come late
