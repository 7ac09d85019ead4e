"""What the steps of the guide share.

Imported before every other package: what goes wrong while those load ends in one line, too. That is Ctrl-C, and a
Python that does not have them or cannot load them.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _on_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    script = os.path.basename(sys.argv[0])
    if os.environ.get('RDN_TRACEBACK'):
        sys.__excepthook__(kind, error, traceback)
    elif isinstance(error, KeyboardInterrupt):
        print(f'{script}: interrupted', file=sys.stderr)
    elif isinstance(error, ModuleNotFoundError):
        print(f'{script}: {sys.executable} has no module {error.name}: {_what_to_do()}', file=sys.stderr)
    elif isinstance(error, ImportError):  # a system's library is missing; numpy also makes one of Ctrl-C
        print(f'{script}: {sys.executable} cannot load {error.name or "a library"}: {error}', file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def _what_to_do() -> str:
    activate = os.path.join(ROOT, '.venv', 'bin', 'activate')
    if os.path.exists(activate) and sys.prefix != os.path.dirname(os.path.dirname(activate)):
        return f'first give: source {activate}'
    return f'first give: {sys.executable} -m pip install -r {os.path.join(ROOT, "requirements.txt")}'


sys.excepthook = _on_uncaught
