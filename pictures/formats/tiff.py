"""TIFF: its first page, up to 16 bits, any layout and compression that tifffile and imagecodecs support (TIFF 6.0)."""

from __future__ import annotations

from typing import Any, BinaryIO

from pictures.formats import base, pixels, stderr_capture
from pictures.metadata import colour, exif, geotiff, metadata, photoshop, pixel_tags
from rdn import images

import numpy as np
import tifffile
from PIL import Image

MINISWHITE, MINISBLACK, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6  # values of PhotometricInterpretation
CHANNELS = {MINISWHITE: 1, MINISBLACK: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}  # without extra channels
ASSOCIATED, UNASSOCIATED = 1, 2  # values of ExtraSamples
UNSIGNED = 1  # value of SampleFormat
CMYK_INKS = 1  # value of InkSet
REDUCED = 1  # bit of NewSubfileType
SEPARATE = 2  # value of PlanarConfiguration
JPEG_COMPRESSIONS = (6, 7, 34892)
NO_UNIT = 1  # value of ResolutionUnit
# The tags that are read from the first directory in addition to EXIF's.
READ_TAGS = exif.DESCRIPTIVE | geotiff.TAGS | geotiff.OTHERS | {exif.IPTC, exif.PHOTOSHOP}


def read(file: BinaryIO, notes: list[str]) -> tuple[np.ndarray, metadata.Metadata, int | None]:
    """Read the first page of an open file; reduced versions of other pages do not count.

    Args:
        file: the open file.
        notes: receives notes on the parts of the file that are left out or converted.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the page is not supported, damaged or truncated.
    """
    with stderr_capture.libraries(), tifffile.TiffFile(file) as tiff:
        if len(tiff.pages) > 1:
            notes.append(f'the first of {len(tiff.pages)} pages{base.ALL_FRAMES}')
        return read_page(file, tiff, _full_page(tiff), notes)


def read_page(
    file: BinaryIO, tiff: tifffile.TiffFile, page: Any, notes: list[str], tags_at: int | None = None
) -> tuple[np.ndarray, metadata.Metadata, int | None]:
    """Read one page of an open file.

    Args:
        file: the open file.
        tiff: the same file as tifffile opened it.
        page: tifffile's page.
        notes: receives notes on the parts of the page that are left out or converted.
        tags_at: the offset of the directory with the descriptive tags; None: the file's first directory.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the page is not supported, damaged or truncated.
    """
    _check(page, tiff.filehandle.size)
    said = _read_tags(file, page, notes, tags_at)
    array = page.asarray()
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim == 3 and page.planarconfig == SEPARATE and page.samplesperpixel > 1:
        array = np.ascontiguousarray(np.moveaxis(array, 0, 2))
    array = _to_plain(pixels.as_planes_last(array), page, said, notes)
    if page.photometric == CMYK:
        said = said._replace(icc_profile=None)
    return array, said, _number(page, 'Orientation') or metadata.orientation_of(said)


def _full_page(tiff: tifffile.TiffFile) -> Any:
    """Return the first page that is not a reduced version of another page; look in the first page's sub-IFDs last."""
    first: Any = tiff.pages[0]
    if not first.subfiletype & REDUCED:
        return first
    others: list[Any] = [*list(tiff.pages)[1:], *(first.pages or [])]
    full = next((page for page in others if not getattr(page, 'subfiletype', REDUCED) & REDUCED), None)
    if full is None:
        raise ValueError('contains only a reduced version of the picture')
    return full


def size_of(path: str) -> tuple[int, int]:
    """Return (width, height) in pixels of the page that `read` reads.

    Raises:
        ValueError: the file is damaged.
    """
    with open(path, 'rb') as file, stderr_capture.libraries(), tifffile.TiffFile(file) as tiff:
        page = _full_page(tiff)
        return page.imagewidth, page.imagelength


def _check(page: Any, file_size: int) -> None:
    """Raise ValueError for a page that would be read wrongly."""
    bits = page.bitspersample
    if page.photometric not in CHANNELS:
        raise ValueError(
            f'TIFF of the type {getattr(page.photometric, "name", page.photometric)} is not supported: save it as RGB'
        )
    if page.sampleformat != UNSIGNED or bits > 16:
        raise ValueError(
            'more than 16 bits a channel, signed or floating-point numbers are not supported: save it with 16 bits'
        )
    if page.samplesperpixel < CHANNELS[page.photometric] or page.imagedepth > 1:
        raise ValueError('TIFF with too few channels or with volumes is not supported: save it as RGB')
    if page.photometric == CMYK and (_number(page, 'InkSet') or CMYK_INKS) != CMYK_INKS:
        raise ValueError('TIFF with inks other than CMYK is not supported: save it as RGB')
    images.check_pixels(page.imagewidth, page.imagelength)
    if page.imagewidth * page.imagelength * page.samplesperpixel > 8 * images.MAX_PIXELS:
        raise ValueError(f'{page.samplesperpixel} channels are too many')
    if page.photometric == YCBCR and page.compression not in JPEG_COMPRESSIONS:
        raise ValueError('TIFF in YCbCr without JPEG compression is not supported: save it as RGB')
    parts = list(zip(page.dataoffsets, page.databytecounts))
    if not parts or any(not size or offset + size > file_size for offset, size in parts):
        raise ValueError('the file is truncated, or parts of its picture are missing')
    if len(parts) < _part_count(page) and not page.is_contiguous:  # tifffile would fill the missing parts with black
        raise ValueError(f'{_part_count(page) - len(parts):,} parts of its picture are missing')


