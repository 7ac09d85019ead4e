"""Folders to work in: atc and ais_bench accept letters, digits, _ . - in paths only."""

from __future__ import annotations

import os
import re
import tempfile

ACCEPTED_PATH = re.compile(r'[A-Za-z0-9_/.-]+')


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
