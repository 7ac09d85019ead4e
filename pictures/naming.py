"""The names and folders of results: photo.jpg becomes photo_x2.jpg in the same folder, photos/ becomes photos_x2/."""

from __future__ import annotations

import os
from typing import Iterator, NamedTuple

from pictures.formats import reader, registry


class Naming(NamedTuple):
    """How results are named.

    Attributes:
        output: the folder of all results; None: next to each file or folder that the user named.
        suffix: appended to the stems of sources, and without `output` to the names of folders.
        ending: the ending of all results, with its dot; None: the source's own, or .png if that cannot be written.
        lossless: whether results are PNG where the format is always lossy.
        file: the path of the only result; None: it follows from the source's name.
        numbers: whether to number results that would have the same name.
        in_place: whether each result takes the name of its source.
        all_frames: whether all frames are enlarged, so that results may be GIF.
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
        """Return whether results can have an ending, which includes its dot."""
        return registry.can_write(ending, self.all_frames)


def make_naming(
    output: str | None, suffix: str | None, ext: str | None, lossless: bool, usual: str, all_frames: bool = False
) -> Naming:
    """Return how results are named, from the values of the flags.

    Args:
        output: a file if it ends like a picture's name and no such folder exists, else a folder; None: no --output.
        suffix: appended to the stems of sources; None: `usual`.
        ext: the ending of all results, without its dot; None: the sources' own.
        lossless: as in Naming.
        usual: the suffix that names the size, for example _x2 for a model that doubles.
        all_frames: as in Naming.

    Raises:
        ValueError: `output` is a file whose format cannot be written or is always lossy although `lossless` is set, or
            which `suffix` or `ext` contradicts.
    """
    chosen = usual if suffix is None else suffix
    ending = ext and f'.{ext}'
    if output is None or not reader.is_picture_name(output) or os.path.isdir(output):
        return Naming(output, chosen, ending, lossless, all_frames=all_frames)
    own = registry.ending_of(output)
    folder = os.path.dirname(os.path.abspath(output))
    named = Naming(folder, chosen, ending, lossless, output, all_frames=all_frames)
    if not named.can_write(own):
        usage = 'is only written with --all-frames: add it, or' if own in registry.WITH_FRAMES else 'cannot be written:'
        raise ValueError(f'{output}: {own[1:].upper()} {usage} name a .png file, for example')
    if suffix is not None or ending not in (None, own):
        raise ValueError(f'{output}: --output names a file: leave out --ext and --suffix')
    if lossless and registry.BY_ENDING[own].has_loss:
        raise ValueError(f'{output}: {registry.BY_ENDING[own].name} is always lossy: name a .png file, for example')
    return named


def folder_for(given: str, naming: Naming) -> str:
    """Return the folder for the results of an input.

    Args:
        given: a file or folder that the user named.
        naming: how results are named.

    Returns:
        The folder `naming.output`; without one, the folder of an input file, or a new folder next to an input folder.

    Raises:
        ValueError: the suffix is empty, so the results would go into the input folder itself; or the folder is `/`.
    """
    if naming.output is not None:
        return naming.output
    if not os.path.isdir(given):
        return os.path.dirname(given)
    if naming.in_place:
        return given
    if not naming.suffix:
        raise ValueError(f'{given}: with an empty --suffix, results would go into the same folder: name an --output')
    path = os.path.normpath(given)
    if os.path.basename(path) in ('', os.curdir, os.pardir):
        path = os.path.abspath(path)
    if path == os.path.dirname(path):
        raise ValueError(f'{given}: there cannot be a folder for results next to it: name an --output')
    return path + naming.suffix


def target_of(place: str, naming: Naming) -> str:
    """Return the path of a result.

    The result is a PNG if the source's format cannot be written, or is lossy although `naming.lossless` is set.

    Args:
        place: the source's path below the input folder, or the name of an input file.
        naming: how results are named.
    """
    if naming.file:
        return naming.file
    stem, own = os.path.splitext(place)
    chosen = naming.ending or (own.lower() if naming.can_write(own.lower()) else '.png')
    if naming.lossless and registry.BY_ENDING[chosen].has_loss:
        chosen = '.png'
    return os.path.join(naming.output or '', f'{stem}{naming.suffix}{chosen}')


def stems_of_results(place: str, suffix: str) -> Iterator[str]:
    """Yield the possible places of a picture's results, without endings.

    A result may be in the folder of its picture, or in a folder next to it or next to a folder above it. For `trip/a.jpg`,
    the places are `trip/a_x2` and `trip_x2/a_x2`.

    Args:
        place: the picture's path below the input folder.
        suffix: the suffix of the results' names.
    """
    parts = (os.path.splitext(place)[0] + suffix).split(os.sep)
    yield os.sep.join(parts)
    for index in range(len(parts) - 1):
        yield os.sep.join([*parts[:index], parts[index] + suffix, *parts[index + 1 :]])
