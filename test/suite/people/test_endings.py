"""File name endings: several endings of one format, and sources whose format cannot be written."""

import io
import sys

from pictures.formats import avif, reader

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import opened

HEAD_OF = {'jpg': b'\xff\xd8\xff', 'tif': b'II*\0', 'png': b'\x89PNG', 'bmp': b'BM'}


@pytest.mark.parametrize(
    ('ending', 'kind'),
    [
        ('JPE', 'jpg'),
        *(pytest.param(ending, 'jpg', marks=pytest.mark.slow) for ending in ('jfif', 'jpe', 'jif', 'mpo')),
        pytest.param('btf', 'tif', marks=pytest.mark.slow),
        pytest.param('dib', 'bmp', marks=pytest.mark.slow),
    ],
)
def test_results_keep_the_ending_of_their_source(upscale, photo, ending, kind):
    file = io.BytesIO()
    photo.crop((0, 0, 12, 10)).save(file, {'jpg': 'JPEG', 'tif': 'TIFF', 'bmp': 'BMP'}[kind])
    (upscale.source / f'a.{ending}').write_bytes(file.getvalue())
    ended = upscale()
    assert ended.status == 0 and 'saved as' not in ended.out
    content = (upscale.target / f'a_x2.{ending.lower()}').read_bytes()
    assert content.startswith(HEAD_OF[kind])
    assert Image.open(io.BytesIO(content)).size == (24, 20)


@pytest.mark.slow
def test_a_bigtiff_is_read_and_keeps_its_ending(upscale, photo):
    tifffile.imwrite(str(upscale.source / 'a.btf'), np.asarray(photo)[:10, :12], bigtiff=True, photometric='rgb')
    assert upscale().status == 0
    assert reader.read_picture(str(upscale.target / 'a_x2.btf')).pixels.shape == (20, 24, 3)


@pytest.mark.skipif(sys.version_info < (3, 10), reason='reading HEIC needs Python 3.10 or later')
def test_a_heic_becomes_png_and_the_note_names_a_smaller_format(upscale, photo):
    import pillow_heif

    pillow_heif.from_pillow(photo.crop((0, 0, 64, 64))).save(str(upscale.source / 'a.heic'), quality=90)
    ended = upscale()
    assert 'a_x2.png: saved as PNG (HEIC cannot be written; --ext jpg makes a smaller file)' in ended.out
    ended = upscale('--lossless', '--overwrite')
    assert 'a_x2.png: saved as PNG (HEIC cannot be written)' in ended.out


@pytest.mark.skipif(not avif.CAN_WRITE, reason='this Pillow writes no AVIF')
def test_an_hdr_avif_stays_hdr(upscale, photo):
    """The test looks for the H.273 numbers in the result's bytes, and libavif decodes its pixels."""
    values = np.asarray(photo)[:24, :32].astype(np.uint16) * 4
    (upscale.source / 'a.avif').write_bytes(
        imagecodecs.avif_encode(
            values, level=95, speed=9, bitspersample=10, pixelformat='444', primaries=9, transfer=16, matrix=9
        )
    )
    assert upscale().status == 0
    content = (upscale.target / 'a_x2.avif').read_bytes()
    assert b'nclx\x00\x09\x00\x10' in content and b'nclx\x00\x01' not in content
    assert imagecodecs.avif_decode(content).dtype == np.uint16
    assert opened(upscale.target / 'a_x2.avif').size == (64, 48)
    ended = upscale('--ext', 'jpg')
    assert 'HDR colours converted to sRGB' in ended.out
