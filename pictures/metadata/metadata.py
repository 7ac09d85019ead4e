"""What a picture file says beside its pixels: EXIF, XMP, colour, resolution, texts; kept right for the enlarged picture."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from pictures.metadata import change, description, exif, geotiff, pixel_tags, xmp_pixels

XMP_HEADER = b'http://ns.adobe.com/xap/1.0/\0'  # before the packet in JPEG
COMMENT = 'Comment'  # keyword of PNG (PNG, third edition, 11.3.3.1)
MAX_DPI = 100_000  # a resolution beyond is a broken file's
XMP_ORIENTATION = rb'\btiff:Orientation(?:\s*=\s*["\']([1-8])["\']|>([1-8])<)'


class Text(NamedTuple):
    """A text of PNG's kind. language: as of RFC 5646; translated: the keyword in that language."""

    keyword: str
    text: str
    language: str = ''
    translated: str = ''


class Metadata(NamedTuple):
    """Of a picture; None or empty where the file has none.

    Attributes:
        exif: the tags of EXIF.
        xmp: an XML packet.
        icc_profile: as ICC.1 has it.
        dpi: (horizontal, vertical).
        text: PNG's texts; comments of JPEG and GIF have the keyword Comment.
        png_colour: chunks of PNG that say what its numbers mean (gAMA, cHRM, cICP, sRGB), by their names.
        photoshop: Photoshop's resources by their numbers, IPTC among them.
        geo: the tags of GeoTIFF.
        pixel_aspect: (horizontal, vertical) pixels of the same length, where they are not square and there is no dpi.
        orientation: EXIF's, by which the file's pixels are turned upright.
        size: (width, height) of the file's pixels, of which all this speaks; None if it is not known.
    """

    exif: exif.Tags | None = None
    xmp: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: tuple[Text, ...] = ()
    png_colour: dict[bytes, bytes] = {}
    photoshop: dict[int, bytes] = {}
    geo: exif.Tags | None = None
    pixel_aspect: tuple[float, float] | None = None
    orientation: int = 1
    size: tuple[int, int] | None = None

    def change_to(self, width: int, height: int) -> change.Change:
        """The change of the file's pixels to an upright picture of this size."""
        if self.size is None:
            return change.Change(1, (width, height), (width, height))
        return change.Change(self.orientation, self.size, (width, height))


def of_file(said: Metadata, orientation: Any, width: int, height: int) -> Metadata:
    """The Metadata of a file whose pixels are of this size and orientation (EXIF's); others than 1 to 8 are 1."""
    said = said._replace(orientation=orientation if orientation in range(1, 9) else 1, size=(width, height))
    return (
        said if said.dpi or said.pixel_aspect else said._replace(dpi=read_dpi(pixel_tags.resolution_of(said.exif), []))
    )


def of_upright(said: Metadata, width: int, height: int, notes: list[str]) -> Metadata:
    """The Metadata of the picture once it is upright and of this size, in pixels.

    Args:
        said: of the file.
        width: of the result.
        height: of the result.
        notes: is extended by what is lost.
    """
    how = said.change_to(width, height)
    tags, xmp = said.exif, said.xmp
    if tags and exif.XMP in tags.values:  # where TIFF has it, and some programs in other formats
        xmp = xmp or tags.values[exif.XMP].data
        tags = tags.without(exif.XMP)
    return said._replace(
        exif=tags and description.follow(pixel_tags.follow(tags, how), how, notes),
        xmp=xmp and xmp_pixels.follow(xmp, how, notes),
        geo=said.geo and geotiff.follow(said.geo, how, notes),
        dpi=said.dpi and how.along(said.dpi),
        pixel_aspect=said.pixel_aspect and how.along(said.pixel_aspect),
        orientation=1,
        size=(width, height),
    )


def with_dpi(said: Metadata, dpi: tuple[float, float]) -> Metadata:
    """With this resolution, in dots an inch, wherever a resolution is named."""
    tags = said.exif and pixel_tags.with_resolution(said.exif, dpi)
    xmp = said.xmp and xmp_pixels.put_resolution(said.xmp, dpi)
    return said._replace(exif=tags, xmp=xmp, dpi=dpi, pixel_aspect=None)


def orientation_of(metadata: Metadata) -> int | None:
    """As EXIF says it (1 to 8), else as XMP does; None where neither does."""
    number = metadata.exif.number(exif.ORIENTATION) if metadata.exif else None
    if number is None and metadata.xmp:
        said = re.search(XMP_ORIENTATION, metadata.xmp)
        number = int(said.group(1) or said.group(2)) if said else None
    return number


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
        notes.append('without its resolution, which is not a possible one')
    return None


def comment(data: bytes) -> Text:
    """A comment of JPEG or GIF; bytes that are no UTF-8 are marked (PEP 383)."""
    return Text(COMMENT, data.rstrip(b'\0').decode('utf-8', 'surrogateescape'))


def plain_text(text: str) -> str:
    """A text without the marks of bytes that were no UTF-8, which are taken for Latin-1."""
    data = text.encode('utf-8', 'surrogateescape')
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('latin-1')
