"""The resolution that a person asks for: a number of dots an inch, or the print size of the picture before."""

from __future__ import annotations

from typing import NamedTuple

from pictures.metadata import change, metadata


class PrintSize(NamedTuple):
    """What is asked for. dpi: dots an inch, None for the file's own; is_kept: whether a print stays as large as it was."""

    dpi: float | None = None
    is_kept: bool = False


def scaled(dpi: change.Pair, how: change.Change) -> change.Pair:
    """The resolution that keeps the print size. dpi: of the picture before, as it lies upright."""
    return dpi[0] * how.factors[0], dpi[1] * how.factors[1]


def apply(said: metadata.Metadata, asked: PrintSize, how: change.Change, notes: list[str]) -> metadata.Metadata:
    """The Metadata of a result with the resolution that is asked for.

    Args:
        said: of the result, with the resolution of the file.
        asked: by the user.
        how: the change from the file to the result.
        notes: is extended where there is no resolution to start from.
    """
    if asked.dpi:
        if said.pixel_aspect:
            notes.append('without its pixel aspect ratio: --dpi replaces it')
        return metadata.with_dpi(said, (asked.dpi, asked.dpi))
    if asked.is_kept and not said.dpi:
        notes.append('--keep-print-size changes nothing: the picture names no resolution')
    return metadata.with_dpi(said, scaled(said.dpi, how)) if asked.is_kept and said.dpi else said
