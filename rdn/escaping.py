r"""Escape text from outside, so that it cannot control the terminal.

File names, records, profiles and messages of libraries can contain escape sequences, line breaks and characters that
change the direction of writing. On the console, in logs and in errors these appear as \n, \x1b or \u202e. Letters of
any language, combining marks and emoji are not changed.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from typing import IO, Any, Iterable, Iterator, cast

# Control characters, line separators, Unicode's bidirectional controls, and surrogates. Python's surrogateescape turns
# the bytes of a file name that are not UTF-8 into the surrogates U+DC80 to U+DCFF.
UNSAFE = '\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff'
SHORT = {'\t': r'\t', '\n': r'\n', '\r': r'\r'}


def escape(text: object, kept: str = '') -> str:
    r"""Return a text with its unsafe characters written as \n, \x1b or \u202e. Escaping it again changes nothing.

    Args:
        text: any text, or an object, which is converted by `str`.
        kept: unsafe characters that are not escaped.
    """

    def form(match: re.Match) -> str:
        character = match.group()
        return character if character in kept else _form(ord(character))

    return re.sub(f'[{UNSAFE}]', form, str(text))


def one_line(text: object) -> str:
    """Return a text on one line: each line break or run of spaces becomes one space."""
    return ' '.join(str(text).split())


def first_line(error: BaseException, limit: int = 200) -> str:
    """Return the first non-blank line of an error's message, or the error's type if the message is blank.

    Args:
        error: the error, usually of a library.
        limit: the maximum length of the line, in characters.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:limit] if lines else type(error).__name__


def quote(argument: str) -> str:
    r"""Return an argument quoted for bash, on one line: by shlex.quote, or as $'a\nb' if it has unsafe characters."""
    if not re.search(f'[{UNSAFE}]', argument):
        return shlex.quote(argument)
    return f"$'{escape(re.sub(_QUOTED, _backslashed, argument))}'"


@contextlib.contextmanager
def console() -> Iterator[None]:
    """Escape everything that Python code prints inside the block, except line breaks and tabs.

    Letters that the terminal's encoding lacks are escaped, too. On stderr carriage returns are kept for progress bars.
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
    r"""A text stream that escapes all text written to it. Everything else is passed on to the stream that it wraps.

    Args:
        stream: the stream that receives the escaped text.
        name: the stream's name for errors, for example if the disk is full.
        kept: unsafe characters that are not escaped: '\n', and '\r' for progress bars.
    """

    def __init__(self, stream: IO[str], name: str, kept: str):
        self._stream, self._name, self._kept = stream, name, kept

    def write(self, text: str) -> int:
        """Write the text, escaped; errors name this stream."""
        with self._naming_errors():
            return self._stream.write(escape(text, self._kept))

    def flush(self) -> None:
        """Flush the wrapped stream; errors name this stream."""
        with self._naming_errors():
            self._stream.flush()

    @contextlib.contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines, escaped, as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_QUOTED = r"[\\']"


def _backslashed(match: re.Match) -> str:
    return '\\' + match.group()


def _form(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f'\\x{code - 0xDC00:02x}'
    # \x80 to \xff stand for bytes, so other characters from U+0080 on are written as \u.
    return SHORT.get(chr(code)) or (f'\\x{code:02x}' if code < 0x80 else f'\\u{code:04x}')
