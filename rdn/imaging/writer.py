"""The upscaled picture: filled part by part, then saved in its format, with its metadata.

Pixels are as in reader.py: (H, W, C) arrays, uint8 or uint16.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Iterator

from rdn.imaging import reader

import cv2
import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

FORMATS = {
    '.bmp': 'BMP',
    '.jpeg': 'JPEG',
    '.jpg': 'JPEG',
    '.png': 'PNG',
    '.tif': 'TIFF',
    '.tiff': 'TIFF',
    '.webp': 'WEBP',
}
MAX_SIDE_PIXELS = {'JPEG': 65500, 'WEBP': 16383}
FORMATS_OF_16_BITS = ('PNG', 'TIFF')
QUALITY = 95  # of JPEG and WebP
MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}


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
        self.has_16_bits = dtype == np.uint16
        if self.has_16_bits:
            self.pixels = np.empty((height, width, channels), np.uint16)
        else:
            self.image = Image.new(MODES[channels], (width, height))

    def put(self, rows: slice, columns: slice, pixels: np.ndarray) -> None:
        """Put pixels (h, w, C) at slices of rows and columns."""
        if self.has_16_bits:
            self.pixels[rows, columns] = pixels
        else:
            part = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            self.image.paste(part, (columns.start, rows.start))

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """A part as a PIL RGB image for a screen; box: left, top, right, bottom."""
        if self.has_16_bits:
            return on_white(self.pixels[box[1] : box[3], box[0] : box[2]])
        return on_white(np.asarray(self.image.crop(box)))

    def save(self, file: BinaryIO, ending: str, info: dict[str, Any]) -> list[str]:
        """Write to a binary file, in the format of a file name's ending, with the metadata of `info`.

        Returns notes of what the format could not hold.
        """
        kind = FORMATS[ending]
        notes: list[str] = []
        if self.has_16_bits and kind in FORMATS_OF_16_BITS:
            (_save_16_bit_png if kind == 'PNG' else _save_16_bit_tiff)(file, self.pixels, info)
            return notes
        image = self.image if not self.has_16_bits else _to_8_bits(self.pixels)
        if self.has_16_bits:
            notes.append(f'8 bits: {kind} holds no 16')
        if image.mode in ('LA', 'RGBA') and kind == 'JPEG' or image.mode == 'LA' and kind == 'BMP':
            notes.append('without transparency, on white')
            image = _on_white(image)
        _save(file, image, kind, info)
        return notes


def _to_8_bits(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels))


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new(image.mode[:-1], image.size, 'white')
    white.paste(image.convert(white.mode), mask=image.getchannel('A'))
    return white


def _save(file: BinaryIO, image: Image.Image, kind: str, info: dict[str, Any]) -> None:
    options: dict[str, Any] = {key: info[key] for key in ('exif', 'icc_profile', 'xmp', 'dpi') if key in info}
    if kind == 'JPEG':  # holds no more than 64 KB of each
        options = {key: value for key, value in options.items() if key in ('dpi', 'icc_profile') or len(value) < 65000}
    if kind == 'JPEG':
        options.update(quality=QUALITY, subsampling=0)
    elif kind == 'WEBP':
        options.update(quality=QUALITY)
    elif kind == 'TIFF':
        options.pop('exif', None)  # Pillow 8.2 takes none here
        options.update(compression='tiff_deflate', tiffinfo=_tiff_tags(info))
    elif kind == 'PNG':
        options['pnginfo'] = PngImagePlugin.PngInfo()
        for key, value in info.get('text', {}).items():
            options['pnginfo'].add_itxt(key, value)
    image.save(file, kind, **options)


def _tiff_tags(info: dict[str, Any]) -> dict[int, str]:
    """What a TIFF's own tags can say of the EXIF in `info`: tag -> text."""
    exif = Image.Exif()
    exif.load(info.get('exif', b''))
    return {tag: exif[tag] for tag in reader.DESCRIPTIVE_TAGS if isinstance(exif.get(tag), str)}


def _save_16_bit_png(file: BinaryIO, pixels: np.ndarray, info: dict[str, Any]) -> None:
    """OpenCV writes the pixels, Pillow the metadata: a picture of one pixel lends its chunks."""
    order = [2, 1, 0, 3][: pixels.shape[2]]
    if pixels.shape[2] == 2:
        pixels, order = pixels[:, :, [0, 0, 0, 1]], [0, 1, 2, 3]  # OpenCV has no grey with alpha
    coded = cv2.imencode('.png', pixels[:, :, order] if pixels.shape[2] > 1 else pixels)[1].tobytes()
    lender = io.BytesIO()
    _save(lender, Image.new('RGB', (1, 1)), 'PNG', info)
    end_of_header = 8 + 25
    file.write(coded[:end_of_header])
    for kind, chunk in _png_chunks(lender.getvalue()):
        if kind not in (b'IHDR', b'IDAT', b'IEND'):
            file.write(chunk)
    file.write(coded[end_of_header:])


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        length = int.from_bytes(data[position : position + 4], 'big') + 12
        yield data[position + 4 : position + 8], data[position : position + length]
        position += length


def _save_16_bit_tiff(file: BinaryIO, pixels: np.ndarray, info: dict[str, Any]) -> None:
    tags = [(tag, 's', 0, text, True) for tag, text in _tiff_tags(info).items()]
    if 'icc_profile' in info:
        tags.append((34675, 'B', len(info['icc_profile']), info['icc_profile'], True))
    options = {'resolution': tuple(float(x) for x in info['dpi'])} if 'dpi' in info else {}
    tifffile.imwrite(
        file,
        pixels if pixels.shape[2] > 1 else pixels[:, :, 0],
        photometric='rgb' if pixels.shape[2] > 2 else 'minisblack',
        planarconfig='contig' if pixels.shape[2] > 1 else None,
        extrasamples=['unassalpha'] if pixels.shape[2] in (2, 4) else None,
        extratags=tags,
        metadata=None,
        software=False,
        **options,
    )


def on_white(pixels: np.ndarray) -> Image.Image:
    """A picture's pixels as a PIL RGB image for a screen: 8 bits, alpha on white."""
    image = _to_8_bits(pixels)
    return (_on_white(image) if image.mode in ('LA', 'RGBA') else image).convert('RGB')
