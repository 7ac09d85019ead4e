"""PBM, PGM, PPM and PAM files (netpbm's formats), of any largest value up to 65535."""

from __future__ import annotations

import re

from pictures.formats import base, pixels
from pictures.metadata import metadata
from rdn import image_headers, images

import numpy as np


def read(data: bytes) -> np.ndarray:
    """The pixels in a file's content. Raises ValueError for a broken file, or one that is cut off."""
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
        array = 1 - array  # 1 is black there
    return pixels.scale(np.ascontiguousarray(array), largest)


def _exactly(data: bytes, start: int, size: int) -> bytes:
    if len(data) - start < size:
        raise ValueError('is cut off')
    return data[start : start + size]


def _read_words(data: bytes, kind: int, start: int, count: int) -> np.ndarray:
    body = re.sub(rb'#[^\n\r]*', b'', data[start:])
    if kind == 1:  # digits, with blanks between them or not
        letters = np.frombuffer(body, np.uint8)
        letters = letters[~np.isin(letters, np.frombuffer(b' \t\n\v\f\r', np.uint8))]
        values, is_whole = letters[:count] - np.uint8(ord('0')), True
    else:
        numbers = re.match(rb'[\d\s]*', body)
        assert numbers  # it may be empty
        values = np.fromstring(numbers.group().strip(), np.int64, count=-1, sep=' ')[:count]
        is_whole = numbers.end() == len(body)
    if len(values) < count:
        raise ValueError('is cut off' if is_whole else 'holds other things than numbers')
    if count and (int(values.min()) < 0 or kind == 1 and int(values.max()) > 1):
        raise ValueError('holds other things than numbers')
    return values.astype(np.uint32)


def read_checked(data: bytes, notes: list[str]) -> base.Content:
    """Read a file's content, once its size is known to be bearable."""
    images.check_pixels(*image_headers.netpbm(data)[1:3])
    return read(data), metadata.Metadata(), None


def is_mine(head: bytes) -> bool:
    """Whether a file's first bytes are those of PBM, PGM, PPM or PAM."""
    return head[:1] == b'P' and head[1:2] in b'1234567' and (head[2:3].isspace() or head[2:3] == b'#')


FORMAT = base.Format(
    'netpbm',
    ('.ppm', '.pgm', '.pbm', '.pnm', '.pam'),
    is_mine,
    base.whole(read_checked),
    size=base.size_by_head(lambda head: image_headers.netpbm(head)[1:3]),
)
