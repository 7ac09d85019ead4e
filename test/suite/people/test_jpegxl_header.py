"""The header of JPEG XL and the meaning of its channels. The tests write headers bit by bit (ISO 18181-1, annex D)."""

import os
import sys

from pictures.formats import jpegxl_header, reader

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from helpers import ROOT

RAMP = os.path.join(ROOT, os.pardir, 'shared', 'cases', 'pictures', 'xyb_lstar_ramp.jxl')
modern = pytest.mark.skipif(sys.version_info < (3, 10), reason='reading JPEG XL needs Python 3.10 or later')
SIZE_20_BY_40 = '0' + '00' + '110010000' + '000' + '00' + '111001000'  # 20 high, 40 wide: the lowest bit first
SIZE_20_BY_40_BY_RATIO = SIZE_20_BY_40[:12] + '111'
WHOLE_8_BITS = '0' + '00' + '1'  # whole numbers of 8 bits, which a decoder can decode with 16-bit buffers
ORIGINAL_SRGB = '0' + '1'  # not XYB, sRGB


def number(value, bits):
    """Return a number's bits, the lowest first."""
    return ''.join(str(value >> place & 1) for place in range(bits))


def codestream(fields, rest=b''):
    """Return a codestream with these bits as its header, followed by `rest`."""
    fields += '0' * (-len(fields) % 8)
    return b'\xff\x0a' + bytes(int(fields[i : i + 8][::-1], 2) for i in range(0, len(fields), 8)) + rest


def extra(kind, premultiplied=''):
    """Return the bits of an extra channel with 8 bits and no name."""
    kinds = {0: '00', 1: '10', 4: '01' + number(2, 4), 16: '01' + number(14, 4)}
    return '0' + kinds[kind] + '0' + '00' + '00' + '00' + premultiplied


def test_size_and_depth_are_read():
    header = jpegxl_header.parse(codestream(SIZE_20_BY_40 + '0' + '0' + WHOLE_8_BITS + '00' + ORIGINAL_SRGB))
    assert header[:3] == (40, 20, 8) and not (header.is_float or header.extras or header.is_xyb or header.has_profile)
    turned = '1' + number(5, 3) + '0' + '0' + '0'
    header = jpegxl_header.parse(codestream(SIZE_20_BY_40 + '0' + turned + WHOLE_8_BITS + '00' + ORIGINAL_SRGB))
    assert header[:2] == (20, 40)
    half = jpegxl_header.parse(
        codestream(SIZE_20_BY_40 + '0' + '0' + '1' + '10' + number(4, 4) + '000' + ORIGINAL_SRGB)
    )
    assert half.is_float


@pytest.mark.parametrize('ratio, width', [(1, 64), (2, 76), (3, 85), (4, 96), (5, 113), (6, 80), (7, 128)])
def test_the_width_is_computed_from_its_ratio_to_the_height(ratio, width):
    header = jpegxl_header.parse(codestream('1' + number(7, 5) + number(ratio, 3) + '1'))
    assert header[:2] == (width, 64) and header.is_xyb


def test_extra_channels_are_read():
    channels = '01' + number(0, 4) + '1' + extra(4)  # two channels; the first is alpha with default values
    header = jpegxl_header.parse(codestream(SIZE_20_BY_40 + '0' + '0' + WHOLE_8_BITS + channels + ORIGINAL_SRGB))
    assert [each.kind for each in header.extras] == [jpegxl_header.ALPHA, jpegxl_header.BLACK]
    assert header.alpha and not header.alpha.is_premultiplied


def test_a_truncated_header_is_an_error():
    with pytest.raises(ValueError, match='the file is truncated'):
        jpegxl_header.parse(codestream(SIZE_20_BY_40))
    for data in (b'', b'\xff', b'\0\0\0\x0cJXL \r\n\x87\n'):
        with pytest.raises(ValueError, match='without pixels'):
            jpegxl_header.codestream_of(data)


@pytest.fixture
def coded(tmp_path):
    """Return coded(kind, premultiplied): colours of 100, alpha from 0 to 234, another extra channel in the header."""
    values = np.full((20, 40, 4), 100, np.uint8)
    values[:, :, 3] = np.arange(40) * 6

    def write(kind, premultiplied=''):
        data = imagecodecs.jpegxl_encode(values, lossless=True)
        usual = codestream(SIZE_20_BY_40_BY_RATIO + '0' + '0' + WHOLE_8_BITS + '10' + '1' + ORIGINAL_SRGB + '00' + '1')
        assert data.startswith(usual)
        fields = (
            SIZE_20_BY_40 + '0' + '0' + WHOLE_8_BITS + '10' + extra(kind, premultiplied) + ORIGINAL_SRGB + '00' + '1'
        )
        (tmp_path / 'a.jxl').write_bytes(codestream(fields, data[len(usual) :]))
        return str(tmp_path / 'a.jxl')

    return write


@modern
def test_premultiplied_colours_are_divided_by_alpha(coded):
    picture = reader.read_picture(coded(0, '1'))
    alpha = np.arange(40) * 6
    expected = np.minimum(255, (100 * 255 + alpha // 2) // np.maximum(alpha, 1)) * (alpha > 0)
    assert np.array_equal(picture.pixels[0, :, 0], expected) and np.array_equal(picture.pixels[0, :, 3], alpha)
    assert (reader.read_picture(coded(0, '0')).pixels[:, :, :3] == 100).all()
    assert reader.read_size(coded(0, '0')) == (40, 20)


@modern
def test_cmyk_is_refused(coded):
    with pytest.raises(ValueError, match='JPEG XL in CMYK is not supported'):
        reader.read_picture(coded(4))


@modern
@pytest.mark.parametrize('kind', [1, 16])
def test_a_channel_of_another_type_is_not_used_as_alpha(coded, kind):
    """A note says that the channel is left out, or the file is refused."""
    try:
        picture = reader.read_picture(coded(kind))
    except ValueError as error:
        assert 'with these channels' in str(error)
    else:
        assert picture.pixels.shape == (20, 40, 3) and (picture.pixels == 100).all()
        assert picture.notes == ['without channels of unknown meaning']


@modern
@pytest.mark.skipif(not os.path.exists(RAMP), reason='the folder shared/cases is missing')
def test_a_colour_space_that_libjxl_cannot_name_becomes_srgb():
    """The result matches libjxl's dithered linear light of 8 bits within rounding errors, with more dark values."""
    import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow

    picture = reader.read_picture(RAMP)
    with Image.open(RAMP) as image:
        linear = np.asarray(image).astype(float)
    coded = picture.pixels / 255
    light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4) * 255
    assert np.abs(light - linear).max() < 2.6 and abs((light - linear).mean()) < 0.1
    assert picture.pixels.dtype == np.uint8 and picture.said.icc_profile is None
    dark = linear < 12
    assert len(np.unique(picture.pixels[dark])) > 3 * len(np.unique(linear[dark]))
    assert any('converted to sRGB' in note for note in picture.notes)
