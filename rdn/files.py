"""Results that are there whole or not at all: written beside, then renamed."""

import contextlib
import ctypes
import os
import re
import shutil
import stat


@contextlib.contextmanager
def replacing(path):
    """Open a binary file that takes the name `path` when the block ends well, and vanishes otherwise.

    Folders on the way are made. Raises OSError where the folder cannot be written.
    """
    with replacing_path(path) as partial:
        with open(partial, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def write_text(path, text):
    """Put a file with this text in place of the one at `path`, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def replacing_path(path):
    """The same for a writer that wants a name, not a file: yields the name to write to."""
    _check_target(path)
    partial = _beside(path)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o666))  # follows no link that lies in wait there
        yield partial
        _check_target(path)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.remove(partial)
        raise


@contextlib.contextmanager
def replacing_folder(path, earlier):
    """A new folder that takes the place of the folder `path` when the block ends well.

    earlier: names of the earlier results in the old folder, which go; all else that is in there is
    kept, as hard links where the file system has them.
    """
    _check_no_link(path)
    partial = _beside(path)
    old = partial + '.old'
    os.mkdir(partial)
    try:
        yield partial
        if os.path.isdir(path):
            _carry_over(path, partial, earlier)
            if not _exchange(partial, path):
                os.rename(path, old)
        if not os.path.isdir(path):
            try:
                os.rename(partial, path)
            except BaseException:
                if os.path.isdir(old):
                    os.rename(old, path)
                raise
    finally:  # the new one if it failed, else the old one, under either name
        for rest in (partial, old):
            shutil.rmtree(rest, ignore_errors=True)


def _exchange(a, b):
    """Swap two names in one step, so that there is no moment without either; False where the system cannot."""
    library, here, swap = ctypes.CDLL(None), -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if not hasattr(library, 'renameat2'):  # Linux; glibc 2.28 and later
        return False
    return library.renameat2(here, os.fsencode(a), here, os.fsencode(b), swap) == 0


def check_size(path, limit):
    """Raises ValueError, with the file's name, for one of more than `limit` bytes or that is no plain file."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError('%s: not a plain file' % path)
    if status.st_size > limit:
        raise ValueError('%s: %d bytes, more than %d: no file of this kind is so large' % (path, status.st_size, limit))
    with open(path, 'rb'):  # its own message for an unreadable file
        pass


def _check_target(path):
    """Raises OSError for what a file must not replace: a folder, a link, /dev/null."""
    _check_no_link(path)
    if os.path.isdir(path):
        raise IsADirectoryError(21, 'is a folder, not a file', path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileExistsError(17, 'is no plain file, and would be replaced by one', path)


def _check_no_link(path):
    if os.path.islink(path):
        raise FileExistsError(17, 'is a symbolic link: remove it, or name what it points to', path)


def _beside(path):
    """A hidden name next to `path`, free to use; makes the folder that holds both."""
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, 'cannot be written to', folder)
    _clean_up(folder, name)
    return os.path.join(folder, '.%s.%d.partial' % (name, os.getpid()))


def _clean_up(folder, name):
    """Undo what processes left that were killed while they wrote `name`."""
    for left in os.listdir(folder):
        match = re.match(r'\.%s\.(\d+)\.partial(\.old)?$' % re.escape(name), left)
        if not match or _is_alive(int(match.group(1))):
            continue
        path = os.path.join(folder, left)
        if match.group(2) and not os.path.lexists(os.path.join(folder, name)):
            os.rename(path, os.path.join(folder, name))  # killed between two renames: the old result returns
        elif os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    return True


def _carry_over(source, target, earlier):
    for name in sorted(set(os.listdir(source)) - set(earlier)):
        old, new = os.path.join(source, name), os.path.join(target, name)
        if os.path.lexists(new):
            raise FileExistsError(17, 'is in the way of a result of the same name', old)
        if os.path.isdir(old) and not os.path.islink(old):
            shutil.copytree(old, new, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(old, new)


def _link_or_copy(old, new):
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new, follow_symlinks=False)
