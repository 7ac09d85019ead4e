"""The list of all picture formats, and functions that find one by a file's first bytes or its ending.

To add a format, write a module for it and add an entry to FORMATS.
"""

from __future__ import annotations

import os

from pictures.formats import apng, avif, base, bmp, gif, heif, jpeg, jpeg2000, jpegxl, netpbm, pillow, tiff_pages, webp

# AVIF comes before HEIF, because AVIF files also name some of HEIF's brands.
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
# The endings of formats that are written with all frames or pages.
WITH_FRAMES = tuple(sorted(ending for each in FORMATS if each.save_frames for ending in each.endings))


def ending_of(path: str) -> str:
    """Return the ending of a file's name in lower case with its dot, as in BY_ENDING; empty if there is none."""
    return os.path.splitext(path)[1].lower()


def can_write(ending: str, all_frames: bool) -> bool:
    """Return whether results may have an ending.

    Args:
        ending: of a file's name, in lower case with its dot.
        all_frames: whether all frames of animations are enlarged.
    """
    return ending in WRITABLE or all_frames and ending in WITH_FRAMES


def of_head(head: bytes) -> base.Format | None:
    """Return the format of a file by its first bytes; None if Pillow has to identify it."""
    return next((each for each in FORMATS if each.is_mine and each.is_mine(head)), None)
