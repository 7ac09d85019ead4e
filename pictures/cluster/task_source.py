"""List the pictures of a store as tasks for the workers of a cluster, one by one."""

from __future__ import annotations

import os
from typing import Iterator

from pictures import naming, processing
from pictures.cluster import stores, worker
from pictures.formats import reader, registry

SHOWN_EACH_DOUBLING = 16  # the report shows so many pictures of the first 16, of 17 to 32, of 33 to 64, and so on


def find_tasks(
    source: stores.Store, output: stores.Store, names: naming.Naming, summary: processing.Summary
) -> Iterator[worker.PictureTask | str]:
    """Yield a task for each picture as it is listed.

    Args:
        source: the store of the pictures.
        output: the store of the results, which is skipped if it is within `source`.
        names: how results are named, with an empty output.
        summary: counts the files whose names do not end like a picture's, and the links to folders.

    Yields:
        A PictureTask; or a line that says why a picture fails: its result would be that of another picture too, or would
        replace the picture itself, or its name is not valid.

    Raises:
        OSError: the pictures cannot be listed.
    """
    own_results = names.suffix and output.is_same(source)
    # (beginning, target, place) of earlier pictures: only names with the same beginning can have the same target.
    alike: list[tuple[str, str, str]] = []
    number = 0
    for place in source.list(output, summary.pass_link):
        if not reader.is_picture_name(place):
            summary.pass_over(source.path(place))
            continue
        if own_results and _is_result(place, source, names):
            continue
        # Object stores allow such names, but `..` would lead out of the output.
        if not {'', os.curdir, os.pardir}.isdisjoint(place.split('/')):
            yield f'{source.path(place)}: not a valid file name: rename it'
            continue
        target = naming.target_of(place, names)
        if target == place and output.is_same(source):
            yield f'{source.path(place)}: would be replaced by its result: name another --output or --suffix'
            continue
        alike = [each for each in alike if place.startswith(each[0])]
        same = [other for _, theirs, other in alike if theirs == target]
        if same:
            yield f'{output.path(target)}: would be the result of {source.path(same[0])} too: rename one'
            continue
        alike.append((os.path.splitext(place)[0] + '.', target, place))
        yield worker.PictureTask(place, target, is_shown(number))
        number += 1


def _is_result(place: str, store: stores.Store, names: naming.Naming) -> bool:
    """Return whether a file is the result of another picture in the same folder, by its name."""
    stem = os.path.splitext(place)[0]
    if not stem.endswith(names.suffix):
        return False
    own = stem[: -len(names.suffix)]
    forms = (str, str.upper, lambda ending: '.' + ending[1:].capitalize())
    places = (own + form(ending) for ending in registry.READABLE for form in forms)
    return any(naming.target_of(other, names) == place and store.exists(other) for other in places)


def is_shown(number: int) -> bool:
    """Return whether the report shows a picture: all of the first 32, then fewer and fewer.

    Args:
        number: position of the picture in the run, from 0.
    """
    return number % (1 << max(0, number.bit_length() - SHOWN_EACH_DOUBLING.bit_length())) == 0
