"""What is taken where the user names nothing else."""

from __future__ import annotations

import os

import rdn
from rdn import configuration

WEIGHTS = os.path.join(rdn.ROOT, configuration.COMPACT_WEIGHTS)  # of this repository: weights/README.md
