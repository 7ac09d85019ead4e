"""How benchmark and ais_bench name their outputs; ais_bench cuts the inputs' names at the first dot."""

from __future__ import annotations

from typing import Iterable


def output_name(stem: str, binary: bool) -> str:
    """The name under which benchmark dumps the output of `stem`."""
    return f'{stem}_1.{"bin" if binary else "txt"}'


def output_prefix(stem: str) -> str:
    """What stands before the `_0` in the name of an output: the input's name up to its first dot."""
    return stem.split('.')[0]


def clashing_stems(stems: Iterable[str]) -> list[list[str]]:
    """The groups of stems whose outputs would have one name, each sorted."""
    groups: dict[str, list[str]] = {}
    for stem in sorted(stems):
        groups.setdefault(output_prefix(stem), []).append(stem)
    return [group for group in groups.values() if len(group) > 1]


def check_stems(stems: Iterable[str]) -> None:
    """Raises ValueError, with their names, for images whose outputs ais_bench would write over each other."""
    for group in clashing_stems(stems):
        raise ValueError(
            f'{" and ".join(group[:3])}: ais_bench cuts names at the first dot, and would write the outputs of all as '
            f'{output_prefix(group[0])}_0.bin: rename the images and prepare them again'
        )
