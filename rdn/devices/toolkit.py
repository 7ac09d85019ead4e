"""Where the CANN toolkit is, and its version."""

from __future__ import annotations

import glob
import os
import re

VARIABLES = ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH')
# `cann` from 8.5 on: a link to cann-8.5.0, say.
HOMES = ('/usr/local/Ascend/cann', '/usr/local/Ascend/ascend-toolkit', '~/Ascend/cann', '~/Ascend/ascend-toolkit')
# Where an installation's version stands: the file's name, and the line in it.
VERSION_FILES = (
    ('ascend_toolkit_install.info', r'^version=([\w.-]{1,40})$'),
    ('version.cfg', r'^toolkit_running_version=\[[^:\]]*:([\w.-]{1,40})\]'),
)


def homes() -> list[str]:
    """The folders to look for a toolkit in: the one that a variable names, else the default places."""
    named = next(filter(None, map(os.environ.get, VARIABLES)), None)
    return [named] if named else [os.path.expanduser(home) for home in HOMES]


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
