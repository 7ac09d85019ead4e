"""Name clashes: photo.gif and photo.png would both become photo_x2.png, so one becomes photo_x2-2.png."""

from __future__ import annotations

import itertools
import os
import re
from typing import Iterator, Sequence

from pictures import history, processing

REFUSE, NUMBER = 'refuse', 'number'
WAYS = (REFUSE, NUMBER)


def numbered(jobs: Sequence[processing.PictureJob], past: history.History) -> list[processing.PictureJob]:
    """Return the jobs, with numbers added to names of results that several jobs share.

    If an earlier run made a result from a picture, the result keeps its name, even if pictures were added since. Of the
    other results, the first has the usual name, and the next ones have a number at the end of it.

    Args:
        jobs: the pictures, with the usual names of their results.
        past: the records of earlier runs.

    Returns:
        The jobs in the same order; each picture has a result of its own.
    """
    usual = {os.path.abspath(job.target) for job in jobs}
    taken = _earlier_results(jobs, past)
    chosen = {owner: target for target, owner in taken.items()}
    result = []
    for job in jobs:
        owner = _owner(job.source, job.target)
        if owner not in chosen:
            free = (target for target in _candidates(job.target) if _is_free(target, owner, taken, past))
            chosen[owner] = next(target for target in free if target == owner[1] or target not in usual)
            taken[chosen[owner]] = owner
        result.append(job if chosen[owner] == owner[1] else job._replace(target=_beside(job.target, chosen[owner])))
    return result


def without_number(path: str) -> str:
    """Return the path of a result without the number that `numbered` added to its name."""
    stem, ending = os.path.splitext(path)
    return re.sub('-[0-9]+$', '', stem) + ending


def _owner(source: str, target: str) -> tuple[str, str]:
    """Return the key that identifies a result: its picture, and its usual name."""
    return os.path.abspath(source), os.path.abspath(target)


def _earlier_results(jobs: Sequence[processing.PictureJob], past: history.History) -> dict[str, tuple[str, str]]:
    """Return the results of earlier runs: path -> its picture and usual name."""
    taken: dict[str, tuple[str, str]] = {}
    owners = {_owner(job.source, job.target) for job in jobs}
    seen = set()
    for folder in sorted({os.path.dirname(target) for _, target in owners}):
        for path in past.results_in(folder):
            for usual in (path, without_number(path)):
                owner = past.source_of(path) or '', usual
                if owner in owners and owner not in seen:
                    seen.add(owner)
                    taken[path] = owner
                    break
    return taken


def _candidates(target: str) -> Iterator[str]:
    path = os.path.abspath(target)
    stem, ending = os.path.splitext(path)
    yield path
    for number in itertools.count(2):
        yield f'{stem}-{number}{ending}'


def _is_free(target: str, owner: tuple[str, str], taken: dict[str, tuple[str, str]], past: history.History) -> bool:
    return target not in taken and past.source_of(target) in (None, owner[0])


def _beside(target: str, chosen: str) -> str:
    """Return the absolute path `chosen` in the form in which the user wrote `target`: relative or absolute."""
    return os.path.join(os.path.dirname(target), os.path.basename(chosen))
