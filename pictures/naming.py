"""The names of results and where they lie: photo.jpg becomes photo_x2.jpg beside it, photos/ becomes photos_x2/."""

from __future__ import annotations

import os
from typing import Iterator, NamedTuple

from pictures.formats import reader, registry


class Naming(NamedTuple):
    """How results are named.

    Attributes:
        output: the folder of all results; None: each lies beside what the user named.
        suffix: behind the names of sources, and without `output` of folders.
        ending: of all results, with its dot; None: the source's own where it can be written.
        lossless: whether formats that always lose something become PNG.
        file: the path of the only result; None: it follows from the source's name.
        numbers: whether several pictures of one result are numbered.
        in_place: whether each result takes the name of its source.
        all_frames: whether formats that are only written with all frames may be results.
    """

    output: str | None
    suffix: str
    ending: str | None
    lossless: bool
    file: str | None = None
    numbers: bool = False
    in_place: bool = False
    all_frames: bool = False

    def can_write(self, ending: str) -> bool:
        """Whether results may have an ending."""
        return registry.can_write(ending, self.all_frames)


def make_naming(
    output: str | None, suffix: str | None, ext: str | None, lossless: bool, usual: str, all_frames: bool = False
) -> Naming:
    """Return how results are named.

    Args:
        output: a file where its ending is that of a format and there is no such folder, else a folder; None for neither.
        suffix: behind the names of sources; None: the usual one.
        ext: the ending of all results, without its dot; None: the sources' own.
        lossless: as in Naming.
        usual: the suffix that says the size: _x2 for a model that doubles.
        all_frames: as in Naming.

    Raises:
        ValueError: `output` is a file, and other flags name or choose otherwise, or its format is not written.
    """
    chosen = usual if suffix is None else suffix
    ending = ext and f'.{ext}'
    if output is None or not reader.is_picture_name(output) or os.path.isdir(output):
        return Naming(output, chosen, ending, lossless, all_frames=all_frames)
    own = registry.ending_of(output)
    folder = os.path.dirname(os.path.abspath(output))
    named = Naming(folder, chosen, ending, lossless, output, all_frames=all_frames)
    if not named.can_write(own):
        usage = 'is only written with --all-frames: add it, or' if own in registry.WITH_FRAMES else 'is not written:'
        raise ValueError(f'{output}: {own[1:].upper()} {usage} name a .png file, for example')
    if suffix is not None or ending not in (None, own):
        raise ValueError(f'{output}: --output names a file, which --ext and --suffix do not change')
    if lossless and registry.BY_ENDING[own].has_loss:
        raise ValueError(
            f'{output}: {registry.BY_ENDING[own].name} always loses something: name a .png file, for example'
        )
    return named


def folder_for(given: str, naming: Naming) -> str:
    """Return the folder for the results of a file or folder that the user named: beside it unless an output is named.

    Raises:
        ValueError: a folder whose results would lie in the folder itself.
    """
    if naming.output is not None:
        return naming.output
    if not os.path.isdir(given):
        return os.path.dirname(given)
    if naming.in_place:
        return given
    if not naming.suffix:
        raise ValueError(f'{given}: with an empty --suffix its results would lie in it: name an --output')
    path = os.path.normpath(given)
    if os.path.basename(path) in ('', os.curdir, os.pardir):
        path = os.path.abspath(path)
    if path == os.path.dirname(path):
        raise ValueError(f'{given}: has no folder beside it for results: name an --output')
    return path + naming.suffix


def target_of(place: str, naming: Naming) -> str:
    """The result's path. What cannot be written, or not without loss where that is asked for, becomes PNG.

    place: of the source below what the user named.
    """
    if naming.file:
        return naming.file
    stem, own = os.path.splitext(place)
    chosen = naming.ending or (own.lower() if naming.can_write(own.lower()) else '.png')
    if naming.lossless and registry.BY_ENDING[chosen].has_loss:
        chosen = '.png'
    return os.path.join(naming.output or '', f'{stem}{naming.suffix}{chosen}')


def stems_of_results(place: str, suffix: str) -> Iterator[str]:
    """Yield the places, without an ending, where results of a picture may lie in the folder that holds it.

    They are beside it, and in folders beside its folders: of `trip/a.jpg` these are `trip/a_x2` and `trip_x2/a_x2`.
    """
    parts = (os.path.splitext(place)[0] + suffix).split(os.sep)
    yield os.sep.join(parts)
    for index in range(len(parts) - 1):
        yield os.sep.join([*parts[:index], parts[index] + suffix, *parts[index + 1 :]])
