"""Prepare a script before its other imports, so that problems while they load are also reported in one line.

Every script imports this module first. It handles Ctrl-C, closed standard streams, and packages that are missing or
cannot be loaded. In a program that is not a script of this project, it changes nothing.
"""

from __future__ import annotations

import glob
import os
import shlex
import signal
import sys
from types import TracebackType

from rdn import ROOT, escaping


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed, for example by `2>&-` in a shell.

    Otherwise the next file that is opened would have the stream's number, and receive the output of libraries and
    programs.
    """
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # opens as `number`, the lowest free one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, 'r' if number == 0 else 'w', closefd=False))


def _on_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    with escaping.console():
        _show(kind, error, traceback)


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    name = getattr(error, 'name', None) or 'a library'
    if os.environ.get('RDN_TRACEBACK') or name.split('.')[0] in ('rdn', 'pictures', 'models'):
        sys.__excepthook__(kind, error, traceback)
    elif isinstance(error, ModuleNotFoundError):
        print(f'{SCRIPT}: {sys.executable} has no module {name}: {_what_to_do(name)}', file=sys.stderr)
    elif isinstance(error, ImportError):  # for example, a library of the system is missing
        print(f'{SCRIPT}: {sys.executable} cannot load {name}: {escaping.one_line(error)}', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def _on_interrupt(*_: object) -> None:
    print(f'{SCRIPT}: interrupted', file=sys.stderr, flush=True)
    os._exit(130)  # not an exception: a library that is loading could swallow it, and fail later


def end_of_loading() -> None:
    """Make Ctrl-C raise a KeyboardInterrupt again, because all modules are loaded."""
    if signal.getsignal(signal.SIGINT) is _on_interrupt:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_of_work() -> None:
    """Make signals end the process at once, because only the shutdown of the interpreter is left."""
    if IS_SCRIPT:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: os._exit(128 + number))


def _what_to_do(module: str) -> str:
    if os.path.realpath(sys.prefix).startswith(ROOT + os.sep):
        return f'{shlex.quote(sys.executable)} -m pip install {module}'
    activate = os.path.join(ROOT, '.venv', 'bin', 'activate')
    # PYTHON=… bash run.sh makes an environment for each version.
    made = sorted(glob.glob(os.path.join(glob.escape(ROOT), '.venv-*', 'bin', 'activate')))
    if os.path.exists(activate) or made:
        return f'first run: source {shlex.quote(activate if os.path.exists(activate) else made[-1])}'
    run, requirements = (shlex.quote(os.path.join(ROOT, name)) for name in ('run.sh', 'requirements.txt'))
    return f'first run: bash {run}, which makes an environment, or: pip install -r {requirements}'


SCRIPT = os.environ.get('RDN_SCRIPT') or os.path.basename(sys.argv[0])
FOLDERS = [
    ROOT,
    *(
        os.path.join(ROOT, *parts)
        for parts in (['test'], ['tools'], ['rdn'], ['rdn', 'devices'], ['rdn', 'acceptance'])
    ),
]
# False for python3 -c, and for programs outside this project that import its modules.
IS_SCRIPT = os.path.isfile(sys.argv[0]) and os.path.dirname(os.path.realpath(sys.argv[0])) in FOLDERS
if IS_SCRIPT:
    open_standard_streams()
    sys.excepthook = _on_uncaught
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _on_interrupt)
