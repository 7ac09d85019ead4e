"""Guide 7: print a table of several batch sizes. `python3 test/batches.py --help` explains the flags."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.acceptance import batches

if __name__ == '__main__':
    cli.run(batches.main)
