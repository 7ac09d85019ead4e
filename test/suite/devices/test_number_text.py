"""number_text.py: numbers to text and back, each correctly rounded."""

from rdn.devices.number_text import format_any, format_text, parse_text

import numpy as np
import pytest


@pytest.mark.parametrize(
    'array',
    [
        np.array([[0, -0.5, 1.25, 0.1, 9.8999], [1e-9, -1e-7, 3, -9.5, 0.99999999]], np.float32),
        np.array([[10, 1e30], [np.nan, -np.inf], [1e-30, -123.456]], np.float32),
    ],
)
def test_text_of_numbers_reads_back(array):
    text = format_text(array).decode()
    assert text.count('\n') == len(array)
    assert np.allclose(np.array(text.split(), np.float64), array.ravel(), rtol=1e-8, atol=6e-9, equal_nan=True)


@pytest.mark.parametrize('decimals', ['%.8f', '%.6f', '%g', '%.9g', '%d', '%+.3f', '%e', '%.17f'])
def test_every_usual_notation_reads_as_python_reads_it(decimals):
    random = np.random.RandomState(0)
    words = [decimals % x for x in np.concatenate([random.rand(500), random.randn(500) * 300, [0, -0.0, 1, -1]])]
    text = ''.join(word + random.choice([' ', '\n', '\t', '\r\n', '   ']) for word in words)
    read = parse_text(text.encode())
    assert read.tolist() == [float(word) for word in words]  # to the last bit


@pytest.mark.parametrize(
    'text', ['1 2.5', '+.5 5. -0', '00012 -0.10', ' 1\n', '123456789012345 0.00000000000001', '', ' \n']
)
def test_unusual_but_valid_text_is_read(text):
    assert parse_text(text.encode()).tolist() == [float(word) for word in text.split()]


def test_text_of_full_precision_reads_back_bit_for_bit():
    array = np.array([[0.1, -0.0, 1e30], [np.pi, 1e-30, -123.456]], np.float32)
    assert parse_text(format_any(array)).astype(np.float32).tobytes() == array.tobytes()


@pytest.mark.parametrize(
    'text',
    [' 1.23456789\n', '-0.00000000 ', ' 1.234 56789', '12.34567890 ', ' 1.23456789 0 1.23456789', '+1.23456789 '],
)
def test_text_that_looks_like_that_of_fixed_width_reads_as_python_reads_it(text):
    assert list(map(str, parse_text(text.encode()).tolist())) == [str(float(word)) for word in text.split()]


@pytest.mark.parametrize(
    'text',
    [
        b'0.5 x',
        b' 1.2345678x ',
        b' 1.23456789x',
        b'x1.23456789 ',
        b' 1,23456789 ',
        b'0.5,0.25',
        b'1.2.3',
        b'1-2',
        b'--1',
        b'-',
        b'.',
        b'0.5 - 1',
        b'1 . 2',
        b'0x10',
        b'1_000',
        b'0,5 0,7',
        b'\xff\xfe1',
        b'1\x002',
        b'0.5 1e',
    ],
)
def test_text_that_is_not_a_number_is_refused(text):
    with pytest.raises(ValueError):
        parse_text(text)
