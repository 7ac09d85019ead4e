"""People's picture files, of any mode, depth and orientation, with what the file says beside its pixels.

Pixels are (H, W, C) arrays, uint8 or uint16: C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
"""

from __future__ import annotations

import io
from typing import Any, NamedTuple

from rdn.imaging import images

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

ORIENTATION = 0x0112  # of EXIF
# TIFF's tags of texts: description, make, model, software, date, artist, copyright.
DESCRIPTIVE_TAGS = (270, 271, 272, 305, 306, 315, 33432)
READABLE = tuple('.avif .bmp .gif .jfif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp'.split())


class Picture(NamedTuple):
    """A picture as read. info: exif (bytes), icc_profile (bytes), xmp (bytes), dpi, text (dict) where the file has them.

    pixels: as the module says. notes: what a person should know of how it was read.
    """

    pixels: np.ndarray
    info: dict[str, Any]
    notes: list[str]


def is_picture_name(name: str) -> bool:
    """Whether a file's ending is that of a picture."""
    return name.lower().endswith(READABLE)


def read_size(path: str) -> tuple[int, int]:
    """(width, height) of a picture by its header; (0, 0) where that cannot be read, which reading it will say."""
    try:
        with images.open_image(path) as image:
            return image.size
    except (ValueError, OSError):
        return 0, 0


def read_picture(path: str) -> Picture:
    """A Picture, upright, from any file that Pillow opens. Raises ValueError, with the file's name, for another."""
    with images.open_image(path) as image:
        notes, has_16_bits = [], images.has_16_bits(image)  # asked before anything loads the pixels
        if getattr(image, 'n_frames', 1) > 1:
            notes.append(f'the first of {image.n_frames} frames')
        info = _read_info(image)
        exif = image.getexif()
        orientation = exif.get(ORIENTATION, 1)
        if has_16_bits:
            pixels = _read_16_bits(path)
            if image.format != 'TIFF':  # which OpenCV turns by itself
                pixels = _upright(pixels, orientation)
        else:
            image.load()  # current Pillow turns a TIFF here by itself, and then knows
            upright = ImageOps.exif_transpose(image)
            if image.mode == 'CMYK':
                notes.append('CMYK, now RGB')
                upright = _cmyk_to_rgb(upright, info.pop('icc_profile', None))
            pixels = np.asarray(_to_plain_mode(upright))
        exif = _exif_of_upright(image, exif)
        if len(exif):
            info['exif'] = exif.tobytes()
    return Picture(pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis], info, notes)


def _read_info(image: Image.Image) -> dict[str, Any]:
    info = {key: image.info[key] for key in ('icc_profile', 'xmp') if image.info.get(key)}
    if 'dpi' in image.info:
        info['dpi'] = tuple(float(x) for x in image.info['dpi'])
    info['text'] = {key: value for key, value in getattr(image, 'text', {}).items() if isinstance(value, str)}
    return info


def _exif_of_upright(image: Image.Image, exif: Any) -> Any:
    """The EXIF of the picture once it is upright; of a TIFF's own tags only the texts, since most speak of the pixels."""
    if image.format == 'TIFF':
        tags = image.tag_v2
        texts = Image.Exif()
        texts.update((tag, tags[tag]) for tag in DESCRIPTIVE_TAGS if tag in tags)
        return texts
    if exif.get(ORIENTATION, 1) in range(2, 9):
        exif[ORIENTATION] = 1
    return exif


def _read_16_bits(path: str) -> np.ndarray:
    """(H, W[, C]) uint16, RGB: Pillow would cut colours to 8 bits."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError('its 16 bits a channel are of a kind that cannot be read')
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])
    return pixels


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """As EXIF says the camera was held: turns and flips of (H, W[, C])."""
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _cmyk_to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
        except ImageCms.PyCMSError:
            pass  # a broken profile: as without one
    return image.convert('RGB')


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
