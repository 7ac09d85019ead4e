"""The last channel of BMP, TGA and TIFF files: alpha, premultiplied alpha, or no alpha."""

import io
import struct

from pictures.formats import reader

import numpy as np
import pytest
import tifffile
from PIL import Image

COLOUR, ALPHA = (200, 100, 50), (0, 40, 128, 255)


def tga(alpha, descriptor_bits, attributes=None):
    """Return a TGA file of one row, 32 bits a pixel (Truevision TGA 2.0)."""
    header = struct.pack('<BBBHHBHHHHBB', 0, 0, 2, 0, 0, 0, 0, 0, len(alpha), 1, 32, 0x20 | descriptor_bits)
    data = header + b''.join(bytes([*COLOUR[::-1], each]) for each in alpha)
    if attributes is None:
        return data
    extension = struct.pack('<H', 495).ljust(494, b'\0') + bytes([attributes])
    return data + extension + struct.pack('<II', len(data), 0) + b'TRUEVISION-XFILE.\0'


def read(tmp_path, data, name='a.tga'):
    (tmp_path / name).write_bytes(data)
    return reader.read_picture(str(tmp_path / name))


@pytest.mark.parametrize('attributes', [None, 3])
def test_tga_with_alpha_bits_is_transparent(tmp_path, attributes):
    picture = read(tmp_path, tga(ALPHA, 8, attributes))
    assert picture.pixels[0].tolist() == [[*COLOUR, each] for each in ALPHA] and picture.notes == []


@pytest.mark.parametrize('alpha, note_count', [((0, 0, 0), 0), ((255, 255), 0), (ALPHA, 1)])
@pytest.mark.parametrize('bits, attributes', [(0, None), (8, 1), (8, 2)])
def test_tga_without_alpha_bits_is_opaque_and_a_note_says_what_is_left_out(
    tmp_path, alpha, note_count, bits, attributes
):
    picture = read(tmp_path, tga(alpha, bits, attributes))
    assert picture.pixels[0].tolist() == [[*COLOUR]] * len(alpha)
    assert picture.notes == ['without its last channel: the file does not say that it is transparency'] * note_count


def test_tga_whose_extension_says_that_it_has_no_alpha_is_opaque(tmp_path):
    assert read(tmp_path, tga(ALPHA, 8, 0)).pixels[0].tolist() == [[*COLOUR]] * len(ALPHA)


def test_tga_of_premultiplied_colours_is_divided(tmp_path):
    picture = read(tmp_path, tga((0, 200, 255), 8, 4))
    divided = [[0, 0, 0, 0], [255, 128, 64, 200], [*COLOUR, 255]]  # 100 * 255 / 200 is 127.5
    assert picture.pixels[0].tolist() == divided


def bmp(alpha, mask):
    """Return a BMP file of one row, 32 bits a pixel, with a header of version 4."""
    pixels = b''.join(bytes([*COLOUR[::-1], each]) for each in alpha)
    header = struct.pack('<IiiHHIIiiII', 108, len(alpha), 1, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    header += struct.pack('<IIII', 0xFF0000, 0xFF00, 0xFF, mask) + b'BGRs'.ljust(52, b'\0')
    return struct.pack('<2sIHHI', b'BM', 14 + len(header) + len(pixels), 0, 0, 14 + len(header)) + header + pixels


def test_bmp_is_transparent_if_its_mask_says_so(tmp_path):
    assert read(tmp_path, bmp(ALPHA, 0xFF000000), 'a.bmp').pixels[0].tolist() == [[*COLOUR, each] for each in ALPHA]
    assert read(tmp_path, bmp(ALPHA, 0), 'a.bmp').pixels[0].tolist() == [[*COLOUR]] * len(ALPHA)


@pytest.mark.parametrize('name, data', [('a.bmp', bmp((0, 0), 0xFF000000)), ('a.tga', tga((0, 0), 8))])
def test_a_picture_that_would_be_invisible_everywhere_is_opaque_with_a_note(tmp_path, name, data):
    picture = read(tmp_path, data, name)
    assert picture.pixels[0].tolist() == [[*COLOUR]] * 2
    assert picture.notes == ['treated as opaque: its alpha is 0 everywhere']


@pytest.mark.parametrize('ink_set', [1, 2])
def test_tiff_of_other_inks_than_cmyk_is_refused(tmp_path, ink_set):
    tags = [(332, 'H', 1, ink_set, True)]
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.full((8, 8, 4), 9, np.uint8), photometric='separated', extratags=tags)
    if ink_set == 1:
        assert reader.read_picture(str(tmp_path / 'a.tif')).pixels.shape == (8, 8, 3)
    else:
        with pytest.raises(ValueError, match='inks'):
            reader.read_picture(str(tmp_path / 'a.tif'))


def test_postscript_under_the_name_of_a_picture_starts_no_program(tmp_path):
    file = io.BytesIO()
    Image.new('RGB', (8, 8)).save(file, 'EPS')
    with pytest.raises(ValueError, match='EPS is not supported'):
        read(tmp_path, file.getvalue(), 'a.png')
