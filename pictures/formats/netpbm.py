"""PBM, PGM, PPM and PAM files (netpbm's formats), with any maximum value up to 65535."""

from __future__ import annotations

import re

from pictures.formats import base, pixels
from pictures.metadata import metadata
from rdn import image_headers, images

import numpy as np


def read(data: bytes) -> np.ndarray:
    """Return the pixels in a file's content.

    Returns:
        (H, W, C), uint8, or uint16 if the file's maximum value is greater than 255.

    Raises:
        ValueError: the file is damaged or truncated.
    """
    kind, width, height, channels, largest, start = image_headers.netpbm(data)
    if kind in (1, 2, 3):
        values = _read_words(data, kind, start, width * height * channels)
    elif kind == 4:
        row = (width + 7) // 8
        packed = np.frombuffer(_exactly(data, start, row * height), np.uint8).reshape(height, row)
        values = np.unpackbits(packed, axis=1)[:, :width]
    else:
        item = np.dtype('>u2') if largest > 255 else np.dtype(np.uint8)
        count = width * height * channels
        values = np.frombuffer(_exactly(data, start, count * item.itemsize), item)
    array = values.reshape(height, width, channels)
    if kind in (1, 4):
        array = 1 - array  # PBM stores black as 1
    return pixels.scale(np.ascontiguousarray(array), largest)


def _exactly(data: bytes, start: int, size: int) -> bytes:
    if len(data) - start < size:
        raise ValueError('the file is truncated')
    return data[start : start + size]


def _read_words(data: bytes, kind: int, start: int, count: int) -> np.ndarray:
    body = re.sub(rb'#[^\n\r]*', b'', data[start:])
    if kind == 1:  # digits, with or without white space between them
        letters = np.frombuffer(body, np.uint8)
        letters = letters[~np.isin(letters, np.frombuffer(b' \t\n\v\f\r', np.uint8))]
        values, is_whole = letters[:count] - np.uint8(ord('0')), True
    else:
        numbers = re.match(rb'[\d\s]*', body)
        assert numbers  # the pattern always matches, at least an empty string
        values = np.fromstring(numbers.group().strip(), np.int64, count=-1, sep=' ')[:count]
        is_whole = numbers.end() == len(body)
    if len(values) < count:
        raise ValueError('the file is truncated' if is_whole else 'contains invalid numbers')
    if count and (int(values.min()) < 0 or kind == 1 and int(values.max()) > 1):
        raise ValueError('contains invalid numbers')
    return values.astype(np.uint32)


def read_checked(data: bytes, notes: list[str]) -> base.Content:
    """Read a file's content, unless the picture is too large.

    Args:
        data: the file's content.
        notes: not used.

    Returns:
        The pixels (H, W, C), uint8 or uint16; no metadata; no orientation.

    Raises:
        ValueError: the file is damaged or truncated, or the picture is too large.
    """
    images.check_pixels(*image_headers.netpbm(data)[1:3])
    return read(data), metadata.Metadata(), None


def is_mine(head: bytes) -> bool:
    """Return whether a file's first bytes are those of PBM, PGM, PPM or PAM."""
    return head[:1] == b'P' and head[1:2] in b'1234567' and (head[2:3].isspace() or head[2:3] == b'#')


FORMAT = base.Format(
    'netpbm',
    ('.ppm', '.pgm', '.pbm', '.pnm', '.pam'),
    is_mine,
    base.whole(read_checked),
    size=base.size_by_head(lambda head: image_headers.netpbm(head)[1:3]),
)
