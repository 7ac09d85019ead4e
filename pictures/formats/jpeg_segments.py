"""The metadata segments of a JPEG file: XMP, IPTC, comments, density (ITU-T T.81, T.871; ISO 16684-3, 1.1.3)."""

from __future__ import annotations

import struct
from typing import Iterator

from pictures.metadata import exif, metadata, photoshop, xmp

APP0, APP1, APP2, APP13, COMMENT, START_OF_PIXELS = 0xE0, 0xE1, 0xE2, 0xED, 0xFE, 0xDA  # markers
MAX_BYTES = 65533  # of a segment's content
EXTENSION_HEADER = b'http://ns.adobe.com/xmp/extension/\0'
JFIF, LIST_OF_PICTURES = b'JFIF\0', b'MPF\0'
# Segments that are read, are written again, or describe only the old pixels: the marker and the contents' first bytes.
KNOWN = (
    (APP0, (JFIF, b'JFXX\0')),
    (APP1, (exif.HEADER, metadata.XMP_HEADER, EXTENSION_HEADER)),
    (APP2, (b'ICC_PROFILE\0', LIST_OF_PICTURES)),
    (0xEC, (b'Ducky',)),
    (APP13, (photoshop.HEADER, b'Adobe_CM')),
    (0xEE, (b'Adobe',)),
)


def segments_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of the segments before the pixels."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == START_OF_PIXELS:
            return
        size = int.from_bytes(data[position + 2 : position + 4], 'big')
        yield marker, data[position + 4 : position + 2 + size]
        position += 2 + size


class _Found:
    """The contents of the segments of a file."""

    def __init__(self) -> None:
        self.text: list[metadata.Text] = []
        self.resources = b''
        self.extensions: dict[str, dict[int, bytes]] = {}  # digest: {offset of a part: the part}
        self.density = (0, 1, 1)  # unit, horizontal, vertical
        self.unknown: set[str] = set()

    def take(self, marker: int, content: bytes) -> None:
        """Read a segment."""
        if marker == COMMENT:
            self.text.append(metadata.comment(content))
        elif marker == APP13 and content.startswith(photoshop.HEADER):
            self.resources += content[len(photoshop.HEADER) :]
        elif marker == APP1 and content.startswith(EXTENSION_HEADER):
            part = content[len(EXTENSION_HEADER) :]
            parts = self.extensions.setdefault(part[:32].decode('latin-1'), {})
            parts[int.from_bytes(part[36:40], 'big')] = part[40:]
        elif marker == APP0 and content.startswith(JFIF) and len(content) >= 12:
            self.density = struct.unpack('>BHH', content[7:12])
        elif APP0 <= marker < APP0 + 16 and not _is_known(marker, content):
            self.unknown.add(f'APP{marker - APP0}')


def _is_known(marker: int, content: bytes) -> bool:
    return any(marker == known and content.startswith(begins) for known, begins in KNOWN)


def read(said: metadata.Metadata, data: bytes, notes: list[str]) -> metadata.Metadata:
    """Add the metadata in a file's segments.

    Args:
        said: the metadata that Pillow read.
        data: the file's content.
        notes: receives notes on damaged and unknown segments.

    Returns:
        The metadata of Pillow and of the segments.
    """
    found = _Found()
    for marker, content in segments_of(data):
        found.take(marker, content)
    if found.unknown:
        notes.append(f'without data that only some programs read ({", ".join(sorted(found.unknown))})')
    extensions = {
        digest: b''.join(part for _, part in sorted(parts.items())) for digest, parts in found.extensions.items()
    }
    unit, across, down = found.density
    has_aspect = unit == 0 and across != down and across and down
    return said._replace(
        text=tuple(found.text),
        photoshop=photoshop.parse(found.resources),
        xmp=said.xmp and xmp.without_extension(said.xmp, extensions, notes),
        dpi=said.dpi if unit else None,  # without a unit, Pillow returns EXIF's resolution or invents one
        pixel_aspect=(across, down) if has_aspect else None,
    )


def has_list_of_pictures(data: bytes) -> bool:
    """Return whether a file's content has a list of several pictures (CIPA DC-007)."""
    return any(marker == APP2 and content.startswith(LIST_OF_PICTURES) for marker, content in segments_of(data))


def segments_for(said: metadata.Metadata, notes: list[str]) -> Iterator[bytes]:
    """Yield the segments of XMP, IPTC and comments.

    Args:
        said: the metadata.
        notes: receives a note on each text that is too large for a segment.
    """
    if said.xmp:
        yield from _xmp_segments(said.xmp)
    if said.photoshop:
        block = photoshop.serialise(said.photoshop)
        size = MAX_BYTES - len(photoshop.HEADER)
        for start in range(0, len(block), size):
            yield _segment(APP13, photoshop.HEADER + block[start : start + size])
    for keyword, text, *_ in said.text:
        comment = (text if keyword == metadata.COMMENT else f'{keyword}: {text}').encode('utf-8', 'surrogateescape')
        if len(comment) <= MAX_BYTES:
            yield _segment(COMMENT, comment)
        else:
            notes.append(f'without its text {keyword}, which is too large for JPEG')


def _xmp_segments(packet: bytes) -> Iterator[bytes]:
    """Yield the segment of an XMP packet; a packet that is too large for one continues in extension segments."""
    if len(packet) <= MAX_BYTES - len(metadata.XMP_HEADER):
        yield _segment(APP1, metadata.XMP_HEADER + packet)
        return
    small, digest, extension = xmp.split(packet)
    yield _segment(APP1, metadata.XMP_HEADER + small)
    size = MAX_BYTES - len(EXTENSION_HEADER) - 40
    for start in range(0, len(extension), size):
        place = struct.pack('>II', len(extension), start)
        yield _segment(APP1, EXTENSION_HEADER + digest.encode() + place + extension[start : start + size])


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack('>BBH', 0xFF, marker, len(content) + 2) + content
