"""Where pictures lie that several machines work on: a folder that all of them see, or a URL that fsspec opens.

A picture's place is its path below the folder or URL, with `/` between its parts. Results appear whole or not at all:
in a folder by a rename, in an object store by being put at once.
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

TRIES = 5  # of a request to a store, with pauses between them that double
FIRST_PAUSE_SECONDS = 0.5
PAGE_KEYS = 1000  # that S3 lists at a time
# Kinds of stores where what is put appears at once: object stores, and the memory's.
AT_ONCE = frozenset(['s3', 's3a', 'gs', 'gcs', 'abfs', 'abfss', 'az', 'adl', 'oss', 'obs', 'cos', 'memory'])
NUMBERS: dict[type, int] = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}  # of errors that have none
# What asking again does not change.
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


class Store(abc.ABC):
    """A folder or URL with pictures. url: as the user named it."""

    url: str

    def path(self, place: str) -> str:
        """What a person calls the file at a place."""
        return f'{self.url.rstrip("/")}/{place}' if place else self.url

    @abc.abstractmethod
    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
        """Yield the places of all files, those of a folder sorted, but for hidden ones and for those of another store.

        on_link: called with the path of each link to a folder, which is not followed. Holds the names of one folder, in an
        object store of one page. Raises FileNotFoundError where there is nothing.
        """

    @abc.abstractmethod
    def exists(self, place: str) -> bool:
        """Whether there is a file. Raises OSError where the store does not answer."""

    @abc.abstractmethod
    def is_filled(self, place: str) -> bool | None:
        """Whether a file holds something; None if there is none.

        Raises OSError, with the file's path or URL, for a folder of that name, or where the store does not answer.
        """

    @abc.abstractmethod
    def reading(self, place: str, scratch: str) -> contextlib.AbstractContextManager[str]:
        """The path of a local file with the content at a place, for the time of the block. scratch: a local folder."""

    @abc.abstractmethod
    def writing(self, place: str, scratch: str) -> contextlib.AbstractContextManager[str]:
        """The path of a local file that is to be written in the block, and stands at the place when it ends well."""

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Raises OSError, with the URL, where nothing can be written."""

    @abc.abstractmethod
    def clean_up(self, place: str) -> bool:
        """Undo what a process left that was killed while it wrote the file at a place; whether nothing is left."""

    @abc.abstractmethod
    def absolute(self) -> str:
        """What opens the store on another machine, too."""

    @abc.abstractmethod
    def is_same(self, other: Store) -> bool:
        """Whether both are one folder or URL."""


class Folder(Store):
    """A folder of this machine, or one that several machines share."""

    def __init__(self, path: str, absolute: str | None = None):
        """path: as the user named it; absolute: what that means on the machine where he did."""
        self.url, self._root = path, absolute or os.path.abspath(path)

    def path(self, place: str) -> str:
        return os.path.join(self.url, place)

    def is_there(self) -> bool:
        """Whether this machine sees the folder."""
        return os.path.isdir(self._root)

    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
        if not self.is_there():
            raise FileNotFoundError(errno.ENOENT, 'no such folder', self.url)
        other = passing_over._root if isinstance(passing_over, Folder) else None
        yield from discovery.walk(self._root, other, _raise_unless_forbidden, on_link)

    def exists(self, place: str) -> bool:
        return os.path.exists(os.path.join(self._root, place))

    def is_filled(self, place: str) -> bool | None:
        try:
            return files.is_filled(os.path.join(self._root, place))
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path(place))

    @contextlib.contextmanager
    def reading(self, place: str, scratch: str) -> Iterator[str]:
        yield os.path.join(self._root, place)

    @contextlib.contextmanager
    def writing(self, place: str, scratch: str) -> Iterator[str]:
        yield os.path.join(self._root, place)  # which is written beside and renamed

    def clean_up(self, place: str) -> bool:
        path = os.path.join(self._root, place)
        return not os.path.isdir(os.path.dirname(path)) or files.clean_up(path)

    def check_writable(self) -> None:
        try:
            files.check_writable(self._root)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.url)

    def absolute(self) -> str:
        return self._root

    def is_same(self, other: Store) -> bool:
        return isinstance(other, Folder) and os.path.realpath(self._root) == os.path.realpath(other._root)


