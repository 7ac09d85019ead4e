"""How every script speaks to the person at the terminal: flags, one-line errors, progress, tables."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
import time
import warnings
from typing import Any, Callable, Iterable, NoReturn, Sequence, TextIO

from rdn import configuration, escaping, steps, stopping

from tqdm import tqdm

INTERRUPTED = 130  # the status of a script that Ctrl-C ended
SCALES = (2, 3, 4)  # the enlargements that networks are made for
BAR_FORM = '{desc}{percentage:3.0f}% {bar} {elapsed}, {remaining} left'


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring and whose errors are one line."""

    def __init__(self, doc: str | None):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'{self.prog}: {escaping.escape(message)} (see --help)\n')

    def add_input_size(self) -> None:
        """Add --height and --width of the network's input, in pixels; those of the guide by default."""
        usual = configuration.GUIDE_SIDE
        for flag in ('--height', '--width'):
            self.add_argument(flag, type=positive, default=usual, help='of the input, pixels; default %(default)s')


def run(main: Callable[[], int | None]) -> None:
    """Call `main()` and leave the process with its status: 0 unless it returns another.

    What a person can mend (ValueError, OSError, MemoryError) ends in one line on stderr and status 1,
    Ctrl-C in status 130, SIGTERM in 143, a terminal that goes in 129: these still unwind, so that half-written files go,
    and a second one ends the process at once.
    RDN_TRACEBACK=1 in the environment shows where an error came from.
    """
    with escaping.console():
        _run(main)


def _run(main: Callable[[], int | None]) -> None:
    silence_libraries()
    if 'rdn.start' in sys.modules:  # which only scripts import
        sys.modules['rdn.start'].end_of_loading()
    script = escaping.escape(os.path.basename(sys.argv[0]))
    try:
        with stopping.watching(script) as watch:
            _work(main, watch)
    finally:
        if 'rdn.start' in sys.modules:
            sys.modules['rdn.start'].end_of_work()


def _work(main: Callable[[], int | None], watch: stopping.Watch) -> None:
    """As `run`. Once a signal has come, its status counts: libraries turn what unwinds them into errors of their own."""
    try:
        sys.exit(main())
    except KeyboardInterrupt as error:
        _fail(str(error) or 'interrupted', watch.status or INTERRUPTED)
    except BaseException as error:
        if watch.status is None and isinstance(error, (ValueError, OSError, MemoryError)):
            if not os.environ.get('RDN_TRACEBACK'):
                _fail(describe_error(error), 1)
        if watch.status is None or os.environ.get('RDN_TRACEBACK'):
            raise
        if watch.status == INTERRUPTED and not isinstance(error, SystemExit):
            _fail('interrupted', INTERRUPTED)
        sys.exit(watch.status)


def silence_libraries() -> None:
    """Keep the remarks of libraries on pictures off the console: what matters is raised.

    For programs of this project alone, and once for all their threads, which share these settings.
    """
    # Pillow's, of a picture with half as many pixels as images.MAX_PIXELS.
    warnings.filterwarnings('ignore', 'Image size .* could be decompression bomb')
    logging.getLogger('tifffile').setLevel(logging.CRITICAL)


def describe_error(error: BaseException) -> str:
    """One line that says what is wrong, escaped; for an OSError the file and the system's words, and which step makes it."""
    return escaping.escape(_words_of(error).rstrip())


def _words_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        maker = steps.who_makes(str(error.filename)) if error.filename and error.errno == errno.ENOENT else None
        said = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
        return f'{said}: {maker}' if maker else said
    if isinstance(error, MemoryError):
        return f'not enough memory: {error}' if str(error) else 'not enough memory'
    return str(error)


def say(line: str) -> None:
    """Print a line that holds text from outside: with an escaped line break in a file's name, it is one line still."""
    print(escaping.escape(line), flush=True)


def _fail(message: str, status: int) -> None:
    print(escaping.escape(f'{os.path.basename(sys.argv[0])}: {message}'), file=sys.stderr)
    sys.exit(status)


class Bar(tqdm):
    """A bar whose times are those of a clock that never jumps; tqdm takes the time of day."""

    def __init__(self, *args: Any, **kwargs: Any):
        """The arguments are tqdm's."""
        super().__init__(*args, **kwargs)
        self._time = time.monotonic
        self.start_t = self.last_print_t = self._time()


def progress(items: Iterable, unit: str, total: int | None = None) -> Iterable:
    """The items, under a bar on stderr where that is a terminal; silent in a pipe. total: where they have no len."""
    return Bar(items, unit=unit, total=total, disable=None, leave=False)


def bar(total: float, form: str = BAR_FORM, file: TextIO | None = None) -> Bar:
    """Return a bar, for steps that are no loop: `update` and `close` it, or use it in a `with` block.

    Args:
        total: units of work.
        form: as tqdm's bar_format.
        file: where it is drawn if that is a terminal, else it is silent; None: stderr.
    """
    return Bar(total=total, bar_format=form, smoothing=0.1, file=file, disable=None, leave=False)


def count(number: int, noun: str) -> str:
    """A number and its noun: '1 image', '1,200 images'."""
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the header first, as aligned lines, escaped. Columns of numbers stand to the right."""
    rows = [[*map(escaping.escape, row)] for row in rows]
    numeric = [all(map(_is_number, column[1:])) for column in zip(*rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        format_row(row, [width if right else -width for width, right in zip(widths, numeric)]) for row in rows
    )


def format_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line of a table; a negative width aligns its cell to the left. For tables that appear row by row."""
    padded = [cell.rjust(width) if width > 0 else cell.ljust(-width) for cell, width in zip(cells, widths)]
    return '  '.join(padded).rstrip()


def format_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the header first, as a Markdown table, escaped."""
    lines = [f'| {" | ".join(map(escaping.escape, row))} |' for row in rows]
    return '\n'.join(lines[:1] + ['|' + ' --- |' * len(rows[0])] + lines[1:])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ('', '-')
    return True


def positive(text: str) -> int:
    """An argparse type: a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number from 1 on')
    return number


def positive_number(text: str) -> float:
    """An argparse type: a finite number above 0."""
    number = float(text)
    if not 0 < number < float('inf'):
        raise ValueError(text)
    return number


def not_negative(text: str) -> int:
    """An argparse type: a whole number from 0 on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'{text} is not a whole number from 0 on')
    return number
