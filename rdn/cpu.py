"""The processor: its cores and instruction sets, and ways to use all cores for a list of items."""

from __future__ import annotations

import collections
import concurrent.futures
import concurrent.futures.process
import contextlib
import ctypes
import gc
import multiprocessing
import os
import platform
import signal
import sys
from typing import Any, Callable, Generator, Iterable, Iterator, TypeVar

PR_SET_PDEATHSIG = 1  # of prctl(2)

Item = TypeVar('Item')
Result = TypeVar('Result')


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None
) -> Generator[Result, None, None]:
    """Yield function(item) for each item, in order, computed by threads.

    This suits functions that release the GIL, as numpy and Pillow do. Memory holds at most two results per thread.
    An exception of a call is raised when its result is due, as in a plain loop.

    Args:
        function: computes a result from an item.
        items: the items; they are taken only as results are needed.
        workers: the number of threads; None: one for each core that this process may use.

    Yields:
        The results.
    """
    workers = workers or available_cores()
    pending: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as executor:
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) == 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:  # after an error, or if the caller stops before the end
                future.cancel()


@contextlib.contextmanager
def other_processes(count: int) -> Iterator[Callable[..., Any]]:
    """Start processes for work that holds the GIL, so that threads can compute in parallel.

    Enter the block before the program starts threads, because on Linux the processes are forked.

    Args:
        count: the number of processes.

    Yields:
        call(function, *arguments), which runs the function in one of the processes. It returns the function's result
        or raises its exception. Function, arguments and result are pickled. If a process is killed, `call` raises a
        ValueError.
    """
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else None)
    with concurrent.futures.ProcessPoolExecutor(count, context, _begin_process, (os.getpid(),)) as executor:
        executor.submit(int).result()  # starts them all

        def call(function: Callable[..., Result], *arguments: Any) -> Result:
            try:
                return executor.submit(function, *arguments).result()
            except concurrent.futures.process.BrokenProcessPool:
                raise ValueError('a worker process was killed, probably because memory ran out')

        yield call


def _begin_process(parent: int) -> None:
    gc.freeze()  # finalizers of the parent's objects may wait for threads that do not exist here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent reports it
    if sys.platform == 'linux':  # end with a killed parent: other forks keep its pipes open, so they show nothing
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # the parent died before prctl
            os._exit(1)


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def instruction_sets() -> frozenset[str]:
    """Return the names of the processor's instruction sets, as in Linux's /proc/cpuinfo; empty on other systems."""
    try:
        with open('/proc/cpuinfo') as file:
            lines = [line.split(':', 1)[1] for line in file if line.startswith(('flags', 'Features'))]
    except OSError:
        return frozenset()
    return frozenset(lines[0].split()) if lines else frozenset()


def has_bf16() -> bool:
    """Return whether the processor has bfloat16 instructions. Without them, bf16 is emulated and slower than fp32."""
    wanted = {'bf16'} if platform.machine() in ('aarch64', 'arm64') else {'avx512_bf16', 'amx_bf16'}
    return bool(wanted & instruction_sets())


def has_int8() -> bool:
    """Return whether the processor has instructions that multiply and add eight-bit numbers without saturation."""
    wanted = {'asimddp'} if platform.machine() in ('aarch64', 'arm64') else {'avx512_vnni', 'avx_vnni', 'amx_int8'}
    return bool(wanted & instruction_sets())
