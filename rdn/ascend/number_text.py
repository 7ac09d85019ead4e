"""Arrays as text and back, as fast as numpy goes: the hidden cost of benchmark's text output."""

from __future__ import annotations

import re
import warnings

import numpy as np

BLOCK = 1 << 16  # characters that are parsed at a time: what this takes stays in the processor's cache
DIGITS = 15  # that a float64 holds exactly
POWERS = 10.0 ** np.arange(DIGITS + 1)
WORD = np.uint64
SPACES = re.compile(rb'[ \t\n\v\f\r]')


def _words(form: str, count: int) -> np.ndarray:
    """The texts of four characters of 0 ... count - 1, each as one uint32."""
    return np.frombuffer(''.join(form.format(number) for number in range(count)).encode(), np.uint32)


# 1.23456789 and a space: sign, digit, point and first decimal; four decimals; the last three and a space.
HEADS = np.frombuffer(
    ''.join(f'{sign}{number // 10}.{number % 10}' for sign in ' -' for number in range(100)).encode(), np.uint32
)
MIDDLES, TAILS = _words('{:04}', 10000), _words('{:03} ', 1000)

DIGIT, SPACE, POINT, SIGN, OTHER = range(5)
KINDS = bytes(  # of each byte
    DIGIT
    if byte in b'0123456789'
    else SPACE
    if byte in b' \t\n\v\f\r'
    else POINT
    if byte in b'.'
    else SIGN
    if byte in b'+-'
    else OTHER
    for byte in range(256)
)


def format_text(array: np.ndarray) -> bytes:
    """An array as whitespace-separated numbers, a line for each run of the last axis, as bytes.

    8 decimals. What is not of one digit before the point goes the slow way, with 9 significant digits.
    """
    flat = np.asarray(array, np.float64).ravel()
    width = array.shape[-1]
    if not np.abs(flat).max() < 9.9:  # also for nan
        numbers = [f'{x:.9g}' for x in flat.tolist()]
        return b''.join(' '.join(numbers[i : i + width]).encode() + b'\n' for i in range(0, len(numbers), width))
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


def parse_text(text: bytes) -> np.ndarray:
    """The numbers in bytes that white space separates, float64 (n,), each the nearest to what is written.

    Raises ValueError for anything that is not a number. Numbers in plain notation are read a block at a time, two to
    three times as fast as by numpy's own reader, which has the rest.
    """
    blocks, start = [], 0
    while start < len(text):
        space = SPACES.search(text, start + BLOCK)
        end = space.start() if space else len(text)
        blocks.append(_parse_block(text[start:end]))
        start = end
    return np.concatenate(blocks) if blocks else np.zeros(0)


def _parse_block(text: bytes) -> np.ndarray:
    text = b' ' * 16 + text + b' '  # 16: see _whole_numbers
    data, kinds = (np.frombuffer(x, np.uint8) for x in (text, text.translate(KINDS)))
    space = kinds == SPACE
    edges = np.flatnonzero(space[1:] != space[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    if not starts.size:
        return np.zeros(0)
    signs, points = kinds == SIGN, np.flatnonzero(kinds == POINT)
    if kinds.max() == OTHER or np.count_nonzero(signs) != np.count_nonzero(signs[starts]):
        return _parse_any(text)
    if points.size != starts.size or (points < starts).any() or (points >= ends).any():  # not one point in each
        nearest: np.ndarray = np.asarray(np.searchsorted(points, ends)) - 1
        if points.size > starts.size or (np.diff(nearest) > 1).any() or nearest[0] > 0:
            return _parse_any(text)
        points = np.append(points, 0)[nearest]
        points = np.where(points < starts, ends, points)
    whole, decimals = points - starts - signs[starts], np.maximum(ends - points - 1, 0)
    digits = whole + decimals
    if digits.min() < 1 or digits.max() > DIGITS:
        return _parse_any(text)
    value = _whole_numbers(data, points, whole) * POWERS[decimals] + _whole_numbers(data, ends, decimals)
    value /= POWERS[decimals]  # both whole numbers below 2^53: correctly rounded
    return np.where(data[starts] == ord('-'), -value, value)


def _whole_numbers(data: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The decimal numbers of `counts` digits, at most 16, that end before `ends`, as float64."""
    value = _eight_digits(data, ends, np.minimum(counts, 8)).astype(np.float64)
    if counts.max() > 8:
        value += _eight_digits(data, ends - 8, np.maximum(counts - 8, 0)) * 1e8
    return value


def _eight_digits(data: np.ndarray, ends: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The decimal numbers of `counts` digits, at most 8, as uint64, from one word each: pairs of digits become one
    number, then pairs of pairs, then pairs of fours.

    Lemire, Quickly parsing eight digits, 2022.
    """
    words = np.ndarray(data.size - 7, '<u8', data, 0, (1,))[ends - 8]  # one begins at each byte
    shift = (64 - 8 * counts).astype(np.uint64)
    words = np.where(counts > 0, words >> np.minimum(shift, 63) << np.minimum(shift, 63), 0)  # the last ones are ours
    words = (words & WORD(0x0F0F0F0F0F0F0F0F)) * WORD(2561) >> WORD(8)
    words = (words & WORD(0x00FF00FF00FF00FF)) * WORD(6553601) >> WORD(16)
    return (words & WORD(0x0000FFFF0000FFFF)) * WORD(42949672960001) >> WORD(32)


def _parse_any(text: bytes) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')  # older numpy only warns of what is not a number
            return np.fromstring(text.decode('ascii'), np.float64, sep=' ')
    except (ValueError, DeprecationWarning):
        raise ValueError('holds something that is not a number')
