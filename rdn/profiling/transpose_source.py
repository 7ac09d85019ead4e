"""The source of the transpose operator in the installed toolkit."""

from __future__ import annotations

import glob
import os
import platform

from rdn import toolkit
from rdn.profiling import whitelist

# Paths of transpose.py below opp/: in CANN up to 5.0, since 6, and since 8.5.
KERNELS = (
    'op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/ops_legacy/dynamic/transpose.py',
)
ARCHITECTURES = {'aarch64': ('aarch64-linux', 'arm64-linux')}


def find() -> str:
    """Find the installed toolkit's transpose.py, in the folders of `toolkit.homes`.

    In a folder with several versions, `latest` is preferred to the numbered ones. If a toolkit contains several such
    files, the one with the white list is used.

    Returns:
        The file's path, with links resolved.

    Raises:
        ValueError: there is no such file, or there are several.
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
    """Return the files in one version's opp/, which may be in a folder for the processor's architecture."""
    machine = platform.machine()
    parts = ['opp', *(f'{arch}/opp' for arch in ARCHITECTURES.get(machine, (f'{machine}-linux',)))]
    paths = [os.path.join(folder, part, kernel) for part in parts for kernel in KERNELS]
    return {os.path.realpath(path) for path in paths if os.path.isfile(path)}
