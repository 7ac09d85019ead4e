"""A thread that makes all calls of a library whose calls must not be cut short, and which minds the thread.

Python raises Ctrl-C in the main thread alone, between two of its steps: a pointer that a call had just returned would be
lost. Here the main thread only waits; what was begun is completed, and its result is there to be freed.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from typing import Any, Callable, TypeVar

Result = TypeVar('Result')


class OwnThread:
    """A thread that runs jobs, one after the other. It ends with the process at the latest."""

    def __init__(self, name: str):
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], Result]) -> Result:
        """Run a job there, after those that other threads gave before; return or raise what it does.

        A caller that Ctrl-C interrupts stops waiting; the job goes on.
        """
        if threading.current_thread() is self._thread:  # garbage may be collected in it
            return job()
        done: concurrent.futures.Future = concurrent.futures.Future()
        self._jobs.put((job, done))
        return done.result()

    def end(self) -> None:
        """End the thread after the jobs that it has."""
        self._jobs.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until the thread has ended, or for so many seconds."""
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
        del entry, job, done  # the next may come late, and these hold arrays
