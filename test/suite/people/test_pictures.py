"""RDN_upscale.py with users' pictures: modes, depths, alpha, orientation and metadata of every format."""

import io
import struct
import zlib

from pictures import channel_roles
from rdn import images

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from helpers import difference, opened, reference, reference_unclipped, snapshot


def result_of(upscale, ending):
    """Return the path of the result of a.png, a.deep.png and so on."""
    stem, dot, last = ('a.' + ending).rpartition('.')
    return upscale.target / (stem + '_x2.' + last)


def test_grey_stays_grey(upscale, photo, narrow):
    grey = photo.convert('L')
    grey.save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    result = opened(upscale.target / 'a_x2.png')
    expected = reference_unclipped(narrow, np.repeat(np.asarray(grey)[:, :, None] / 255, 3, 2)).mean(2)
    assert result.mode == 'L' and difference(result, np.clip(expected, 0, 1)) < 0.51


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_16_bits_stay_16_bits_and_are_used(upscale, photo, narrow, ending):
    fine = cv2.GaussianBlur(np.asarray(photo, np.float32) * 257, (0, 0), 3).astype(np.uint16)
    cv2.imwrite(str(upscale.source / ('a.' + ending)), fine[:, :, ::-1])
    assert upscale().status == 0
    result = read_16_bits(upscale.target / f'a_x2.{ending}')[:, :, ::-1]
    assert difference(result, reference(narrow, fine / 65535), 65535) < 1.5
    assert len(np.unique(result)) > 1000


