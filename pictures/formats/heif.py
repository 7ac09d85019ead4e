"""HEIC and HEIF: pillow-heif reads them. AVIF uses some of the functions, too, because it has the same container."""

from __future__ import annotations

import io

from pictures.formats import base, items, pixels, stderr_capture
from pictures.metadata import cicp, metadata
from rdn import images

import numpy as np

BRANDS = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')
# Values of H.273 for BT.709 and sRGB, or for an unspecified colour space.
SRGB_PRIMARIES, SRGB_TRANSFERS = (1, 2), (1, 2, 6, 13)


def has_brand(head: bytes, brands: tuple[bytes, ...]) -> bool:
    """Return whether the first bytes of a file name one of these brands."""
    named = (head[8:12], *(head[i : i + 4] for i in range(16, min(int.from_bytes(head[:4], 'big'), 256), 4)))
    return head[4:8] == b'ftyp' and any(brand in brands for brand in named)


def read(path: str, notes: list[str]) -> base.Content:
    """Read the primary picture of a HEIC or HEIF file; libheif crops and turns it.

    Args:
        path: of the file.
        notes: receives notes on the parts of the file that are left out.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; None, because the pixels are upright.

    Raises:
        ValueError: the file is damaged, or pillow-heif is missing.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ValueError('HEIC needs Python 3.10 or later and pillow-heif: install them, or save it as JPEG or PNG')
    with open(path, 'rb') as file:
        data = file.read()
    with stderr_capture.libraries():
        opened = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
        images.check_pixels(*opened.size)
        array = pixels.as_planes_last(np.asarray(opened))
    bits = int(opened.info.get('bit_depth', 8)) if array.dtype != np.uint8 else 8
    array = pixels.scale(array, (1 << bits) - 1)
    if array.shape[2] in pixels.ALPHA and opened.premultiplied_alpha:
        array = pixels.divide_by_alpha(array)
    info = opened.info
    said = metadata.Metadata(metadata.read_exif(info.get('exif'), notes), info.get('xmp'), info.get('icc_profile'))
    found = items.of(data)
    if found is None:
        return array, said, None
    notes += found.notes()
    return array, with_colour_of(said, found.contents(b'colr')), None


def with_colour_of(said: metadata.Metadata, contents: list[bytes]) -> metadata.Metadata:
    """Add the colour space that a picture's `colr` boxes store as H.273 numbers.

    Numbers of sRGB and unspecified numbers are left out. HDR numbers replace a profile; other numbers are only used if
    there is no profile.

    Args:
        said: the metadata.
        contents: of the picture's `colr` boxes.

    Returns:
        The metadata, with the numbers as PNG's chunk cICP.
    """
    for content in contents:
        if content[:4] != b'nclx' or len(content) < 10:
            continue
        primaries, transfer = content[5], content[7]
        is_usual = primaries in SRGB_PRIMARIES and transfer in SRGB_TRANSFERS
        if cicp.is_high_range((primaries, transfer)) or not is_usual and not said.icc_profile:
            return said._replace(png_colour={cicp.CHUNK: bytes([primaries, transfer, 0, 1])}, icc_profile=None)
    return said


FORMAT = base.Format(
    'HEIF',
    ('.heic', '.heif', '.hif', '.heics', '.heifs'),
    lambda head: has_brand(head, BRANDS),
    read,
    size=items.upright_size_of,  # upright, because the caller reads orientations with Pillow, which does not know HEIC
    has_loss=True,
    may_crash=True,
)
