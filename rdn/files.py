"""Write files and folders atomically, lock them, and check files from outside before they are read.

A result is first written under a hidden name in the same folder, NAME.XXXXXXXX.partial, and then renamed.
"""

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
MANY_NAMES = 2000  # in a folder; listing more for every written file would take longer than writing it
LISTING_SECONDS = 60  # how long the listing of such a folder is reused
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors that only writing causes
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # arguments of Linux's renameat2


_renaming = threading.RLock()  # held during renaming, so that `_give_up` never runs in the middle of it
_names_by_folder: dict[str, tuple[float, list[str]]] = {}  # folder -> time of the listing, names of partial results


class _NamelessFile(io.FileIO):
    """A file that hides its name, because some C libraries read the name and fail if it is not UTF-8."""

    @property
    def name(self) -> str:
        raise AttributeError('name')

    @name.setter
    def name(self, _: object) -> None:
        """Ignore the name that io.FileIO sets."""


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """Write a file atomically: it appears at `path` when the block ends without an error, and is removed otherwise.

    Args:
        path: the file to write; missing folders are made.

    Yields:
        The open file, for binary writing and reading.

    Raises:
        OSError: the folder is not writable, or `path` is a folder, a link or a device.
    """
    with atomic_path(path) as partial, io.BufferedRandom(_NamelessFile(partial, 'w+b')) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_text(path: str, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Args:
        path: the file to write or replace; missing folders are made.
        text: the text. Surrogates, which stand for bytes of file names that are not UTF-8, become these bytes again.

    Raises:
        OSError: the folder is not writable, or `path` is a folder, a link or a device.
    """
    with atomic_file(path) as file:
        file.write(text.encode('utf-8', 'surrogateescape'))


@contextlib.contextmanager
def atomic_path(path: str) -> Iterator[str]:
    """Write a file atomically, like `atomic_file`, for libraries that open the file themselves.

    The file appears at `path` when the block ends without an error, and is removed otherwise.

    Args:
        path: the file to write; missing folders are made.

    Yields:
        The temporary path to write to.

    Raises:
        OSError: the folder is not writable, or `path` is a folder, a link or a device.
    """
    _check_target(path)
    with _partial_name(path) as partial:
        try:
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o666))  # O_EXCL does not follow links
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
    """Replace a folder atomically: the new one appears at `path` when the block ends without an error.

    After an error the old folder is unchanged, and the new one is removed.

    Args:
        path: the folder to make or replace.
        earlier: the names of earlier results in the old folder, which are dropped. Its other files are kept in the new
            folder, as hard links if the file system supports them.
        complete: called with the path of the new folder when it is complete, before it replaces the old one.

    Yields:
        The temporary path of the new folder, which is empty.

    Raises:
        OSError: the parent folder is not writable, `path` is a link, or a file that would be kept has the name of a new
            result.
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
    """Make a temporary folder next to `path` for the duration of the block. Folders of killed processes are removed.

    Yields:
        The path of the folder, which is empty and has mode 0700.
    """
    with _partial_name(path) as partial:
        os.mkdir(partial, 0o700)
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Lock a folder during the block, after waiting for its lock. If the file system has no locks, do not wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_at_once(folder: str, message: str) -> Iterator[None]:
    """Lock a folder during the block, like `locked`, but fail at once if another process holds the lock.

    Args:
        folder: the folder to lock.
        message: the error's message.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _try_lock(descriptor) is False:
            raise BlockingIOError(errno.EWOULDBLOCK, message, folder)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def reserved(path: str, message: str) -> Iterator[None]:
    """Reserve the name of a file for this process during the block, with a hidden lock file next to it.

    If a process is killed, the kernel frees its lock; the next process that reserves the name removes the lock file.

    Args:
        path: the file; missing folders are made.
        message: the error's message.

    Raises:
        BlockingIOError: another process has reserved the name.
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
        if not _is_at(descriptor, lock):  # the process that held the lock has just removed the file
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
    """Swap two paths in one step, so that both exist at any moment. Return False if the system cannot do this."""
    library = ctypes.CDLL(None)
    if not hasattr(library, 'renameat2'):  # it is in Linux with glibc 2.28 and later
        return False
    return library.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) == 0


@contextlib.contextmanager
def full_disk_naming(path: str, partial: str | None = None) -> Iterator[None]:
    """Add a file's name to the OSError of a full disk inside the block, because a failed write names no file.

    Args:
        path: the name for the error.
        partial: a file or folder that will be renamed to `path`; any OSError that names it will name `path` instead.

    Raises:
        OSError: the error, with the file's name.
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
    """Put a file's name before the message of any ValueError inside the block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{path}: {error}')


def stem_of(path: str) -> str:
    """Return a file's name without folder and ending: 'a/b.c_d.png' -> 'b.c_d'."""
    return os.path.splitext(os.path.basename(path))[0]


def copy(path: str, target: str) -> None:
    """Copy a file atomically; the copy does not get the mode and times of the original."""
    with atomic_path(target) as partial:
        shutil.copyfile(path, partial)


def digest(path: str) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        for part in iter(lambda: file.read(1 << 20), b''):
            total.update(part)
    return total.hexdigest()


def digest_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()


def check_writable(folder: str) -> None:
    """Make a folder if it is missing, and check that it is writable, by writing a temporary file.

    Raises:
        OSError: the folder is not writable; with its name.
    """
    os.makedirs(folder, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b'0')
    except OSError as error:
        raise OSError(error.errno, f'cannot be written to: {error.strerror}', folder)


