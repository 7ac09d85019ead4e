"""A picture that its result replaces: photo.jpg becomes the enlarged one, and the original photo.jpg.orig.

At every moment the original lies under its own name, or it is photo.jpg.orig and the complete result has its name.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import stat
from typing import BinaryIO, Iterator

from pictures import history
from pictures.formats import base, reader, registry
from rdn import files

ENDING = '.orig'


def is_backup(path: str) -> bool:
    """Return whether a file lies beside a picture under the name of its backup."""
    picture = path[: -len(ENDING)]
    return path.endswith(ENDING) and reader.is_picture_name(picture) and os.path.exists(picture)


def is_done(path: str, past: history.History, overwrite: bool, resume: bool) -> bool:
    """Return whether a picture was enlarged in place, and is to be skipped.

    A picture that this model and these settings enlarged is skipped without being asked.

    Args:
        path: of the picture.
        past: the records of earlier runs.
        overwrite: whether a picture without a backup is to be enlarged once more.
        resume: whether a picture that was enlarged in any way is to be skipped.

    Raises:
        ValueError: it was enlarged and nothing says what to do, or the backup's name is in use.
    """
    past.refresh(path)  # another run may have replaced it meanwhile
    backup = path + ENDING
    may_skip = resume or past.is_of_this_run(path) and not overwrite
    if os.path.lexists(backup) and not _is_copy(path, backup):
        if not past.is_result(path, backup):
            raise ValueError(
                f'{path}: {backup} is there already, which is the name for the original: move it elsewhere'
            )
        if may_skip:
            return True
        raise ValueError(f'{path}: already enlarged in place: to do it again, rename {backup} back to {path}')
    if past.is_result(path, path) and not overwrite:
        if may_skip:
            return True
        raise ValueError(
            f'{path}: already enlarged in place, without a backup: --overwrite enlarges it again, --resume skips it'
        )
    return False


def check_replaceable(path: str, lossless: bool, all_frames: bool = False) -> None:
    """Raise ValueError for a link, and for a picture whose result would have another format.

    Args:
        path: of the picture.
        lossless: whether the result must not lose anything.
        all_frames: whether formats that are only written with all frames may be results.
    """
    if os.path.islink(path):
        raise ValueError(f'{path}: a symbolic link: --in-place replaces only files; name the file itself')
    ending = registry.ending_of(path)
    target = registry.BY_ENDING.get(ending)
    if not target or not registry.can_write(ending, all_frames):
        name = target.name if target else 'its format'
        if target and target.save_frames:
            raise ValueError(f'{path}: {name} is only written with --all-frames: add it, or enlarge without --in-place')
        raise ValueError(f'{path}: {name} is not written: enlarge it without --in-place, which makes a PNG')
    with open(path, 'rb') as file:
        head = file.read(base.HEAD_BYTES)
    if target.is_mine and not target.is_mine(head):
        raise ValueError(f'{path}: is no {target.name} file, and --in-place would write one: rename it')
    if lossless and target.has_loss:
        raise ValueError(f'{path}: {target.name} always loses something: --in-place does not go with --lossless')


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file that replaces the one at `path` when the block ends well; if it fails, a backup made in it goes."""
    was_there = os.path.lexists(path + ENDING)
    try:
        with files.atomic_file(path) as file:
            yield file
    except BaseException:
        if not was_there and _is_copy(path, path + ENDING):
            os.remove(path + ENDING)
        raise


def keep_original(path: str) -> str:
    """Give the picture at `path` a second name, or where the file system has no links a copy; return its path.

    Raises:
        FileExistsError: another file has that name.
    """
    backup = path + ENDING
    try:
        os.link(path, backup)
    except OSError:
        if os.path.lexists(backup):
            if not _is_copy(path, backup):
                raise FileExistsError(errno.EEXIST, f'{backup} is of another run, which replaced the picture', path)
        else:
            with files.atomic_path(backup) as partial:
                shutil.copy2(path, partial)
                with open(partial, 'rb') as file:
                    os.fsync(file.fileno())
    return backup


def complete(file: BinaryIO, path: str) -> None:
    """Bring a result to the disk, with the permissions of the picture that it replaces."""
    file.flush()
    os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
    os.fsync(file.fileno())


def _is_copy(path: str, backup: str) -> bool:
    """Whether a run was stopped between the backup and the replacement."""
    try:
        return os.path.isfile(backup) and filecmp.cmp(path, backup, shallow=False)
    except OSError:
        return False
