"""Arrays as text and back, as fast as numpy goes: the hidden cost of benchmark's text output."""

from __future__ import annotations

import warnings

import numpy as np

WIDTH = 12  # characters of a number that format_text writes: sign or space, digit, point, eight decimals, white space


def _words(form: str, count: int) -> np.ndarray:
    """The texts of four characters of 0 ... count - 1, each as one uint32."""
    return np.frombuffer(''.join(form.format(number) for number in range(count)).encode(), np.uint32)


# 1.23456789 and a space: sign, digit, point and first decimal; four decimals; the last three and a space.
HEADS = np.frombuffer(
    ''.join(f'{sign}{number // 10}.{number % 10}' for sign in ' -' for number in range(100)).encode(), np.uint32
)
MIDDLES, TAILS = _words('{:04}', 10000), _words('{:03} ', 1000)


def format_text(array: np.ndarray) -> bytes:
    """An array as whitespace-separated numbers, a line for each run of the last axis, as bytes.

    8 decimals. What is not of one digit before the point goes the slow way, with 9 significant digits.
    """
    flat = np.asarray(array, np.float64).ravel()
    width = array.shape[-1]
    if not np.abs(flat).max() < 9.9:  # also for nan
        return format_any(array)
    # Three words of four characters a number, each looked up: ten times the speed of '%.9g'.
    whole = np.rint(np.abs(flat) * 1e8).astype(np.int32)
    upper = whole // 1000
    heads = upper // 10000
    text = np.empty((flat.size, 3), np.uint32)
    text[:, 0] = HEADS.take(heads + 100 * (flat < 0))
    text[:, 1] = MIDDLES.take(upper - heads * 10000)
    text[:, 2] = TAILS.take(whole - upper * 1000)
    data = text.view(np.uint8)
    data.reshape(-1, width, 12)[:, -1, 11] = ord('\n')
    return data.tobytes()


def format_any(array: np.ndarray) -> bytes:
    """As format_text, with 9 significant digits, which float32 needs to be read back bit for bit."""
    rows = np.asarray(array, np.float64).reshape(-1, array.shape[-1]).tolist()
    return b''.join(' '.join([f'{x:.9g}' for x in row]).encode() + b'\n' for row in rows)


def parse_text(text: bytes) -> np.ndarray:
    """The numbers in bytes that white space separates, float64 (n,), each the nearest to what is written.

    Raises ValueError for anything that is not a number. What format_text wrote is read four times as fast as the rest,
    which numpy's own reader has: that one holds the GIL.
    """
    values = _parse_fixed(text)
    if values is not None:
        return values
    if not text.strip():
        return np.zeros(0)  # numpy reads one number there
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')  # older numpy only warns of what is not a number
            return np.fromstring(text.decode('ascii'), np.float64, sep=' ')
    except (ValueError, DeprecationWarning):
        raise ValueError('holds something that is not a number')


def _parse_fixed(text: bytes) -> np.ndarray | None:
    """The numbers where each has format_text's WIDTH characters; None where one has not."""
    if not text or len(text) % WIDTH:
        return None
    sign, whole, point, *decimals, space = np.ascontiguousarray(np.frombuffer(text, np.uint8).reshape(-1, WIDTH).T)
    minus = sign == ord('-')
    if not ((minus | (sign == ord(' '))).all() and (point == ord('.')).all()):
        return None
    if not ((space == ord(' ')) | (space == ord('\n'))).all():
        return None
    value = np.zeros(sign.size, np.int32)
    for characters in (whole, *decimals):
        digits = characters - np.uint8(ord('0'))
        if digits.max() > 9:
            return None
        value = value * 10 + digits
    values = value / 1e8  # two whole numbers below 2^53: correctly rounded
    return np.where(minus, -values, values)
