"""Where the CANN toolkit is, its version, and in it the source of the transpose operator."""

from __future__ import annotations

import glob
import os
import platform
import re

from rdn.profiling import whitelist

VARIABLES = ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH')
# `cann` from 8.5 on: a link to cann-8.5.0, say.
HOMES = ('/usr/local/Ascend/cann', '/usr/local/Ascend/ascend-toolkit', '~/Ascend/cann', '~/Ascend/ascend-toolkit')
# transpose.py below opp/: up to 5.0, from CANN 6 on, from 8.5 on.
KERNELS = (
    'op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py',
    'built-in/op_impl/ai_core/tbe/impl/ops_legacy/dynamic/transpose.py',
)
ARCHITECTURES = {'aarch64': ('aarch64-linux', 'arm64-linux')}
# Where an installation's version stands: the file's name, and the line in it.
VERSION_FILES = (
    ('ascend_toolkit_install.info', r'^version=([\w.-]{1,40})$'),
    ('version.cfg', r'^toolkit_running_version=\[[^:\]]*:([\w.-]{1,40})\]'),
)


def homes() -> list[str]:
    """The folders to look for a toolkit in: the one that a variable names, else the default places."""
    named = next(filter(None, map(os.environ.get, VARIABLES)), None)
    return [named] if named else [os.path.expanduser(home) for home in HOMES]


def find_transpose_py() -> str:
    """The installed toolkit's transpose.py, its links resolved.

    Looks in `homes`; in a folder of several versions `latest` comes before the numbered ones. Of several files of one
    toolkit the one with the white list counts. Raises ValueError where none is found, or several.
    """
    places = homes()
    found = sorted({path for home in places for path in _in_home(home)})
    if not found:
        raise ValueError(f'no transpose.py below {" or ".join(places)}: name the file with --transpose-py')
    found = [path for path in found if _has_list(path)] or found
    if len(found) > 1:
        raise ValueError(f'more than one toolkit: choose with --transpose-py: {" ".join(found)}')
    return found[0]


def find_version() -> str | None:
    """The version of the toolkit in the first of `homes` that says one, as its installer wrote it; None where none does."""
    for home in homes():
        for name, pattern in VERSION_FILES:
            for folder in ('', '*-linux', 'latest', 'latest/*-linux'):
                for path in sorted(glob.glob(os.path.join(glob.escape(home), folder, name))):
                    with open(path, encoding='utf-8', errors='replace') as file:
                        match = re.search(pattern, file.read(1 << 16), re.MULTILINE)
                    if match:
                        return f'CANN {match.group(1)}'
    return None


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
