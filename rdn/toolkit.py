"""Find the CANN toolkit: its folder, its version, the chips that it supports, and its Python modules."""

from __future__ import annotations

import glob
import os
import re
from typing import Iterator

VARIABLES = ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH')
# Folders inside the installer's folder. From CANN 8.5 on, it is `cann`, a link to a folder such as cann-8.5.0.
NAMES = ('cann', 'ascend-toolkit')
ROOTS = ('/usr/local/Ascend', '~/Ascend')
# If root chose another folder, the installer wrote it to this file.
INSTALL_INFO = '/etc/Ascend/ascend_cann_install.info'
INSTALL_PATH = re.compile(r'^Install_Path=(.*?)/*\s*$', re.MULTILINE)
# Where an installation has its version: the name of the file, and the pattern of the line.
VERSION_FILES = (
    ('ascend_toolkit_install.info', r'^version=([\w.-]{1,40})$'),
    ('version.cfg', r'^toolkit_running_version=\[[^:\]]*:([\w.-]{1,40})\]'),
)
CHIP_FILES = 'data/platform_config/Ascend*.ini'  # one file for each chip, named after it

PREFIX = 'Ascend'  # before a chip's name in atc and in the runtime
# Toolkits up to 2021 have pyACL's module in the second folder, later ones in the first and second.
PYTHON_FOLDERS = ('python/site-packages', 'pyACL/python/site-packages/acl', 'pyACL/python/site-packages')


def homes() -> list[str]:
    """Return the folders in which to look for a toolkit; not all of them exist.

    Returns:
        Only the folder in ASCEND_TOOLKIT_HOME or ASCEND_HOME_PATH, if one of them is set; else the folders that conda
        and the installers use.
    """
    named = next(filter(None, map(os.environ.get, VARIABLES)), None)
    if named:
        return [named]
    conda = os.environ.get('CONDA_PREFIX')
    roots = [os.path.join(conda, 'Ascend')] if conda else []
    roots += [*_noted_roots(), *map(os.path.expanduser, ROOTS)]
    return [os.path.join(root, name) for root in dict.fromkeys(roots) for name in NAMES]


def _noted_roots() -> list[str]:
    """Return the folder in root's INSTALL_INFO, as a list; an empty list if there is no such file."""
    try:
        # Only tests set the variable.
        with open(os.environ.get('RDN_INSTALL_INFO', INSTALL_INFO), encoding='utf-8', errors='replace') as file:
            match = INSTALL_PATH.search(file.read(1 << 16))
    except OSError:
        return []
    return [match.group(1)] if match and match.group(1) else []


def find_version() -> str | None:
    """Return the toolkit's version, such as 'CANN 8.0.RC1', from the first of `homes` that has one, or None."""
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
    """Return the names of the chips that the toolkit supports, as in atc's --soc_version but without `Ascend`.

    Args:
        atc: the path of the program atc, whose own toolkit is searched before those in `homes`.

    Returns:
        The names, sorted; empty if the toolkit has no list of chips.
    """
    for folder, depths in _folders_with_chips(atc):
        paths = [path for depth in depths for path in glob.glob(os.path.join(glob.escape(folder), depth, CHIP_FILES))]
        if paths:
            names = {os.path.splitext(os.path.basename(path))[0] for path in paths}
            return tuple(sorted(map(chip_name, names)))
    return ()


def _folders_with_chips(atc: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield folders that may have a list of chips, the best first, each with patterns of the subfolders to search."""
    if atc:  # atc is in {part of the toolkit}/bin
        yield os.path.dirname(os.path.dirname(os.path.realpath(atc))), ('', '*')
    for home in homes():
        for folder in (*_versions(home), home):
            yield folder, ('', '*', '*/*')


def chip_name(soc_version: str) -> str:
    """Return a chip's name without the prefix `Ascend`, which may be in any case: 'Ascend310P3' -> '310P3'."""
    return soc_version[len(PREFIX) :] if soc_version.lower().startswith(PREFIX.lower()) else soc_version


def python_folders() -> list[str]:
    """Return the existing folders for the toolkit's module acl, in the order of the toolkit's PYTHONPATH."""
    found = []
    for home in homes():
        for folder in (home, *_versions(home)):
            for place in PYTHON_FOLDERS:
                found += [os.path.join(folder, place), *glob.glob(os.path.join(glob.escape(folder), '*-linux', place))]
    return [folder for folder in dict.fromkeys(found) if os.path.isdir(folder)]


def _versions(home: str) -> list[str]:
    """Return the folders of a toolkit's versions in its home: first `latest`, then the newest first."""
    numbered = sorted(glob.glob(os.path.join(glob.escape(home), '[0-9]*')), key=_version_key, reverse=True)
    return [os.path.join(home, 'latest'), *numbered]


def _version_key(path: str) -> list[int]:
    return [int(number) for number in re.findall(r'\d+', os.path.basename(path))]
