"""Stores of pictures for several machines: a folder that all of them see, or a URL that fsspec opens.

A picture's place is its path below the folder or URL, with `/` between its parts. Results are written atomically: in a folder
with a rename, in an object store with a single upload.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import os
import secrets
import tempfile
import time
import urllib.parse
from typing import Any, Callable, Iterator, Sequence, TypeVar

from pictures import discovery
from pictures.report import report
from rdn import escaping, files

Result = TypeVar('Result')

TRIES = 5  # of a request to a store, with pauses that double each time
FIRST_PAUSE_SECONDS = 0.5
PAGE_KEYS = 1000  # names that S3 lists at a time
# Protocols of stores where an upload is atomic: object stores, and fsspec's store in memory.
AT_ONCE = frozenset(['s3', 's3a', 'gs', 'gcs', 'abfs', 'abfss', 'az', 'adl', 'oss', 'obs', 'cos', 'memory'])
NUMBERS: dict[type, int] = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}  # for errors without errno
# Errors that a retry cannot fix.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


class Store(abc.ABC):
    """A folder or URL with pictures.

    Attributes:
        url: the path or URL as the user wrote it.
    """

    url: str

    def path(self, place: str) -> str:
        """Return the path or URL of a place, as the user would write it."""
        return f'{self.url.rstrip("/")}/{place}' if place else self.url

    @abc.abstractmethod
    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
        """Yield the places of all files that are not hidden; those of each folder are sorted.

        Memory holds the names of one folder at a time, or in an object store of one page.

        Args:
            passing_over: a store whose files are skipped, if it is within this one.
            on_link: called with the path of each link to a folder, which is not followed.

        Raises:
            FileNotFoundError: the folder does not exist, or there is no object below the URL.
            OSError: the store does not answer.
        """

    @abc.abstractmethod
    def exists(self, place: str) -> bool:
        """Return whether there is a file at a place.

        Args:
            place: the place.

        Raises:
            OSError: the store does not answer.
        """

    @abc.abstractmethod
    def is_filled(self, place: str) -> bool | None:
        """Return whether a file is not empty.

        Args:
            place: the place of the file.

        Returns:
            True if the file has content, or the store does not know its size; False if it is empty; None if there is no
            file.

        Raises:
            OSError: the place is a folder, or the store does not answer; the error names the path or URL.
        """

    @abc.abstractmethod
    def reading(self, place: str, scratch: str) -> contextlib.AbstractContextManager[str]:
        """Return a local path of a file, which is valid in the block.

        Args:
            place: the place of the file.
            scratch: a local folder for a copy.

        Returns:
            A context manager that yields the local path.
        """

    @abc.abstractmethod
    def writing(self, place: str, scratch: str) -> contextlib.AbstractContextManager[str]:
        """Return a local path for a file, which is stored at its place when the block ends without an error.

        Args:
            place: the place of the file.
            scratch: a local folder for the local file.

        Returns:
            A context manager that yields the local path; the caller writes the file there.
        """

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Raise OSError with the path or URL if files cannot be written."""

    @abc.abstractmethod
    def clean_up(self, place: str) -> bool:
        """Remove the half-written file that a killed process left for a place; return whether nothing is left of it."""

    @abc.abstractmethod
    def absolute(self) -> str:
        """Return the path or URL that opens the store on other machines too."""

    @abc.abstractmethod
    def is_same(self, other: Store) -> bool:
        """Return whether both stores are the same folder or URL."""


