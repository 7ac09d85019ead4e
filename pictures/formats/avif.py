"""AVIF: 8 bits by Pillow, 10 and 12 by imagecodecs; written where Pillow does it, from its version 11.3 on.

imagecodecs writes 10 bits. item_writer.py adds what the two leave out.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from pictures.formats import av1, base, heif, item_writer, items, pillow, pixels, stderr_capture
from pictures.metadata import cicp, exif, metadata
from rdn import images

import numpy as np
from PIL import Image

BRANDS = (b'avif', b'avis')
SPEED = 6  # of the encoder, from 0 to 10: Pillow's, too
CAN_WRITE = '.avif' in Image.registered_extensions() and 'AVIF' in Image.SAVE


def read(path: str, notes: list[str]) -> base.Content:
    """8 bits by Pillow, 10 and 12 by imagecodecs; both leave cropping and turning to the caller."""
    with open(path, 'rb') as file:
        data = file.read()
    found = items.of(data)
    properties = found.contents if found else lambda name: items.contents_of_track(data, name)
    config = next((each for each in properties(b'av1C') if len(each) > 2), b'\0\0\0')  # the depth
    if config[2] & 0x40:
        array, said = _read_deep(path, data, 12 if config[2] & 0x20 else 10, notes)
    else:
        array, said, _ = pillow.read(path, notes)
    said = heif.with_colour_of(said, properties(b'colr') or _colours_of_bitstream(data, config, found))
    if found is None:
        return array, said, _orientation_of_exif(said)
    notes += found.notes()
    box = found.crop_for(array.shape[1], array.shape[0])
    if box:
        array = array[box[1] : box[3], box[0] : box[2]]
    return array, said, found.orientation()


def _colours_of_bitstream(data: bytes, config: bytes, found: items.Items | None) -> list[bytes]:
    """Return the content of the box colr that a file without one stands for (AV1 in ISOBMFF, 2.3.4)."""
    start = found.start() if found else items.start_of_track(data)
    named = av1.colours_of(config[4:]) or av1.colours_of(data[start:] if start else b'')
    return [b'nclx' + struct.pack('>HHHB', *named, 0)] if named else []


def size_of(path: str) -> tuple[int, int]:
    """(width, height) of a file's picture, cropped but not turned."""
    size = items.size_of(path)
    return size if all(size) else base.size_by_pillow(path)


def _read_deep(path: str, data: bytes, bits: int, notes: list[str]) -> tuple[np.ndarray, metadata.Metadata]:
    """The pixels of a file of 10 or 12 bits as 16 bits, and its Metadata."""
    import imagecodecs

    with images.open_image(path) as image:
        images.check_pixels(image.width, image.height * getattr(image, 'n_frames', 1))  # all are decoded
        pillow.note_frames(path, notes)
        said = pillow.read_info(image, notes)
    with stderr_capture.libraries():
        array = imagecodecs.avif_decode(data)  # of all frames: asked for one of several, it crashes
    array = pixels.as_planes_last(array[0] if array.ndim == 4 else array)
    return pixels.scale(array, (1 << (8 if array.dtype == np.uint8 else bits)) - 1), said


def _orientation_of_exif(said: metadata.Metadata) -> int | None:
    """What a sequence's track says, which Pillow puts into EXIF; what XMP says of it does not count there."""
    return said.exif.number(exif.ORIENTATION) if said.exif else None


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in RGB or RGBA."""
    if said.exif:  # whose orientation Pillow would take out, and lay out the rest anew
        said = said._replace(exif=said.exif.without(exif.ORIENTATION))
    options = {'exif': base.exif_block_with_dpi(said), 'xmp': said.xmp, 'icc_profile': said.icc_profile}
    given = {key: value for key, value in options.items() if value}
    if not said.png_colour:
        image.save(file, 'AVIF', quality=how.quality, subsampling='4:4:4', **given)
        return
    encoded = io.BytesIO()
    image.save(encoded, 'AVIF', quality=how.quality, subsampling='4:4:4', **given)
    file.write(item_writer.complete(encoded.getvalue(), metadata.Metadata(png_colour=said.png_colour)))


def write_16_bits(file: BinaryIO, array: np.ndarray, said: metadata.Metadata, how: base.Settings) -> None:
    """Write (H, W, C) uint16 to a binary file, with 10 bits a channel, which all viewers of AVIF show."""
    import imagecodecs

    table = ((np.arange(65536, dtype=np.uint32) * 1023 + 32767) // 65535).astype(np.uint16)
    colours = array if array.shape[2] > 2 else array[:, :, [0, 0, 0, 1][: array.shape[2] + 2]]
    encoded = imagecodecs.avif_encode(
        table[colours], level=how.quality, speed=SPEED, bitspersample=10, pixelformat='444'
    )
    if not (said.png_colour or said.icc_profile):
        said = said._replace(png_colour={cicp.CHUNK: bytes([*cicp.SRGB, 0, 1])})
    file.write(item_writer.complete(bytes(encoded), said))


FORMAT = base.Format(
    'AVIF',
    ('.avif', '.avifs'),
    lambda head: heif.has_brand(head, BRANDS),
    read,
    size=size_of,
    written=('.avif', '.avifs') if CAN_WRITE else (),
    save=save,
    save_16_bits=write_16_bits,
    bits=10,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi')),
    max_side=65536,
    has_grey=False,
    holds_numbers=lambda primaries, transfer: True,
    has_loss=True,
    may_crash=True,
)
