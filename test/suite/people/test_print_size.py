"""The resolution of results: the source's own, turned; --dpi; --keep-print-size; the same in Python."""

import os

from enlarging import HEIGHT, WIDTH, enlarge, exif_of
from pictures import Upscaler

import pytest
from PIL import Image

from helpers import opened, snapshot

ORIENTATION, X_RESOLUTION = 0x0112, 0x011A


def save(photo, path, dpi=(204, 98), orientation=6):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    tags[X_RESOLUTION], tags[X_RESOLUTION + 1], tags[0x0128] = (float(dpi[0]), float(dpi[1]), 2)
    photo.resize((WIDTH, HEIGHT)).save(str(path), dpi=dpi, exif=tags.tobytes())


def dots(path):
    """Return the resolutions in a file's header and in its EXIF."""
    tags = exif_of(path)
    pairs = opened(path).info['dpi'], (tags.get(X_RESOLUTION, 0), tags.get(X_RESOLUTION + 1, 0))
    return [tuple(round(float(x)) for x in pair) for pair in pairs]


@pytest.mark.parametrize('ending', ['jpg', 'png', 'tif'])
def test_a_resolution_is_turned_and_scaled_or_replaced_everywhere_in_the_file(tmp_path, photo, ending):
    save(photo, tmp_path / 'a.jpg')
    for options, expected in (
        ({}, (98, 204)),
        ({'keep_print_size': True}, (147, 306)),
        ({'dpi': 300.0}, (300, 300)),
    ):
        assert not enlarge(tmp_path / 'a.jpg', tmp_path / f'b.{ending}', **options)
        assert dots(tmp_path / f'b.{ending}') == [expected, expected]


def test_an_unknown_print_size_is_noted(tmp_path, photo):
    photo.save(str(tmp_path / 'a.png'))
    assert (
        '--keep-print-size changes nothing' in enlarge(tmp_path / 'a.png', tmp_path / 'b.png', keep_print_size=True)[0]
    )
    assert not enlarge(tmp_path / 'a.png', tmp_path / 'b.png', dpi=150.0)
    assert dots(tmp_path / 'b.png')[0] == (150, 150)


def test_the_flags_reach_the_result_and_refuse_invalid_values(upscale, photo):
    save(photo, upscale.source / 'a.jpg')
    assert upscale('--keep-print-size').status == 0
    assert dots(upscale.target / 'a_x2.jpg') == [(196, 408)] * 2
    assert upscale('--dpi=300', '--overwrite').status == 0
    assert dots(upscale.target / 'a_x2.jpg') == [(300, 300)] * 2
    for flags in (['--dpi=0'], ['--dpi=nan'], ['--dpi=x'], ['--dpi=300', '--keep-print-size']):
        ended = upscale(*flags)
        assert ended.status == 2 and '--dpi' in ended.err


@pytest.mark.slow
def test_a_picture_in_python_has_the_requested_resolution(tmp_path, photo, narrow):
    save(photo, tmp_path / 'a.jpg')
    enlarger = Upscaler(narrow[0])
    for options, expected in (({}, (98, 204)), ({'keep_print_size': True}, (196, 408)), ({'dpi': 300}, (300, 300))):
        assert enlarger(opened(tmp_path / 'a.jpg'), **options).info['dpi'] == expected


def test_linked_folders_are_named_and_never_entered(upscale, photo, tmp_path):
    photo.resize((20, 10)).save(str(upscale.source / 'a.png'))
    (tmp_path / 'elsewhere').mkdir()
    photo.save(str(tmp_path / 'elsewhere' / 'b.png'))
    os.symlink(str(tmp_path / 'elsewhere'), str(upscale.source / 'linked'))
    os.symlink('.', str(upscale.source / 'loop'))
    ended = upscale()
    assert ended.status == 0 and '1 done' in ended.out
    assert '2 linked folders' in ended.out and str(upscale.source / 'linked') in ended.out
    assert set(snapshot(upscale.target)) == {'a_x2.png'}
