"""Where the CANN toolkit is, its version, and in it the source of the transpose operator."""

from __future__ import annotations

import glob
import os
import platform
import re

HOMES = ('/usr/local/Ascend/ascend-toolkit', '~/Ascend/ascend-toolkit')
KERNEL = 'op_impl/ai_core/tbe/impl/dynamic/transpose.py'
BUILT_IN_KERNEL = 'op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py'
INSTALLED = 'ascend_toolkit_install.info'
ARCHITECTURES = {'aarch64': ('aarch64-linux', 'arm64-linux')}


def find_transpose_py() -> str:
    """The installed toolkit's transpose.py, its links resolved.

    Looks where ASCEND_TOOLKIT_HOME says, else in the default places; in a folder of several versions
    `latest` comes before the numbered ones. Raises ValueError where none is found, or several.
    """
    named = os.environ.get('ASCEND_TOOLKIT_HOME')
    homes = [named] if named else [os.path.expanduser(home) for home in HOMES]
    found = sorted({path for home in homes for path in _in_home(home)})
    if not found:
        raise ValueError(f'no transpose.py below {" or ".join(homes)}: name the file with --transpose-py')
    if len(found) > 1:
        raise ValueError(f'more than one toolkit: choose with --transpose-py: {" ".join(found)}')
    return found[0]


def find_version() -> str | None:
    """The version of the toolkit that ASCEND_TOOLKIT_HOME names, as its installer wrote it; None where not known."""
    home = glob.escape(os.environ.get('ASCEND_TOOLKIT_HOME', '/nowhere'))
    paths = [
        path
        for folder in ('', '*-linux', 'latest/*-linux')
        for path in glob.glob(os.path.join(home, folder, INSTALLED))
    ]
    for path in sorted(paths):
        with open(path, encoding='utf-8', errors='replace') as file:
            match = re.search(r'^version=([\w.-]{1,40})$', file.read(1 << 16), re.MULTILINE)
        if match:
            return f'CANN {match.group(1)}'
    return None


def _in_home(home: str) -> set[str]:
    latest = _in_version(home) | _in_version(os.path.join(home, 'latest'))
    if latest:
        return latest
    return set().union(*[_in_version(path) for path in glob.glob(os.path.join(glob.escape(home), '[0-9]*'))])


def _in_version(folder: str) -> set[str]:
    """The two layouts: CANN 5's `{arch}-linux/opp/op_impl/built-in/...`, later `opp/built-in/op_impl/...`."""
    machine = platform.machine()
    places = [f'{arch}/opp/{BUILT_IN_KERNEL}' for arch in ARCHITECTURES.get(machine, (f'{machine}-linux',))]
    places.append(f'opp/built-in/{KERNEL}')
    paths = [os.path.join(folder, place) for place in places]
    return {os.path.realpath(path) for path in paths if os.path.isfile(path)}
