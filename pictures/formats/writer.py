"""The upscaled picture: filled part by part, then saved in its format, with what the source's file said.

Pixels are as in pictures/formats/pixels.py. Each format has one way out: Pillow writes 8 bits, imagecodecs PNG and tifffile
TIFF of 16; what stands beside the pixels is put in by this module and png.py, exif.py.
"""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO, NamedTuple

from pictures.formats import pixels, png, tiff
from pictures.metadata import colour, exif, metadata

import numpy as np
from PIL import Image

FORMATS = {
    '.avif': 'AVIF',
    '.bmp': 'BMP',
    '.jpeg': 'JPEG',
    '.jpg': 'JPEG',
    '.png': 'PNG',
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
    '.webp': 'WEBP',
}
if '.avif' not in Image.registered_extensions() or 'AVIF' not in Image.SAVE:  # Pillow before 11.3
    del FORMATS['.avif']
MAX_SIDE_PIXELS = {'JPEG': 65500, 'WEBP': 16383, 'AVIF': 65536}
FORMATS_WITHOUT_GREY = ('AVIF', 'WEBP')
FORMATS_WITH_LOSS = ('JPEG', 'AVIF')  # always
QUALITY = 95  # of JPEG, WebP and AVIF, where nothing else is asked for
MAX_SEGMENT_BYTES = 65533 - len(exif.HEADER)  # of JPEG
MAX_JFIF_DPI = 65535
MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}


class Settings(NamedTuple):
    """How a picture is written. quality: 1 to 100, of JPEG, WebP and AVIF; lossless: of WebP."""

    quality: int = QUALITY
    lossless: bool = False


def check_size(width: int, height: int, ending: str) -> None:
    """Raises ValueError for a picture too large for the format of a file name's ending."""
    limit = MAX_SIDE_PIXELS.get(FORMATS[ending])
    if limit and max(width, height) > limit:
        raise ValueError(f'{width} x {height} pixels: {FORMATS[ending]} holds {limit} a side at most')


