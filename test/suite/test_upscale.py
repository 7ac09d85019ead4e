"""RDN_upscale.py: people's files, of every kind, in; the same kind, twice as large, out."""

import fcntl
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import zlib

from rdn.engine import Model
from rdn.imaging import images, upscaler

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, PngImagePlugin

from conftest import ROOT, assert_refused, snapshot
from models import load_rdn


@pytest.fixture
def upscale(script, tmp_path, narrow):
    """upscale(flags...): from in/ to out/ with a network that sees 6 pixels far; returns (status, out, err)."""
    (tmp_path / 'in').mkdir()

    def call(*flags):
        given = {str(flag).split('=')[0] for flag in flags}
        standard = {'--input': tmp_path / 'in', '--output': tmp_path / 'out', '--model': narrow[1]}
        return script('RDN_upscale', *['%s=%s' % item for item in standard.items() if item[0] not in given], *flags)

    vars(call).update(source=tmp_path / 'in', target=tmp_path / 'out')
    return call


@pytest.fixture
def photo(photos):
    """A part of a photograph, of odd size and more than one tile: PIL RGB."""
    return Image.open(photos[0]).convert('RGB').crop((100, 40, 301, 167))


def reference(narrow, rgb):
    """(H, W, 3) 0...1 -> (2H, 2W, 3), the whole image through PyTorch."""
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(np.asarray(rgb, np.float32).transpose(2, 0, 1)))
        return np.clip(load_rdn(narrow[0])(x[None])[0].numpy(), 0, 1).transpose(1, 2, 0)


def opened(path):
    image = Image.open(str(path))
    image.load()
    return image


def result_of(upscale, ending):
    """The path of the result of a.png, a.deep.png, ..."""
    stem, dot, last = ('a.' + ending).rpartition('.')
    return upscale.target / (stem + '_x2.' + last)


def difference(image, expected, top=255):
    return np.abs(np.asarray(image).astype(np.float64) - expected * top).max()


def test_picture_equals_the_whole_image_through_pytorch(upscale, photo, narrow):
    photo.save(str(upscale.source / 'photo.png'))
    ended = upscale()
    assert ended.status == 0 and not ended.err, ended.err
    result = opened(upscale.target / 'photo_x2.png')
    assert result.mode == 'RGB' and result.size == (402, 254)
    assert difference(result, reference(narrow, np.asarray(photo) / 255)) < 0.51


@pytest.mark.parametrize('batch_size', [3, 4])
def test_batches_and_the_fixed_ones_of_a_model_change_nothing(upscale, photo, batch_size):
    photo.save(str(upscale.source / 'a.png'))
    upscale()
    first = np.asarray(opened(upscale.target / 'a_x2.png')).astype(int)
    upscale('--overwrite', '--batch-size=%d' % batch_size)
    assert np.abs(first - np.asarray(opened(upscale.target / 'a_x2.png'))).max() <= 1


def test_self_ensemble_is_the_mean_over_eight_turns_and_flips(upscale, photo, narrow):
    square = photo.crop((0, 0, 114, 114))
    square.save(str(upscale.source / 'a.png'))
    assert upscale('--self-ensemble').status == 0
    x = np.asarray(square) / 255
    total = 0
    for turn in range(4):
        for flip in (False, True):
            y = reference_unclipped(narrow, np.rot90(x[:, ::-1] if flip else x, turn))
            y = np.rot90(y, -turn)
            total = total + (y[:, ::-1] if flip else y)
    assert difference(opened(upscale.target / 'a_x2.png'), np.clip(total / 8, 0, 1)) < 0.51


def reference_unclipped(narrow, rgb):
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(np.asarray(rgb, np.float32).transpose(2, 0, 1)))
        return load_rdn(narrow[0])(x[None])[0].numpy().transpose(1, 2, 0)


def test_grey_stays_grey(upscale, photo, narrow):
    grey = photo.convert('L')
    grey.save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    result = opened(upscale.target / 'a_x2.png')
    expected = reference_unclipped(narrow, np.repeat(np.asarray(grey)[:, :, None] / 255, 3, 2)).mean(2)
    assert result.mode == 'L' and difference(result, np.clip(expected, 0, 1)) < 0.51


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_16_bits_stay_16_bits_of_real_depth(upscale, photo, narrow, ending):
    fine = cv2.GaussianBlur(np.asarray(photo, np.float32) * 257, (0, 0), 3).astype(np.uint16)
    cv2.imwrite(str(upscale.source / ('a.' + ending)), fine[:, :, ::-1])
    assert upscale().status == 0
    result = cv2.imread(str(upscale.target / ('a_x2.' + ending)), cv2.IMREAD_UNCHANGED)[:, :, ::-1]
    assert result.dtype == np.uint16 and difference(result, reference(narrow, fine / 65535), 65535) < 1.5
    assert len(np.unique(result)) > 1000


