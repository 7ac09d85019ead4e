"""What a picture file says beside its pixels: EXIF, XMP, colour, resolution, texts; kept right for the enlarged picture."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from pictures.metadata import exif

XMP_HEADER = b'http://ns.adobe.com/xap/1.0/\0'  # before the packet in JPEG
MAX_DPI = 100_000  # a resolution beyond is a broken file's
# Properties of XMP that speak of the pixels, as attributes or as elements.
XMP_PROPERTY = r'(\b(?:tiff|exif):{name}\s*=\s*["\'])[^"\']*(["\'])|(<(?:tiff|exif):{name}>)[^<]*(<)'

XMP_ORIENTATION = rb'\btiff:Orientation(?:\s*=\s*["\']([1-8])["\']|>([1-8])<)'


class Metadata(NamedTuple):
    """Of a picture; None or empty where the file has none.

    exif: an exif.Tags; xmp: an XML packet; icc_profile: as ICC.1 has it; dpi: (horizontal, vertical); text: PNG's;
    png_colour: chunks of PNG that say what its numbers mean (gAMA, cHRM, cICP, sRGB), by their names.
    """

    exif: exif.Tags | None = None
    xmp: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = {}
    png_colour: dict[bytes, bytes] = {}


def of_upright(metadata: Metadata, width: int, height: int) -> Metadata:
    """The Metadata of the picture once it is upright and of this size, in pixels."""
    tags, xmp = metadata.exif and metadata.exif.of_upright(width, height), metadata.xmp
    if tags and exif.XMP in tags.values:  # where TIFF has it, and some programs in other formats
        xmp = xmp or tags.values[exif.XMP].data
        tags = tags.without(exif.XMP)
    return metadata._replace(exif=tags, xmp=xmp and correct_xmp(xmp, width, height))


def orientation_of(metadata: Metadata) -> int | None:
    """As EXIF says it (1 to 8), else as XMP does; None where neither does."""
    number = metadata.exif.number(exif.ORIENTATION) if metadata.exif else None
    if number is None and metadata.xmp:
        said = re.search(XMP_ORIENTATION, metadata.xmp)
        number = int(said.group(1) or said.group(2)) if said else None
    return number


def correct_xmp(xmp: bytes, width: int, height: int) -> bytes:
    """An XMP packet whose orientation and sizes are those of an upright picture of this size."""
    numbers = {'Orientation': 1, 'ImageWidth': width, 'PixelXDimension': width}
    numbers.update(ImageLength=height, ImageHeight=height, PixelYDimension=height)
    text = xmp.decode('utf-8', errors='surrogateescape')
    for name, number in numbers.items():

        def put(match: Any, number: int = number) -> str:
            before, after = (match.group(1), match.group(2)) if match.group(1) else (match.group(3), match.group(4))
            return f'{before}{number}{after}'

        text = re.sub(XMP_PROPERTY.format(name=name), put, text)
    return text.encode('utf-8', errors='surrogateescape')


def read_exif(block: bytes | None, notes: list[str]) -> exif.Tags | None:
    """The Tags of a block; None, with a note, for a damaged one: that costs the EXIF, not the picture."""
    if not block:
        return None
    try:
        tags = exif.parse(block)
    except (ValueError, RecursionError) as error:
        notes.append(f'without its EXIF: {error}')
        return None
    return None if tags.is_empty() else tags


def read_dpi(value: Any, notes: list[str]) -> tuple[float, float] | None:
    """A resolution in dots an inch; None, with a note, for one that cannot be."""
    if value is None:
        return None
    try:
        dpi = float(value[0]), float(value[1])
        if all(math.isfinite(x) and 0 < x <= MAX_DPI for x in dpi):
            return dpi
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        dpi = value
    if dpi not in ((0.0, 0.0), (1.0, 1.0)):
        notes.append('without its resolution, which cannot be')
    return None
