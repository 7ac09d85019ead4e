"""ais_bench, benchmark's successor from CANN 6 on: the names of its outputs, the files and folders that it accepts.

Since early 2024 it refuses paths with other characters than ACCEPTED_PATH's, symbolic links, models and inputs that group or
others can write or that belong to someone else (also where root asks), any such thing in the folder of inputs, and an
output folder that exists with a mode above 0750.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from typing import Iterable

ACCEPTED_PATH = re.compile(r'[A-Za-z0-9_/.-]+')


def output_prefix(stem: str) -> str:
    """What stands before the `_0` in the name of an output: the input's name up to its first dot."""
    return stem.split('.')[0]


def clashing_stems(stems: Iterable[str]) -> list[list[str]]:
    """The groups of stems whose outputs would have one name, each sorted."""
    groups: dict[str, list[str]] = {}
    for stem in sorted(stems):
        groups.setdefault(output_prefix(stem), []).append(stem)
    return [group for group in groups.values() if len(group) > 1]


def check_stems(stems: Iterable[str]) -> None:
    """Raises ValueError, with their names, for images whose outputs ais_bench would write over each other."""
    for group in clashing_stems(stems):
        raise ValueError(
            f'{" and ".join(group[:3])}: ais_bench cuts names at the first dot, and would write the outputs of all as '
            f'{output_prefix(group[0])}_0.bin: rename the images and prepare them again'
        )


def is_accepted_path(path: str) -> bool:
    """Whether ais_bench takes the path, links in it resolved."""
    return bool(ACCEPTED_PATH.fullmatch(os.path.realpath(path)))


def work_place(folder: str) -> str:
    """The folder for files on their way to and from ais_bench or atc: the given one, else one for temporary files.

    Raises ValueError where neither has a path that they accept.
    """
    for place in (folder, tempfile.gettempdir(), '/tmp'):
        if os.path.isdir(place) and is_accepted_path(place):
            return os.path.realpath(place)
    raise ValueError(f'{tempfile.gettempdir()}: ais_bench takes letters, digits, _ . - in paths only: set TMPDIR')


def accepted_file(path: str, work: str) -> str:
    """The real path of a file; of a copy in the folder `work` where ais_bench would refuse it."""
    path = os.path.realpath(path)
    return path if _is_accepted(path) else _copy(path, os.path.join(work, 'model' + os.path.splitext(path)[1]))


def accepted_inputs(folder: str, stems: Iterable[str], work: str) -> tuple[str, dict[str, str]]:
    """(the folder of the inputs, what their outputs' names begin with -> their stems).

    The real path of the folder where nothing else is in it and ais_bench accepts all of it; else of one in the folder
    `work`, with copies that are numbered. Raises ValueError as check_stems does.
    """
    stems, folder = sorted(stems), os.path.realpath(folder)
    check_stems(stems)
    entries = {entry.name: entry.path for entry in os.scandir(folder)}
    if set(entries) == {f'{stem}.bin' for stem in stems} and all(map(_is_accepted, [folder, *entries.values()])):
        return folder, {output_prefix(stem): stem for stem in stems}
    copies = os.path.join(work, 'inputs')
    os.mkdir(copies, 0o700)
    for number, stem in enumerate(stems):
        _copy(os.path.join(folder, f'{stem}.bin'), os.path.join(copies, f'{number:07}.bin'))
    return copies, {f'{number:07}': stem for number, stem in enumerate(stems)}


def _copy(path: str, copy: str) -> str:
    shutil.copyfile(path, copy)
    os.chmod(copy, 0o600)
    return copy


def _is_accepted(path: str) -> bool:
    status = os.lstat(path)
    mine = status.st_uid == os.geteuid() or status.st_gid in os.getgroups()
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(ACCEPTED_PATH.fullmatch(path)) and mine and not writable and not stat.S_ISLNK(status.st_mode)
