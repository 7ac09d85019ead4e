"""JPEG 2000: imagecodecs (OpenJPEG) reads the pixels, with up to 16 bits per channel (ISO 15444-1)."""

from __future__ import annotations

import struct

from pictures.formats import base, boxes, pixels, stderr_capture
from pictures.metadata import colour, metadata
from rdn import image_headers, images

import numpy as np

SIGNATURE = b'\0\0\0\x0cjP  \r\n\x87\n'
OPACITY, PREMULTIPLIED = 1, 2  # values of Typ in cdef
SRGB, GREY = 16, 17  # values of EnumCS
EXIF_UUID = bytes.fromhex('4a706754696666457869662d3e4a5032')  # 'JpgTiffExif->JP2'
XMP_UUID = bytes.fromhex('be7acfcb97a942e89c71999491e3afac')


def read(data: bytes, notes: list[str]) -> tuple[np.ndarray, metadata.Metadata, int | None]:
    """Read a JPEG 2000 file's content.

    Args:
        data: the file's content.
        notes: receives notes on damaged metadata.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; None, because JPEG 2000 stores no orientation.

    Raises:
        ValueError: the file is damaged, or its colours or channels are not supported.
    """
    import imagecodecs

    width, height, bits = image_headers.jpeg2000(data)
    images.check_pixels(width, height)
    space = _colour_space(data)
    if space not in (None, SRGB, GREY, 'RGB', 'GRAY'):
        raise ValueError(f'JPEG 2000 in the colour space {space} is not supported: save it as RGB')
    with stderr_capture.libraries():
        array = pixels.as_planes_last(imagecodecs.jpeg2k_decode(data))
    if array.shape[2] > 4 or array.dtype not in (np.uint8, np.uint16):
        raise ValueError('JPEG 2000 with more than 4 channels or 16 bits is not supported: save it as RGB')
    palette = boxes.content_of(data, b'jp2h', b'pclr')
    if palette and len(palette) > 3:
        bits = 1 + (palette[3] & 0x7F)  # of the palette's colours, which are the pixels now
    array = pixels.scale(array, (1 << bits) - 1)
    if array.shape[2] in pixels.ALPHA:
        meaning = _meaning_of_last(data, array.shape[2])
        if meaning not in (OPACITY, PREMULTIPLIED):
            raise ValueError('JPEG 2000 with a channel of unknown meaning is not supported: save it as PNG')
        array = pixels.divide_by_alpha(array) if meaning == PREMULTIPLIED else array
    return array, _read_metadata(data, notes), None


def _meaning_of_last(data: bytes, channels: int) -> int | None:
    """Return the last channel's type in the box cdef (ISO 15444-1, I.5.3.6); None if it is not there."""
    entries = (boxes.content_of(data, b'jp2h', b'cdef') or b'')[2:]
    for number, meaning, _ in struct.iter_unpack('>HHH', entries[: len(entries) // 6 * 6]):
        if number == channels - 1:
            return meaning
    return None


def _colour_space(data: bytes) -> int | str | None:
    """Return a file's EnumCS, or the colour space of its profile; None if it has neither and is RGB or grey."""
    colr = boxes.content_of(data, b'jp2h', b'colr') if not data.startswith(image_headers.CODESTREAM) else None
    if not colr:
        return None
    return int.from_bytes(colr[3:7], 'big') if colr[0] == 1 else colour.space_of(colr[3:])


def _read_metadata(data: bytes, notes: list[str]) -> metadata.Metadata:
    if data.startswith(image_headers.CODESTREAM):
        return metadata.Metadata()
    colr = boxes.content_of(data, b'jp2h', b'colr')
    said = metadata.Metadata(icc_profile=colr[3:] if colr and colr[0] == 2 else None)
    for name, begin, end in boxes.boxes_of(data):
        kind, content = data[begin : begin + 16], data[begin + 16 : end]
        if name == b'uuid' and kind == XMP_UUID:
            said = said._replace(xmp=content)
        elif name == b'uuid' and kind == EXIF_UUID:
            said = said._replace(exif=metadata.read_exif(content, notes))
    return said


FORMAT = base.Format(
    'JPEG 2000',
    ('.jp2', '.j2k', '.jpf', '.jpx', '.jpm', '.jph', '.j2c', '.jpc', '.jhc'),
    lambda head: head.startswith((SIGNATURE, image_headers.CODESTREAM)),
    base.whole(read),
    size=base.size_by_head(lambda head: image_headers.jpeg2000(head)[:2]),
    may_crash=True,
)
