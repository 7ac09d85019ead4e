"""Find the pictures to enlarge in the files and folders that the user named, without the results of earlier runs."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from pictures import clashes, discovery, history, in_place, naming, processing, target_size
from rdn import cli

SHOWN_RESULTS = 3  # named in the line about results that are skipped


class Found(NamedTuple):
    """The pictures among the inputs.

    Attributes:
        jobs: the pictures to enlarge.
        results: the paths of pictures that are not enlarged, because they are results of earlier runs.
    """

    jobs: list[processing.PictureJob]
    results: list[str]

    def describe_results(self) -> str:
        """Return a line about the results that are not enlarged; empty if there are no results."""
        if not self.results:
            return ''
        rest = ', …' if len(self.results) > SHOWN_RESULTS else ''
        shown = ', '.join(self.results[:SHOWN_RESULTS])
        return f'not enlarged again: {cli.count(len(self.results), "result")} of earlier runs: {shown}{rest}'


def find_jobs(
    inputs: Sequence[str], names: naming.Naming, summary: processing.Summary, past: history.History | None = None
) -> Found:
    """Return a job for each picture, in the order of the inputs; the pictures of each folder are sorted.

    A picture in a folder is recognized as a result of an earlier run by its name: the name of another picture in that
    folder, plus this run's suffix or the usual suffix of a size. A file that the user named always counts as a picture,
    unless this run makes it of another one.

    Args:
        inputs: files and folders.
        names: how the results are named.
        summary: counts the files whose names do not end like a picture's, and the links to folders.
        past: the records of earlier runs; None: no records.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError: there is no picture, or `names` has one file as the result of several pictures.
    """
    past = past or history.History()
    jobs: dict[tuple[str, str], processing.PictureJob] = {}  # by source and result: an input may be given twice
    in_folders: dict[str, str] = {}  # source -> place
    for given in inputs:
        own = names if names.file else names._replace(output=naming.folder_for(given, names))
        for path, place, is_picture in discovery.find_pictures([given], own.output or os.curdir, summary.pass_link):
            if not is_picture:
                if not in_place.is_backup(path):
                    summary.pass_over(path)
                continue
            job = processing.PictureJob(path, place, path if names.in_place else naming.target_of(place, own))
            source = os.path.abspath(path)
            jobs.setdefault((source, os.path.abspath(job.target)), job)
            if os.path.isdir(given):
                in_folders[source] = place
    chosen = clashes.numbered(list(jobs.values()), past) if names.numbers else list(jobs.values())
    found, stems = Found([], []), _stems_of_results(in_folders, names.suffix)
    targets = set() if names.in_place else {os.path.abspath(job.target) for job in chosen}
    for job in chosen:
        source = os.path.abspath(job.source)
        is_result = source in targets or source in in_folders and _is_result(source, stems, past)
        if is_result and names.suffix and not names.file:
            found.results.append(job.source)
        else:
            found.jobs.append(job)
    _check(inputs, names, found)
    return found


def _is_result(source: str, stems: set[str], past: history.History) -> bool:
    """Return whether a picture in a folder is a result by its name, or by its name without a number of `clashes`."""
    usual = clashes.without_number(source)
    if usual != source and past.is_result(source) and os.path.splitext(usual)[0] in stems:
        return True
    return os.path.splitext(source)[0] in stems


def _stems_of_results(places: dict[str, str], suffix: str) -> set[str]:
    """Return the paths, without endings, of possible results of pictures in folders; `places`: source -> its place."""
    suffixes = {suffix, *(target_size.suffix_in(os.path.splitext(source)[0]) for source in places)}
    suffixes.discard('')
    return {
        source[: len(source) - len(place)] + stem
        for source, place in places.items()
        for each in suffixes
        for stem in naming.stems_of_results(place, each)
    }


def _check(inputs: Sequence[str], names: naming.Naming, found: Found) -> None:
    if not found.jobs:
        raise ValueError(f'{", ".join(inputs)}: no pictures found')
    if names.file and len(found.jobs) > 1:
        raise ValueError(
            f'{names.file}: --output names one file, but there are {len(found.jobs)} pictures: name a folder'
        )
