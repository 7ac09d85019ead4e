"""Arrays as text and back, as fast as numpy goes: the hidden cost of benchmark's text output."""

import warnings

import numpy as np

DIGITS = 15  # that a float64 holds exactly


def format_text(array):
    """An array as whitespace-separated numbers, a line for each run of the last axis, as bytes.

    8 decimals. What is not of one digit before the point goes the slow way, with 9 significant digits.
    """
    flat = np.asarray(array, np.float64).ravel()
    width = array.shape[-1]
    if not np.abs(flat).max() < 9.9:  # also for nan
        numbers = ['%.9g' % x for x in flat.tolist()]
        return b''.join(' '.join(numbers[i : i + width]).encode() + b'\n' for i in range(0, len(numbers), width))
    # Digit by digit over the whole array: 15 times the speed of '%.9g', which would cost 4 % of the
    # network's own time on a CPU.
    text = np.full((flat.size, 12), ord(' '), np.uint8)  # sign, digit, point, 8 digits, space
    text[flat < 0, 0] = ord('-')
    rest = np.rint(np.abs(flat) * 1e8).astype(np.uint32)
    for column in (10, 9, 8, 7, 6, 5, 4, 3, 1):
        tens = rest // 10
        text[:, column] = rest - tens * 10 + ord('0')
        rest = tens
    text[:, 2] = ord('.')
    text.reshape(-1, width, 12)[:, -1, 11] = ord('\n')
    return text.tobytes()


def parse_text(text):
    """The numbers in bytes that white space separates, float64 (n,), each the nearest to what is written.

    Raises ValueError for anything that is no number. Numbers in plain notation are read digit by digit, all at once:
    half the time of numpy's own reader, which has the rest.
    """
    data = np.frombuffer(b' ' + text + b' ', np.uint8)
    space = (data == ord(' ')) | (data - np.uint8(9) < 5)  # the five from tab to carriage return
    starts = np.flatnonzero(space[:-1] & ~space[1:]) + 1
    lengths = np.flatnonzero(~space[:-1] & space[1:]) - starts + 1
    if not starts.size:
        return np.zeros(0)
    signs = (data == ord('-')) | (data == ord('+'))
    points = data == ord('.')
    plain = (space | signs | points | (data - np.uint8(ord('0')) < 10)).all()
    if not plain or lengths.max() > DIGITS + 2 or signs.sum() != signs[starts].sum():
        return _parse_any(text)
    return _parse_plain(data, starts, lengths)


def _parse_plain(data, starts, lengths):
    """Numbers of digits, one point and a sign at most, from their last character to the first."""
    value, power, unit = np.zeros(starts.size), np.ones(starts.size), np.ones(starts.size)
    points = np.zeros(starts.size, np.uint8)
    ends = starts + lengths - 1
    for place in range(lengths.max()):
        inside = lengths > place
        character = data[ends - np.minimum(place, lengths - 1)]
        digit = character - np.uint8(ord('0'))
        is_digit = inside & (digit < 10)
        value += power * (digit * is_digit)
        point = inside & (character == ord('.'))
        np.copyto(unit, power, where=point)  # what the digits after it count for
        points += point
        power[is_digit] *= 10
    if points.max() > 1 or power.min() < 10 or power.max() > 10**DIGITS:
        return _parse_any(data.tobytes())
    value /= unit  # both whole numbers below 2^53: correctly rounded
    return np.where(data[starts] == ord('-'), -value, value)


def _parse_any(text):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')  # older numpy only warns of what is no number
            return np.fromstring(text.decode('ascii'), np.float64, sep=' ')
    except (ValueError, DeprecationWarning):
        raise ValueError('not a number')
