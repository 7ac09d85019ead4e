"""React to SIGINT, SIGTERM and SIGHUP at once, even during long calls of libraries.

Python runs signal handlers in the main thread, between two of its instructions. A handler therefore waits until a call
of a library returns. Here a second thread reads the signals' numbers from a pipe, to which the interpreter writes them
at once. The first signal stops computations (see `stops`). The second one ends the process, after the actions of
`before_exit`.

A signal that arrives in the moment before the main thread begins to wait, for a program for example, does not end this
wait. So the second thread interrupts the main thread with another signal, NUDGE, until it has reacted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from typing import Any, Callable, Iterator, NoReturn

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NUDGE = signal.SIGURG  # programs that do not handle it ignore it
NUDGES, NUDGE_SECONDS = 10, 0.2  # how many, and the time between them
SAME_SECONDS = 0.5  # `timeout` and terminals can send two signals for one request
HINT_SECONDS = 5  # then a line says how to end the process at once
TIDY_SECONDS = 4  # for the actions of `before_exit`

_computing: weakref.WeakSet[Any] = weakref.WeakSet()  # objects with a method `stop`
_actions: list[Callable[[], None]] = []  # run before the process ends without unwinding
_watch: Watch | None = None


class Watch:
    """The signals that a script has received, and the thread that reads them.

    Args:
        script: the name of the script, for messages.

    Attributes:
        first: the number of the first signal; None if no signal has arrived.
    """

    def __init__(self, script: str):
        self.first: int | None = None
        self._script = script
        self._first_at = 0.0
        self._is_raised = self._is_over = False
        self._errors = duplicate_of_stderr()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._former = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._read, name='signals', daemon=True)
        self._thread.start()

    @property
    def status(self) -> int | None:
        """The exit status for the first signal: 130, 143 or 129; None if no signal has arrived."""
        return None if self.first is None else 128 + self.first

    def end(self) -> None:
        """Stop reading signals."""
        self._is_over = True
        signal.set_wakeup_fd(self._former)
        os.write(self._writing, b'\0')
        self._thread.join()
        for descriptor in (self._reading, self._writing, self._errors):
            os.close(descriptor)

    def answer(self, number: int) -> None:
        """Raise an exception that unwinds the main thread. Only the first call does so."""
        self.first = self.first or number
        if not self._is_raised:
            self._is_raised = True
            _unwind(number)

    def _read(self) -> None:
        hint = threading.Timer(HINT_SECONDS, self._give_hint)
        hint.daemon = True
        while not self._is_over:
            for number in os.read(self._reading, 64):
                if number in NUMBERS:
                    self._count(number, hint)
        hint.cancel()

    def _count(self, number: int, hint: threading.Timer) -> None:
        if not self._first_at:
            self.first, self._first_at = self.first or number, time.monotonic()
            hint.start()
            threading.Thread(target=self._nudge, daemon=True).start()
            for each in list(_computing):
                each.stop()
        elif time.monotonic() > self._first_at + SAME_SECONDS:
            self._end_process()

    def _nudge(self) -> None:
        for _ in range(NUDGES):
            time.sleep(NUDGE_SECONDS)
            if self._is_raised or self._is_over:
                return
            signal.pthread_kill(threading.main_thread().ident or 0, NUDGE)

    def _give_hint(self) -> None:
        again = 'Ctrl-C again' if self.first == signal.SIGINT else 'the signal again'
        self._write_error(f'{self._script}: is still stopping; {again} ends it at once')

    def _write_error(self, line: str) -> None:
        """Write to the descriptor, because the main thread may hold the lock of sys.stderr."""
        with contextlib.suppress(OSError):
            os.write(self._errors, f'{line}\n'.encode(errors='replace'))

    def _end_process(self) -> NoReturn:
        """Run the actions of `before_exit`, for at most TIDY_SECONDS, and end the process."""
        tidying = threading.Thread(target=_tidy_up, daemon=True)
        tidying.start()
        tidying.join(TIDY_SECONDS)
        if self.first == signal.SIGINT:
            self._write_error(f'{self._script}: interrupted')
        os._exit(self.status or 1)


@contextlib.contextmanager
def watching(script: str) -> Iterator[Watch]:
    """React to signals during the block, which contains a script's work. Call this in the main thread.

    The signal handlers stay installed after the block. An ignored signal, such as SIGHUP under nohup, stays ignored.

    Args:
        script: the name of the script, for messages.

    Yields:
        The Watch.
    """
    global _watch
    for number in NUMBERS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler) or number == signal.SIGTERM:
            signal.signal(number, _on_signal)
    if signal.getsignal(NUDGE) == signal.SIG_DFL:
        signal.signal(NUDGE, _on_nudge)
    former, _watch = _watch, Watch(script)
    try:
        yield _watch
    finally:
        _watch.end()
        _watch = former


def stops(computing: Any) -> None:
    """Call `computing.stop()` at the first signal, from another thread. Only a weak reference to the object is kept."""
    _computing.add(computing)


@contextlib.contextmanager
def before_exit(action: Callable[[], None]) -> Iterator[None]:
    """Run an action, in another thread, if the process ends inside the block without unwinding."""
    _actions.append(action)
    try:
        yield
    finally:
        _actions.remove(action)


def check() -> None:
    """Raise the exception of an earlier signal again, because a library may have swallowed it.

    Call this in the main thread, between two waits for a library.

    Raises:
        KeyboardInterrupt: SIGINT has arrived.
        SystemExit: SIGTERM or SIGHUP has arrived.
    """
    if _watch and _watch.first is not None:
        _unwind(_watch.first)


def _on_signal(number: int, _: Any) -> None:
    if _watch:
        _watch.answer(number)
    else:
        _unwind(number)


def _on_nudge(*_: Any) -> None:
    """Do nothing: the interpreter then runs the handlers of the signals that arrived before."""


def _unwind(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _tidy_up() -> None:
    if 'multiprocessing' in sys.modules:
        for process in sys.modules['multiprocessing'].active_children():
            process.kill()
    for action in reversed(list(_actions)):
        with contextlib.suppress(Exception):  # run the other actions anyway
            action()


def duplicate_of_stderr() -> int:
    """Return a duplicate of descriptor 2, for errors; later, 2 may be redirected to silence libraries."""
    try:
        return os.dup(2)
    except OSError:  # it is closed
        return os.open(os.devnull, os.O_WRONLY)


def _forget() -> None:
    """Stop watching in a forked process, because its parent would read its signals."""
    global _watch
    if _watch:
        _watch = None
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget)
