"""People's picture files, of any mode, depth and orientation, with what the file says beside its pixels.

Each format has one way in: PNG, TIFF, JPEG 2000, netpbm's and JPEG XL by their modules, HEIC by pillow-heif, 10-bit AVIF
by imagecodecs, all others by Pillow. What would not be read rightly is refused.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from typing import Any, Callable, NamedTuple

from pictures.formats import boxes, jpeg2000, jpegxl, netpbm, pixels, png, stderr_capture, tiff
from pictures.metadata import colour, exif, metadata
from rdn import files, images

import cv2
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
# Values of H.273: of BT.709 and sRGB, or not said; of PQ and HLG.
SRGB_PRIMARIES, SRGB_TRANSFERS, HIGH_RANGES = (1, 2), (1, 2, 6, 13), (16, 18)
# Of libjpeg's messages; bytes too many before other markers than those between and after pixels do no harm.
JPEG_DAMAGE = re.compile(r'Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0x(?!d[0-79a]))')


class Picture(NamedTuple):
    """A picture as read, upright. pixels: (H, W, C) as pictures/formats/pixels.py says; said: what the file says beside them.

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
    except Exception:  # the libraries raise anything for a broken file
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
    return Picture(array, said, kind == 'other' and _is_lossless_webp(path), notes)


def _is_lossless_webp(path: str) -> bool:
    with open(path, 'rb') as file:
        head = file.read(12)
        names = set()
        while head[:4] == b'RIFF' and head[8:12] == b'WEBP':
            chunk = file.read(8)
            if len(chunk) < 8:
                break
            names.add(chunk[:4])
            size = int.from_bytes(chunk[4:], 'little')
            file.seek(size + size % 2, os.SEEK_CUR)
    return b'VP8L' in names and b'VP8 ' not in names


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
    with stderr_capture.libraries():
        array = imagecodecs.jpegxl_decode(data)
    if array.ndim == 4 or array.ndim == 3 and array.shape[2] > 4 and array.shape[0] > 1:
        notes.append(f'the first of {len(array)} frames')
        array = array[0]
    array = pixels.as_planes_last(array)
    if array.dtype not in (np.uint8, np.uint16) or array.shape[2] > 4:
        raise ValueError('JPEG XL of these channels, or of numbers that are not whole, is not read')
    block = boxes.content_of(data, b'Exif')
    tags = metadata.read_exif(block[4:], notes) if block else None
    array = pixels.scale(array, (1 << jpegxl.bits_of(data)) - 1)
    return array, metadata.Metadata(tags, boxes.content_of(data, b'xml '), profile), None


def _read_heif(path: str, notes: list[str]) -> Any:
    """Turned upright by libheif itself."""
    try:
        import pillow_heif
    except ImportError:
        raise ValueError('HEIC is read on Python 3.10 and later, with pillow-heif: save it as JPEG or PNG')
    with stderr_capture.libraries():
        opened = pillow_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=False)
        images.check_pixels(*opened.size)
        array = pixels.as_planes_last(np.asarray(opened))
    bits = int(opened.info.get('bit_depth', 8)) if array.dtype != np.uint8 else 8
    array = pixels.scale(array, (1 << bits) - 1)
    if array.shape[2] in pixels.ALPHA and opened.premultiplied_alpha:
        array = pixels.divide_by_alpha(array)
    info = opened.info
    said = metadata.Metadata(metadata.read_exif(info.get('exif'), notes), info.get('xmp'), info.get('icc_profile'))
    with open(path, 'rb') as file:
        return array, _with_colour_of_boxes(said, file.read()), None


def _read_avif(path: str, notes: list[str]) -> Any:
    """8 bits by Pillow, 10 and 12 by imagecodecs, which leaves turning to the caller."""
    with open(path, 'rb') as file:
        data = file.read()
    config = boxes.content_of(data, b'meta', b'iprp', b'ipco', b'av1C') or b'\0\0\0'
    if not config[2] & 0x40:
        array, said, _ = _read_other(path, notes)
        return array, _with_colour_of_boxes(said, data), _orientation_of_avif(said)
    import imagecodecs

    with images.open_image(path) as image:
        images.check_pixels(*image.size)
        _note_frames(path, notes)
        said = _with_colour_of_boxes(_read_info(image, notes), data)
    with stderr_capture.libraries():
        array = imagecodecs.avif_decode(data)
    array = pixels.as_planes_last(array[0] if array.ndim == 4 else array)
    bits = 8 if array.dtype == np.uint8 else 12 if config[2] & 0x20 else 10
    return pixels.scale(array, (1 << bits) - 1), said, _orientation_of_avif(said)


