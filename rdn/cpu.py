"""The processor: its cores, its instruction sets, and work on many files in order."""

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
    """Yield function(item) of each item, in their order, computed by threads: numpy and Pillow release the GIL.

    Holds two results a worker at most, however many items there are. What a call raises is raised here in its turn,
    as if the items had been taken one after another. workers: threads; default: one a core this process may use.
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
            for future in pending:  # after an error, or where the caller stopped listening
                future.cancel()


@contextlib.contextmanager
def other_processes(count: int) -> Iterator[Callable[..., Any]]:
    """Yield call(function, *arguments), which computes that in one of `count` processes and returns or raises the same.

    For what holds the GIL, called from threads. To be entered before there are threads, as the processes are forked
    where that is the system's way. Function, arguments and result are pickled. Raises ValueError where one is killed.
    """
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else None)
    with concurrent.futures.ProcessPoolExecutor(count, context, _begin_process, (os.getpid(),)) as executor:
        executor.submit(int).result()  # starts them all

        def call(function: Callable[..., Result], *arguments: Any) -> Result:
            try:
                return executor.submit(function, *arguments).result()
            except concurrent.futures.process.BrokenProcessPool:
                raise ValueError('a process was killed in the middle: of too little memory?')

        yield call


def _begin_process(parent: int) -> None:
    gc.freeze()  # what the parent left is not collected here: libraries wait there for threads that were not forked
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent says what is to be said
    if sys.platform == 'linux':  # a killed parent's pipes stay open in the others that it forked
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:  # it died before
            os._exit(1)


def available_cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def instruction_sets() -> frozenset[str]:
    """The names of the processor's instruction sets as Linux lists them; empty where it does not."""
    try:
        with open('/proc/cpuinfo') as file:
            lines = [line.split(':', 1)[1] for line in file if line.startswith(('flags', 'Features'))]
    except OSError:
        return frozenset()
    return frozenset(lines[0].split()) if lines else frozenset()


def has_bf16() -> bool:
    """Whether the processor computes in bfloat16 itself; where it has to emulate, bf16 is slower than fp32."""
    wanted = {'bf16'} if platform.machine() in ('aarch64', 'arm64') else {'avx512_bf16', 'amx_bf16'}
    return bool(wanted & instruction_sets())


def has_int8() -> bool:
    """Whether the processor multiplies and adds eight bits itself, without saturating on the way."""
    wanted = {'asimddp'} if platform.machine() in ('aarch64', 'arm64') else {'avx512_vnni', 'avx_vnni', 'amx_int8'}
    return bool(wanted & instruction_sets())
