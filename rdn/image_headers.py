"""Read the headers of the picture formats whose bit depth Pillow does not report: netpbm and JPEG 2000."""

from __future__ import annotations

import re

CODESTREAM = b'\xff\x4f\xff\x51'  # the markers SOC and SIZ, at the start of the codestream
WORD = re.compile(rb'(?:\s|#[^\n\r]*[\n\r])+(\d{1,9})')
# PAM's TUPLTYPE -> channels.
TUPLES = {'BLACKANDWHITE': 1, 'GRAYSCALE': 1, 'RGB': 3, 'GRAYSCALE_ALPHA': 2, 'RGB_ALPHA': 4, 'BLACKANDWHITE_ALPHA': 2}


def netpbm(data: bytes) -> tuple[int, int, int, int, int, int]:
    """Parse the header of a PBM, PGM, PPM or PAM file.

    Args:
        data: the beginning of the file.

    Returns:
        (number of the format: 1...7 for P1...P7, width, height, channels, largest value of a channel, offset of the
        pixels in bytes).

    Raises:
        ValueError: the header is not valid.
    """
    if data[:2] == b'P7':
        return _pam_header(data)
    kind = data[1] - ord('0') if data[:1] == b'P' and data[1:2].isdigit() else 0
    numbers, position = [], 2
    for _ in range(2 if kind in (1, 4) else 3):
        word = WORD.match(data, position)
        if not word:
            raise ValueError('its header is broken')
        numbers.append(int(word.group(1)))
        position = word.end()
    width, height, largest = (*numbers, 1)[:3]
    if not 1 <= kind <= 6 or not (width and height and 0 < largest < 65536):
        raise ValueError('its header is broken')
    return kind, width, height, 3 if kind in (3, 6) else 1, largest, position + (kind > 3)


def _pam_header(data: bytes) -> tuple[int, int, int, int, int, int]:
    end = data.find(b'ENDHDR\n')
    lines = [line.split(None, 1) for line in data[3 : max(end, 3)].decode('latin-1').splitlines()]
    fields = {line[0]: line[1].strip() for line in lines if len(line) == 2 and not line[0].startswith('#')}
    try:
        width, height, depth, largest = (int(fields[name]) for name in ('WIDTH', 'HEIGHT', 'DEPTH', 'MAXVAL'))
    except (KeyError, ValueError):
        raise ValueError('its header is broken')
    channels = TUPLES.get(fields.get('TUPLTYPE', ''), depth)
    if end < 0 or channels != depth or not 1 <= depth <= 4 or not (width > 0 and height > 0 and 0 < largest < 65536):
        raise ValueError('its header is broken, or its type of pixels is not supported')
    return 7, width, height, depth, largest, end + len(b'ENDHDR\n')


def jpeg2000(data: bytes) -> tuple[int, int, int]:
    """Parse the SIZ marker of a JPEG 2000 file (ISO 15444-1, A.5.1).

    Args:
        data: the beginning of the file, up to the SIZ marker and its contents.

    Returns:
        (width, height, bits per channel).

    Raises:
        ValueError: the marker is missing, or the channels are signed, have more than 16 bits or different depths.
    """
    start = data.find(CODESTREAM)
    if start < 0 or len(data) < start + 45:
        raise ValueError('JPEG 2000 without pixels')
    right, bottom, left, top = (int.from_bytes(data[start + i : start + i + 4], 'big') for i in (8, 12, 16, 20))
    count = int.from_bytes(data[start + 40 : start + 42], 'big')
    depths = {data[start + 42 + 3 * i] for i in range(count) if start + 42 + 3 * i < len(data)}
    if len(depths) != 1 or max(depths) > 15:  # 128 and more: signed
        raise ValueError('more than 16 bits a channel, signed channels, or channels of different depths')
    return right - left, bottom - top, 1 + depths.pop()