def read_16_bits(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.dtype == np.uint16, path
    return pixels


def write_png16(path, planes):
    """Write a 16-bit PNG by RFC 2083, because no library here can write grey with alpha."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    height, width = planes[0].shape
    header = struct.pack('>IIBBBBB', width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[len(planes)], 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in np.dstack(planes))
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data)


@pytest.mark.parametrize('ending, channels', [('png', 1), ('png', 2), ('png', 4), ('tif', 1), ('tif', 4)])
def test_16_bits_are_kept_in_grey_and_with_alpha(upscale, photo, channels, ending):
    colour = np.moveaxis(np.asarray(photo, np.uint16) * 257, 2, 0)
    alpha = np.tile(np.linspace(0, 65535, 201).astype(np.uint16), (127, 1))
    planes = (list(colour) if channels > 2 else [colour[0]]) + [alpha] * (channels in (2, 4))
    path = upscale.source / ('a.' + ending)
    if ending == 'png':
        write_png16(path, planes)
    elif channels == 4:
        tifffile.imwrite(str(path), np.dstack(planes), photometric='rgb', extrasamples=['unassalpha'])
    else:
        tifffile.imwrite(str(path), planes[0], photometric='minisblack')
    ended = upscale()
    assert ended.status == 0, ended.err
    result = read_16_bits(upscale.target / f'a_x2.{ending}')
    assert result.shape == ((254, 402) if channels == 1 else (254, 402, 4))
    if channels > 1:
        assert abs(int(result[100, 200, 3]) - 65535 // 2) < 3000
    red = result[:, :, 2] if channels > 1 else result
    assert abs(red[:, 20:].mean() - colour[0][:, 10:].mean()) < 3000


def cut_out(photo):
    """Return a photograph that is opaque in a disk; invisible pixels are black, as drawing programs save them."""
    y, x = np.mgrid[: photo.height, : photo.width]
    alpha = np.where((y - 60) ** 2 + (x - 100) ** 2 < 50**2, 255, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([np.asarray(photo) * (alpha[:, :, None] > 0), alpha]).astype(np.uint8))


def test_alpha_is_enlarged_and_edges_have_no_dark_fringe(upscale, narrow):
    white = Image.new('RGB', (201, 127), (250, 240, 230))
    cut_out(white).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    result = np.asarray(opened(upscale.target / 'a_x2.png')).astype(int)
    assert result.shape == (254, 402, 4)
    alpha = result[:, :, 3]
    assert alpha[120, 200] > 235 and alpha[5, 5] < 20
    plain = np.asarray(images.to_image(reference(narrow, np.asarray(white) / 255).transpose(2, 0, 1))).astype(int)
    seen = alpha > 0
    assert np.abs(result[:, :, :3] - plain)[seen].max() <= 1  # as if the white continued beyond the edge


def test_bleeding_takes_the_nearest_visible_colour():
    colour = np.random.RandomState(0).rand(3, 9, 9).astype(np.float32)
    alpha = np.zeros((9, 9), np.float32)
    alpha[2, 3] = alpha[7, 7] = 1
    filled = channel_roles.bleed(colour, alpha)
    assert np.array_equal(filled[:, 0, 0], colour[:, 2, 3]) and np.array_equal(filled[:, 8, 8], colour[:, 7, 7])
    assert np.array_equal(filled[:, 2, 3], colour[:, 2, 3])
    assert channel_roles.bleed(colour, alpha * 0) is colour


def test_palette_bilevel_and_cmyk_pictures_are_enlarged(upscale, photo):
    photo.quantize(64).save(str(upscale.source / 'palette.png'))
    transparent = photo.quantize(64)
    transparent.save(str(upscale.source / 'clear.gif'), transparency=3)
    photo.convert('1').save(str(upscale.source / 'bilevel.png'))
    photo.convert('CMYK').save(str(upscale.source / 'print.jpg'), quality=95)
    ended = upscale()
    assert ended.status == 0, ended.err
    modes = {name: opened(upscale.target / name).mode for name in snapshot(upscale.target)}
    assert modes == {'palette_x2.png': 'RGB', 'clear_x2.png': 'RGBA', 'bilevel_x2.png': 'L', 'print_x2.jpg': 'RGB'}
    assert 'CMYK' in ended.out
    small = np.asarray(opened(upscale.target / 'print_x2.jpg').resize(photo.size)).astype(float)
    assert np.abs(small - np.asarray(photo)).mean() < 20  # the colours, not their negatives


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBX'])
def test_a_turned_tiff_of_every_mode_becomes_upright(upscale, photo, mode):
    stored = photo.transpose(Image.ROTATE_90).convert('RGB' if mode == 'RGBX' else mode).convert(mode)
    stored.save(str(upscale.source / 'a.tif'), tiffinfo={0x0112: 6})
    assert upscale('--ext=png').status == 0
    small = opened(upscale.target / 'a_x2.png').convert('L').resize(photo.size)
    assert np.abs(np.asarray(small).astype(float) - np.asarray(photo.convert('L'))).mean() < 20


@pytest.mark.parametrize('ending', ['jpg', 'tif'])
def test_turned_cmyk_becomes_upright_and_loses_the_tags_of_its_old_pixels(upscale, photo, ending):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photo.transpose(Image.ROTATE_90).convert('CMYK')
    stored.save(str(upscale.source / ('a.' + ending)), exif=exif.tobytes(), tiffinfo={0x0112: 6})
    assert upscale('--ext=png').status == 0
    result = opened(upscale.target / 'a_x2.png')
    assert result.size == (402, 254) and set(result.getexif()) <= {0x0112} | set(range(270, 273))
    small = np.asarray(result.resize(photo.size)).astype(float)
    assert np.abs(small - np.asarray(photo)).mean() < 20


def test_a_note_says_that_only_the_first_frame_is_enlarged(upscale, photo):
    photo.save(str(upscale.source / 'a.gif'), save_all=True, append_images=[photo.rotate(90), photo.rotate(180)])
    ended = upscale()
    assert ended.status == 0 and 'the first of 3 frames' in ended.out


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['jpg', 'png', 'deep.png', 'tif', 'deep.tif'])
def test_a_turned_photo_is_turned_upright_once(upscale, photo, orientation, ending):
    undo = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM, 5: Image.TRANSPOSE,
            6: Image.ROTATE_90, 7: Image.TRANSVERSE, 8: Image.ROTATE_270}  # fmt: skip
    stored = photo.transpose(undo[orientation]) if orientation > 1 else photo
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, 'maker'
    path = str(upscale.source / ('a.' + ending))
    if ending == 'deep.png':
        lend = io.BytesIO()
        Image.new('RGB', (1, 1)).save(lend, 'PNG', exif=exif.tobytes())
        chunk = lend.getvalue()[lend.getvalue().index(b'eXIf') - 4 :]
        coded = cv2.imencode('.png', np.asarray(stored, np.uint16)[:, :, ::-1] * 257)[1].tobytes()
        with open(path, 'wb') as file:
            file.write(coded[:33] + chunk[: int.from_bytes(chunk[:4], 'big') + 12] + coded[33:])
    elif ending == 'deep.tif':
        tags = [(0x0112, 'H', 1, orientation, True), (0x010F, 's', 0, 'maker', True)]
        tifffile.imwrite(path, np.asarray(stored, np.uint16) * 257, photometric='rgb', metadata=None, extratags=tags)
    elif ending == 'tif':
        stored.save(path, tiffinfo={0x0112: orientation, 0x010F: 'maker'})
    else:
        stored.save(path, exif=exif.tobytes(), quality=95)
    assert upscale().status == 0
    result = opened(result_of(upscale, ending))
    tags = result.tag_v2 if ending.endswith('tif') else result.getexif()
    assert result.size == (402, 254) and tags.get(0x0112, 1) == 1
    assert tags[0x010F] == 'maker'
    upright = upscale.source / 'upright.png'
    photo.save(str(upright))
    upscale(f'--input={upright}', '--overwrite')
    expected = np.asarray(opened(upscale.target / 'upright_x2.png')).astype(int)
    assert np.abs(np.asarray(result.convert('RGB')).astype(int) - expected).mean() < (8 if ending == 'jpg' else 1)


@pytest.mark.parametrize('ending', ['png', 'jpg', 'webp', 'tif', 'deep.png', 'deep.tif'])
def test_profile_and_metadata_are_kept(upscale, photo, ending):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    path = str(upscale.source / ('a.' + ending))
    if ending == 'deep.tif':
        tifffile.imwrite(path, np.asarray(photo, np.uint16) * 257, photometric='rgb', metadata=None,
                         extratags=[(34675, 'B', len(profile), profile, True)])  # fmt: skip
    else:
        exif, text = Image.Exif(), PngImagePlugin.PngInfo()
        exif[0x010F] = 'maker'
        text.add_text('Comment', 'a picture')
        photo.save(path, icc_profile=profile, exif=exif.tobytes(), dpi=(300, 300), tiffinfo={0x010F: 'maker'}, **(
            {'pnginfo': text} if ending.endswith('png') else {}))  # fmt: skip
        if ending == 'deep.png':
            with open(path, 'rb') as file:
                data = file.read()
            coded = cv2.imencode('.png', np.asarray(photo, np.uint16)[:, :, ::-1] * 257)[1].tobytes()
            with open(path, 'wb') as file:
                file.write(coded[:33] + data[33 : data.index(b'IDAT') - 4] + coded[33:])
    assert upscale().status == 0
    result = opened(result_of(upscale, ending))
    assert result.info['icc_profile'] == profile
    if ending != 'deep.tif':
        tags = result.tag_v2 if ending == 'tif' else result.getexif()
        assert tags[0x010F] == 'maker'
        if ending != 'webp':
            assert [round(float(x)) for x in result.info['dpi']] == [300, 300]
        if ending.endswith('png'):
            assert result.text['Comment'] == 'a picture'


@pytest.mark.parametrize('ending', ['bmp', 'jpg', 'png', 'tif', 'webp'])
@pytest.mark.parametrize('kind', ['RGB', 'RGBA', 'L', 'LA', 'deep'])
def test_every_kind_of_pixels_is_written_in_every_format(upscale, photo, ending, kind):
    if kind == 'deep':
        cv2.imwrite(str(upscale.source / 'a.png'), np.asarray(photo, np.uint16) * 257)
    else:
        photo.convert(kind).save(str(upscale.source / 'a.png'))
    ended = upscale('--ext=' + ending)
    assert ended.status == 0, ended.err
    result = opened(upscale.target / ('a_x2.' + ending))
    assert result.size == (402, 254)
    assert ('8 bits' in ended.out) == (kind == 'deep' and ending not in ('png', 'tif'))
    if kind in ('RGBA', 'LA') and ending == 'jpg':
        assert 'transparency became white' in ended.out