def _part_count(page: Any) -> int:
    """Return the number of strips or tiles that a page of this size must have."""
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    across, down = across or page.imagewidth, down or page.imagelength
    count = -(-page.imagewidth // across) * -(-page.imagelength // down)
    return count * (page.samplesperpixel if page.planarconfig == SEPARATE else 1)


def _to_plain(array: np.ndarray, page: Any, said: metadata.Metadata, notes: list[str]) -> np.ndarray:
    """Return the page's channels as grey or RGB, with alpha if the page has it."""
    kind, bits = page.photometric, page.bitspersample
    own = CHANNELS[kind]
    extra = [int(x) for x in page.extrasamples] + [0] * (array.shape[2] - own - len(page.extrasamples))
    alpha = next((i for i, meaning in enumerate(extra) if meaning in (ASSOCIATED, UNASSOCIATED)), None)
    if len(extra) > (alpha is not None):
        notes.append('without channels of unknown meaning')
    plain = array[:, :, :own]
    if kind == PALETTE:
        plain = _look_up(plain[:, :, 0], page)
    else:
        plain = pixels.scale(plain, (1 << bits) - 1)
        if kind == MINISWHITE:
            plain = np.iinfo(plain.dtype).max - plain
    if kind == CMYK:
        notes.append('CMYK became RGB')
        plain = colour.cmyk_to_rgb(plain if plain.dtype == np.uint8 else pixels.to_8_bits(plain), said.icc_profile)
    if alpha is None:
        return np.ascontiguousarray(plain)
    opacity = pixels.scale(array[:, :, own + alpha : own + alpha + 1], (1 << bits) - 1)
    if opacity.dtype != plain.dtype:  # the colours come from a palette, or from CMYK as 8 bits
        opacity = pixels.to_8_bits(opacity) if plain.dtype == np.uint8 else opacity.astype(np.uint16) * 257
    joined = np.concatenate([plain, opacity], 2)
    return pixels.divide_by_alpha(joined) if extra[alpha] == ASSOCIATED and kind != PALETTE else joined


def _look_up(indices: np.ndarray, page: Any) -> np.ndarray:
    """Return the colours (H, W, 3) of indices (H, W): uint8, or uint16 if the palette needs 16 bits."""
    table = np.asarray(page.colormap).T  # (colours, 3), uint16
    if indices.size and int(indices.max()) >= len(table):
        raise ValueError('its palette lacks colours that it uses')
    if int(table.max()) < 256:  # some programs write 8-bit values instead of 16-bit ones
        return table.astype(np.uint8)[indices]
    high, low = table >> 8, table & 255
    if (low == high).all() or not low.any():
        return high.astype(np.uint8)[indices]
    return table.astype(np.uint16)[indices]


def _number(page: Any, name: str) -> int | None:
    value = _value(page, name)
    return int(value) if isinstance(value, int) else None


def _value(page: Any, name: str) -> Any:
    tag = page.tags.get(name)
    return tag.value if tag else None


def _read_tags(file: BinaryIO, page: Any, notes: list[str], tags_at: int | None) -> metadata.Metadata:
    try:
        tags = exif.read_tiff(file, READ_TAGS, tags_at)
    except (ValueError, RecursionError) as error:
        tags = exif.Tags('<', {}, {})
        notes.append(f'without its EXIF: {error}')
    camera, geo = tags.only(exif.DESCRIPTIVE), tags.only(geotiff.TAGS | geotiff.OTHERS)
    dots = [_ratio(_value(page, name)) for name in ('XResolution', 'YResolution')]
    unit = _number(page, 'ResolutionUnit') or pixel_tags.INCH
    inch = pixel_tags.UNITS_AN_INCH.get(unit)
    has_dots = inch and None not in dots
    return metadata.Metadata(
        exif=None if camera.is_empty() else camera,
        xmp=_bytes(_value(page, 'XMP')),
        icc_profile=_bytes(_value(page, 'InterColorProfile')),
        dpi=metadata.read_dpi([(x or 0) * (inch or 1) for x in dots], notes) if has_dots else None,
        photoshop=_resources_of(tags),
        geo=geo if geo.values else None,
        pixel_aspect=_aspect_of(dots) if unit == NO_UNIT else None,
    )


def _resources_of(tags: exif.Tags) -> dict[int, bytes]:
    """Return Photoshop's resources. IPTC records in the IPTC tag take precedence over those in the resources."""
    block = tags.values.get(exif.PHOTOSHOP)
    resources = photoshop.parse(block.data) if block else {}
    if exif.IPTC in tags.values:
        resources[photoshop.IPTC] = photoshop.iptc_of_tiff(tags.values[exif.IPTC].data)
    return resources


def _aspect_of(dots: list[float | None]) -> tuple[float, float] | None:
    """Return the aspect ratio of pixels that are not square, from a resolution (horizontal, vertical) without unit."""
    across, down = dots
    if not across or not down or not across > 0 or not down > 0 or across == down:
        return None
    return across, down


def _ratio(value: Any) -> float | None:
    """Return the value of tifffile's (numerator, denominator): nan if the denominator is 0, None for other values."""
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    return value[0] / value[1] if value[1] else float('nan')


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, tuple):  # tifffile returns XMP of some files as a tuple of numbers
        return bytes(x & 255 for x in value if isinstance(x, int)) or None
    return value if isinstance(value, bytes) and value else None


