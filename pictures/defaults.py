"""What is taken where the user names nothing else."""

from __future__ import annotations

from rdn import shipped_weights

WEIGHTS = shipped_weights.locate('lite')