class Bucket(Store):
    """A URL of any kind that fsspec knows: s3://bucket/folder, gs://…"""

    def __init__(self, url: str):
        """Raises ValueError for a kind that is not known, or whose package is not installed."""
        try:
            import fsspec.core

            self._system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError, TypeError, OSError) as error:
            raise ValueError(f'{url}: cannot be opened: {escaping.one_line(error)}')
        self.url, self._root = url, root.rstrip('/')

    def list(self, passing_over: Store, on_link: Callable[[str], None] | None = None) -> Iterator[str]:
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
            raise FileNotFoundError(errno.ENOENT, 'nothing there', self.url)

    def _keys(self) -> Iterator[str]:
        """The full names of all objects, in S3 page by page, elsewhere folder by folder."""
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
        return persistently(lambda: self._system.exists(self._key(place)), self.path(place))

    def is_filled(self, place: str) -> bool | None:
        try:
            found = persistently(lambda: self._system.info(self._key(place)), self.path(place))
        except FileNotFoundError:
            return None
        if found['type'] == 'directory':
            raise IsADirectoryError(errno.EISDIR, 'is a folder, not a file', self.path(place))
        return found.get('size') != 0  # some stores do not know sizes

    @contextlib.contextmanager
    def reading(self, place: str, scratch: str) -> Iterator[str]:
        with _local_file(place, scratch) as local:
            persistently(lambda: self._system.get_file(self._key(place), local), self.path(place))
            yield local

    @contextlib.contextmanager
    def writing(self, place: str, scratch: str) -> Iterator[str]:
        with _local_file(place, scratch) as local:
            yield local
            persistently(lambda: self._put(local, self._key(place)), self.path(place))

    def _put(self, local: str, key: str) -> None:
        """Where the store writes bit by bit: under a hidden name first, which is the same after a kill."""
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
        name = f'.rdn-{secrets.token_hex(4)}'
        self._check_answers(name)  # as before each result
        try:
            with tempfile.TemporaryDirectory() as scratch, self.writing(name, scratch) as local:
                with open(local, 'wb') as file:
                    file.write(b'0')
        except OSError as error:
            raise OSError(error.errno, f'cannot be written to: {error.strerror}', self.url)
        try:
            self._check_answers(name)  # as for each result that is there
        finally:
            with contextlib.suppress(OSError):  # it may be forbidden
                self._system.rm_file(self._key(name))

    def _check_answers(self, place: str) -> None:
        """Raises OSError, with the URL and the remedy, where the store does not say whether there is a file."""
        try:
            self.is_filled(place)
        except OSError as error:
            what = (
                f'does not say whether a file is there: {error.strerror}: allow reading and listing as well as writing'
            )
            raise OSError(error.errno, what, self.url)

    def clean_up(self, place: str) -> bool:
        return True  # what is put half is not there, or hidden until it is put again

    def absolute(self) -> str:
        return self.url

    def is_same(self, other: Store) -> bool:
        return isinstance(other, Bucket) and (type(self._system), self._root) == (type(other._system), other._root)

    def _key(self, place: str) -> str:
        return f'{self._root}/{place}'


def _raise_unless_forbidden(error: OSError) -> None:
    """A folder that may not be read is passed over, as on one machine; one that a share loses for a moment is not."""
    if not isinstance(error, PermissionError):
        raise error


@contextlib.contextmanager
def _local_file(place: str, scratch: str) -> Iterator[str]:
    """A name in the folder `scratch` with the place's ending, for a file that goes when the block ends."""
    local = os.path.join(scratch, secrets.token_hex(8) + os.path.splitext(place)[1])
    try:
        yield local
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(local)


def persistently(ask: Callable[[], Result], url: str) -> Result:
    """What a request to a store returns, asked again, after longer and longer, where it fails.

    Raises OSError, with the URL, where it fails for good.
    """
    for attempt in range(TRIES):
        try:
            return ask()
        except Exception as error:  # the stores' libraries raise anything for a connection that breaks
            if isinstance(error, FINAL) or attempt == TRIES - 1:
                number = getattr(error, 'errno', None) or NUMBERS.get(type(error), errno.EIO)
                words = getattr(error, 'strerror', None) or str(error) or type(error).__name__
                raise OSError(number, escaping.one_line(words), url)
        time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
    raise AssertionError


def open_store(url: str, absolute: str | None = None) -> Store:
    """The store that a path or URL names. absolute: of a folder that was named on another machine.

    Raises ValueError for a URL of a kind that is not known.
    """
    if url.startswith(('file://', 'local://')):
        return Folder(url, absolute or os.path.abspath(urllib.parse.unquote(url.partition('://')[2])))
    return Bucket(url) if '://' in url else Folder(url, absolute)
