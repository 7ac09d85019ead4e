"""Evaluation images: read as 8-bit RGB, cropped, reduced and enlarged as the field does; PIL images and arrays."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator

from rdn import files, image_headers

import numpy as np
from PIL import Image, ImageOps

EIGHT_BIT_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'LAB', 'HSV')
BITS_PER_SAMPLE = 258  # tag of TIFF
MAX_PIXELS = 2 * (
    Image.MAX_IMAGE_PIXELS or 89478485
)  # of a picture file: more is an error of Pillow's, half of it a warning


def check_pixels(width: int, height: int) -> None:
    """Raises ValueError for a picture that is empty or has more than MAX_PIXELS."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f'{width} x {height} pixels: from 1 to {MAX_PIXELS:,} are read')


def list_images(folder: str) -> list[str]:
    """Paths of a folder's images, sorted by name; hidden files are passed over.

    Raises ValueError for an empty folder, a folder inside it, and two images of one stem
    (`a.png`, `a.jpg`), whose results would overwrite each other.
    """
    paths: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith('.'):
            continue
        if os.path.isdir(path):
            raise ValueError(f'{path} is a folder: keep the images alone in {folder}')
        stem = files.stem_of(name)
        if stem in paths:
            raise ValueError(f'{paths[stem]} and {path} would both become {stem}: rename one')
        paths[stem] = path
    if not paths:
        raise ValueError(f'{folder}: no images in it')
    return list(paths.values())


@contextlib.contextmanager
def open_image(path: str) -> Iterator[Image.Image]:
    """The PIL image in a file, its pixels not yet loaded.

    Raises ValueError, with the file's name, for what is not an image, and for whatever the block raises of it.
    """
    try:
        # By its file, not its name: Pillow maps named ones, and then mixes up a turned TIFF.
        with open(path, 'rb') as file, Image.open(file) as image:
            yield image
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Pillow's plug-ins raise anything for a broken file
        reason = str(error) or type(error).__name__
        if 'cannot identify' in reason:
            reason = 'not a picture, or of a kind that cannot be read'
        raise ValueError(f'{path}: cannot be used as an image: {reason}')


def read_rgb(path: str) -> Image.Image:
    """An image file as a PIL image in RGB, upright (EXIF orientation applied), alpha dropped.

    Raises ValueError, with the file's name, for what is not an image, is cut off, or has more than 8 bits a channel.
    """
    with open_image(path) as image:
        if has_16_bits(image) or image.mode not in EIGHT_BIT_MODES:
            raise ValueError('more than 8 bits a channel: save it with 8')
        image.load()  # current Pillow turns a TIFF here by itself, and then knows
        return ImageOps.exif_transpose(image).convert('RGB')


def has_16_bits(image: Image.Image) -> bool:
    """Whether an opened, not yet loaded PIL image has 16 bits a channel, which Pillow cuts to 8 for colours.

    Raises ValueError for one with more than 16, or with 9 to 15, whose brightest value is not that of 16.
    """
    if image.mode.startswith('F') or image.mode == 'I' and image.format not in ('PNG', 'PPM', 'JPEG2000'):
        raise ValueError('more than 16 bits a channel')
    if image.format == 'TIFF':
        return 16 in image.tag_v2.get(BITS_PER_SAMPLE, ())
    if image.format in ('PPM', 'JPEG2000'):
        bits = _bits_of_ppm(image) if image.format == 'PPM' else _bits_of_jpeg2000(image)
        if bits > 8 and bits != 16:
            raise ValueError(f'{bits} bits a channel: save it with 8 or 16')
        return bits == 16
    return image.mode.startswith('I') or image.format == 'PNG' and '16' in str(image.tile[0][3])


def _bits_of_ppm(image: Image.Image) -> int:
    """Bits a channel by the largest value in the header of a PPM, PGM or PBM file."""
    image.fp.seek(0)
    return image_headers.netpbm(image.fp.read(4096))[4].bit_length()


def _bits_of_jpeg2000(image: Image.Image) -> int:
    """Bits a channel by the header of the codestream; 8 where that begins late."""
    image.fp.seek(0)
    head = image.fp.read(1 << 16)
    return image_headers.jpeg2000(head)[2] if image_headers.CODESTREAM in head else 8


def to_chw(image: Image.Image) -> np.ndarray:
    """PIL RGB image -> float32 (3, H, W), 0...1."""
    chw = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # as files hold it: writing is then one call
    return chw / np.float32(255)


def to_image(chw: np.ndarray) -> Image.Image:
    """float (3, H, W), 0...1, clipped and rounded to 8 bits -> PIL RGB image."""
    return Image.fromarray(np.rint(np.clip(chw, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def crop_center(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle width x height pixels. Raises ValueError for a smaller image."""
    if image.width < width or image.height < height:
        raise ValueError(
            f'{image.width} x {image.height} pixels: smaller than the crop of {width} x {height}: '
            'leave it out, give a smaller --height and --width, or fit whole images by --fit=letterbox'
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def letterbox(image: Image.Image, width: int, height: int) -> Image.Image:
    """The whole image within width x height, bilinear, on black: what the published script behind the guide does."""
    import mmcv  # two seconds that only this way of fitting costs

    ratio = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * ratio)), max(1, int(image.height * ratio)))
    resized = mmcv.imresize(np.asarray(image), size, interpolation='bilinear', backend='cv2')
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    padding = (left, top, width - size[0] - left, height - size[1] - top)
    return Image.fromarray(mmcv.impad(resized, padding=padding, pad_val=0))


def modcrop(image: Image.Image, scale: int) -> Image.Image:
    """The image without what is over multiples of the scale at its right and bottom."""
    return image.crop((0, 0, image.width // scale * scale, image.height // scale * scale))


def bicubic_downsample(image: Image.Image, scale: int) -> Image.Image:
    """The low-resolution image that super-resolution starts from: Pillow's BICUBIC (antialiased)."""
    return image.resize((image.width // scale, image.height // scale), Image.BICUBIC)  # as it is for scale 1


def bicubic_upsample(image: Image.Image, scale: int) -> Image.Image:
    """The baseline that super-resolution is measured against: Pillow's BICUBIC."""
    return image.resize((image.width * scale, image.height * scale), Image.BICUBIC)
