"""What ais_bench, benchmark's successor from CANN 6 on, does otherwise: the names of its outputs."""

from __future__ import annotations


def output_prefix(stem: str) -> str:
    """What stands before the `_0` in the name of an output: the input's name up to its first dot."""
    return stem.split('.')[0]
