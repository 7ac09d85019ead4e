"""rdn/tiles.py and a walk with tiles: every pixel comes from one tile, and whole pictures have no seams."""

import json
import os
import shutil

from rdn import images, tiles
from rdn.accuracy import metrics
from rdn.data import dataset
from rdn.network import checkpoint

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import ROOT, assert_refused, judge, run_python, snapshot


@pytest.mark.parametrize('size, overlap', [(114, 0), (114, 16), (114, 113), (7, 3), (2, 1), (1, 0)])
def test_cores_cover_every_length_once_and_are_inside_their_tiles(size, overlap):
    for length in list(range(1, 3 * size + 5)) + [997]:
        found = tiles.spans(length, size, overlap)
        given = [x for span in found for x in range(span.core_start, span.core_stop)]
        assert given == list(range(length))
        for span in found:
            assert span.stop - span.start == size and span.start <= span.core_start < span.core_stop <= span.stop
        if length >= size:
            assert found[0].start == 0 and found[-1].stop == length
            assert all(a.stop - b.start >= overlap for a, b in zip(found, found[1:]))
            fewest = 1 if length == size else -(-(length - overlap) // (size - overlap))
            assert len(found) == fewest


def test_pixels_next_to_an_inner_border_have_half_the_overlap_around_them():
    for length in range(115, 600):
        for a, b in zip(*[iter(tiles.spans(length, 114, 16)[i:]) for i in (0, 1)]):
            assert a.stop - a.core_stop >= 8 and b.core_start - b.start >= 8


@pytest.mark.parametrize('largest, overlap', [(114, 16), (192, 16), (20, 16), (5, 0)])
def test_fitted_tiles_are_as_few_and_as_small_as_possible(largest, overlap):
    for length in (1, 5, 113, 114, 115, 212, 213, 1000, 4001):
        size = tiles.fitted_size(length, largest, overlap)
        count = len(tiles.spans(length, size, overlap))
        assert size <= min(largest, length) and count == len(tiles.spans(length, largest, overlap))
        assert size == 1 or count < tiles.count_tiles(length, size - 1, min(overlap, max(0, size - 2)))


@pytest.mark.parametrize('overlap', [-1, 114, 200])
def test_overlap_of_a_whole_tile_is_refused(overlap):
    with pytest.raises(ValueError, match='overlap'):
        tiles.spans(300, 114, overlap)


@pytest.mark.parametrize('height, width', [(1, 1), (1, 300), (113, 115), (114, 114), (260, 131)])
def test_tiles_of_a_picture_join_to_the_picture(height, width):
    picture = np.random.RandomState(0).rand(3, height, width)
    layout = tiles.Layout(height, width, [114, 114], 16, 2)
    parts = (
        (tile, tiles.cut(picture, tile).repeat(2, 1).repeat(2, 2)) for tile in dataset.input_tiles('a', layout).values()
    )
    assert np.array_equal(tiles.join(parts, layout), picture.repeat(2, 1).repeat(2, 2))


def test_small_picture_is_mirrored():
    picture = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    part = tiles.cut(picture, tiles.tile_rows(tiles.Layout(2, 3, [4, 6], 0, 2))[0][0])
    assert part[0].tolist() == [[0, 1, 2, 1, 0, 1], [3, 4, 5, 4, 3, 4], [0, 1, 2, 1, 0, 1], [3, 4, 5, 4, 3, 4]]


def test_layouts_are_read_back_and_other_content_is_refused(tmp_path):
    settings = dataset.Preparation(114, 114, 2, 'crop', tile=True, overlap=16, no_label=True)
    lr = np.zeros((3, 300, 200), np.float32)
    with dataset.writing(str(tmp_path / 'prep'), settings) as write:
        assert write(dataset.PreparedImage('a.v1', '/a/ö.png', '', lr, None)) == 3 * 2
    (tmp_path / 'prep' / 'manifest.json').unlink()
    folder, path = str(tmp_path / 'prep' / 'label'), tmp_path / 'prep' / 'label' / 'a.v1.json'
    layout = tiles.Layout(300, 200, [114, 114], 16, 2)
    assert dataset.find_cases(folder, 114, 114, 2) == [dataset.Case('a.v1', None, layout, '/a/ö.png')]
    good = json.loads(path.read_text())
    for bad in ('', '[]', '{}', json.dumps(dict(good, height='3')), json.dumps(dict(good, overlap=114)),
                json.dumps(dict(good, tile=[114])), json.dumps(dict(good, width=None))):  # fmt: skip
        path.write_text(bad)
        with pytest.raises(ValueError, match='a.v1.json'):
            dataset.find_cases(folder, 114, 114, 2)


def walk(script, folder, model, *flags):
    """Run steps 4.2 to 5.2 with tiles, in the current folder."""
    assert script('RDN_preprocess', f'--src-path={folder}', '--save-path=prep', '--tile', *flags).status == 0
    assert script('gen_dataset_info', 'bin', 'prep/data', 'tiles.info', 114, 114).status == 0
    ended = script('RDN_infer', f'-om_path={model}', '-input_text_path=tiles.info', '-output_binary=True')
    assert ended.status == 0, ended.err


@pytest.fixture
def two_photos(tmp_path, photos, monkeypatch):
    """A folder with two photographs, one of odd size; its parent is the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    shutil.copy(photos[1], str(tmp_path / 'photos' / 'chelsea.v1.png'))  # 451 x 300
    Image.open(photos[0]).crop((30, 20, 331, 265)).save(str(tmp_path / 'photos' / 'a_1.png'))
    return tmp_path / 'photos'


def whole_image(model, lr):
    with torch.no_grad():
        return model(torch.from_numpy(lr)[None])[0].numpy()


def test_a_tiled_walk_has_the_psnr_of_the_whole_image(script, two_photos, narrow):
    weights, onnx_path = narrow
    walk(script, two_photos, onnx_path)
    ended = judge(script, '--save-images=out', labels='prep/label')
    assert ended.status == 0, ended.err
    model = checkpoint.load(weights)
    for name in sorted(os.listdir(str(two_photos))):
        hr = Image.open(str(two_photos / name)).convert('RGB')
        hr = hr.crop((0, 0, hr.width // 2 * 2, hr.height // 2 * 2))
        sr = whole_image(model, images.to_chw(hr.resize((hr.width // 2, hr.height // 2), Image.BICUBIC)))
        line = [line.split() for line in ended.out.splitlines() if line.startswith(name[:-4] + ' ')][0]
        assert abs(float(line[2]) - metrics.sr_psnr(sr, images.to_chw(hr), 2)) < 0.0051
        picture = np.asarray(Image.open(f'out/{name[:-4]}_x2.png')).astype(int)
        assert np.abs(picture - np.asarray(images.to_image(sr))).max() <= 1  # values near .5 may be rounded differently


def test_without_label_the_image_itself_is_enlarged(script, two_photos, narrow):
    weights, onnx_path = narrow
    walk(script, two_photos, onnx_path, '--no-label')
    assert_refused(judge(script, labels='prep/label'), 'no labels', '--save-images')
    ended = judge(script, '--save-images=out', '--report=out', labels='prep/label')
    assert ended.status == 0 and not os.path.exists('result.json'), ended.err
    sr = whole_image(checkpoint.load(weights), images.to_chw(Image.open(str(two_photos / 'a_1.png')).convert('RGB')))
    picture = np.asarray(Image.open('out/a_1_x2.png')).astype(int)
    assert picture.shape == (490, 602, 3)
    assert np.abs(picture - np.asarray(images.to_image(sr))).max() <= 1


def test_missing_tile_is_named_with_its_image(script, two_photos, narrow):
    walk(script, two_photos, narrow[1])
    os.remove('result/dumpOutput_device0/chelsea.v1_tile_r001c002_1.bin')
    assert_refused(judge(script, labels='prep/label'), 'chelsea.v1_tile_r001c002')
    assert not os.path.exists('result.json')


def test_layout_that_does_not_fit_the_flags_or_lacks_its_label_is_refused(script, two_photos, narrow):
    walk(script, two_photos, narrow[1])
    assert_refused(judge(script, '--scale=3', labels='prep/label'), 'json', 'scale 2')
    assert_refused(judge(script, '--width=64', '--height=64', labels='prep/label'), 'json', '114')
    os.remove('prep/label/a_1.npy')
    assert_refused(judge(script, labels='prep/label'), 'a_1.npy')


def test_other_ways_of_preparing_replace_each_others_files(script, two_photos, narrow):
    def prepare(*flags):
        ended = script('RDN_preprocess', '--src-path=photos', '--save-path=prep', *flags)
        assert ended.status == 0, ended.err
        return set(snapshot('prep')) - {'manifest.json'}

    crops = prepare()
    assert len(crops) == 2 + 2 + 2
    tiled = prepare('--tile')
    assert 'label/a_1.json' in tiled and 'data/a_1.bin' not in tiled
    assert not any(name.endswith('.npy') for name in prepare('--tile', '--no-label'))
    assert prepare('--tile') == tiled
    assert prepare() == crops


@pytest.mark.parametrize('flags', [['--no-label'], ['--tile', '--overlap=114'], ['--tile', '--overlap=-1']])
def test_wrong_flags_are_refused(script, two_photos, flags):
    assert_refused(script('RDN_preprocess', '--src-path=photos', '--save-path=prep', *flags), flags[-1].split('=')[0])


@pytest.mark.slow
def test_the_measurement_of_the_overlap_can_be_repeated(tmp_path, photos, narrow):
    (tmp_path / 'photos').mkdir()
    shutil.copy(photos[1], str(tmp_path / 'photos'))
    flags = ['--weights', narrow[0], '--overlaps', 0, 16]
    done = run_python('-m', 'tools.overlap', tmp_path / 'photos', *flags, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = {int(line.split()[0]): line.split() for line in done.stdout.splitlines() if line.split()[0].isdigit()}
    assert float(rows[0][2]) > 0.1 and float(rows[16][2]) < 0.001  # in units of 1/255; this network sees 6 pixels far