def is_filled(path: str) -> bool | None:
    """Return whether a file is not empty.

    Returns:
        True or False; None if the file is missing.

    Raises:
        OSError: the path is a folder, a device, or a symbolic link that does not lead to a file.
    """
    if not os.path.exists(path):
        return None
    if not os.path.islink(path):
        _check_target(path)
    elif not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, 'is a symbolic link that does not lead to a file: remove it', path)
    return os.path.getsize(path) > 0


def check_plain(path: str, max_bytes: int) -> None:
    """Check that a path is a plain, readable file of at most `max_bytes` bytes, before it is read.

    Raises:
        ValueError: it is not a plain file or is larger; with the file's name.
        OSError: the file is missing or not readable.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f'{path}: not a plain file')
    if status.st_size > max_bytes:
        raise ValueError(f'{path}: {status.st_size} bytes, but a file of this kind has at most {max_bytes}')
    with open(path, 'rb'):  # raises the error for an unreadable file
        pass


def read_json(path: str, max_bytes: int, what: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        max_bytes: its maximum size in bytes.
        what: the kind of file that is expected, for the error: 'a manifest of prepared data'.

    Returns:
        The parsed content.

    Raises:
        ValueError: the file is larger or not valid JSON; with the file's name and `what`.
        OSError: the file is missing or not readable.
    """
    check_plain(path, max_bytes)
    try:
        with open(path, encoding='utf-8') as file:
            return parse_json(file.read())
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not {what}: {error}')


def parse_json(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: the text is not valid JSON, or an object has a key twice.
    """
    return json.loads(text, object_pairs_hook=_without_repetition)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError('an object has the same key twice')
    return content


def _check_target(path: str) -> None:
    """Raise OSError if a file must not be written at `path`: it is a folder, a link, or a device such as /dev/null."""
    _check_not_a_link(path)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, 'is a folder, not a file', path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, 'is not a plain file, so it is not overwritten: choose another name', path)


def _check_not_a_link(path: str) -> None:
    if os.path.islink(path):
        raise FileExistsError(errno.EEXIST, 'is a symbolic link: remove it, or give the path that it points to', path)


@contextlib.contextmanager
def _partial_name(path: str) -> Iterator[str]:
    """Yield a hidden path next to `path`, reserved for this process during the block; make missing folders.

    A lock file shows whether the process that writes there is alive: the kernel frees its lock when the process ends.
    Process numbers would not do, because containers and the machines that share a folder have their own.
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
        os.close(descriptor)  # before the lock, another process removed the file like that of a killed process
    try:
        with full_disk_naming(path, partial), stopping.before_exit(lambda: _give_up(partial, path)):
            yield partial
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial + LOCK_ENDING)
        os.close(descriptor)


def _short(name: str) -> str:
    """Return the name, or its digest if the name is too long to be extended."""
    return name if len(os.fsencode(name)) < 200 else hashlib.sha256(os.fsencode(name)).hexdigest()


def _try_lock(descriptor: int) -> bool | None:
    """Try to take a lock; return whether it succeeded, or None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def clean_up(path: str, anew: bool = True) -> bool:
    """Remove the partial results that killed processes left of the file or folder at `path`.

    If a process was killed after it moved the old folder away, the old folder is put back. Writing the same path
    also cleans up.

    Args:
        path: the file or folder.
        anew: list the folder again, even if it is large; False: a recent listing of a large folder is enough.

    Returns:
        Whether nothing is left. Partial results of running processes, and those of other users, are left.
    """
    is_clean = True
    folder, name = os.path.split(os.path.abspath(path))
    pattern = re.compile(rf'(\.{re.escape(_short(name))}\.[0-9a-f]{{8}}\.partial)(\.old|\.lock)?$')
    matches = [match for match in map(pattern.match, _names_left(folder, anew)) if match]
    for partial in sorted({os.path.join(folder, match.group(1)) for match in matches}):
        try:
            descriptor = os.open(partial + LOCK_ENDING, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        except OSError:  # for example, it belongs to another user
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
    """Return the names of partial results in a folder; for a large folder they may be LISTING_SECONDS old."""
    listed, names = _names_by_folder.get(folder, (-math.inf, []))
    if not anew and time.monotonic() < listed + LISTING_SECONDS:
        return names
    everything = os.listdir(folder)
    names = [name for name in everything if '.partial' in name]
    if len(everything) > MANY_NAMES:
        _names_by_folder[folder] = time.monotonic(), names
    return names


def _remove_left(partial: str, path: str) -> None:
    """Remove the partial result of a process that has ended. Put the old folder back if nothing is at `path`."""
    old = partial + '.old'
    if os.path.isdir(old) and not os.path.lexists(path):
        os.rename(old, path)  # the process was killed between its two renames
    for rest in (partial, old):
        if os.path.isdir(rest):
            shutil.rmtree(rest)
        elif os.path.exists(rest):
            os.remove(rest)
    os.remove(partial + LOCK_ENDING)


def _give_up(partial: str, path: str) -> None:
    """Remove this process's partial result before the process ends without unwinding."""
    if _renaming.acquire(timeout=1):  # and never release it: no result may be renamed from now on
        _remove_left(partial, path)


def _carry_over(source: str, target: str, earlier: Iterable[str]) -> None:
    for name in sorted(set(os.listdir(source)) - set(earlier)):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, 'has the name of a new result: move it to another folder', old)
        if os.path.isdir(old) and not os.path.islink(old):
            shutil.copytree(old, new, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(old, new)


def _link_or_copy(old: str, new: str) -> None:
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new, follow_symlinks=False)
