"""The command line of every script: flags, one-line errors, progress, tables."""

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

INTERRUPTED = 130  # exit status after Ctrl-C
SCALES = (2, 3, 4)  # the possible scales of a network
BAR_FORM = '{desc}{percentage:3.0f}% {bar} {elapsed}, {remaining} left'


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring and whose errors are one line.

    Args:
        doc: the script's docstring.
    """

    def __init__(self, doc: str | None):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """End the process with status 2 and one line on stderr: the message, escaped, and a hint at --help."""
        self.exit(2, f'{self.prog}: {escaping.escape(message)} (see --help)\n')

    def add_input_size(self) -> None:
        """Add --height and --width of the network's input, in pixels; the guide's 114 by default."""
        usual = configuration.GUIDE_SIDE
        for flag in ('--height', '--width'):
            self.add_argument(
                flag, type=positive, default=usual, help='size of the input in pixels; default %(default)s'
            )


def run(main: Callable[[], int | None]) -> None:
    """Call `main()` and end the process with an exit status.

    A ValueError, OSError or MemoryError has a cause that the user can correct, so it ends the script with one line on
    stderr. RDN_TRACEBACK=1 in the environment shows the traceback instead. A first signal unwinds the stack, so that
    half-written files are removed. A second one ends the process at once.

    The exit status is

    - 0, or the number that `main` returns;
    - 1 after an error of the types above;
    - 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (the terminal was closed).

    Args:
        main: the script's work; returns its exit status, or None for 0.

    Raises:
        SystemExit: always, with the exit status, unless another error ends the script.
    """
    with escaping.console():
        _run(main)


def _run(main: Callable[[], int | None]) -> None:
    silence_libraries()
    if 'rdn.start' in sys.modules:  # only scripts import it
        sys.modules['rdn.start'].end_of_loading()
    script = escaping.escape(os.path.basename(sys.argv[0]))
    try:
        with stopping.watching(script) as watch:
            _work(main, watch)
    finally:
        if 'rdn.start' in sys.modules:
            sys.modules['rdn.start'].end_of_work()


def _work(main: Callable[[], int | None], watch: stopping.Watch) -> None:
    """Call `main()` and exit with its status.

    After a signal, exit with the signal's status even if another error arrives here, because libraries may replace the
    signal's exception by errors of their own.
    """
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
    """Keep warnings of Pillow and tifffile about pictures off the console; real problems raise errors.

    The settings are global to the process, so only programs of this project call this, once, before they start threads.
    """
    # Pillow warns at half of images.MAX_PIXELS.
    warnings.filterwarnings('ignore', 'Image size .* could be decompression bomb')
    logging.getLogger('tifffile').setLevel(logging.CRITICAL)


def describe_error(error: BaseException) -> str:
    """Return an error's message as one escaped line.

    For an OSError, the line contains the file and the system's message. If a file of the walk is missing, the line also
    names the step that writes it.
    """
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
    """Print a line that contains text from outside, such as a file name; control characters in it are escaped."""
    print(escaping.escape(line), flush=True)


def _fail(message: str, status: int) -> None:
    print(escaping.escape(f'{os.path.basename(sys.argv[0])}: {message}'), file=sys.stderr)
    sys.exit(status)


class Bar(tqdm):
    """A progress bar that uses a monotonic clock, because tqdm's own times jump when the system's clock is set.

    The arguments are tqdm's.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._time = time.monotonic
        self.start_t = self.last_print_t = self._time()


def progress(items: Iterable, unit: str, total: int | None = None) -> Iterable:
    """Show a progress bar on stderr while the caller iterates over the items. In a pipe nothing appears.

    Args:
        items: the items to iterate over.
        unit: the noun for one item, such as 'image'.
        total: the number of items, for items without a length.

    Returns:
        An iterable of the same items.
    """
    return Bar(items, unit=unit, total=total, disable=None, leave=False)


def bar(total: float, form: str = BAR_FORM, file: TextIO | None = None) -> Bar:
    """Return a progress bar for work that is not a loop: call `update` and `close`, or use it in a `with` block.

    Args:
        total: the work to do, in any unit; `update` takes the same unit.
        form: the format of the bar: tqdm's `bar_format`.
        file: the stream to draw on; nothing is drawn if it is not a terminal. None: stderr.
    """
    return Bar(total=total, bar_format=form, smoothing=0.1, file=file, disable=None, leave=False)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: '1 image', '1,200 images'."""
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned lines, escaped; columns of numbers are aligned to the right.

    Args:
        rows: the cells of each row; the first row is the header.
    """
    rows = [[*map(escaping.escape, row)] for row in rows]
    numeric = [all(map(_is_number, column[1:])) for column in zip(*rows)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        format_row(row, [width if right else -width for width, right in zip(widths, numeric)]) for row in rows
    )


def format_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line of a table, for tables that are printed row by row.

    Args:
        cells: the texts of the row.
        widths: the width of each column, in characters; a negative width aligns the cell to the left.
    """
    padded = [cell.rjust(width) if width > 0 else cell.ljust(-width) for cell, width in zip(cells, widths)]
    return '  '.join(padded).rstrip()


def format_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, escaped.

    Args:
        rows: the cells of each row; the first row is the header.
    """
    lines = [f'| {" | ".join(map(escaping.escape, row))} |' for row in rows]
    return '\n'.join(lines[:1] + ['|' + ' --- |' * len(rows[0])] + lines[1:])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ('', '-')
    return True


def positive(text: str) -> int:
    """Parse a whole number of at least 1, as an argparse type.

    Raises:
        ValueError: the text is not a whole number.
        argparse.ArgumentTypeError: the number is less than 1.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text}: must be a whole number of at least 1')
    return number


def positive_number(text: str) -> float:
    """Parse a finite number above 0, as an argparse type.

    Raises:
        ValueError: the text is not such a number.
    """
    number = float(text)
    if not 0 < number < float('inf'):
        raise ValueError(text)
    return number


def not_negative(text: str) -> int:
    """Parse a whole number of at least 0, as an argparse type.

    Raises:
        ValueError: the text is not a whole number.
        argparse.ArgumentTypeError: the number is less than 0.
    """
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'{text}: must be a whole number of at least 0')
    return number
