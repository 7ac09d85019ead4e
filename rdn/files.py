"""Results that are there whole or not at all: written beside, then renamed. Foreign files: their sizes and kinds."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import io
import json
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from typing import Any, BinaryIO, Callable, Iterable, Iterator

from rdn import stopping

LOCK_ENDING = '.lock'
MANY_NAMES = 2000  # in a folder: listing it for each file that is written would take longer than the writing
LISTING_SECONDS = 60
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors that only writing meets
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2


_renaming = threading.RLock()  # held where a result takes its name, so that `_give_up` does not meet it halfway
_names_by_folder: dict[str, tuple[float, list[str]]] = {}  # -> when it was listed, what was half-written


class _NamelessFile(io.FileIO):
    """A file that does not show its name: libraries in C look at it, and fail where it is not UTF-8."""

    @property
    def name(self) -> str:
        raise AttributeError('name')

    @name.setter
    def name(self, _: object) -> None:
        """Ignore what io.FileIO sets."""


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """Open a binary file, to write and read, that takes the name `path` when the block ends well, and vanishes otherwise.

    Folders on the way are made. Raises OSError where the folder cannot be written.
    """
    with atomic_path(path) as partial, io.BufferedRandom(_NamelessFile(partial, 'w+b')) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_text(path: str, text: str) -> None:
    """Put a file with this text, in UTF-8, in place of the one at `path`, whole or not at all.

    Bytes of a file's name that are not UTF-8 (surrogates) are written as they are.
    """
    with atomic_file(path) as file:
        file.write(text.encode('utf-8', 'surrogateescape'))


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Yield a name to write to; the file there takes the name `path` when the block ends well, and vanishes otherwise.

    Raises OSError where the folder cannot be written, or for a folder, a link or a device in the way.
    """
    _check_target(path)
    with _partial_name(path) as partial:
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o666))  # follows no link that lies in wait there
            yield partial
            _check_target(path)
            with _renaming:
                os.replace(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.remove(partial)
            raise


@contextlib.contextmanager
def atomic_folder(path: str, earlier: Iterable[str], complete: Callable[[str], None] | None = None) -> Iterator[str]:
    """Yield a new folder that takes the place of the folder `path` when the block ends well, and vanishes otherwise.

    Args:
        path: of the folder.
        earlier: names of the earlier results in the old folder, which go; all else that is in there is kept, as hard
            links where the file system has them.
        complete: is called with the new folder once it holds all that it will have, before it takes its place.
    """
    _check_not_a_link(path)
    with _partial_name(path) as partial:
        old, swapped = partial + '.old', False
        os.mkdir(partial)
        try:
            yield partial
            if os.path.isdir(path):
                _carry_over(path, partial, earlier)
            if complete:
                complete(partial)
            with _renaming:
                if os.path.isdir(path):
                    swapped = exchange_names(partial, path)
                    if not swapped:
                        os.rename(path, old)
                if not swapped:
                    os.rename(partial, path)
        except BaseException:
            if os.path.isdir(old) and not os.path.isdir(path):
                os.rename(old, path)  # stopped between the two renames
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(partial if swapped else old, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(path: str) -> Iterator[str]:
    """Yield a new, empty folder beside `path`, of mode 0700, that vanishes when the block ends.

    What a killed process left of such a folder goes, too.
    """
    with _partial_name(path) as partial:
        os.mkdir(partial, 0o700)
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Wait until no other process is in such a block for the folder; where the system locks no folders, go on."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_at_once(folder: str, message: str) -> Iterator[None]:
    """As `locked`; raises BlockingIOError with the message where another process is in such a block."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _try_lock(descriptor) is False:
            raise BlockingIOError(errno.EWOULDBLOCK, message, folder)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def reserved(path: str, message: str) -> Iterator[None]:
    """Keep a file's name for this process alone, by a hidden lock beside it; makes the folder.

    The kernel frees the lock of a killed process; its file goes with the next such block.

    Raises:
        BlockingIOError: another process is in such a block for the name; with the message.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    lock = os.path.join(folder, f'.{_short(name)}{LOCK_ENDING}')
    descriptor = None
    while descriptor is None:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        if _try_lock(descriptor) is False:
            os.close(descriptor)
            raise BlockingIOError(errno.EWOULDBLOCK, message, path)
        if not _is_at(descriptor, lock):  # the process before removed it meanwhile
            os.close(descriptor)
            descriptor = None
    try:
        with stopping.before_exit(lambda: os.remove(lock)):
            yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(lock)
        os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def exchange_names(a: str, b: str) -> bool:
    """Swap two names in one step, so that there is no moment without either; False where the system cannot."""
    library = ctypes.CDLL(None)
    if not hasattr(library, 'renameat2'):  # Linux; glibc 2.28 and later
        return False
    return library.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) == 0


@contextlib.contextmanager
def full_disk_naming(path: str, partial: str | None = None) -> Iterator[None]:
    """Put a file's name into an OSError of a full disk inside the block, since a failed write names no file.

    Args:
        path: of the file.
        partial: a file or folder that takes this name once it is complete; an OSError on it names the file as well.
    """
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ''
        if partial and name.startswith(partial):
            inside = name[len(partial) :]
            raise OSError(error.errno, error.strerror, path + inside if inside.startswith(os.sep) else path)
        if error.errno in FULL and not name:
            raise OSError(error.errno, error.strerror, path)
        if error.errno is None and str(error).endswith(' written'):  # numpy's "20 requested and 10 written"
            raise OSError(errno.EIO, f'not written completely ({error}): is the disk full?', path)
        raise


@contextlib.contextmanager
def errors_naming(path: str) -> Iterator[None]:
    """Put the file's name before what a ValueError inside the block says."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{path}: {error}')


def stem_of(path: str) -> str:
    """A file's name without folder and ending; the rest may hold dots and underscores."""
    return os.path.splitext(os.path.basename(path))[0]


def copy(path: str, target: str) -> None:
    """Copy a file, whole or not at all."""
    with atomic_path(target) as partial:
        shutil.copyfile(path, partial)


def digest(path: str) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            total.update(part)
    return total.hexdigest()


def digest_of_text(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()


def check_writable(folder: str) -> None:
    """Make a folder, and raise OSError, with its name, where no file can be written into it."""
    os.makedirs(folder, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'0')
    except OSError as error:
        raise OSError(error.errno, f'cannot be written to: {error.strerror}', folder)


def is_filled(path: str) -> bool | None:
    """Whether a file holds something; None if there is none. Raises OSError for a folder or a device of that name."""
    if not os.path.exists(path):
        return None
    if not os.path.islink(path):
        _check_target(path)
    elif not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, 'is a symbolic link to what is no file: remove it', path)
    return os.path.getsize(path) > 0


def check_plain(path: str, max_bytes: int) -> None:
    """Raises ValueError, with the file's name, for what is not a plain file or has more than `max_bytes`."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f'{path}: not a plain file')
    if status.st_size > max_bytes:
        raise ValueError(f'{path}: {status.st_size} bytes, more than {max_bytes}: no file of this kind is so large')
    with open(path, 'rb'):  # its own message for an unreadable file
        pass


def read_json(path: str, max_bytes: int, what: str) -> Any:
    """The content of a JSON file. Raises ValueError, with the file's name and `what` it is not, for another file."""
    check_plain(path, max_bytes)
    try:
        with open(path, encoding='utf-8') as file:
            return parse_json(file.read())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not {what}: {error}')


def parse_json(text: str) -> Any:
    """The content of a JSON text. Raises ValueError, also where an object has two values of one name."""
    return json.loads(text, object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError('an object has two values of one name')
    return content


def _check_target(path: str) -> None:
    """Raises OSError for what a file must not replace: a folder, a link, /dev/null."""
    _check_not_a_link(path)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, 'is a folder, not a file', path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, 'is not a plain file, and would be replaced by one', path)


def _check_not_a_link(path: str) -> None:
    if os.path.islink(path):
        raise FileExistsError(errno.EEXIST, 'is a symbolic link: remove it, or name what it points to', path)


@contextlib.contextmanager
def _partial_name(path: str) -> Iterator[str]:
    """A hidden name next to `path`, ours while the block lasts; makes the folder that holds both.

    A lock that the kernel frees when the process ends says whose it is, in containers and on shared folders too, where
    the number of a process says nothing.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, 'cannot be written to', folder)
    clean_up(path, anew=False)
    while True:
        partial = os.path.join(folder, f'.{_short(name)}.{secrets.token_hex(4)}.partial')
        with full_disk_naming(path, partial):
            descriptor = os.open(partial + LOCK_ENDING, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        if _try_lock(descriptor) is not False and os.path.exists(partial + LOCK_ENDING):
            break
        os.close(descriptor)  # another process took it for a dead one's before it was locked
    try:
        with full_disk_naming(path, partial), stopping.before_exit(lambda: _give_up(partial, path)):
            yield partial
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial + LOCK_ENDING)
        os.close(descriptor)


def _short(name: str) -> str:
    """The name, or where that leaves no room for more letters its digest."""
    return name if len(os.fsencode(name)) < 200 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _try_lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def clean_up(path: str, anew: bool = True) -> bool:
    """Undo what processes left that were killed while they wrote the file or folder at `path`; writing it does so, too.

    Args:
        path: of the file or folder.
        anew: look for that now, also in a folder that takes long to list.

    Returns:
        Whether nothing is left; what a living process writes stays.
    """
    is_clean = True
    folder, name = os.path.split(os.path.abspath(path))
    pattern = re.compile(rf'(\.{re.escape(_short(name))}\.[0-9a-f]{{8}}\.partial)(\.old|\.lock)?$')
    matches = [match for match in map(pattern.match, _names_left(folder, anew)) if match]
    for partial in sorted({os.path.join(folder, match.group(1)) for match in matches}):
        try:
            descriptor = os.open(partial + LOCK_ENDING, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError:  # of another user, say
            is_clean = False
            continue
        try:
            if _try_lock(descriptor):
                _remove_left(partial, os.path.join(folder, name))
            else:
                is_clean = False
        finally:
            os.close(descriptor)
    return is_clean


def _names_left(folder: str, anew: bool) -> list[str]:
    """The names of what is half-written in a folder; of one with very many files as they were a while ago at most."""
    listed, names = _names_by_folder.get(folder, (-math.inf, []))
    if not anew and time.monotonic() < listed + LISTING_SECONDS:
        return names
    everything = os.listdir(folder)
    names = [name for name in everything if '.partial' in name]
    if len(everything) > MANY_NAMES:
        _names_by_folder[folder] = time.monotonic(), names
    return names


def _remove_left(partial: str, path: str) -> None:
    """Remove what a process that is no more left under a name of its own; an old result returns where there is none."""
    old = partial + '.old'
    if os.path.isdir(old) and not os.path.lexists(path):
        os.rename(old, path)  # killed between two renames
    for rest in (partial, old):
        if os.path.isdir(rest):
            shutil.rmtree(rest)
        elif os.path.exists(rest):
            os.remove(rest)
    os.remove(partial + LOCK_ENDING)


def _give_up(partial: str, path: str) -> None:
    """Remove what this process has half-written, before it ends without unwinding."""
    if _renaming.acquire(timeout=1):  # and keep it: nothing takes its name any more
        _remove_left(partial, path)


def _carry_over(source: str, target: str, earlier: Iterable[str]) -> None:
    for name in sorted(set(os.listdir(source)) - set(earlier)):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, 'is in the way of a result of the same name', old)
        if os.path.isdir(old) and not os.path.islink(old):
            shutil.copytree(old, new, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(old, new)


def _link_or_copy(old: str, new: str) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new, follow_symlinks=False)
