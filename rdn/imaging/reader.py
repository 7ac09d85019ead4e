"""People's picture files, of any mode, depth and orientation, with what the file says beside its pixels.

Each format has one way in: PNG, TIFF, JPEG 2000, netpbm's and JPEG XL by their modules, HEIC by pillow-heif, 10-bit AVIF
by imagecodecs, all others by Pillow. What would not be read rightly is refused.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Callable, NamedTuple

from rdn import files
from rdn.imaging import boxes, colour, exif, images, jpeg2000, metadata, netpbm, pixels, png, quiet, tiff

import numpy as np
from PIL import Image

READABLE = tuple(
    '.apng .avif .bmp .dib .gif .heic .heif .hif .j2k .jfif .jp2 .jpeg .jpf .jpg .jpx .jxl .pam .pbm .pgm .png .pnm .ppm '
    '.tga .tif .tiff .webp'.split()
)
MAX_FILE_BYTES = 1 << 32  # of a picture that is read as a whole
HEAD_BYTES = 1 << 16
HEIF_BRANDS = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')
AVIF_BRANDS = (b'avif', b'avis')
JP2_SIGNATURE = b'\0\0\0\x0cjP  \r\n\x87\n'
JXL_SIGNATURES = (b'\xff\x0a', b'\0\0\0\x0cJXL \r\n\x87\n')
XMP_HEADER = b'http://ns.adobe.com/xap/1.0/\0'  # before the packet in JPEG


class Picture(NamedTuple):
    """A picture as read, upright. pixels: (H, W, C) as rdn/imaging/pixels.py says; said: what the file says beside them.

    is_lossless: whether the file holds them without loss. notes: what a person should know of how it was read.
    """

    pixels: np.ndarray
    said: metadata.Metadata
    is_lossless: bool
    notes: list[str]


def is_picture_name(name: str) -> bool:
    """Whether a file's ending is that of a picture."""
    return name.lower().endswith(READABLE)


def read_size(path: str) -> tuple[int, int]:
    """(width, height) of a picture by its header; (0, 0) where that cannot be read, which reading it will say."""
    try:
        with open(path, 'rb') as file:
            head = file.read(HEAD_BYTES)
        kind = kind_of(head)
        if kind == 'PNG':
            return png.size_of(head)
        if kind == 'netpbm':
            return netpbm.header_of(head)[1:3]
        if kind == 'JPEG 2000':
            return jpeg2000.header_of(head)[:2]
        if kind == 'TIFF':
            return tiff.size_of(path)
        if kind in ('JPEG XL', 'HEIF'):
            return 0, 0
        with images.open_image(path) as image:
            return image.size
    except (ValueError, OSError, struct.error):
        return 0, 0


