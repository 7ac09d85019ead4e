"""Guide 7: a table over several batch sizes. `python3 test/batches.py --help` has the rest."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.acceptance import batches

if __name__ == '__main__':
    cli.run(batches.main)