class Folder(Store):
    """A folder of this machine, or one that several machines share."""

    def __init__(self, path: str, absolute: str | None = None):
        """Refer to a folder, which need not exist yet.

        Args:
            path: the path as the user wrote it.
            absolute: the absolute path, from the machine where the user wrote it; None: this machine.
        """
        self.url, self._root = path, absolute or os.path.abspath(path)

    def path(self, place: str) -> str:
        """Join the path of the folder and the place."""
        return os.path.join(self.url, place)

    def is_there(self) -> bool:
        """Return whether this machine sees the folder."""
        return os.path.isdir(self._root)

    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
        """Walk through the folder; folders that may not be read are skipped."""
        if not self.is_there():
            raise FileNotFoundError(errno.ENOENT, 'no such folder', self.url)
        other = passing_over._root if isinstance(passing_over, Folder) else None
        yield from discovery.walk(self._root, other, _raise_unless_forbidden, on_link)

    def exists(self, place: str) -> bool:
        """Look for the file on the disk."""
        return os.path.exists(os.path.join(self._root, place))

    def is_filled(self, place: str) -> bool | None:
        """Look at the file's size on the disk."""
        try:
            return files.is_filled(os.path.join(self._root, place))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path(place))

    @contextlib.contextmanager
    def reading(self, place: str, scratch: str) -> Iterator[str]:
        """Yield the path of the file itself, without a copy."""
        yield os.path.join(self._root, place)

    @contextlib.contextmanager
    def writing(self, place: str, scratch: str) -> Iterator[str]:
        """Yield the final path: the caller writes a temporary file next to it and renames that."""
        yield os.path.join(self._root, place)

    def clean_up(self, place: str) -> bool:
        """Remove temporary files next to the place, unless a running process holds their lock."""
        path = os.path.join(self._root, place)
        return not os.path.isdir(os.path.dirname(path)) or files.clean_up(path)

    def check_writable(self) -> None:
        """Make the folder if it is missing, and write a file to it."""
        try:
            files.check_writable(self._root)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.url)

    def absolute(self) -> str:
        """Return the absolute path."""
        return self._root

    def is_same(self, other: Store) -> bool:
        """Compare the real paths."""
        return isinstance(other, Folder) and os.path.realpath(self._root) == os.path.realpath(other._root)


class Bucket(Store):
    """A URL of any protocol that fsspec knows, for example s3://bucket/folder."""

    def __init__(self, url: str):
        """Open a URL.

        Args:
            url: the URL as the user wrote it.

        Raises:
            ValueError: the protocol is unknown, or its package is not installed.
        """
        try:
            import fsspec.core

            self._system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError, TypeError, OSError) as error:
            raise ValueError(f'{url}: cannot be opened: {escaping.one_line(error)}')
        self.url, self._root = url, root.rstrip('/')

    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
        """List all objects; there are no links."""
        other = passing_over._root + '/' if isinstance(passing_over, Bucket) else None
        seen = False
        for key in self._keys():
            seen = True
            place = key[len(self._root) + 1 :]
            parts = place.split('/')
            if not parts[-1] or parts[-1].startswith('.') or report.VIEWS_NAME in parts[:-1]:
                continue
            if other and other != self._root + '/' and key.startswith(other):
                continue
            yield place
        if not seen:
            raise FileNotFoundError(errno.ENOENT, 'no files there', self.url)

    def _keys(self) -> Iterator[str]:
        """Yield the full names of all objects: in S3 page by page, elsewhere folder by folder."""
        if 's3' not in self._protocols():
            yield from self._keys_below(self._root)
            return
        bucket, _, prefix = self._root.partition('/')
        asked: dict[str, Any] = dict(Bucket=bucket, Prefix=prefix + '/' if prefix else '', MaxKeys=PAGE_KEYS)
        while True:
            page = persistently(lambda: self._system.call_s3('list_objects_v2', **asked), self.url)
            for item in page.get('Contents', []):
                yield f'{bucket}/{item["Key"]}'
            if not page.get('IsTruncated'):
                return
            asked['ContinuationToken'] = page['NextContinuationToken']

    def _keys_below(self, folder: str) -> Iterator[str]:
        entries = persistently(lambda: self._system.ls(folder, detail=True), self.url)
        yield from sorted(entry['name'] for entry in entries if entry['type'] == 'file')
        for name in sorted(entry['name'] for entry in entries if entry['type'] == 'directory'):
            yield from self._keys_below(name)

    def exists(self, place: str) -> bool:
        """Ask the store, with retries."""
        return persistently(lambda: self._system.exists(self._key(place)), self.path(place))

    def is_filled(self, place: str) -> bool | None:
        """Ask the store for the size, with retries."""
        try:
            found = persistently(lambda: self._system.info(self._key(place)), self.path(place))
        except FileNotFoundError:
            return None
        if found['type'] == 'directory':
            raise IsADirectoryError(errno.EISDIR, 'is a folder, not a file', self.path(place))
        return found.get('size') != 0  # some stores do not know sizes

    @contextlib.contextmanager
    def reading(self, place: str, scratch: str) -> Iterator[str]:
        """Download the file, with retries, and remove the copy when the block ends."""
        with _local_file(place, scratch) as local:
            persistently(lambda: self._system.get_file(self._key(place), local), self.path(place))
            yield local

    @contextlib.contextmanager
    def writing(self, place: str, scratch: str) -> Iterator[str]:
        """Upload the local file when the block ends, with retries, and remove it."""
        with _local_file(place, scratch) as local:
            yield local
            persistently(lambda: self._put(local, self._key(place)), self.path(place))

    def _put(self, local: str, key: str) -> None:
        """Upload a file; if uploads are not atomic, use a hidden name first, which the next try overwrites."""
        if not AT_ONCE.isdisjoint(self._protocols()):
            self._system.put_file(local, key)
            return
        folder, _, name = key.rpartition('/')
        beside = f'{folder}/.{name}.partial'
        self._system.makedirs(folder, exist_ok=True)
        self._system.put_file(local, beside)
        self._system.mv(beside, key)

    def _protocols(self) -> Sequence[str]:
        names = self._system.protocol
        return [names] if isinstance(names, str) else names

    def check_writable(self) -> None:
        """Write and remove a small file, and check that the store tells whether it exists."""
        name = f'.rdn-{secrets.token_hex(4)}'
        self._check_answers(name)  # for a missing file, as before each result
        try:
            with tempfile.TemporaryDirectory() as scratch, self.writing(name, scratch) as local:
                with open(local, 'wb') as file:
                    file.write(b'0')
        except OSError as error:
            raise OSError(error.errno, f'cannot be written to: {error.strerror}', self.url)
        try:
            self._check_answers(name)  # for an existing file, as for each result that exists
        finally:
            with contextlib.suppress(OSError):  # removing files may be forbidden
                self._system.rm_file(self._key(name))

    def _check_answers(self, place: str) -> None:
        """Raise OSError, with the URL and the remedy, if the store does not say whether a file exists."""
        try:
            self.is_filled(place)
        except OSError as error:
            what = f'does not say whether a file exists: {error.strerror}: allow reading and listing as well as writing'
            raise OSError(error.errno, what, self.url)

    def clean_up(self, place: str) -> bool:
        """Do nothing: half of an upload is either invisible, or has a hidden name that the next try overwrites."""
        return True

    def absolute(self) -> str:
        """Return the URL."""
        return self.url

    def is_same(self, other: Store) -> bool:
        """Compare the types of the stores, and the paths in them."""
        return isinstance(other, Bucket) and (type(self._system), self._root) == (type(other._system), other._root)

    def _key(self, place: str) -> str:
        return f'{self._root}/{place}'


