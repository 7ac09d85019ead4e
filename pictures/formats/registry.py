"""The list of all picture formats, and how to find one by a file's first bytes or ending.

A new format is a module and an entry in FORMATS.
"""

from __future__ import annotations

from pictures.formats import avif, base, bmp, heif, jpeg, jpeg2000, jpegxl, netpbm, pillow, png, tiff, webp

# AVIF before HEIF, some of whose brands it names too.
FORMATS = (
    png.FORMAT,
    tiff.FORMAT,
    jpeg2000.FORMAT,
    jpegxl.FORMAT,
    netpbm.FORMAT,
    avif.FORMAT,
    heif.FORMAT,
    jpeg.FORMAT,
    webp.FORMAT,
    bmp.FORMAT,
    pillow.GIF,
    pillow.TGA,
)
BY_ENDING = {ending: each for each in FORMATS for ending in each.endings}
READABLE = tuple(sorted(BY_ENDING))
WRITABLE = tuple(sorted(ending for each in FORMATS for ending in each.written))


def of_head(head: bytes) -> base.Format | None:
    """The format of a file by its first bytes; None for what Pillow has to find."""
    return next((each for each in FORMATS if each.is_mine and each.is_mine(head)), None)