def _orientation_of_avif(said: metadata.Metadata) -> int | None:
    """What its boxes irot and imir say, which Pillow puts into EXIF; what XMP says of it does not count there."""
    return said.exif.number(exif.ORIENTATION) if said.exif else None


def _with_colour_of_boxes(said: metadata.Metadata, data: bytes) -> metadata.Metadata:
    """With the colour space that AVIF and HEIC say by numbers (H.273), as PNG's cICP; sRGB's and unknown ones are left out.

    One of a high dynamic range counts more than a profile.
    """
    for content in boxes.contents_of(data, b'meta', b'iprp', b'ipco', b'colr'):
        if content[:4] != b'nclx' or len(content) < 10:
            continue
        primaries, transfer = content[5], content[7]
        is_usual = primaries in SRGB_PRIMARIES and transfer in SRGB_TRANSFERS
        if transfer in HIGH_RANGES or not is_usual and not said.icc_profile:
            return said._replace(png_colour={b'cICP': bytes([primaries, transfer, 0, 1])}, icc_profile=None)
    return said


def _read_other(path: str, notes: list[str]) -> Any:
    """By Pillow, which knows them with 8 bits a channel."""
    with images.open_image(path) as image:
        if image.mode[:1] in 'IF' or image.mode == 'LAB':
            raise ValueError(f'{image.format} of the kind {image.mode} is not read: save it as RGB with 8 or 16 bits')
        images.check_pixels(*image.size)
        _check_depth(path, image)
        said = _read_info(image, notes)
        image.load()
        _note_frames(path, notes)
        if image.format == 'JPEG':
            _note_damage(path, notes)
        if image.format == 'GIF':
            image = _with_uncovered(image)
        if image.mode == 'CMYK':
            notes.append('CMYK, now RGB')
            plain, said = colour.cmyk_image_to_rgb(image, said.icc_profile), said._replace(icc_profile=None)
        else:
            plain = to_plain_mode(image)
        return pixels.as_planes_last(np.asarray(plain)), said, metadata.orientation_of(said)


def _check_depth(path: str, image: Image.Image) -> None:
    """Raises ValueError for files whose pixels have other bits than Pillow takes them for."""
    with open(path, 'rb') as file:
        head = file.read(30)
    if image.format == 'SGI' and head[3] == 2:
        raise ValueError('SGI of 16 bits is not read: save it as PNG')
    if image.format == 'BMP' and image.mode == '1' and head[14] >= 40 and head[28] != 1:
        raise ValueError(f'BMP of two colours in {head[28]} bits a pixel is not read: save it as PNG')


def _with_uncovered(image: Image.Image) -> Image.Image:
    """The first frame of a GIF; where it does not cover the whole picture, the rest is transparent."""
    box = getattr(image, 'dispose_extent', None)
    if not box or tuple(box) == (0, 0, *image.size):
        return image
    frame = image.convert('RGBA')
    covered = Image.new('RGBA', image.size)
    covered.paste(frame.crop(box), box[:2])
    return covered


def _note_damage(path: str, notes: list[str]) -> None:
    """Say that a JPEG's data are damaged: libjpeg goes on with what it can, and of all libraries OpenCV alone tells."""
    with stderr_capture.overheard() as lines, contextlib.suppress(cv2.error):
        cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_8)  # an eighth of the size: quick
    if any(map(JPEG_DAMAGE.match, lines)):
        notes.append('its data are damaged: parts of it may look wrong')


def _note_frames(path: str, notes: list[str]) -> None:
    """Say that there are more. The file is opened anew: counting frames turns to them."""
    try:
        with images.open_image(path) as image:
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
        if name == 'APP1' and content.startswith(metadata.XMP_HEADER):
            xmp = content[len(metadata.XMP_HEADER) :]
    return metadata.Metadata(
        exif=metadata.read_exif(image.info.get('exif'), notes),
        xmp=xmp.encode('utf-8') if isinstance(xmp, str) else xmp,
        icc_profile=image.info.get('icc_profile') or None,
        dpi=metadata.read_dpi(image.info.get('dpi'), notes),
    )


def to_plain_mode(image: Image.Image) -> Image.Image:
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
