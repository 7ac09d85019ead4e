"""The pictures in files and folders, and below a folder of any size. For one machine and for many."""

from __future__ import annotations

import errno
import os
from typing import Callable, Iterator, Sequence

from pictures import external_sort
from pictures.formats import reader
from pictures.report import report


def find_pictures(
    inputs: Sequence[str], output: str, on_link: Callable[[str], None] | None = None
) -> Iterator[tuple[str, str, bool]]:
    """Yield (path, place below what was given, whether its name is a picture's) for files and folders, sorted.

    A picture in a folder keeps its place. An earlier run's results in `output` are passed over.

    Args:
        inputs: files and folders.
        output: the folder of the results.
        on_link: called with the path of each link to a folder, which is not followed.

    Raises:
        FileNotFoundError: an input does not exist.
    """
    check_existence(inputs)
    for given in inputs:
        if not os.path.isdir(given):
            yield given, os.path.basename(given), True
            continue
        for place in walk(given, output, on_link=on_link):
            yield os.path.join(given, place), place, reader.is_picture_name(place)


def check_existence(inputs: Sequence[str]) -> None:
    """Raise FileNotFoundError for the first input that does not exist, ValueError for a URL."""
    for given in inputs:
        if not os.path.exists(given):
            check_no_url(given)
            raise FileNotFoundError(errno.ENOENT, 'no such file or folder', given)


def check_no_url(path: str) -> None:
    """Raises ValueError for a URL, which one machine alone does not open."""
    if '://' in path:
        raise ValueError(f'{path}: is a URL: add --cluster (docs/cluster.md)')


def walk(
    root: str,
    output: str | None,
    on_error: Callable[[OSError], None] | None = None,
    on_link: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Yield the places of all files below a folder, those of a folder sorted, but for hidden ones.

    Passed over: the folder `output` within, links to folders, a report's views, what is half-written. The names of a
    folder are not all held. on_error: called for a folder that cannot be read, which is else passed over; on_link: called
    with the path of a link to a folder.
    """
    waiting = ['']
    while waiting:
        place = waiting.pop()
        folder = os.path.join(root, place)
        if output and os.path.realpath(folder) == os.path.realpath(output) != os.path.realpath(root):
            continue
        folders: list[str] = []
        for name in external_sort.external_sort(_list_folder(folder, folders, (on_error, on_link))):
            yield os.path.join(place, name)
        waiting += [os.path.join(place, name) for name in sorted(folders, reverse=True)]


def _list_folder(folder: str, folders: list[str], calls: tuple[Callable | None, Callable | None]) -> Iterator[str]:
    """Yield the names of a folder's files, and put those of the folders in it to `folders`. calls: as of walk."""
    on_error, on_link = calls
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    if not entry.name.startswith('.'):
                        yield entry.name
                elif entry.is_symlink():
                    if on_link:
                        on_link(entry.path)
                elif not (entry.name == report.VIEWS_NAME or _is_half_written(entry.name)):
                    folders.append(entry.name)
    except OSError as error:
        if on_error:
            on_error(error)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_half_written(folder: str) -> bool:
    return folder.startswith('.') and folder.endswith('.partial')
