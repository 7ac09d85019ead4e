"""AVIF: Pillow reads and writes 8 bits; imagecodecs reads 10 and 12 bits and writes 10 bits.

Writing needs Pillow 11.3 or later. item_writer.py adds the metadata that the two libraries omit.
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
SPEED = 6  # of imagecodecs' encoder, from 0 to 10; Pillow uses the same
CAN_WRITE = '.avif' in Image.registered_extensions() and 'AVIF' in Image.SAVE


def read(path: str, notes: list[str]) -> base.Content:
    """Read an AVIF file: the primary picture, or the first frame of a sequence.

    Args:
        path: of the file.
        notes: receives notes on the parts of the file that are left out.

    Returns:
        The cropped pixels (H, W, C), uint8 or uint16; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the file is damaged.
    """
    with open(path, 'rb') as file:
        data = file.read()
    found = items.of(data)
    properties = found.contents if found else lambda name: items.contents_of_track(data, name)
    config = next((each for each in properties(b'av1C') if len(each) > 2), b'\0\0\0')  # contains the number of bits
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
    """Return contents for a missing box colr, made from the AV1 bitstream (AV1 in ISOBMFF, 2.3.4)."""
    start = found.start() if found else items.start_of_track(data)
    named = av1.colours_of(config[4:]) or av1.colours_of(data[start : start + av1.MOST_BYTES] if start else b'')
    return [b'nclx' + struct.pack('>HHHB', *named, 0)] if named else []


def size_of(path: str) -> tuple[int, int]:
    """Return (width, height) of a file's picture in pixels, cropped but not turned."""
    size = items.size_of(path)
    return size if all(size) else base.size_by_pillow(path)


def _read_deep(path: str, data: bytes, bits: int, notes: list[str]) -> tuple[np.ndarray, metadata.Metadata]:
    """Return the pixels of a file with 10 or 12 bits, scaled to 16 bits, and its metadata."""
    import imagecodecs

    with images.open_image(path) as image:
        images.check_pixels(image.width, image.height * getattr(image, 'n_frames', 1))  # imagecodecs decodes all frames
        pillow.note_frames(path, notes)
        said = pillow.read_info(image, notes)
    with stderr_capture.libraries():
        array = imagecodecs.avif_decode(data)  # all frames, because it crashes if it is asked for one of several
    array = pixels.as_planes_last(array[0] if array.ndim == 4 else array)
    return pixels.scale(array, (1 << (8 if array.dtype == np.uint8 else bits)) - 1), said


def _orientation_of_exif(said: metadata.Metadata) -> int | None:
    """Return the orientation in a sequence's track, which Pillow stores in EXIF; XMP's orientation does not apply."""
    return said.exif.number(exif.ORIENTATION) if said.exif else None


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in RGB or RGBA.

    Args:
        file: a binary file.
        image: of 8 bits per channel.
        said: the metadata.
        how: the settings.
        notes: not used.
    """
    if said.exif:  # Pillow would remove the orientation itself, and change the offsets in the rest
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
    """Write an AVIF with 10 bits per channel, which all viewers of AVIF can show.

    Args:
        file: a binary file.
        array: pixels (H, W, C), uint16.
        said: the metadata.
        how: the settings.
    """
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
