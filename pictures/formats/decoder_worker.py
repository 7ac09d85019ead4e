"""A worker process that reads pictures for another process. decoders.py starts it, and says there why."""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import signal
import sys
import threading
import warnings
from typing import BinaryIO

from pictures.formats import base, decoders, registry
from rdn import cli, escaping

import numpy as np

BY_NAME = {each.name: each for each in registry.FORMATS}
KILLED_FIRST = '1000'  # the highest of Linux's oom_score_adj


def serve() -> None:
    """Answer requests on standard input until it is closed; discard the output that libraries print."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open('/proc/self/oom_score_adj', 'w') as file:
        file.write(KILLED_FIRST)  # if memory is full, Linux must not kill the parent, which has all other pictures
    cli.silence_libraries()
    warnings.simplefilter('ignore')
    with os.fdopen(os.dup(1), 'wb') as answers, open(os.devnull, 'wb') as nowhere:
        os.dup2(nowhere.fileno(), 1)
        requests: queue.Queue[decoders.Reading] = queue.Queue()
        threading.Thread(target=_listen, args=(requests,), daemon=True).start()
        while True:
            _answer(requests.get(), answers)


def _listen(requests: queue.Queue[decoders.Reading]) -> None:
    """Pass requests on; when the parent ends, end this process at once, even while it reads a picture."""
    while True:
        try:
            requests.put(decoders.take(sys.stdin.buffer))
        except EOFError:
            os._exit(0)


def _answer(request: decoders.Reading, answers: BinaryIO) -> None:
    notes: list[str] = []
    try:
        if request.folder:
            os.chdir(request.folder)
        array, *content = _read(request, notes)
    except BaseException as error:  # a panic of a Rust library is not an Exception
        decoders.put(answers, decoders.Reply(notes=tuple(notes), error=_plain(error)))
        return
    array = np.ascontiguousarray(array)
    decoders.put(answers, decoders.Reply(tuple(content), array.shape, array.dtype.str, tuple(notes)))
    answers.write(array.reshape(-1).view(np.uint8))  # a view, so that the pixels are not copied
    answers.flush()


def _read(request: decoders.Reading, notes: list[str]) -> base.Content:
    found = BY_NAME[request.format_name]
    if request.page is None:
        return found.read(request.path, notes)
    assert found.read_page
    return found.read_page(request.path, request.page, notes)


def _plain(error: BaseException) -> Exception:
    """Return an error as a built-in exception, because the other process may be unable to unpickle a library's."""
    if isinstance(error, OSError) and error.errno:
        return OSError(error.errno, error.strerror, error.filename)
    message = escaping.one_line(error)
    return MemoryError(message) if isinstance(error, MemoryError) else ValueError(message or type(error).__name__)
