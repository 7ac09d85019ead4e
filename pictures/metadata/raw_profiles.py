"""Raw profiles: EXIF, XMP or IPTC as hexadecimal digits in a PNG's texts, as ImageMagick and others write them."""

from __future__ import annotations

import binascii
import re

from pictures.metadata import exif, metadata, photoshop

PREFIX = 'Raw profile type '
IPTC_KEYWORD = PREFIX + 'iptc'
DIGITS_A_LINE = 72


def taken(said: metadata.Metadata, notes: list[str]) -> metadata.Metadata:
    """Move raw profiles from the texts to the fields of the metadata.

    A field that is set already, from a chunk of its own, keeps its value.

    Args:
        said: the metadata of a PNG file.
        notes: a note is added for profiles that are damaged or of an unknown kind.

    Returns:
        The metadata, whose texts contain no raw profiles.
    """
    lost: set[str] = set()
    for keyword, text, *_ in said.text:
        if not keyword.startswith(PREFIX):
            continue
        data = _decoded(text)
        if data is None:
            lost.add('damaged')
        elif data.startswith(metadata.XMP_HEADER):
            said = said._replace(xmp=said.xmp or data[len(metadata.XMP_HEADER) :])
        elif data.startswith((exif.HEADER, b'II*\0', b'MM\0*')):
            said = said._replace(exif=said.exif or metadata.read_exif(data, notes))
        elif data.startswith(photoshop.SIGNATURE):
            said = said._replace(photoshop={**photoshop.parse(data), **said.photoshop})
        elif data[:1] == bytes([photoshop.RECORD]):
            said = said._replace(photoshop={photoshop.IPTC: data, **said.photoshop})
        elif keyword.endswith('xmp'):
            said = said._replace(xmp=said.xmp or data)
        elif keyword.endswith(('icc', 'icm')):
            said = said._replace(icc_profile=said.icc_profile or data)
        else:
            lost.add('of an unknown kind')
    notes.extend(f'without a raw profile, which is {what}' for what in sorted(lost))
    return said._replace(text=tuple(each for each in said.text if not each.keyword.startswith(PREFIX)))


def written(block: bytes) -> tuple[str, bytes]:
    """Return a raw profile of Photoshop's resources: the keyword and the text (ASCII).

    Args:
        block: the resources, without JPEG's header.
    """
    digits = binascii.hexlify(block).decode()
    lines = [digits[i : i + DIGITS_A_LINE] for i in range(0, len(digits), DIGITS_A_LINE)]
    return IPTC_KEYWORD, '\n'.join(['', 'iptc', f'{len(block):8}', *lines, '']).encode()


def _decoded(text: str) -> bytes | None:
    """Return a profile's bytes; None if the text has too few digits. Surplus digits are ignored, as in libavif."""
    parts = re.match(r'\s*\S+\s+(\d{1,9})\s+([0-9a-fA-F\s]*)', text)
    if not parts:
        return None
    count = 2 * int(parts.group(1))
    digits = re.sub(r'\s', '', parts.group(2))[:count]
    return binascii.unhexlify(digits) if len(digits) == count else None
