"""Find the pictures among files and below folders, for runs on one machine and on a cluster."""

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
    """Yield all files among the inputs and below them, those of each folder sorted.

    The folder `output` is skipped, because it holds results of earlier runs.

    Args:
        inputs: files and folders.
        output: the folder of the results.
        on_link: called with the path of each link to a folder, which is not followed.

    Yields:
        (path, place, whether to treat the file as a picture). The place is the path below the input folder, or the name of
        an input file. Input files always count as pictures; files in folders, if their names end like a picture's.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError: an input is a URL.
    """
    check_existence(inputs)
    for given in inputs:
        if not os.path.isdir(given):
            yield given, os.path.basename(given), True
            continue
        for place in walk(given, output, on_link=on_link):
            yield os.path.join(given, place), place, reader.is_picture_name(place)


def check_existence(inputs: Sequence[str]) -> None:
    """Check that all inputs exist.

    Raises:
        FileNotFoundError: an input does not exist.
        ValueError: an input is a URL.
    """
    for given in inputs:
        if not os.path.exists(given):
            check_no_url(given)
            raise FileNotFoundError(errno.ENOENT, 'no such file or folder', given)


def check_no_url(path: str) -> None:
    """Raise ValueError if the path is a URL: only runs on a cluster open URLs."""
    if '://' in path:
        raise ValueError(f'{path}: is a URL: add --cluster (docs/cluster.md)')


def walk(
    root: str,
    output: str | None,
    on_error: Callable[[OSError], None] | None = None,
    on_link: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """Yield the paths of all files below a folder, relative to it; the names in each folder are sorted.

    Skipped are hidden files, the folder `output`, links to folders, the views of a report, and half-written folders. Memory
    does not hold all names of a large folder at once.

    Args:
        root: the folder.
        output: a folder to skip, if it is below `root`; None: skip no such folder.
        on_error: called with the error for each folder that cannot be read, which is then skipped.
        on_link: called with the path of each link to a folder.
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
    """Yield the names of a folder's files, and append those of its folders to `folders`; `calls` are walk's callbacks."""
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
