"""The meaning of the last channel of TGA files, which Pillow does not read (Truevision TGA 2.0)."""

from __future__ import annotations

import os

ALPHA_BITS = 0x0F  # a mask for the image descriptor
DESCRIPTOR_PLACE, HEADER_BYTES = 17, 18
FOOTER_BYTES, SIGNATURE = 26, b'TRUEVISION-XFILE.\0'
ATTRIBUTES_PLACE = 494  # in the extension area
NONE, STRAIGHT, PREMULTIPLIED = 0, 3, 4  # values of the attributes type; 1 and 2 mean undefined data


def alpha_of(path: str) -> int:
    """Return NONE, STRAIGHT or PREMULTIPLIED, from a file's extension area, or else from its header."""
    with open(path, 'rb') as file:
        header = file.read(HEADER_BYTES)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - FOOTER_BYTES))
        footer = file.read()
        place = int.from_bytes(footer[:4], 'little')
        kind = b''
        if footer.endswith(SIGNATURE) and place:
            file.seek(place + ATTRIBUTES_PLACE)
            kind = file.read(1)
    if kind:
        return kind[0] if kind[0] in (STRAIGHT, PREMULTIPLIED) else NONE
    return STRAIGHT if header[DESCRIPTOR_PLACE] & ALPHA_BITS else NONE
