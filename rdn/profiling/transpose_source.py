"""The source of the transpose operator in the installed toolkit."""

from __future__ import annotations

import glob
import os
import platform

from rdn import toolkit
from rdn.profiling import whitelist

# transpose.py below opp/: up to 5.0, from CANN 6 on, from 8.5 on.
KERNELS = (
    'op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/ops_legacy/dynamic/transpose.py',
)
ARCHITECTURES = {'aarch64': ('aarch64-linux', 'arm64-linux')}


def find() -> str:
    """The installed toolkit's transpose.py, its links resolved.

    Looks in `toolkit.homes`; in a folder of several versions `latest` comes before the numbered ones. Of several files of one
    toolkit the one with the white list counts. Raises ValueError where none is found, or several.
    """
    places = toolkit.homes()
    found = sorted({path for home in places for path in _in_home(home)})
    if not found:
        raise ValueError(f'no transpose.py below {" or ".join(places)}: name the file with --transpose-py')
    found = [path for path in found if _has_list(path)] or found
    if len(found) > 1:
        raise ValueError(f'more than one toolkit: choose with --transpose-py: {" ".join(found)}')
    return found[0]


def _has_list(path: str) -> bool:
    with open(path, 'rb') as file:
        return whitelist.FUNCTION.encode() in file.read(1 << 24)


def _in_home(home: str) -> set[str]:
    latest = _in_version(home) | _in_version(os.path.join(home, 'latest'))
    if latest:
        return latest
    return set().union(*[_in_version(path) for path in glob.glob(os.path.join(glob.escape(home), '[0-9]*'))])


def _in_version(folder: str) -> set[str]:
    """The files in one version's opp/, which CANN 5 has in a folder for the architecture, or beside it."""
    machine = platform.machine()
    parts = ['opp', *(f'{arch}/opp' for arch in ARCHITECTURES.get(machine, (f'{machine}-linux',)))]
    paths = [os.path.join(folder, part, kernel) for part in parts for kernel in KERNELS]
    return {os.path.realpath(path) for path in paths if os.path.isfile(path)}
