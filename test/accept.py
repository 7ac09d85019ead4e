"""Guide 6.2 and 7.3: print the verdicts on accuracy and speed. `python3 test/accept.py --help` explains the flags."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli
from rdn.acceptance import accept

if __name__ == '__main__':
    cli.run(accept.main)
