"""Photoshop's resources, where JPEG files store IPTC captions and keywords (Adobe Photoshop file formats, 2.1)."""

from __future__ import annotations

import struct

SIGNATURE = b'8BIM'
HEADER = b'Photoshop 3.0\0'  # before the resources in JPEG
IPTC = 0x0404
# Resources that stay true for an enlarged picture: IPTC, whether the picture is copyrighted, its URL.
KEPT = (IPTC, 0x040A, 0x040B)
RECORD = 0x1C  # the first byte of each of IPTC's records


def parse(block: bytes) -> dict[int, bytes]:
    """Read the resources of KEPT from a block.

    Args:
        block: the resources, without JPEG's header.

    Returns:
        The resources' bytes by their numbers. If the block is damaged, only those before the damage.
    """
    found: dict[int, bytes] = {}
    position = 0
    while block[position : position + 4] == SIGNATURE and position + 12 <= len(block):
        number = int.from_bytes(block[position + 4 : position + 6], 'big')
        name = 1 + block[position + 6]
        start = position + 6 + name + name % 2
        size = int.from_bytes(block[start : start + 4], 'big')
        data = block[start + 4 : start + 4 + size]
        if len(data) < size or start + 4 > len(block):
            break
        if number in KEPT and data:
            found[number] = found.get(number, b'') + data
        position = start + 4 + size + size % 2
    return found


def serialise(resources: dict[int, bytes]) -> bytes:
    """Return resources, by their numbers, as a block without JPEG's header."""
    block = b''
    for number, data in sorted(resources.items()):
        block += SIGNATURE + struct.pack('>HHI', number, 0, len(data)) + data + b'\0' * (len(data) % 2)
    return block


def iptc_of_tiff(data: bytes) -> bytes:
    """Return IPTC's records from a TIFF's tag, in which some programs reverse each group of four bytes."""
    if data[:1] == bytes([RECORD]) or data[3:4] != bytes([RECORD]):
        return data
    return b''.join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
