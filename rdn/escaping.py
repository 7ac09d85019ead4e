r"""Text from outside, shown without what a terminal would obey.

File names, records, tables of profiles and messages of libraries can hold escape sequences, line breaks and characters
that turn the direction of writing. On the console, in logs and in errors these appear as \n, \x1b or \u202e. Letters of
any language, combining marks and emoji stay as they are.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from typing import IO, Any, Iterable, Iterator, cast

# Control characters, line separators, Unicode's bidirectional controls, and surrogates: bytes of a file's name that are
# not UTF-8 (U+DC80 to U+DCFF, Python's surrogateescape), or no text at all.
UNSAFE = '\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff'
SHORT = {'\t': r'\t', '\n': r'\n', '\r': r'\r'}


def escape(text: object, kept: str = '') -> str:
    r"""A text with \n, \x1b, \u202e in place of the characters that are not safe to show; a second time changes nothing.

    Args:
        text: any text, or an object whose text is meant.
        kept: characters that stay although they are unsafe.
    """

    def form(match: re.Match) -> str:
        character = match.group()
        return character if character in kept else _form(ord(character))

    return re.sub(f'[{UNSAFE}]', form, str(text))


def one_line(text: object) -> str:
    """A message of a library, its line breaks and runs of spaces as one space each."""
    return ' '.join(str(text).split())


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of a library's message that is not blank, `limit` characters at most; the error's type if there is none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:limit] if lines else type(error).__name__


def quote(argument: str) -> str:
    """An argument as bash takes it, in one line: as of shlex.quote, and $'a\\nb' where it has unsafe characters."""
    if not re.search(f'[{UNSAFE}]', argument):
        return shlex.quote(argument)
    return f"$'{escape(re.sub(_QUOTED, _backslashed, argument))}'"


@contextlib.contextmanager
def console() -> Iterator[None]:
    """Escape what anything in this process prints while the block lasts, line breaks and tabs excepted.

    A terminal that cannot show a letter shows its number. On stderr carriage returns stay as well, for progress bars.
    """
    with contextlib.ExitStack() as stack:
        for redirect, stream, name, kept in (
            (contextlib.redirect_stdout, sys.stdout, 'standard output', '\n\t'),
            (contextlib.redirect_stderr, sys.stderr, 'standard error', '\n\t\r'),
        ):
            if hasattr(stream, 'reconfigure'):
                stream.reconfigure(errors='backslashreplace')
            if stream is not None:
                stack.enter_context(redirect(cast(IO[str], Stream(stream, name, kept))))
        yield


class Stream:
    """A text stream that escapes all that is written to it, whoever writes. Else it is the stream that it wraps."""

    def __init__(self, stream: IO[str], name: str, kept: str):
        r"""Wrap a stream.

        Args:
            stream: receives the text.
            name: for errors, of a full disk for instance.
            kept: unsafe characters that stay: '\n', and for progress bars '\r'.
        """
        self._stream, self._name, self._kept = stream, name, kept

    def write(self, text: str) -> int:
        with self._naming_errors():
            return self._stream.write(escape(text, self._kept))

    def flush(self) -> None:
        with self._naming_errors():
            self._stream.flush()

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_QUOTED = r"[\\']"


def _backslashed(match: re.Match) -> str:
    return '\\' + match.group()


def _form(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte
        return f'\\x{code - 0xDC00:02x}'
    return SHORT.get(chr(code)) or (f'\\x{code:02x}' if code < 0x80 else f'\\u{code:04x}')  # \xff is a byte
