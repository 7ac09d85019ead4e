"""Replace pictures with their results: photo.jpg becomes the result, and photo.jpg.orig the original.

If the run is interrupted at any moment, photo.jpg is either the original, or the complete result with photo.jpg.orig as the
original.
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
    """Return whether a file has the name of a backup, photo.jpg.orig, and photo.jpg exists."""
    picture = path[: -len(ENDING)]
    return path.endswith(ENDING) and reader.is_picture_name(picture) and os.path.exists(picture)


def is_done(path: str, past: history.History, overwrite: bool, resume: bool) -> bool:
    """Return whether to skip a picture, because it has been enlarged in place already.

    A picture that this model and these settings enlarged is skipped without --resume.

    Args:
        path: the path of the picture.
        past: the records of earlier runs.
        overwrite: whether to enlarge again if the picture has no backup.
        resume: whether to skip a picture that any model and settings enlarged.

    Raises:
        ValueError: the picture was enlarged and no flag says what to do, or another file has the backup's name.
    """
    past.refresh(path)  # another run may have replaced the picture meanwhile
    backup = path + ENDING
    may_skip = resume or past.is_of_this_run(path) and not overwrite
    if os.path.lexists(backup) and not _is_copy(path, backup):
        if not past.is_result(path, backup):
            raise ValueError(f'{path}: {backup} exists, but is not a backup of this picture: move it elsewhere')
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
    """Check that a picture can be replaced with a result of the same format.

    Args:
        path: the path of the picture.
        lossless: whether the result must be without loss.
        all_frames: whether all frames are enlarged, as GIF requires.

    Raises:
        ValueError: the path is a symbolic link; the picture's format cannot be written, is lossy although `lossless` is
            set, or is not the one that the ending says.
    """
    if os.path.islink(path):
        raise ValueError(f'{path}: a symbolic link: --in-place replaces only files; name the file itself')
    ending = registry.ending_of(path)
    target = registry.BY_ENDING.get(ending)
    if not target or not registry.can_write(ending, all_frames):
        name = target.name if target else 'its format'
        if target and target.save_frames:
            raise ValueError(f'{path}: {name} is only written with --all-frames: add it, or enlarge without --in-place')
        raise ValueError(f'{path}: {name} cannot be written: leave out --in-place, and the result is a PNG')
    with open(path, 'rb') as file:
        head = file.read(base.HEAD_BYTES)
    if target.is_mine and not target.is_mine(head):
        raise ValueError(f'{path}: not a {target.name} file, but --in-place would write one: rename it')
    if lossless and target.has_loss:
        raise ValueError(f'{path}: {target.name} is always lossy: leave out --in-place or --lossless')


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file for the result, which replaces the picture when the block ends.

    If the block fails, the picture stays, and a backup that was made in the block is removed.

    Args:
        path: the path of the picture.

    Yields:
        The file.
    """
    was_there = os.path.lexists(path + ENDING)
    try:
        with files.atomic_file(path) as file:
            yield file
    except BaseException:
        if not was_there and _is_copy(path, path + ENDING):
            os.remove(path + ENDING)
        raise


def keep_original(path: str) -> str:
    """Make a backup of a picture: a hard link, or a copy if the file system has no hard links.

    Args:
        path: the path of the picture.

    Returns:
        The path of the backup.

    Raises:
        FileExistsError: another file has the backup's name.
    """
    backup = path + ENDING
    try:
        os.link(path, backup)
    except OSError:
        if os.path.lexists(backup):
            if not _is_copy(path, backup):
                raise FileExistsError(errno.EEXIST, f'another run made {backup} and replaced the picture', path)
        else:
            with files.atomic_path(backup) as partial:
                shutil.copy2(path, partial)
                with open(partial, 'rb') as file:
                    os.fsync(file.fileno())
    return backup


def complete(file: BinaryIO, path: str) -> None:
    """Flush a result to the disk, and give it the permissions of the picture that it replaces.

    Args:
        file: the complete result.
        path: the path of the picture.
    """
    file.flush()
    os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
    os.fsync(file.fileno())


def _is_copy(path: str, backup: str) -> bool:
    """Return whether both files have the same content: a run was stopped between the backup and the replacement."""
    try:
        return os.path.isfile(backup) and filecmp.cmp(path, backup, shallow=False)
    except OSError:
        return False
