"""JPEG: read by Pillow, and written by it; most of its segments beside the pixels are read and written here."""

from __future__ import annotations

import contextlib
import fractions
import io
import re
import struct
from typing import Any, BinaryIO, Iterator

from pictures.formats import base, pillow, stderr_capture
from pictures.metadata import exif, metadata, photoshop, pixel_tags, xmp

import cv2
from PIL import Image

# Of libjpeg's messages; bytes too many before other markers than those between and after pixels do no harm.
JPEG_DAMAGE = re.compile(r'Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0x(?!d[0-79a]))')
MAX_SEGMENT_BYTES = 65533 - len(exif.HEADER)
MAX_JFIF_DPI = 65535
APP0, APP1, APP13, COMMENT, START_OF_PIXELS = 0xE0, 0xE1, 0xED, 0xFE, 0xDA  # markers
EXTENSION_HEADER = b'http://ns.adobe.com/xmp/extension/\0'


def read(path: str, notes: list[str]) -> base.Content:
    """Read by Pillow; damage is noted."""
    array, said, orientation = pillow.read(path, notes)
    _note_damage(path, notes)
    with open(path, 'rb') as file:
        said = _with_segments(said, file.read(), notes)
    return array, said, orientation or metadata.orientation_of(said)


def segments_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of the segments before the pixels."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a byte to fill up
            position += 1
            continue
        if marker == START_OF_PIXELS:
            return
        size = int.from_bytes(data[position + 2 : position + 4], 'big')
        yield marker, data[position + 4 : position + 2 + size]
        position += 2 + size


def _with_segments(said: metadata.Metadata, data: bytes, notes: list[str]) -> metadata.Metadata:
    """With comments, IPTC, the extension of XMP, and the pixels' aspect ratio."""
    text, resources = [], b''
    extensions: dict[str, dict[int, bytes]] = {}
    for marker, content in segments_of(data):
        if marker == COMMENT:
            text.append(('Comment', content.rstrip(b'\0').decode('utf-8', 'surrogateescape')))
        elif marker == APP13 and content.startswith(photoshop.HEADER):
            resources += content[len(photoshop.HEADER) :]
        elif marker == APP1 and content.startswith(EXTENSION_HEADER):
            digest, offset, part = _part_of_extension(content[len(EXTENSION_HEADER) :])
            extensions.setdefault(digest, {})[offset] = part
        elif marker == APP0 and content.startswith(b'JFIF\0') and len(content) >= 12 and content[7] == 0:
            across, down = struct.unpack('>HH', content[8:12])
            if across != down and across and down:
                said = said._replace(pixel_aspect=(across, down))
    whole = {digest: b''.join(part for _, part in sorted(parts.items())) for digest, parts in extensions.items()}
    xmp_packet = said.xmp and xmp.without_extension(said.xmp, whole, notes)
    return said._replace(
        text=tuple(text),
        photoshop=photoshop.parse(resources),
        xmp=xmp_packet,
        dpi=None if said.pixel_aspect else said.dpi,
    )


def _part_of_extension(content: bytes) -> tuple[str, int, bytes]:
    """(digest of the whole, where the part begins in it, the part) of an extension of XMP (ISO 16684-3, 1.1.3.1)."""
    return content[:32].decode('latin-1'), int.from_bytes(content[36:40], 'big'), content[40:]


def _note_damage(path: str, notes: list[str]) -> None:
    """Say that a JPEG's data are damaged: libjpeg goes on with what it can, and of all libraries OpenCV alone tells."""
    with stderr_capture.overheard() as lines, contextlib.suppress(cv2.error):
        cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_8)  # an eighth of the size: quick
    if any(map(JPEG_DAMAGE.match, lines)):
        notes.append('its data are damaged: parts of it may look wrong')


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, how: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L or RGB."""
    options: dict[str, Any] = {'exif': _exif_block(said, notes)}
    if said.icc_profile:
        options['icc_profile'] = said.icc_profile
    if said.dpi and max(said.dpi) <= MAX_JFIF_DPI:
        options['dpi'] = tuple(max(1, round(x)) for x in said.dpi)
    encoded = io.BytesIO()
    image.save(encoded, 'JPEG', quality=how.quality, subsampling=0, **options)
    content = bytearray(encoded.getbuffer())
    behind_jfif = 4 + int.from_bytes(content[4:6], 'big')
    if said.pixel_aspect and not said.dpi:
        content[13:18] = struct.pack('>BHH', 0, *_small_ratio(said.pixel_aspect))
    file.write(content[:behind_jfif])
    for marker, segment in _segments_for(said, notes):  # Pillow of Python 3.7 writes none of them
        file.write(struct.pack('>BBH', 0xFF, marker, len(segment) + 2) + segment)
    file.write(content[behind_jfif:])


def _exif_block(said: metadata.Metadata, notes: list[str]) -> bytes:
    block = base.exif_block(said)
    if len(block) > MAX_SEGMENT_BYTES and said.exif:
        said = said._replace(exif=pixel_tags.without_lost_note(said.exif, False, notes))
        block = base.exif_block(said)
    if len(block) > MAX_SEGMENT_BYTES:
        notes.append('without its EXIF, which is too large for JPEG')
        return b''
    return block


def _small_ratio(pair: tuple[float, float]) -> tuple[int, int]:
    """Two numbers as whole ones of 16 bits in about the same ratio."""
    ratio = fractions.Fraction(pair[0] / pair[1]).limit_denominator(255)
    return max(1, min(65535, ratio.numerator)), ratio.denominator


def _segments_for(said: metadata.Metadata, notes: list[str]) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of XMP, IPTC and comments."""
    if said.xmp:
        yield from _xmp_segments(said.xmp)
    if said.photoshop:
        block = photoshop.serialise(said.photoshop)
        size = MAX_SEGMENT_BYTES - len(photoshop.HEADER)
        for start in range(0, len(block), size):
            yield APP13, photoshop.HEADER + block[start : start + size]
    for keyword, text in said.text:
        comment = (text if keyword == 'Comment' else f'{keyword}: {text}').encode('utf-8', 'surrogateescape')
        if len(comment) <= MAX_SEGMENT_BYTES:
            yield COMMENT, comment
        else:
            notes.append(f'without its text {keyword}, which is too large for JPEG')


def _xmp_segments(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """A packet in one segment, or where that is too small in several, as an extension."""
    if len(packet) <= MAX_SEGMENT_BYTES - len(metadata.XMP_HEADER):
        yield APP1, metadata.XMP_HEADER + packet
        return
    small, digest, extension = xmp.split(packet)
    yield APP1, metadata.XMP_HEADER + small
    size = MAX_SEGMENT_BYTES - len(EXTENSION_HEADER) - 40
    for start in range(0, len(extension), size):
        place = struct.pack('>II', len(extension), start)
        yield APP1, EXTENSION_HEADER + digest.encode() + place + extension[start : start + size]


FORMAT = base.Format(
    'JPEG',
    ('.jpg', '.jpeg', '.jfif'),
    lambda head: head.startswith(b'\xff\xd8\xff'),
    read,
    written=('.jpg', '.jpeg'),
    save=save,
    holds=frozenset(('exif', 'xmp', 'icc_profile', 'dpi', 'pixel_aspect', 'text', 'photoshop')),
    max_side=65500,
    has_alpha=False,
    has_loss=True,
)
