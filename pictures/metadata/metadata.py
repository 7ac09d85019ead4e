"""A picture file's metadata: EXIF, XMP, colour, resolution and texts, kept true for the enlarged picture."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from pictures.metadata import change, description, exif, geotiff, pixel_tags, xmp_pixels

XMP_HEADER = b'http://ns.adobe.com/xap/1.0/\0'  # before the packet in JPEG
COMMENT = 'Comment'  # keyword of PNG (PNG, third edition, 11.3.3.1)
MAX_DPI = 100_000  # a larger resolution comes from a broken file
XMP_ORIENTATION = rb'\btiff:Orientation(?:\s*=\s*["\']([1-8])["\']|>([1-8])<)'


class Text(NamedTuple):
    """A text with a keyword, as in PNG.

    Attributes:
        keyword: PNG's keyword.
        text: the text itself.
        language: the text's language (RFC 5646); empty if unknown.
        translated: the keyword in that language; empty if unknown.
    """

    keyword: str
    text: str
    language: str = ''
    translated: str = ''


class Metadata(NamedTuple):
    """The metadata of a picture; a field is None or empty if the file does not contain it.

    Attributes:
        exif: the tags of EXIF.
        xmp: an XMP packet (XML).
        icc_profile: the bytes of an ICC profile (ICC.1).
        dpi: the (horizontal, vertical) resolution in dots per inch.
        text: PNG's texts; comments of JPEG and GIF, with the keyword Comment.
        png_colour: PNG's colour chunks (gAMA, cHRM, cICP, sRGB) by their names.
        photoshop: Photoshop's resources, IPTC among them, by their numbers.
        geo: the tags of GeoTIFF.
        pixel_aspect: (horizontal, vertical) numbers of pixels per equal length, if pixels are not square and dpi is
            None.
        orientation: the EXIF orientation (1 to 8) of the file's pixels.
        size: (width, height) of the picture that the metadata describes, in pixels; None if unknown.
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
        """Return the change from the file's pixels to an upright picture of this size in pixels."""
        if self.size is None:
            return change.Change(1, (width, height), (width, height))
        return change.Change(self.orientation, self.size, (width, height))


def of_file(said: Metadata, orientation: Any, width: int, height: int) -> Metadata:
    """Add the size, the orientation and a missing resolution to a file's metadata.

    Args:
        said: the metadata that the file contains.
        orientation: the EXIF orientation; any value except 1 to 8 counts as 1.
        width: of the file's picture in pixels.
        height: of the file's picture in pixels.

    Returns:
        The metadata. A missing resolution comes from EXIF, if EXIF has one.
    """
    said = said._replace(orientation=orientation if orientation in range(1, 9) else 1, size=(width, height))
    return (
        said if said.dpi or said.pixel_aspect else said._replace(dpi=read_dpi(pixel_tags.resolution_of(said.exif), []))
    )


def of_upright(said: Metadata, width: int, height: int, notes: list[str]) -> Metadata:
    """Return the metadata of the upright, enlarged picture.

    Args:
        said: the file's metadata.
        width: of the result in pixels.
        height: of the result in pixels.
        notes: a note is added for everything that is lost.
    """
    how = said.change_to(width, height)
    tags, xmp = said.exif, said.xmp
    if tags and exif.XMP in tags.values:  # TIFF stores XMP as a tag; some programs do so in other formats too
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
    """Return metadata with a new resolution: in dpi, in EXIF if there is any, and in XMP if it has a resolution.

    Args:
        said: the metadata of a picture.
        dpi: (horizontal, vertical) in dots per inch.
    """
    tags = said.exif and pixel_tags.with_resolution(said.exif, dpi)
    xmp = said.xmp and xmp_pixels.put_resolution(said.xmp, dpi)
    return said._replace(exif=tags, xmp=xmp, dpi=dpi, pixel_aspect=None)


def orientation_of(metadata: Metadata) -> int | None:
    """Return the orientation (1 to 8) from EXIF, or else from XMP; None if neither has one."""
    number = metadata.exif.number(exif.ORIENTATION) if metadata.exif else None
    if number is None and metadata.xmp:
        said = re.search(XMP_ORIENTATION, metadata.xmp)
        number = int(said.group(1) or said.group(2)) if said else None
    return number


def read_exif(block: bytes | None, notes: list[str]) -> exif.Tags | None:
    """Read a block of EXIF. If it is damaged, only the EXIF is lost, not the picture.

    Args:
        block: with or without the header `Exif`; None if the file has no EXIF.
        notes: a note is added if the block is damaged.

    Returns:
        The tags; None for no block, and for an empty or damaged one.
    """
    if not block:
        return None
    try:
        tags = exif.parse(block)
    except (ValueError, RecursionError) as error:
        notes.append(f'without its EXIF: {error}')
        return None
    return None if tags.is_empty() else tags


def read_dpi(value: Any, notes: list[str]) -> tuple[float, float] | None:
    """Check a resolution that a file contains.

    Args:
        value: (horizontal, vertical) in dots per inch: numbers of any type; or None.
        notes: a note is added for an invalid resolution. (0, 0) and (1, 1) get no note: files use them for "unknown".

    Returns:
        (horizontal, vertical), above 0 and at most MAX_DPI; None if the resolution is missing or invalid.
    """
    if value is None:
        return None
    try:
        dpi = float(value[0]), float(value[1])
        if all(math.isfinite(x) and 0 < x <= MAX_DPI for x in dpi):
            return dpi
    except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError):
        dpi = value
    if dpi not in ((0.0, 0.0), (1.0, 1.0)):
        notes.append('without its resolution, which is invalid')
    return None


def comment(data: bytes) -> Text:
    """Return a comment of JPEG or GIF as a Text; bytes that are not UTF-8 become surrogates (PEP 383)."""
    return Text(COMMENT, data.rstrip(b'\0').decode('utf-8', 'surrogateescape'))


def plain_text(text: str) -> str:
    """Return a text of `comment` without surrogates: if its bytes are not UTF-8, they are read as Latin-1."""
    data = text.encode('utf-8', 'surrogateescape')
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('latin-1')
