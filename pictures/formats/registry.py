"""The list of all picture formats, and how to find one by a file's first bytes or ending.

A new format is a module and an entry in FORMATS.
"""

from __future__ import annotations

import os

from pictures.formats import apng, avif, base, bmp, gif, heif, jpeg, jpeg2000, jpegxl, netpbm, pillow, tiff_pages, webp

# AVIF before HEIF, some of whose brands it names too.
FORMATS = (
    apng.FORMAT,
    tiff_pages.FORMAT,
    jpeg2000.FORMAT,
    jpegxl.FORMAT,
    netpbm.FORMAT,
    avif.FORMAT,
    heif.FORMAT,
    jpeg.FORMAT,
    webp.FORMAT,
    bmp.FORMAT,
    gif.FORMAT,
    pillow.TGA,
)
BY_ENDING = {ending: each for each in FORMATS for ending in each.endings}
READABLE = tuple(sorted(BY_ENDING))
WRITABLE = tuple(sorted(ending for each in FORMATS for ending in each.written))
WITH_FRAMES = tuple(
    sorted(ending for each in FORMATS if each.save_frames for ending in each.endings)
)  # written with them


def ending_of(path: str) -> str:
    """Return the ending of a file's name as BY_ENDING has it, in lower case with its dot; empty for none."""
    return os.path.splitext(path)[1].lower()


def can_write(ending: str, all_frames: bool) -> bool:
    """Return whether results may have an ending. all_frames: whether all frames of animations are enlarged."""
    return ending in WRITABLE or all_frames and ending in WITH_FRAMES


def of_head(head: bytes) -> base.Format | None:
    """The format of a file by its first bytes; None for what Pillow has to find."""
    return next((each for each in FORMATS if each.is_mine and each.is_mine(head)), None)
