"""People's picture files, of any mode, depth and orientation, with what the file says beside its pixels.

Pixels are (H, W, C) arrays, uint8 or uint16: C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
"""

import collections
import io
import warnings

from rdn.imaging.images import is_deep

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

ORIENTATION = 0x0112  # of EXIF
# TIFF's tags of texts: description, make, model, software, date, artist, copyright.
DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)
READABLE = tuple('.avif .bmp .gif .jfif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp'.split())

Picture = collections.namedtuple('Picture', 'pixels info notes')
Picture.__doc__ = """pixels: as above. info: exif (bytes), icc_profile (bytes), xmp (bytes), dpi, text (dict) where the
file has them. notes: what a person should know of how it was read."""


def read_picture(path):
    """A Picture, upright, from any file that Pillow opens. Raises ValueError, with the file's name, for another."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # twice the size is an error
            # By its file, not its name: Pillow maps named ones, and then mixes up a turned TIFF.
            with open(path, 'rb') as file, Image.open(file) as image:
                return _read(image, path)
    except PermissionError:
        raise
    except Exception as error:  # Pillow's plug-ins raise anything for a broken file
        if isinstance(error, FileNotFoundError):
            raise
        reason = (
            'no picture, or of a kind that cannot be read'
            if 'cannot identify' in str(error)
            else str(error) or type(error).__name__
        )
        raise ValueError('%s: %s' % (path, reason))


def _read(image, path):
    notes, deep = [], is_deep(image)  # asked before anything loads the pixels
    if getattr(image, 'n_frames', 1) > 1:
        notes.append('the first of %d frames' % image.n_frames)
    info = {key: image.info[key] for key in ('icc_profile', 'xmp') if image.info.get(key)}
    if 'dpi' in image.info:
        info['dpi'] = tuple(float(x) for x in image.info['dpi'])
    info['text'] = {key: value for key, value in getattr(image, 'text', {}).items() if isinstance(value, str)}
    exif = image.getexif()
    turned = exif.get(ORIENTATION, 1)
    if deep:
        pixels = _read_deep(path)
        if image.format != 'TIFF':  # which OpenCV turns by itself
            pixels = _upright(pixels, turned)
    else:
        image.load()  # current Pillow turns a TIFF here by itself, and then knows
        upright = ImageOps.exif_transpose(image)
        if image.mode == 'CMYK':
            notes.append('CMYK, now RGB')
            upright = _cmyk_to_rgb(upright, info.pop('icc_profile', None))
        pixels = np.asarray(_plain(upright))
    if turned in range(2, 9):
        exif[ORIENTATION] = 1
    if image.format == 'TIFF':  # all of its tags; most speak of the old pixels
        exif, tags = Image.Exif(), image.tag_v2
        exif.update((tag, tags[tag]) for tag in DESCRIPTIVE if tag in tags)
    if len(exif):
        info['exif'] = exif.tobytes()
    return Picture(pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis], info, notes)


def _read_deep(path):
    """(H, W[, C]) uint16, RGB: Pillow would cut colours to 8 bits."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError('its 16 bits a channel are of a kind that cannot be read')
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])
    return pixels


def _upright(pixels, orientation):
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


def _cmyk_to_rgb(image, profile):
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
        except ImageCms.PyCMSError:
            pass  # a broken profile: as without one
    return image.convert('RGB')


def _plain(image):
    """The same in mode L, LA, RGB or RGBA."""
    grey = image.mode in ('1', 'L', 'LA', 'La')
    alpha = image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info
    if image.mode == 'La':
        image = image.convert('LA')
    if alpha and grey and image.mode != 'LA':
        image = image.convert('RGBA').convert('LA')  # Pillow has no way from L with a transparent value to LA
    mode = ('LA' if alpha else 'L') if grey else ('RGBA' if alpha else 'RGB')
    return image if image.mode == mode else image.convert(mode)


def is_picture_name(name):
    """Whether a file's ending is that of a picture."""
    return name.lower().endswith(READABLE)


def size_of(path):
    """(width, height) of a picture by its header; (0, 0) where that cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return image.size
    except Exception:  # Pillow's plug-ins raise anything for a broken file; reading it will say what
        return 0, 0
