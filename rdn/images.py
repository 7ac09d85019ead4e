"""Evaluation images: read as 8-bit RGB, crop, downsample and upsample; convert between PIL images and arrays."""

from __future__ import annotations

import contextlib
import os
from typing import Iterator

from rdn import files, image_headers

import numpy as np
from PIL import Image, ImageOps

EIGHT_BIT_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'LAB', 'HSV')
BITS_PER_SAMPLE = 258  # the number of this TIFF tag
# Pillow raises an error for a larger picture, and warns from half of it on.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89478485)


def check_pixels(width: int, height: int) -> None:
    """Check the size of a picture.

    Raises:
        ValueError: it is empty or has more than MAX_PIXELS.
    """
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f'{width} x {height} pixels: only pictures of 1 to {MAX_PIXELS:,} pixels can be read')


def list_images(folder: str) -> list[str]:
    """Return the paths of the files in a folder of images, sorted by name. Hidden files are skipped.

    Raises:
        ValueError: the folder is empty, it contains a folder, or two images have the same stem (`a.png`, `a.jpg`), so
            their results would overwrite each other.
    """
    paths: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith('.'):
            continue
        if os.path.isdir(path):
            raise ValueError(f'{path} is a folder: move it out of {folder}, which must contain only images')
        stem = files.stem_of(name)
        if stem in paths:
            raise ValueError(f'{paths[stem]} and {path} would both become {stem}: rename one')
        paths[stem] = path
    if not paths:
        raise ValueError(f'{folder}: contains no images')
    return list(paths.values())


@contextlib.contextmanager
def open_image(path: str) -> Iterator[Image.Image]:
    """Open an image file with Pillow; its pixels are loaded later.

    Args:
        path: the file.

    Yields:
        The PIL image.

    Raises:
        ValueError: the file is not an image, or the block raises an error; with the file's name.
        FileNotFoundError: the file is missing.
        PermissionError: the file is not readable.
    """
    try:
        # If Pillow opens an image by its name, it memory-maps the file, and then reads a rotated TIFF wrongly.
        with open(path, 'rb') as file, Image.open(file) as image:
            yield image
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Pillow's plug-ins raise errors of any type for a corrupt file
        reason = str(error) or type(error).__name__
        if 'cannot identify' in reason:
            reason = 'not a picture, or its format is not supported'
        raise ValueError(f'{path}: cannot be used as an image: {reason}')


def read_rgb(path: str) -> Image.Image:
    """Read an image file as 8-bit RGB. The EXIF orientation is applied, and alpha is dropped.

    Args:
        path: the file.

    Returns:
        A PIL image of mode RGB.

    Raises:
        ValueError: the file is not an image, is truncated, or has more than 8 bits per channel; with the file's name.
    """
    with open_image(path) as image:
        if has_16_bits(image) or image.mode not in EIGHT_BIT_MODES:
            raise ValueError('more than 8 bits a channel: save it with 8')
        image.load()  # newer versions of Pillow rotate a TIFF here, and then remove its orientation
        return ImageOps.exif_transpose(image).convert('RGB')


def has_16_bits(image: Image.Image) -> bool:
    """Return whether an image has 16 bits per channel. Pillow would reduce colours to 8 bits.

    Args:
        image: an opened PIL image whose pixels are not loaded yet.

    Raises:
        ValueError: the image has more than 16 bits per channel, or 9 to 15, so its white is not the white of 16 bits.
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
    """Return the bits per channel of a PPM, PGM or PBM file, from the largest value in its header."""
    image.fp.seek(0)
    return image_headers.netpbm(image.fp.read(4096))[4].bit_length()


def _bits_of_jpeg2000(image: Image.Image) -> int:
    """Return the bits per channel of a JPEG 2000 file, or 8 if the codestream does not start in the first 64 KiB."""
    image.fp.seek(0)
    head = image.fp.read(1 << 16)
    return image_headers.jpeg2000(head)[2] if image_headers.CODESTREAM in head else 8


def to_chw(image: Image.Image) -> np.ndarray:
    """Convert a PIL RGB image to float32 (3, H, W), 0...1."""
    chw = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # contiguous, so a file is written in one call
    return chw / np.float32(255)


def to_image(chw: np.ndarray) -> Image.Image:
    """Convert floats (3, H, W) to a PIL RGB image: clip to 0...1, and round to 8 bits."""
    return Image.fromarray(np.rint(np.clip(chw, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def crop_center(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the centre of an image, width x height pixels.

    Raises:
        ValueError: the image is smaller.
    """
    if image.width < width or image.height < height:
        raise ValueError(
            f'{image.width} x {image.height} pixels: smaller than the crop of {width} x {height}: '
            'remove the image, choose a smaller --height and --width, or add --fit=letterbox to use whole images'
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def letterbox(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize the whole image (bilinear) to fit into width x height, and pad it with black.

    The published script behind the guide's figures does the same.
    """
    import mmcv  # takes two seconds, so only this function imports it

    ratio = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * ratio)), max(1, int(image.height * ratio)))
    resized = mmcv.imresize(np.asarray(image), size, interpolation='bilinear', backend='cv2')
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    padding = (left, top, width - size[0] - left, height - size[1] - top)
    return Image.fromarray(mmcv.impad(resized, padding=padding, pad_val=0))


def modcrop(image: Image.Image, scale: int) -> Image.Image:
    """Return the image cropped at the right and bottom, so that its sides are multiples of the scale."""
    return image.crop((0, 0, image.width // scale * scale, image.height // scale * scale))


def bicubic_downsample(image: Image.Image, scale: int) -> Image.Image:
    """Return the low-resolution image for a high-resolution one: Pillow's BICUBIC, which is antialiased."""
    return image.resize((image.width // scale, image.height // scale), Image.BICUBIC)  # scale 1: unchanged


def bicubic_upsample(image: Image.Image, scale: int) -> Image.Image:
    """Return the image enlarged with Pillow's BICUBIC, the baseline for super-resolution."""
    return image.resize((image.width * scale, image.height * scale), Image.BICUBIC)
