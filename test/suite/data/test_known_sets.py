"""Evaluation sets are recognized by their pixels, and published figures count only for them."""

import hashlib
import json
import os
import shutil

from rdn.data import known_sets, protocols

import numpy as np
import pytest
from PIL import Image

from helpers import DUMP, SET5, accept, assert_refused, judge, prepare


def pixel_digest(path):
    """Compute `known_sets.digest` of a file with numpy alone, from its description."""
    rgb = np.asarray(Image.open(str(path)).convert('RGB'))
    return hashlib.sha256(b'%d x %d\n' % (rgb.shape[1], rgb.shape[0]) + rgb.tobytes()).hexdigest()


@pytest.mark.skipif(not os.path.isdir(SET5), reason='no shared data here')
@pytest.mark.parametrize('name, count', [('set5', 5), ('set14', 14)])
def test_the_digests_are_those_of_the_real_images(name, count):
    folder = os.path.join(os.path.dirname(SET5), name)
    found = {file[:-4]: pixel_digest(os.path.join(folder, file)) for file in os.listdir(folder)}
    assert found == dict(known_sets.KNOWN[name].images) and len(found) == count
    assert known_sets.identify(found.values()) == name


def test_published_figures_are_of_known_sets_and_protocols():
    assert all(key[0] in known_sets.KNOWN and key[3] in protocols.PROTOCOLS for key in protocols.PUBLISHED)


@pytest.fixture
def verdict(script, tmp_path, image_folder, monkeypatch):
    """verdict(folder): accept.py's verdict on good outputs for a folder's images, letterboxed.

    The five photographs are registered as Set5.
    """
    monkeypatch.chdir(tmp_path)
    photographs = {path.stem: pixel_digest(path) for path in image_folder.iterdir()}
    monkeypatch.setitem(known_sets.KNOWN, 'set5', known_sets.KnownSet('Set5', photographs))

    def call(folder=image_folder, *flags, spoil=lambda: None):
        assert prepare(script, '--fit=letterbox', *flags, source=folder).status == 0
        spoil()
        os.makedirs(DUMP, exist_ok=True)
        noise = np.random.RandomState(0)
        for name in os.listdir('prep_dataset/label'):
            label = np.load(f'prep_dataset/label/{name}')[0]
            sr = label + noise.normal(0, 0.005, label.shape)
            sr.astype(np.float32).tofile(f'{DUMP}/{name[:-4]}_1.bin')
        height, width = (side // 2 for side in label.shape[1:])
        assert judge(script, f'--height={height}', f'--width={width}').status == 0
        return accept(script, '--psnr=result.json').out.splitlines()[-1].strip('| ').split(' | ')[-1]

    return call


def test_an_unchanged_set_is_recognized_in_a_folder_of_any_name(verdict):
    assert verdict() == 'met'


def test_another_format_of_the_same_pixels_is_the_same_set(verdict, image_folder):
    for path in list(image_folder.iterdir()):
        Image.open(str(path)).convert('RGB').save(str(path.with_suffix('.bmp')))
        path.unlink()
    assert verdict() == 'met'


def test_names_of_files_do_not_matter(verdict, image_folder):
    for number, path in enumerate(sorted(image_folder.iterdir())):
        path.rename(path.with_name(f'img_{number:03}{path.suffix}'))
    assert verdict() == 'met'


def change(kind, folder):
    """Change a folder of the set's images so that it is no longer the set."""
    path = folder / 'coffee.png'
    image = Image.open(str(path)).convert('RGB')
    if kind == 'a part':
        path.unlink()
    elif kind == 'one more':
        image.transpose(Image.FLIP_LEFT_RIGHT).save(str(folder / 'mirrored.png'))
    elif kind == 'one twice':
        shutil.copy(str(path), str(folder / 'again.png'))
    elif kind == 'one twice and one missing':
        shutil.copy(str(path), str(folder / 'chelsea.png'))
    elif kind == 'one pixel':
        red, green, blue = image.getpixel((3, 5))
        image.putpixel((3, 5), (red, green, blue ^ 1))
        image.save(str(path))
    elif kind == 'turned':
        image.transpose(Image.ROTATE_90).save(str(path))
    else:
        image.save(str(folder / 'coffee.jpg'), quality=95)
        path.unlink()


@pytest.mark.parametrize(
    'kind', ['a part', 'one more', 'one twice', 'one twice and one missing', 'one pixel', 'turned', 'as JPEG']
)
def test_other_images_are_not_compared_with_the_sets_figures(verdict, image_folder, kind):
    assert verdict() == 'met'
    for path in os.listdir(DUMP):
        os.remove(os.path.join(DUMP, path))
    change(kind, image_folder)
    assert verdict() == 'other images'


def test_photographs_under_the_names_of_a_set_are_other_images(verdict, image_folder, tmp_path, monkeypatch):
    monkeypatch.undo()
    os.chdir(str(tmp_path))
    folder = tmp_path / 'set5'
    folder.mkdir()
    for path, name in zip(sorted(image_folder.iterdir()), known_sets.KNOWN['set5'].images):
        shutil.copy(str(path), str(folder / f'{name}{path.suffix}'))
    assert len(os.listdir(str(folder))) == 5 and verdict(folder) == 'other images'


def test_labels_of_another_size_are_another_protocol(verdict, image_folder):
    assert verdict(image_folder, '--height=57', '--width=57') == 'other protocol'


def edit_manifest(change):
    with open('prep_dataset/manifest.json') as file:
        content = json.load(file)
    change(content)
    with open('prep_dataset/manifest.json', 'w') as file:
        json.dump(content, file)


def test_images_are_unknown_if_the_manifest_does_not_list_them(verdict, image_folder):
    def make_old():
        edit_manifest(lambda content: content.pop('images'))
        edit_manifest(lambda content: content['flags'].update(dataset='set5'))

    assert verdict(image_folder, spoil=make_old) == 'images unknown'


def test_the_record_has_the_protocols_name(script, verdict):
    verdict()
    with open('result.run.json') as file:
        content = json.load(file)
    assert [content[key] for key in ('protocol', 'known_set', 'label_size')] == ['letterbox', 'set5', [228, 228]]
    assert prepare(script).status == 0
    assert 'origin unknown; centre crop' in judge(script, '--allow-mismatch').out
    with open('result.run.json') as file:
        assert json.load(file)['protocol'] == 'crop'


@pytest.mark.parametrize('wrong', [[], {'coffee': 3}, 'coffee', 7])
def test_images_of_another_form_in_a_manifest_are_refused(script, verdict, wrong):
    verdict()
    edit_manifest(lambda content: content.update(images=wrong))
    assert_refused(judge(script), 'manifest.json', 'prepare into a new folder')