def write_16_bits(file: BinaryIO, array: np.ndarray, said: metadata.Metadata, _: base.Settings) -> None:
    """Write a TIFF with 16 bits per channel, compressed without loss.

    Args:
        file: a binary file, which is also open for reading.
        array: pixels (H, W, C), uint16.
        said: the metadata.
    """
    tifffile.imwrite(file, array if array.shape[2] > 1 else array[:, :, 0], **options_for(array, said))
    exif.add_to_tiff(file, tags_for(said))


def options_for(array: np.ndarray, said: metadata.Metadata) -> dict[str, Any]:
    """Return the keyword arguments with which tifffile writes a page.

    Args:
        array: pixels (H, W, C), uint8 or uint16.
        said: the metadata.
    """
    channels = array.shape[2]
    tags = []
    if said.icc_profile:
        tags.append((exif.ICC_PROFILE, 'B', len(said.icc_profile), said.icc_profile, True))
    return dict(
        photometric='rgb' if channels > 2 else 'minisblack',
        planarconfig='contig' if channels > 1 else None,
        extrasamples=['unassalpha'] if channels in pixels.ALPHA else None,
        compression='zlib',
        extratags=tags,
        metadata=None,
        software=False,
        **({'resolution': said.dpi} if said.dpi else {}),
    )


def tags_for(said: metadata.Metadata) -> exif.Tags:
    """Return the metadata as tags for the directory of a TIFF page."""
    tags = said.exif.only(exif.DESCRIPTIVE) if said.exif else exif.Tags('<', {}, {})
    if said.dpi or said.pixel_aspect:
        unit = pixel_tags.INCH if said.dpi else NO_UNIT
        tags = pixel_tags.with_resolution(tags, said.dpi or said.pixel_aspect or (1, 1), unit)
    values = dict(tags.values)
    if said.xmp:
        values[exif.XMP] = exif.Value(1, len(said.xmp), said.xmp)
    iptc = said.photoshop.get(photoshop.IPTC)
    if iptc:
        values[exif.IPTC] = exif.Value(exif.UNDEFINED, len(iptc), iptc)
    if said.photoshop.keys() - {photoshop.IPTC}:
        block = photoshop.serialise(said.photoshop)
        values[exif.PHOTOSHOP] = exif.Value(1, len(block), block)
    if said.geo:
        values.update(exif.convert(said.geo, tags.order).values)
    return tags._replace(values=values)


def read_file(path: str, notes: list[str]) -> base.Content:
    """Read the first page of the file at a path, as `read` does."""
    with open(path, 'rb') as file:
        return read(file, notes)


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: base.Settings, notes: list[str]) -> None:
    """Write a PIL image of 8 bits per channel, compressed without loss.

    Args:
        file: a binary file, which is also open for reading.
        image: in L, LA, RGB or RGBA.
        said: the metadata.
        notes: not used.
    """
    options: dict[str, Any] = {'icc_profile': said.icc_profile} if said.icc_profile else {}
    if said.dpi:
        options['dpi'] = said.dpi
    image.save(file, 'TIFF', compression='tiff_deflate', **options)
    exif.add_to_tiff(file, tags_for(said))


FORMAT = base.Format(
    'TIFF',
    ('.tif', '.tiff', '.btf'),
    lambda head: head[:4] in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'),
    read_file,
    size=size_of,
    written=('.tif', '.tiff', '.btf'),
    save=save,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi', 'pixel_aspect', 'photoshop', 'geo')),
    holds_places=False,
    save_16_bits=write_16_bits,
    may_crash=True,
)
