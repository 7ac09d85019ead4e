"""Where the CANN toolkit is, its version, the chips that it knows, its Python modules."""

from __future__ import annotations

import glob
import os
import re
from typing import Iterator

VARIABLES = ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH')
# Below the folder that an installer uses; `cann` from 8.5 on: a link to cann-8.5.0 for instance.
NAMES = ('cann', 'ascend-toolkit')
ROOTS = ('/usr/local/Ascend', '~/Ascend')
# The installer of root notes a folder of the user's choice here.
INSTALL_INFO = '/etc/Ascend/ascend_cann_install.info'
INSTALL_PATH = re.compile(r'^Install_Path=(.*?)/*\s*$', re.MULTILINE)
# Where an installation's version stands: the file's name, and the line in it.
VERSION_FILES = (
    ('ascend_toolkit_install.info', r'^version=([\w.-]{1,40})$'),
    ('version.cfg', r'^toolkit_running_version=\[[^:\]]*:([\w.-]{1,40})\]'),
)
CHIP_FILES = 'data/platform_config/Ascend*.ini'  # a chip each, which is the file's name

PREFIX = 'Ascend'  # before the chip's name, as atc and the runtime spell it
# pyACL's module is in the second one in toolkits up to 2021, and in both in later ones.
PYTHON_FOLDERS = ('python/site-packages', 'pyACL/python/site-packages/acl', 'pyACL/python/site-packages')


def homes() -> list[str]:
    """The folders to look for a toolkit in: the one that a variable names, else conda's and the installers' places."""
    named = next(filter(None, map(os.environ.get, VARIABLES)), None)
    if named:
        return [named]
    conda = os.environ.get('CONDA_PREFIX')
    roots = [os.path.join(conda, 'Ascend')] if conda else []
    roots += [*_noted_roots(), *map(os.path.expanduser, ROOTS)]
    return [os.path.join(root, name) for root in dict.fromkeys(roots) for name in NAMES]


def _noted_roots() -> list[str]:
    """The folder that root's installer noted; none if there is no note."""
    try:
        # The variable is for tests.
        with open(os.environ.get('RDN_INSTALL_INFO', INSTALL_INFO), encoding='utf-8', errors='replace') as file:
            match = INSTALL_PATH.search(file.read(1 << 16))
    except OSError:
        return []
    return [match.group(1)] if match and match.group(1) else []


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


def known_chips(atc: str | None = None) -> tuple[str, ...]:
    """List the chips that the toolkit knows, by their names for atc's --soc_version, without `Ascend`.

    Args:
        atc: the path of the program, whose own toolkit comes before those in `homes`.

    Returns:
        The names; none if the toolkit has no list.
    """
    for folder, depths in _folders_with_chips(atc):
        paths = [path for depth in depths for path in glob.glob(os.path.join(glob.escape(folder), depth, CHIP_FILES))]
        if paths:
            names = {os.path.splitext(os.path.basename(path))[0] for path in paths}
            return tuple(sorted(map(chip_name, names)))
    return ()


def _folders_with_chips(atc: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Folders that may have a list of chips, the best first, and how far below them it may be."""
    if atc:  # {part of the toolkit}/bin/atc
        yield os.path.dirname(os.path.dirname(os.path.realpath(atc))), ('', '*')
    for home in homes():
        for folder in (*_versions(home), home):
            yield folder, ('', '*', '*/*')


def chip_name(soc_version: str) -> str:
    """Return a chip's name without `Ascend` in front, which may be in any case: 'Ascend310P3' -> '310P3'."""
    return soc_version[len(PREFIX) :] if soc_version.lower().startswith(PREFIX.lower()) else soc_version


def python_folders() -> list[str]:
    """The folders in `homes` that the toolkit puts on PYTHONPATH for its module acl, in the order in which to look."""
    found = []
    for home in homes():
        for folder in (home, *_versions(home)):
            for place in PYTHON_FOLDERS:
                found += [os.path.join(folder, place), *glob.glob(os.path.join(glob.escape(folder), '*-linux', place))]
    return [folder for folder in dict.fromkeys(found) if os.path.isdir(folder)]


def _versions(home: str) -> list[str]:
    """Where versions of a toolkit are below its home, the one that `latest` names first, then the newest."""
    numbered = sorted(glob.glob(os.path.join(glob.escape(home), '[0-9]*')), key=_version_key, reverse=True)
    return [os.path.join(home, 'latest'), *numbered]


def _version_key(path: str) -> list[int]:
    return [int(number) for number in re.findall(r'\d+', os.path.basename(path))]