def _raise_unless_forbidden(error: OSError) -> None:
    """Raise the error of a folder that cannot be listed, unless reading it is forbidden: such folders are skipped."""
    if not isinstance(error, PermissionError):
        raise error


@contextlib.contextmanager
def _local_file(place: str, scratch: str) -> Iterator[str]:
    """Yield a new path in the folder `scratch`, with the place's ending, and remove its file when the block ends."""
    local = os.path.join(scratch, secrets.token_hex(8) + os.path.splitext(place)[1])
    try:
        yield local
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(local)


def persistently(ask: Callable[[], Result], url: str) -> Result:
    """Make a request to a store; if it fails, retry it up to four times, after 0.5, 1, 2 and 4 seconds.

    Args:
        ask: makes the request.
        url: the URL that an error names.

    Returns:
        The value that `ask` returns.

    Raises:
        OSError: all tries failed, or a retry cannot help; the error names the URL.
    """
    for attempt in range(TRIES):
        try:
            return ask()
        except Exception as error:  # the libraries of stores raise errors of any type if a connection breaks
            if isinstance(error, FINAL) or attempt == TRIES - 1:
                number = getattr(error, 'errno', None) or NUMBERS.get(type(error), errno.EIO)
                words = getattr(error, 'strerror', None) or str(error) or type(error).__name__
                raise OSError(number, escaping.one_line(words), url)
        time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
    raise AssertionError


def open_store(url: str, absolute: str | None = None) -> Store:
    """Return the store that a path or URL names.

    Args:
        url: the path or URL as the user wrote it.
        absolute: the absolute path of a folder that was named on another machine; None: it was named on this one.

    Raises:
        ValueError: the protocol of a URL is unknown, or its package is not installed.
    """
    if url.startswith(('file://', 'local://')):
        return Folder(url, absolute or os.path.abspath(urllib.parse.unquote(url.partition('://')[2])))
    return Bucket(url) if '://' in url else Folder(url, absolute)
