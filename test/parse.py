"""Guide 6 and 7: print the figure in the log of a step. `python3 test/parse.py --help` explains the flags."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.acceptance import parse

if __name__ == '__main__':
    cli.run(parse.main)
