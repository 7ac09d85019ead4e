"""How every script speaks to the person at the terminal. Imported first, before what takes long to load."""

import argparse
import os
import signal
import sys

from tqdm import tqdm


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the script's docstring and whose errors are one line."""

    def __init__(self, doc):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message):
        self.exit(2, '%s: %s (see --help)\n' % (self.prog, message))


def run(main):
    """Call `main()` and leave the process with its status: 0 unless it returns another.

    What a person can mend (ValueError, OSError, MemoryError) ends in one line on stderr and status 1,
    Ctrl-C in status 130, SIGTERM in 143: these two still unwind, so that half-written files go.
    RDN_TRACEBACK=1 in the environment shows where an error came from.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # a file's name may be no text
            stream.reconfigure(errors='backslashreplace')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except (ValueError, OSError, MemoryError) as error:
        if os.environ.get('RDN_TRACEBACK'):
            raise
        _fail(describe(error), 1)
    except KeyboardInterrupt:
        _fail('interrupted', 130)


def describe(error):
    """One line that says what is wrong; for an OSError the file and the system's words."""
    if isinstance(error, OSError) and error.strerror:
        return '%s: %s' % (error.filename, error.strerror) if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return 'not enough memory%s' % (': %s' % error if str(error) else '')
    return ' '.join(str(error).split())


def _on_uncaught(kind, error, traceback):
    """Ctrl-C while the libraries load, before `run`, is one line too."""
    if kind is KeyboardInterrupt:
        print('%s: interrupted' % os.path.basename(sys.argv[0]), file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _on_uncaught


def _fail(message, status):
    print('%s: %s' % (os.path.basename(sys.argv[0]), message), file=sys.stderr)
    sys.exit(status)


def progress(items, unit, total=None):
    """The items, under a bar on stderr where that is a terminal; silent in a pipe. total: where they have no len."""
    return tqdm(items, unit=unit, total=total, disable=None, leave=False)


def format_columns(rows, right=()):
    """Rows of cells as lines, each column as wide as its longest cell; those whose numbers are in `right` to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        '  '.join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def positive(text):
    """An argparse type: a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('%s is not a whole number from 1 on' % text)
    return number
