"""RDN_upscale.py with textures: edges that meet, alpha that is data, grey that is stored as RGB."""

import inspect

from pictures import Upscaler, processing, upscaler
from pictures.cluster import worker
from pictures.formats import reader
from rdn import engines, tiles

import cv2
import numpy as np
import pytest
from PIL import Image, WebPImagePlugin

from helpers import assert_refused, difference, opened, reference, reference_unclipped


def middle_of_nine(narrow, rgb):
    """Repeat the picture (H, W, 3), 0...1, three times each way, run the network, and return the middle (2H, 2W, 3)."""
    height, width = rgb.shape[:2]
    return reference(narrow, np.tile(rgb, (3, 3, 1)))[2 * height : 4 * height, 2 * width : 4 * width]


def whole(narrow):
    """Return flags for a model that accepts pictures of any size."""
    return [f'--model={narrow[0]}', '--engine=pytorch']


# --- edges that meet


@pytest.mark.parametrize('size, tile', [((70, 50), 60), ((7, 8), 64)])
def test_a_wrapped_picture_is_the_middle_of_its_repetition(upscale, photo, narrow, size, tile):
    photo.crop((0, 0, *size)).save(str(upscale.source / 'a.png'))
    ended = upscale('--wrap', f'--tile-size={tile}', *whole(narrow))
    assert ended.status == 0, ended.err
    expected = middle_of_nine(narrow, np.asarray(photo.crop((0, 0, *size))) / 255)
    assert difference(opened(upscale.target / 'a_x2.png'), expected) < 0.51


@pytest.mark.parametrize('size', [(130, 40), (30, 20)])
def test_a_model_of_one_input_size_wraps_too(upscale, photo, narrow, size):
    photo.crop((0, 0, *size)).save(str(upscale.source / 'a.png'))
    assert upscale('--wrap').status == 0
    expected = middle_of_nine(narrow, np.asarray(photo.crop((0, 0, *size))) / 255)
    assert difference(opened(upscale.target / 'a_x2.png'), expected) < 0.51


def test_tiles_of_a_wrapped_picture_join_to_the_picture():
    for height, width, side, overlap in [(1, 1, 20, 5), (50, 31, 20, 16), (50, 31, 17, 16), (40, 80, 114, 16)]:
        picture = np.random.RandomState(0).rand(2, height, width)
        layout = tiles.Layout(height, width, [side, side], overlap, 1, True)
        every = [tile for row in tiles.tile_rows(layout) for tile in row]
        parts = [(tile, tiles.cut(picture, tile, True)) for tile in every]
        assert all(part.shape == (2, side, side) for _, part in parts)
        assert np.array_equal(tiles.join(parts, layout), picture)


def test_wrapping_without_an_overlap_is_refused(upscale, photo):
    photo.save(str(upscale.source / 'a.png'))
    assert_refused(upscale('--wrap', '--overlap=0'), '--wrap', '--overlap')


@pytest.mark.parametrize('alpha', [False, True])
def test_a_wrapped_picture_of_another_size_is_the_middle_of_its_repetition_too(upscale, photo, narrow, alpha):
    rgb = np.asarray(photo.crop((0, 0, 40, 30)))
    mode = np.dstack([rgb, rgb[:, ::-1, 0]]) if alpha else rgb
    Image.fromarray(mode).save(str(upscale.source / 'a.png'))
    ended = upscale('--wrap', '--scale=1.5', '--alpha=data', *whole(narrow))
    assert ended.status == 0, ended.err
    large = reference(narrow, np.tile(rgb / 255, (3, 3, 1)))
    expected = [
        np.asarray(Image.fromarray(plane).resize((180, 135), Image.LANCZOS)) for plane in large.transpose(2, 0, 1)
    ]
    result = np.asarray(opened(upscale.target / 'a_x1.5.png'))[:, :, :3]
    assert difference(result, np.stack(expected, 2)[45:90, 60:120].clip(0, 1)) < 0.51


# --- alpha


@pytest.fixture
def texture():
    """Return pixels (90, 120, 4) of smooth noise; alpha is 0 in the left half and varies in the right half."""
    noise = cv2.resize(np.random.RandomState(0).rand(30, 40, 4), (120, 90), interpolation=cv2.INTER_CUBIC)
    pixels = (noise.clip(0, 1) * 255).astype(np.uint8)
    pixels[:, :60, 3] = 0
    pixels[:, 60:, 3] = pixels[:, 60:, 3] // 2 + 100
    return pixels


def test_colours_far_from_visible_pixels_are_enlarged_unchanged(upscale, texture, narrow):
    Image.fromarray(texture).save(str(upscale.source / 'a.png'))
    assert upscale(*whole(narrow)).status == 0
    result = np.asarray(opened(upscale.target / 'a_x2.png'))[:, :, :3]
    plain = reference(narrow, texture[:, :, :3] / 255)
    far = 60 - tiles.OVERLAP - 7  # a result of this test's network depends on pixels up to 6 away
    assert difference(result[:, : 2 * far], plain[:, : 2 * far]) < 0.51
    bled = texture.copy()
    bled[:, :60] = texture[:, 60:61]
    seen = reference(narrow, bled[:, :, :3] / 255)[:, 120:]
    assert difference(result[:, 120:], seen) < 0.51


