"""Photographs on disk and their reduction: what preparing, judging and showing have in common."""

import os

import numpy as np
from PIL import Image, ImageOps

SCALES = (2, 3, 4)  # the enlargements that RDN is made for
EIGHT_BIT = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr', 'LAB', 'HSV')


def list_images(folder):
    """Paths of a folder's images, sorted by name; hidden files are passed over.

    Raises ValueError for an empty folder, a folder inside it, and two images of one stem
    (`a.png`, `a.jpg`), whose results would overwrite each other.
    """
    paths = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith('.'):
            continue
        if os.path.isdir(path):
            raise ValueError('%s is a folder: keep the images alone in %s' % (path, folder))
        stem = os.path.splitext(name)[0]
        if stem in paths:
            raise ValueError('%s and %s would both become %s: rename one' % (paths[stem], path, stem))
        paths[stem] = path
    if not paths:
        raise ValueError('%s: no images in it' % folder)
    return list(paths.values())


def read_rgb(path):
    """An image file as a PIL image in RGB, upright (EXIF orientation applied), alpha dropped.

    Raises ValueError, naming the file, for what is no image, cut off, or has more than 8 bits a channel.
    """
    try:
        # By its file, not its name: Pillow maps named ones, and then mixes up a turned TIFF.
        with open(path, 'rb') as file, Image.open(file) as image:
            if is_deep(image) or image.mode not in EIGHT_BIT:
                raise ValueError('more than 8 bits a channel: save it with 8')
            image.load()  # current Pillow turns a TIFF here by itself, and then knows
            return ImageOps.exif_transpose(image).convert('RGB')
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # Pillow's plug-ins raise anything for a broken file
        reason = str(error) if 'cannot identify' not in str(error) else 'not a picture'
        raise ValueError('%s: cannot be used as an image: %s' % (path, reason))


def is_deep(image):
    """Whether an opened, not yet loaded PIL image has 16 bits a channel, which Pillow cuts to 8 for colours.

    Raises ValueError for one with more.
    """
    if image.mode.startswith('F') or image.mode == 'I' and image.format != 'PNG':
        raise ValueError('more than 16 bits a channel')
    if image.format == 'TIFF':
        return 16 in image.tag_v2.get(258, ())  # BitsPerSample
    return image.mode.startswith('I') or image.format == 'PNG' and '16' in str(image.tile[0][3])


def to_chw(image):
    """PIL RGB image -> float32 (3, H, W), 0...1."""
    chw = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # as files hold it: writing is then one call
    return chw / np.float32(255)


def to_image(chw):
    """float (3, H, W), 0...1, clipped and rounded to 8 bits -> PIL RGB image."""
    return Image.fromarray(np.rint(np.clip(chw, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def crop_centre(image, width, height):
    """The middle width x height pixels of a PIL image. Raises ValueError for a smaller one."""
    if image.width < width or image.height < height:
        raise ValueError(
            '%d x %d pixels: smaller than the crop of %d x %d' % (image.width, image.height, width, height)
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def crop_to_multiples(image, scale):
    """A PIL image without what is over multiples of the scale at its right and bottom."""
    return image.crop((0, 0, image.width // scale * scale, image.height // scale * scale))


def reduce(image, scale):
    """The low-resolution image that super-resolution starts from: Pillow's BICUBIC (antialiased)."""
    return image.resize((image.width // scale, image.height // scale), Image.BICUBIC)  # as it is for scale 1


def enlarge(image, scale):
    """The baseline that super-resolution is measured against: Pillow's BICUBIC."""
    return image.resize((image.width * scale, image.height * scale), Image.BICUBIC)
