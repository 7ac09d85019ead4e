"""Working folders for atc and ais_bench, which accept only letters, digits and _ . - in paths."""

from __future__ import annotations

import os
import re
import tempfile

ACCEPTED_PATH = re.compile(r'[A-Za-z0-9_/.-]+')


def is_accepted_path(path: str) -> bool:
    """Return whether ais_bench accepts the characters of a path after its links are resolved."""
    return bool(ACCEPTED_PATH.fullmatch(os.path.realpath(path)))


def work_place(folder: str) -> str:
    """Return a folder that ais_bench and atc accept, for their inputs and results.

    Args:
        folder: the folder to prefer.

    Returns:
        The real path of the given folder, else that of a folder for temporary files.

    Raises:
        ValueError: they accept none of these paths.
    """
    for place in (folder, tempfile.gettempdir(), '/tmp'):
        if os.path.isdir(place) and is_accepted_path(place):
            return os.path.realpath(place)
    raise ValueError(
        f'{tempfile.gettempdir()}: ais_bench accepts only letters, digits and _ . - in paths: '
        'set TMPDIR to a folder with such a path'
    )
