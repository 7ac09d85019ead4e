"""AVIF: 8 bits by Pillow, 10 and 12 by imagecodecs; written by Pillow, from its version 11.3 on."""

from __future__ import annotations

from typing import BinaryIO

from pictures.formats import base, boxes, heif, pillow, pixels, stderr_capture
from pictures.metadata import exif, metadata
from rdn import images

import numpy as np
from PIL import Image

BRANDS = (b'avif', b'avis')
CAN_WRITE = '.avif' in Image.registered_extensions() and 'AVIF' in Image.SAVE


def read(path: str, notes: list[str]) -> base.Content:
    """8 bits by Pillow, 10 and 12 by imagecodecs, which leaves turning to the caller."""
    with open(path, 'rb') as file:
        data = file.read()
    config = boxes.content_of(data, b'meta', b'iprp', b'ipco', b'av1C') or b'\0\0\0'
    if not config[2] & 0x40:
        array, said, _ = pillow.read(path, notes)
        return array, heif.with_colour_of_boxes(said, data), _orientation_of_avif(said)
    import imagecodecs

    with images.open_image(path) as image:
        images.check_pixels(*image.size)
        pillow.note_frames(path, notes)
        said = heif.with_colour_of_boxes(pillow.read_info(image, notes), data)
    with stderr_capture.libraries():
        array = imagecodecs.avif_decode(data)
    array = pixels.as_planes_last(array[0] if array.ndim == 4 else array)
    bits = 8 if array.dtype == np.uint8 else 12 if config[2] & 0x20 else 10
    return pixels.scale(array, (1 << bits) - 1), said, _orientation_of_avif(said)


def _orientation_of_avif(said: metadata.Metadata) -> int | None:
    """What its boxes irot and imir say, which Pillow puts into EXIF; what XMP says of it does not count there."""
    return said.exif.number(exif.ORIENTATION) if said.exif else None


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in RGB or RGBA."""
    options = {'exif': base.exif_block(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    image.save(file, 'AVIF', quality=how.quality, subsampling='4:4:4', **given)


FORMAT = base.Format(
    'AVIF',
    ('.avif',),
    lambda head: heif.has_brand(head, BRANDS),
    read,
    written=('.avif',) if CAN_WRITE else (),
    save=save,
    max_side=65536,
    has_grey=False,
    has_loss=True,
    may_crash=True,
)
