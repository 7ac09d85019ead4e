"""The resolution that the user asks for: a number of dots per inch, or the one that keeps the old print size."""

from __future__ import annotations

from typing import NamedTuple

from pictures.metadata import change, metadata


class PrintSize(NamedTuple):
    """The user's choice.

    Attributes:
        dpi: the resolution in dots per inch; None for the file's own.
        is_kept: whether to keep the print size, so that a print is as large as one of the old picture.
    """

    dpi: float | None = None
    is_kept: bool = False


def scaled(dpi: change.Pair, how: change.Change) -> change.Pair:
    """Return the (horizontal, vertical) resolution that keeps the print size.

    Args:
        dpi: of the old picture, upright.
        how: the change from the file to the result.
    """
    return dpi[0] * how.factors[0], dpi[1] * how.factors[1]


def apply(said: metadata.Metadata, asked: PrintSize, how: change.Change, notes: list[str]) -> metadata.Metadata:
    """Return the result's metadata with the resolution that the user asked for.

    Args:
        said: the result's metadata, with the file's resolution.
        asked: the user's choice.
        how: the change from the file to the result.
        notes: a note is added if the pixel aspect ratio is replaced, or if the file has no resolution to scale.
    """
    if asked.dpi:
        if said.pixel_aspect:
            notes.append('without its pixel aspect ratio: --dpi replaces it')
        return metadata.with_dpi(said, (asked.dpi, asked.dpi))
    if asked.is_kept and not said.dpi:
        notes.append('--keep-print-size changes nothing: the picture names no resolution')
    return metadata.with_dpi(said, scaled(said.dpi, how)) if asked.is_kept and said.dpi else said
