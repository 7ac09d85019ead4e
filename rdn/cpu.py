"""The same work on many files, on all cores, in order."""

import collections
import concurrent.futures
import os


def in_order(function, items, workers=None):
    """Yield function(item) of each item, in their order, computed by threads: what works here lets go of Python's lock.

    Holds two results a worker at most, however many items there are. What a call raises is raised here in its turn,
    as if the items had been taken one after another. workers: threads; default: one a core this process may use.
    """
    workers = workers or cores()
    pending, items = collections.deque(), iter(items)
    with concurrent.futures.ThreadPoolExecutor(workers) as executor:
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) == 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:  # after an error, or where the caller stopped listening
                future.cancel()


def cores():
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