class Canvas:
    """An upscaled picture that is filled part by part, then saved.

    8-bit pixels go straight into Pillow's image: two copies of a picture of 400 megapixels are too many.
    """

    def __init__(self, width: int, height: int, channels: int, dtype: np.dtype):
        self.width, self.height = width, height
        self.has_16_bits = dtype == np.uint16
        if self.has_16_bits:
            self.pixels = np.empty((height, width, channels), np.uint16)
        else:
            self.image = Image.new(MODES[channels], (width, height))

    def put(self, rows: slice, columns: slice, part: np.ndarray) -> None:
        """Put pixels (h, w, C) at slices of rows and columns."""
        if self.has_16_bits:
            self.pixels[rows, columns] = part
        else:
            image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
            self.image.paste(image, (columns.start, rows.start))

    def crop(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """The pixels (h, w, C) of a part; box: left, top, right, bottom."""
        if self.has_16_bits:
            return self.pixels[box[1] : box[3], box[0] : box[2]]
        return pixels.as_planes_last(np.asarray(self.image.crop(box)))

    def save(self, file: BinaryIO, ending: str, said: metadata.Metadata, settings: Settings) -> list[str]:
        """Write to a binary file, open for reading too, in the format of a file name's ending, with what was said.

        Returns notes of what the format could not hold.
        """
        kind = FORMATS[ending]
        notes: list[str] = []
        is_grey = (self.pixels.shape[2] if self.has_16_bits else len(self.image.getbands())) < 3
        if kind != 'PNG':
            said = _without_png_colour(said, is_grey, notes)
        said = _with_fitting_profile(said, is_grey and kind not in FORMATS_WITHOUT_GREY, notes)
        if self.has_16_bits and kind == 'PNG':
            png.write_16_bits(file, self.pixels, said)
        elif self.has_16_bits and kind == 'TIFF':
            tiff.write_16_bits(file, self.pixels, said)
        else:
            image = _to_image(self.pixels) if self.has_16_bits else self.image
            if self.has_16_bits:
                notes.append(f'8 bits: {kind} holds no 16')
            if image.mode in ('LA', 'RGBA') and kind in ('JPEG', 'BMP'):
                notes.append('without transparency, on white')
                image = _on_white(image)
            SAVE[kind](file, image, said, settings, notes)
        if kind == 'TIFF':
            exif.add_to_tiff(file, tiff.tags_for(said))
        return notes


def _with_fitting_profile(said: metadata.Metadata, is_grey: bool, notes: list[str]) -> metadata.Metadata:
    """Without a profile of other channels than the file will have, which readers would trip over."""
    if not said.icc_profile or colour.space_of(said.icc_profile) == ('GRAY' if is_grey else 'RGB'):
        return said
    notes.append(f'without its profile, which is of {colour.space_of(said.icc_profile)}')
    return said._replace(icc_profile=None)


def _without_png_colour(said: metadata.Metadata, is_grey: bool, notes: list[str]) -> metadata.Metadata:
    """For formats that have no such chunks: what they say, as a profile."""
    if not said.png_colour or said.icc_profile:
        return said
    try:
        return said._replace(icc_profile=colour.profile_of_png(said.png_colour, is_grey))
    except ValueError as error:
        notes.append(f'without {error}')
        return said


def _to_image(array: np.ndarray) -> Image.Image:
    array = pixels.to_8_bits(array)
    return Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new(image.mode[:-1], image.size, 'white')
    white.paste(image.convert(white.mode), mask=image.getchannel('A'))
    return white


def _exif_block(said: metadata.Metadata) -> bytes:
    return exif.HEADER + exif.serialise(said.exif) if said.exif else b''


def _save_png(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: Settings, notes: list[str]) -> None:
    image.save(png.Writer(file, said), 'PNG')


def _save_tiff(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: Settings, notes: list[str]) -> None:
    options: dict[str, Any] = {'icc_profile': said.icc_profile} if said.icc_profile else {}
    if said.dpi:
        options['dpi'] = said.dpi
    image.save(file, 'TIFF', compression='tiff_deflate', **options)


def _save_jpeg(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: Settings, notes: list[str]) -> None:
    options: dict[str, Any] = {}
    block = _exif_block(said)
    if len(block) <= MAX_SEGMENT_BYTES:
        options['exif'] = block
    else:
        notes.append('without its EXIF, which is too large for JPEG')
    if said.icc_profile:
        options['icc_profile'] = said.icc_profile
    if said.dpi and max(said.dpi) <= MAX_JFIF_DPI:
        options['dpi'] = tuple(max(1, round(x)) for x in said.dpi)
    encoded = io.BytesIO()
    image.save(encoded, 'JPEG', quality=how.quality, subsampling=0, **options)
    content = encoded.getbuffer()
    behind_jfif = 4 + int.from_bytes(content[4:6], 'big')
    file.write(content[:behind_jfif])
    if said.xmp and len(said.xmp) <= MAX_SEGMENT_BYTES - len(metadata.XMP_HEADER):
        segment = metadata.XMP_HEADER + said.xmp
        file.write(b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment)  # Pillow of Python 3.7 writes none
    elif said.xmp:
        notes.append('without its XMP, which is too large for JPEG')
    file.write(content[behind_jfif:])


def _save_bmp(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: Settings, notes: list[str]) -> None:
    image.save(file, 'BMP', **({'dpi': said.dpi} if said.dpi else {}))


def _save_webp(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: Settings, notes: list[str]) -> None:
    options = {'exif': _exif_block(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    image.save(file, 'WEBP', quality=how.quality, lossless=how.lossless, **given)


def _save_avif(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: Settings, notes: list[str]) -> None:
    options = {'exif': _exif_block(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    image.save(file, 'AVIF', quality=how.quality, subsampling='4:4:4', **given)


SAVE = {
    'AVIF': _save_avif,
    'BMP': _save_bmp,
    'JPEG': _save_jpeg,
    'PNG': _save_png,
    'TIFF': _save_tiff,
    'WEBP': _save_webp,
}


def for_screen(array: np.ndarray, said: metadata.Metadata) -> Image.Image:
    """Pixels as a PIL RGB image for a screen: 8 bits, sRGB, alpha on white."""
    image = _to_image(array)
    image = (_on_white(image) if image.mode in ('LA', 'RGBA') else image).convert('RGB')
    return colour.to_srgb(image, _without_png_colour(said, False, []).icc_profile)
