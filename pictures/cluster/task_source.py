"""The pictures of a store, one by one as they are listed, as tasks for the workers of a cluster."""

from __future__ import annotations

import os
from typing import Iterator

from pictures import naming, processing
from pictures.cluster import stores, worker
from pictures.formats import reader, registry

SHOWN_EACH_DOUBLING = 16  # pictures on the report: so many of the first 16, of 17 to 32, of 33 to 64


def find_tasks(
    source: stores.Store, output: stores.Store, names: naming.Naming, summary: processing.Summary
) -> Iterator[worker.PictureTask | str]:
    """Yield a PictureTask for each picture as it is listed, or why there is none: its result would be another's too.

    names: with an empty output. Files that are no pictures by their names are counted in the summary.
    """
    own_results = names.suffix and output.is_same(source)
    alike: list[tuple[str, str, str]] = []  # (beginning, target, place): later names that begin so may share a target
    number = 0
    for place in source.list(output, summary.pass_link):
        if not reader.is_picture_name(place):
            summary.pass_over(source.path(place))
            continue
        if own_results and _is_result(place, source, names):
            continue
        if not {'', os.curdir, os.pardir}.isdisjoint(place.split('/')):  # of a store: it would leave the output
            yield f'{source.path(place)}: is no name for a file: rename it'
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
    """Whether a file is the result of another one beside it."""
    stem = os.path.splitext(place)[0]
    if not stem.endswith(names.suffix):
        return False
    own = stem[: -len(names.suffix)]
    forms = (str, str.upper, lambda ending: '.' + ending[1:].capitalize())
    places = (own + form(ending) for ending in registry.READABLE for form in forms)
    return any(naming.target_of(other, names) == place and store.exists(other) for other in places)


def is_shown(number: int) -> bool:
    """Whether the report shows the picture of a number: all of the first ones, then ever fewer, to the end."""
    return number % (1 << max(0, number.bit_length() - SHOWN_EACH_DOUBLING.bit_length())) == 0