@pytest.mark.parametrize('depth', [np.uint8, np.uint16])
def test_alpha_as_data_leaves_four_independent_channels(upscale, texture, narrow, depth):
    top = np.iinfo(depth).max
    pixels = texture.astype(depth) * (top // 255)
    cv2.imwrite(str(upscale.source / 'a.png'), pixels[:, :, [2, 1, 0, 3]])
    assert upscale('--alpha=data', *whole(narrow)).status == 0
    result = reader.read_picture(str(upscale.target / 'a_x2.png')).pixels
    assert result.dtype == depth and difference(result[:, :, :3], reference(narrow, texture[:, :, :3] / 255), top) < 0.6
    alpha = reference_unclipped(narrow, np.repeat(texture[:, :, 3:], 3, 2) / 255).mean(2).clip(0, 1)
    assert difference(result[:, :, 3], alpha, top) < 0.6


@pytest.mark.skipif(
    'exact' not in inspect.getsource(WebPImagePlugin),
    reason='this Pillow drops the colours of invisible pixels in WebP',
)
def test_lossless_webp_keeps_colours_where_alpha_is_0(upscale, texture):
    Image.fromarray(texture).save(str(upscale.source / 'a.png'))
    for ending in ('png', 'webp'):
        assert upscale('--alpha=data', '--lossless', f'--ext={ending}').status == 0
    png, webp = (np.asarray(opened(upscale.target / f'a_x2.{ending}')) for ending in ('png', 'webp'))
    assert np.array_equal(png, webp)


def test_alpha_as_data_is_refused_for_a_format_without_alpha(upscale, texture):
    Image.fromarray(texture).save(str(upscale.source / 'a.png'))
    assert_refused(upscale('--alpha=data', '--ext=jpg'), 'a_x2.jpg', 'cannot store the alpha', '--ext=png')
    Image.fromarray(texture[:, :, :3]).save(str(upscale.source / 'a.png'))
    assert upscale('--alpha=data', '--ext=jpg').status == 0


def test_the_python_interface_has_both_flags(narrow, texture):
    enlarge = Upscaler(narrow[0], 'fp32', 'pytorch', wrap=True, alpha='data')
    assert difference(enlarge(texture)[:, :, :3], middle_of_nine(narrow, texture[:, :, :3] / 255)) < 0.51
    with pytest.raises(ValueError, match='alpha none: expected one of opacity'):
        Upscaler('missing.onnx', alpha='none')  # before the model is loaded
    with pytest.raises(TypeError, match='wraps: expected only'):
        Upscaler('missing.onnx', wraps=True, overlap=8)


# --- grey as RGB


@pytest.mark.parametrize('mode, depth', [('RGB', np.uint16), ('RGBA', np.uint8)])
def test_grey_that_is_stored_as_rgb_is_enlarged_as_grey(upscale, photo, narrow, mode, depth):
    photo = photo.crop((0, 0, 120, 60))
    grey = np.asarray(photo.convert('L')).astype(depth) * (np.iinfo(depth).max // 255)
    opacity = np.where(np.asarray(photo)[:, :, 0] > 90, np.iinfo(depth).max, 0).astype(depth)
    rest = [opacity] if mode == 'RGBA' else []
    cv2.imwrite(str(upscale.source / 'rgb.png'), np.dstack([grey] * 3 + rest))
    assert upscale().status == 0
    result = reader.read_picture(str(upscale.target / 'rgb_x2.png')).pixels
    assert result.shape[2] == len(mode) and result.dtype == depth
    assert (result[:, :, 1] == result[:, :, 0]).all() and (result[:, :, 2] == result[:, :, 0]).all()
    layout = tiles.Layout(grey.shape[0], grey.shape[1], [114, 114], 16, 2)
    pixels = np.dstack([grey] + rest)
    model = engines.open_model(narrow[1], 'onnxruntime', 'fp32', engines.Place())
    for tile, part in upscaler.upscale_pixels(pixels, model, layout):
        assert (result[tiles.target_slices(tile, 2)][:, :, [0, *range(3, len(mode))]] == part).all()


def test_one_pixel_of_colour_makes_a_colour_picture(upscale, photo, narrow):
    pixels = np.asarray(photo.crop((0, 0, 114, 114)).convert('L').convert('RGB')).copy()
    pixels[-1, -1] = 10, 11, 10
    Image.fromarray(pixels).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    assert difference(opened(upscale.target / 'a_x2.png'), reference(narrow, pixels / 255)) < 0.51


# --- bands, into which a cluster cuts large pictures


@pytest.mark.parametrize('mode, options', [('L', {}), ('RGBA', {'alpha': 'data', 'wrap': True})])
def test_joined_bands_of_a_texture_equal_the_whole_picture(tmp_path, photo, narrow, mode, options):
    for name in ('in', 'out'):
        (tmp_path / name).mkdir()
    picture = photo.resize((30, 300)).convert('L').convert('RGB' if mode == 'L' else mode)
    if mode != 'L':
        picture = Image.merge(mode, [picture.getchannel(0).transpose(Image.FLIP_LEFT_RIGHT), *picture.split()[1:]])
    if mode == 'RGBA':
        picture.putalpha(picture.getchannel(0).point(lambda x: 0 if x < 90 else x))
    picture.save(str(tmp_path / 'in' / 'a.png'))
    with open(narrow[1], 'rb') as file:
        model = file.read()
    source, target = ((str(tmp_path / name), str(tmp_path / name)) for name in ('in', 'out'))
    settings = processing.Options(**options)
    setup = worker.Setup(model, 'a.onnx', 'auto', 'fp32', engines.Place(), source, target, ['a.png'], None, settings)
    one = worker.Worker(setup, 1)
    assert one.upscale(worker.PictureTask('a.png', 'whole.png')).kind == 'done'
    task = worker.PictureTask('a.png', 'joined.png')
    _, head, *bands = one.cut(task, 3)
    assert bands[-1].pixels.shape[2] == (1 if mode == 'L' else len(mode))
    assert one.join(task, head, *[one.upscale_band(band)[1] for band in bands]).kind == 'done'
    found = [(tmp_path / 'out' / name).read_bytes() for name in ('whole.png', 'joined.png')]
    assert found[0] == found[1]
