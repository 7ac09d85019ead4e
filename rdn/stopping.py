"""SIGINT, SIGTERM and SIGHUP in a script: they arrive during long calls of libraries, too.

Python runs its handlers in the main thread, between two of its own steps, so a handler waits until a library's call
returns. Here a second thread reads the signals' numbers from a pipe, into which the interpreter writes at once. The first
signal stops computations (`stops`). The second one ends the process (`before_exit` tidies up).
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
SAME_SECONDS = 0.5  # `timeout` and terminals send two signals that mean one
HINT_SECONDS = 5  # after which a line says how to end at once
TIDY_SECONDS = 4  # that the actions before the end of the process may take

_computing: weakref.WeakSet[Any] = weakref.WeakSet()  # objects with a method `stop`
_actions: list[Callable[[], None]] = []  # before the process ends without unwinding
_watch: Watch | None = None


class Watch:
    """What a script knows of the signals that it received.

    Attributes:
        first: the number of the first one; None: there was none.
    """

    def __init__(self, script: str):
        """script: its name, for messages."""
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
        """The exit status that the first signal asks for: 130, 143 or 129; None: there was no signal."""
        return None if self.first is None else 128 + self.first

    def end(self) -> None:
        """Read no further signals."""
        self._is_over = True
        signal.set_wakeup_fd(self._former)
        os.write(self._writing, b'\0')
        self._thread.join()
        for descriptor in (self._reading, self._writing, self._errors):
            os.close(descriptor)

    def answer(self, number: int) -> None:
        """Unwind the main thread, once."""
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
            for each in list(_computing):
                each.stop()
        elif time.monotonic() > self._first_at + SAME_SECONDS:
            self._end_process()

    def _give_hint(self) -> None:
        again = 'Ctrl-C again' if self.first == signal.SIGINT else 'the signal again'
        self._write_error(f'{self._script}: still ending what it began; {again} ends it at once')

    def _write_error(self, line: str) -> None:
        """To the descriptor: the main thread may hold the lock of sys.stderr."""
        with contextlib.suppress(OSError):
            os.write(self._errors, f'{line}\n'.encode(errors='replace'))

    def _end_process(self) -> NoReturn:
        """Tidy up, for a moment, and end the process; the main thread may be in a call that never returns."""
        tidying = threading.Thread(target=_tidy_up, daemon=True)
        tidying.start()
        tidying.join(TIDY_SECONDS)
        if self.first == signal.SIGINT:
            self._write_error(f'{self._script}: interrupted')
        os._exit(self.status or 1)


@contextlib.contextmanager
def watching(script: str) -> Iterator[Watch]:
    """Answer the signals while the block lasts, which is a script's work; in the main thread.

    The handlers stay. A signal that is ignored, as SIGHUP under nohup, stays ignored.

    Args:
        script: its name, for messages.

    Yields:
        What is known of signals.
    """
    global _watch
    for number in NUMBERS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler) or number == signal.SIGTERM:
            signal.signal(number, _on_signal)
    former, _watch = _watch, Watch(script)
    try:
        yield _watch
    finally:
        _watch.end()
        _watch = former


def stops(computing: Any) -> None:
    """Have a signal call `computing.stop()`, from another thread, as long as the object lives."""
    _computing.add(computing)


@contextlib.contextmanager
def before_exit(action: Callable[[], None]) -> Iterator[None]:
    """Have an action run, in another thread, where the process ends within this block without unwinding."""
    _actions.append(action)
    try:
        yield
    finally:
        _actions.remove(action)


def _on_signal(number: int, _: Any) -> None:
    if _watch:
        _watch.answer(number)
    else:
        _unwind(number)


def _unwind(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _tidy_up() -> None:
    if 'multiprocessing' in sys.modules:
        for process in sys.modules['multiprocessing'].active_children():
            process.kill()
    for action in reversed(list(_actions)):
        with contextlib.suppress(Exception):  # the others, too
            action()


def duplicate_of_stderr() -> int:
    """Return a descriptor of where errors go now: later, 2 may be redirected to keep libraries silent."""
    try:
        return os.dup(2)
    except OSError:  # it is closed
        return os.open(os.devnull, os.O_WRONLY)


def _forget() -> None:
    """In a forked process: its signals are not its parent's."""
    global _watch
    if _watch:
        _watch = None
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget)