def write_png16(path, planes):
    """A 16-bit PNG, grey with alpha too, which no library here writes: RFC 2083, by hand."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    height, width = planes[0].shape
    header = struct.pack('>IIBBBBB', width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[len(planes)], 0, 0, 0)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in np.dstack(planes))
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data)


@pytest.mark.parametrize('ending, channels', [('png', 1), ('png', 2), ('png', 4), ('tif', 1), ('tif', 4)])
def test_16_bits_of_grey_and_with_alpha(upscale, photo, channels, ending):
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
    result = cv2.imread(str(upscale.target / ('a_x2.' + ending)), cv2.IMREAD_UNCHANGED)
    assert result.dtype == np.uint16 and result.shape == ((254, 402) if channels == 1 else (254, 402, 4))
    if channels > 1:
        assert abs(int(result[100, 200, 3]) - 65535 // 2) < 3000
    red = result[:, :, 2] if channels > 1 else result
    assert abs(red[:, 20:].mean() - colour[0][:, 10:].mean()) < 3000


def cut_out(photo):
    """A photograph, opaque in a disk, and black where it is invisible, as drawing programs save it."""
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
    assert np.abs(result[:, :, :3] - plain)[seen].max() <= 1  # as if the white went on beyond the edge


def test_bleeding_takes_the_nearest_visible_colour():
    colour = np.random.RandomState(0).rand(3, 9, 9).astype(np.float32)
    alpha = np.zeros((9, 9), np.float32)
    alpha[2, 3] = alpha[7, 7] = 1
    filled = upscaler.bleed(colour, alpha)
    assert np.array_equal(filled[:, 0, 0], colour[:, 2, 3]) and np.array_equal(filled[:, 8, 8], colour[:, 7, 7])
    assert np.array_equal(filled[:, 2, 3], colour[:, 2, 3])
    assert upscaler.bleed(colour, alpha * 0) is colour


def test_palette_and_bilevel_and_cmyk(upscale, photo):
    photo.quantize(64).save(str(upscale.source / 'palette.png'))
    transparent = photo.quantize(64)
    transparent.save(str(upscale.source / 'clear.gif'), transparency=3)
    photo.convert('1').save(str(upscale.source / 'bilevel.png'))
    photo.convert('CMYK').save(str(upscale.source / 'print.jpg'), quality=95)
    ended = upscale()
    assert ended.status == 0, ended.err
    modes = {name: opened(upscale.target / name).mode for name in os.listdir(str(upscale.target))}
    assert modes == {'palette_x2.png': 'RGB', 'clear_x2.png': 'RGBA', 'bilevel_x2.png': 'L', 'print_x2.jpg': 'RGB'}
    assert 'CMYK' in ended.out
    small = np.asarray(opened(upscale.target / 'print_x2.jpg').resize(photo.size)).astype(float)
    assert np.abs(small - np.asarray(photo)).mean() < 20  # the colours, not their negatives


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBX'])
def test_turned_tiff_of_every_mode_comes_out_upright(upscale, photo, mode):
    stored = photo.transpose(Image.ROTATE_90).convert('RGB' if mode == 'RGBX' else mode).convert(mode)
    stored.save(str(upscale.source / 'a.tif'), tiffinfo={0x0112: 6})
    assert upscale('--ext=png').status == 0
    small = opened(upscale.target / 'a_x2.png').convert('L').resize(photo.size)
    assert np.abs(np.asarray(small).astype(float) - np.asarray(photo.convert('L'))).mean() < 20


@pytest.mark.parametrize('ending', ['jpg', 'tif'])
def test_turned_cmyk_comes_out_upright_and_without_the_tags_of_its_old_pixels(upscale, photo, ending):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photo.transpose(Image.ROTATE_90).convert('CMYK')
    stored.save(str(upscale.source / ('a.' + ending)), exif=exif.tobytes(), tiffinfo={0x0112: 6})
    assert upscale('--ext=png').status == 0
    result = opened(upscale.target / 'a_x2.png')
    assert result.size == (402, 254) and set(result.getexif()) <= {0x0112} | set(range(270, 273))
    small = np.asarray(result.resize(photo.size)).astype(float)
    assert np.abs(small - np.asarray(photo)).mean() < 20


def test_first_frame_of_an_animation_is_taken_and_said(upscale, photo):
    photo.save(str(upscale.source / 'a.gif'), save_all=True, append_images=[photo.rotate(90), photo.rotate(180)])
    ended = upscale()
    assert ended.status == 0 and 'the first of 3 frames' in ended.out


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['jpg', 'png', 'deep.png', 'tif', 'deep.tif'])
def test_turned_photo_comes_out_upright_once(upscale, photo, orientation, ending):
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
    upscale('--input=%s' % upright, '--overwrite')
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
def test_every_kind_goes_into_every_format(upscale, photo, ending, kind):
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
        assert 'on white' in ended.out


@pytest.mark.parametrize('size', [(1, 1), (1, 500), (500, 1), (113, 113), (114, 114), (115, 2)])
def test_pictures_of_every_size(upscale, size):
    Image.new('RGB', size, (200, 100, 50)).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    assert opened(upscale.target / 'a_x2.png').size == (size[0] * 2, size[1] * 2)


NAMES = ['with space.png', 'it\'s "so".png', '照片.png', 'smile 😀.png', 'dots.v1.2.png', 'UPPER.PNG', '-dash.png']


def test_names_and_folders_keep_their_form(upscale, photo):
    small = photo.crop((0, 0, 20, 10))
    (upscale.source / 'sub' / 'x.png').mkdir(parents=True)
    for name in NAMES:
        small.save(str(upscale.source / 'sub' / 'x.png' / name))
    (upscale.source / 'notes.txt').write_text('no picture')
    (upscale.source / '.hidden.png').write_text('no picture')
    ended = upscale()
    assert ended.status == 0 and 'notes.txt' in ended.out, ended
    found = sorted(name for name in snapshot(upscale.target) if name.lower().endswith('.png') and '_x2' in name)
    assert found == sorted('sub/x.png/%s_x2%s' % (name[:-4], name[-4:].lower()) for name in NAMES)


def test_bad_files_do_not_stop_the_others_and_are_named_at_the_end(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'good.png'))
    buffer = io.BytesIO()
    photo.save(buffer, 'JPEG')
    (upscale.source / 'cut.jpg').write_bytes(buffer.getvalue()[:2000])
    (upscale.source / 'empty.png').write_bytes(b'')
    (upscale.source / 'text.png').write_text('hello')
    Image.fromarray(np.zeros((9, 9), np.float32)).save(str(upscale.source / 'float.tif'))
    Image.new('RGB', (8200, 1)).save(str(upscale.source / 'long.webp'))
    ended = upscale()
    assert_refused(ended, '5 of 6 failed', 'cut.jpg', 'empty.png', 'text.png', 'float.tif', 'long_x2.webp')
    assert list(snapshot(upscale.target)) == ['good_x2.png'] and '1 done' in ended.out


def test_existing_results_are_kept_unless_told(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'a.png'))
    small.save(str(upscale.source / 'b.png'))
    upscale.target.mkdir()
    (upscale.target / 'a_x2.png').write_text('mine')
    assert_refused(upscale(), '1 of 2 failed', 'a_x2.png', '--overwrite')
    assert (upscale.target / 'a_x2.png').read_text() == 'mine' and (upscale.target / 'b_x2.png').exists()
    ended = upscale('--resume')
    assert ended.status == 0 and '2 skipped' in ended.out and (upscale.target / 'a_x2.png').read_text() == 'mine'
    assert upscale('--overwrite').status == 0
    assert opened(upscale.target / 'a_x2.png').size == (60, 60)
    assert_refused(upscale('--overwrite', '--resume'), '--resume')


def test_two_pictures_of_one_result_are_an_error_for_the_second(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'a.png'))
    small.save(str(upscale.source / 'a.jpg'))
    assert_refused(upscale('--ext=png'), '1 of 2 failed', 'a_x2.png')


@pytest.mark.parametrize('place', ['in', 'in/results'])
def test_results_are_not_taken_for_sources_the_next_time(upscale, photo, tmp_path, place):
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'a.png'))
    for _ in range(2):
        assert upscale('--output=%s' % (tmp_path / place), '--overwrite').status == 0
    assert [name for name in snapshot(upscale.source) if name.endswith('.png')] == (
        ['a.png', 'a_x2.png'] if place == 'in' else ['a.png', 'results/a_x2.png']
    )


def test_wrong_use_is_one_line(upscale, photo, tmp_path, lite_onnx):
    assert_refused(upscale(), 'no pictures')
    photo.crop((0, 0, 9, 9)).save(str(upscale.source / 'a.png'))
    assert_refused(upscale('--input=%s' % (tmp_path / 'nothing')), 'nothing')
    assert_refused(upscale('--model=%s' % (tmp_path / 'rdn_x2.onnx')), 'rdn_x2.onnx')
    assert_refused(upscale('--model=%s' % (upscale.source / 'a.png')), 'a.png')
    assert_refused(upscale('--ext=gif'), '--ext')
    assert_refused(upscale('--overlap=114'), 'overlap')


def test_scale_comes_from_the_model(script, tmp_path, photo):
    from conftest import tiny_rdn

    torch.save(tiny_rdn(3).state_dict(), str(tmp_path / 'x3.pth'))
    script('RDN_pth2onnx', '--input-file', tmp_path / 'x3.pth', '--output-file', tmp_path / 'x3.onnx')
    photo.save(str(tmp_path / 'a.png'))
    flags = ['--input', tmp_path / 'a.png', '--output', tmp_path / 'out', '--model', tmp_path / 'x3.onnx']
    assert script('RDN_upscale', *flags).status == 0
    assert opened(tmp_path / 'out' / 'a_x3.png').size == (603, 381)


def test_model_is_run_tile_by_tile(narrow):
    model, seen = Model(narrow[1]), []
    run = model.session.run

    class Watched:
        def run(self, names, feeds):
            seen.append(feeds['image'].shape[0])
            return run(names, feeds)

    model.session = Watched()
    parts = upscaler.enlarge(np.zeros((300, 300, 3), np.uint8), model, 2, 16)
    next(parts)
    assert set(seen) == {1} and len(seen) <= 2  # at most one is computed ahead
    assert sum(1 for _ in parts) == 8 and seen == [1] * 9


def test_bar_on_a_terminal_has_megapixels_and_no_warning(tmp_path, photo, narrow):
    photo.resize((228, 344)).save(str(tmp_path / 'a.png'))  # the sum of whose tiles is a rounding more than the whole
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
    command = [
        sys.executable,
        os.path.join(ROOT, 'RDN_upscale.py'),
        '--model',
        narrow[1],
        '--input',
        'a.png',
        '--output=.',
    ]
    process = subprocess.Popen(command, cwd=str(tmp_path), stderr=slave, stdout=subprocess.DEVNULL)
    assert process.wait() == 0
    os.close(slave)
    shown = b''
    while b'100%' not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert b'0.08/0.08 MP' in shown and b'MP/s' in shown and b'Warning' not in shown


def test_killed_run_leaves_whole_pictures_and_resumes_to_the_same(tmp_path, photos, narrow):
    source, target = tmp_path / 'in', tmp_path / 'out'
    source.mkdir()
    for number, path in enumerate(photos * 2):
        shutil.copy(path, str(source / ('%d_%s' % (number, os.path.basename(path)))))
    command = [sys.executable, os.path.join(ROOT, 'RDN_upscale.py'), '--input', str(source), '--model', narrow[1]]
    subprocess.run(command + ['--output', str(tmp_path / 'whole')], check=True, stdout=subprocess.DEVNULL)
    whole = snapshot(tmp_path / 'whole')
    kills = 0
    for extra in (0, 0.15, 0.3):
        process = subprocess.Popen(command + ['--output', str(target), '--resume'], stdout=subprocess.DEVNULL)
        before = len(os.listdir(str(target))) if target.exists() else 0
        while process.poll() is None and (not target.exists() or len(os.listdir(str(target))) <= before):
            time.sleep(0.005)
        time.sleep(extra)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        there = {name: data for name, data in snapshot(target).items() if not name.startswith('.')}
        assert all(whole[name] == data for name, data in there.items())
    subprocess.run(command + ['--output', str(target), '--resume'], check=True, stdout=subprocess.DEVNULL)
    assert {name: data for name, data in snapshot(target).items() if not name.startswith('.')} == whole and kills