def kind_of(head: bytes) -> str:
    """The name of a format with a way in of its own, by a file's first bytes; 'other' for what Pillow reads."""
    brands = (head[8:12], *(head[i : i + 4] for i in range(16, min(int.from_bytes(head[:4], 'big'), 256), 4)))
    if head.startswith(png.SIGNATURE):
        return 'PNG'
    if head[:4] in (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+'):
        return 'TIFF'
    if head.startswith((JP2_SIGNATURE, jpeg2000.CODESTREAM)):
        return 'JPEG 2000'
    if head.startswith(JXL_SIGNATURES):
        return 'JPEG XL'
    if head[:1] == b'P' and head[1:2] in b'1234567' and (head[2:3].isspace() or head[2:3] == b'#'):
        return 'netpbm'
    if head[4:8] == b'ftyp' and any(brand in AVIF_BRANDS for brand in brands):
        return 'AVIF'
    if head[4:8] == b'ftyp' and any(brand in HEIF_BRANDS for brand in brands):
        return 'HEIF'
    return 'other'


def read_picture(path: str) -> Picture:
    """A Picture from a file. Raises ValueError, with the file's name, for one that cannot be read rightly."""
    files.check_plain(path, MAX_FILE_BYTES)
    notes: list[str] = []
    with open(path, 'rb') as file:
        kind = kind_of(file.read(HEAD_BYTES))
    try:
        array, said, orientation = READERS[kind](path, notes)
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # the libraries raise anything for a broken file
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(reason if reason.startswith(path) else f'{path}: cannot be used as an image: {reason}')
    array = pixels.upright(array, orientation)
    return Picture(array, said, _is_lossless(path, kind), notes)


def _is_lossless(path: str, kind: str) -> bool:
    """Whether a file of a format that can do both holds its pixels without loss."""
    with open(path, 'rb') as file:
        head = file.read(HEAD_BYTES)
    return head[8:12] == b'WEBP' and b'VP8L' in head[12:] and b'VP8 ' not in head[12:]


def _whole(read: Callable[[bytes, list[str]], Any]) -> Callable[[str, list[str]], Any]:
    """A reader of a path from one of a file's content."""

    def read_path(path: str, notes: list[str]) -> Any:
        with open(path, 'rb') as file:
            return read(file.read(), notes)

    return read_path


def _read_png(data: bytes, notes: list[str]) -> Any:
    images.check_pixels(*png.size_of(data))
    return png.read(data, notes)


def _read_netpbm(data: bytes, notes: list[str]) -> Any:
    images.check_pixels(*netpbm.header_of(data)[1:3])
    return netpbm.read(data), metadata.Metadata(), None


def _read_tiff(path: str, notes: list[str]) -> Any:
    with open(path, 'rb') as file:
        return tiff.read(file, notes)


def _read_jpeg_xl(data: bytes, notes: list[str]) -> Any:
    """Turned upright by libjxl itself; its colour profile is read by pillow-jxl-plugin."""
    try:
        import imagecodecs
        import pillow_jxl  # noqa: F401 - Pillow knows JPEG XL then
    except ImportError:
        raise ValueError('JPEG XL is read on Python 3.10 and later, with pillow-jxl-plugin: save it as PNG')
    with Image.open(io.BytesIO(data)) as image:
        images.check_pixels(*image.size)
        profile = image.info.get('icc_profile')
    with quiet.libraries():
        array = pixels.as_planes_last(imagecodecs.jpegxl_decode(data))
    if array.dtype not in (np.uint8, np.uint16) or array.shape[2] > 4:
        raise ValueError('JPEG XL of these channels, or of numbers that are not whole, is not read')
    block = boxes.content_of(data, b'Exif')
    tags = metadata.read_exif(block[4:], notes) if block else None
    return array, metadata.Metadata(tags, boxes.content_of(data, b'xml '), profile), None


def _read_heif(path: str, notes: list[str]) -> Any:
    """Turned upright by libheif itself."""
    try:
        import pillow_heif
    except ImportError:
        raise ValueError('HEIC is read on Python 3.10 and later, with pillow-heif: save it as JPEG or PNG')
    with quiet.libraries():
        opened = pillow_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        images.check_pixels(*opened.size)
        array = pixels.as_planes_last(np.asarray(opened))
    bits = int(opened.info.get('bit_depth', 8)) if array.dtype != np.uint8 else 8
    info = opened.info
    said = metadata.Metadata(metadata.read_exif(info.get('exif'), notes), info.get('xmp'), info.get('icc_profile'))
    return pixels.scale(array, (1 << bits) - 1), said, None


def _read_avif(path: str, notes: list[str]) -> Any:
    """8 bits by Pillow, 10 and 12 by imagecodecs, which leaves turning to the caller."""
    with open(path, 'rb') as file:
        data = file.read()
    config = boxes.content_of(data, b'meta', b'iprp', b'ipco', b'av1C') or b'\0\0\0'
    if not config[2] & 0x40:
        return _read_other(path, notes)
    import imagecodecs

    with images.open_image(path) as image:
        images.check_pixels(*image.size)
        said, orientation = _read_info(image, notes), image.getexif().get(exif.ORIENTATION)
    with quiet.libraries():
        array = pixels.as_planes_last(imagecodecs.avif_decode(data))
    return pixels.scale(array, (1 << (12 if config[2] & 0x20 else 10)) - 1), said, orientation


def _read_other(path: str, notes: list[str]) -> Any:
    """By Pillow, which knows them with 8 bits a channel."""
    with images.open_image(path) as image:
        if image.mode[:1] in 'IF' or image.mode == 'LAB':
            raise ValueError(f'{image.format} of the kind {image.mode} is not read: save it as RGB with 8 or 16 bits')
        _note_frames(image, notes)
        said = _read_info(image, notes)
        orientation = image.getexif().get(exif.ORIENTATION) if 'exif' in image.info else None
        image.load()
        if image.format == 'GIF':
            image = _with_uncovered(image)
        if image.mode == 'CMYK':
            notes.append('CMYK, now RGB')
            plain, said = colour.cmyk_image_to_rgb(image, said.icc_profile), said._replace(icc_profile=None)
        else:
            plain = _to_plain_mode(image)
        return pixels.as_planes_last(np.asarray(plain)), said, orientation


def _with_uncovered(image: Image.Image) -> Image.Image:
    """The first frame of a GIF; where it does not cover the whole picture, the rest is transparent."""
    box = getattr(image, 'dispose_extent', None)
    if not box or tuple(box) == (0, 0, *image.size):
        return image
    frame = image.convert('RGBA')
    covered = Image.new('RGBA', image.size)
    covered.paste(frame.crop(box), box[:2])
    return covered


def _note_frames(image: Image.Image, notes: list[str]) -> None:
    try:
        count = getattr(image, 'n_frames', 1)
    except Exception:  # later ones are broken, which does not touch the first
        notes.append('the first frame; later ones are broken')
        return
    if count > 1:
        notes.append(f'the first of {count} frames')


def _read_info(image: Image.Image, notes: list[str]) -> metadata.Metadata:
    """The Metadata of a file that Pillow opened."""
    xmp = image.info.get('xmp')
    for name, content in getattr(image, 'applist', []):  # of JPEG
        if name == 'APP1' and content.startswith(XMP_HEADER):
            xmp = content[len(XMP_HEADER) :]
    return metadata.Metadata(
        exif=metadata.read_exif(image.info.get('exif'), notes),
        xmp=xmp.encode('utf-8') if isinstance(xmp, str) else xmp,
        icc_profile=image.info.get('icc_profile') or None,
        dpi=metadata.read_dpi(image.info.get('dpi'), notes),
    )


def _to_plain_mode(image: Image.Image) -> Image.Image:
    """The image in mode L, LA, RGB or RGBA."""
    grey = image.mode in ('1', 'L', 'LA', 'La')
    alpha = image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info
    if image.mode == 'La':
        image = image.convert('LA')
    if alpha and grey and image.mode != 'LA':
        image = image.convert('RGBA').convert('LA')  # Pillow has no way from L with a transparent value to LA
    mode = ('LA' if alpha else 'L') if grey else ('RGBA' if alpha else 'RGB')
    return image if image.mode == mode else image.convert(mode)


READERS = {
    'PNG': _whole(_read_png),
    'TIFF': _read_tiff,
    'JPEG 2000': _whole(jpeg2000.read),
    'JPEG XL': _whole(_read_jpeg_xl),
    'netpbm': _whole(_read_netpbm),
    'HEIF': _read_heif,
    'AVIF': _read_avif,
    'other': _read_other,
}
