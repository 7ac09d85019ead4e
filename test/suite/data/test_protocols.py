"""A protocol is one entry of rdn/data/protocols.py, and every step supports a new entry."""

import hashlib
import json

from rdn.data import known_sets, protocols

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from helpers import LITE, accept, assert_refused, infer, judge, listing, prepare, reference
from tools import evaluate


@pytest.fixture
def div2k(monkeypatch, image_folder):
    """The evaluation of EDSR on DIV2K: whole images, PSNR of all colours, without scale + 6 pixels at each side."""
    added = protocols.WHOLE._replace(name='div2k', title='whole images as of DIV2K', extra_border=6, planes='rgb')
    monkeypatch.setitem(protocols.PROTOCOLS, 'div2k', added)
    published = protocols.Published('a paper', 20.0)
    monkeypatch.setitem(protocols.PUBLISHED, ('div2k validation', 2, 'rgb', 'div2k'), published)
    digests = {}
    for path in image_folder.iterdir():
        rgb = np.asarray(Image.open(str(path)).convert('RGB'))
        text = b'%d x %d\n' % (rgb.shape[1], rgb.shape[0])
        digests[path.stem] = hashlib.sha256(text + rgb.tobytes()).hexdigest()
    monkeypatch.setitem(known_sets.KNOWN, 'div2k validation', known_sets.KnownSet('DIV2K validation', digests))
    return added


def rgb_psnr(sr, hr, border):
    """Compute PSNR with scikit-image; sr, hr: (H, W, 3), 0...1."""
    a, b = (np.clip(x, 0, 1)[border:-border, border:-border] * 255 for x in (hr, sr))
    return peak_signal_noise_ratio(a, b, data_range=255)


def cut(path):
    """Return a photograph in RGB with even sides, and the same at half its size."""
    image = Image.open(str(path)).convert('RGB')
    image = image.crop((0, 0, image.width // 2 * 2, image.height // 2 * 2))
    return image, image.resize((image.width // 2, image.height // 2), Image.BICUBIC)


def test_a_new_protocol_goes_from_preparation_to_verdict(script, div2k, image_folder, tmp_path, narrow, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert prepare(script, '--fit=div2k').status == listing(script).status == infer(script, narrow[1]).status == 0
    expected = {}
    for path in image_folder.iterdir():
        hr, lr = cut(path)
        expected[path.stem] = rgb_psnr(reference(narrow, np.asarray(lr) / 255), np.asarray(hr) / 255, 8)
    ended = judge(script)
    assert ended.status == 0 and 'whole images as of DIV2K' in ended.out, ended.err
    found = {line.split()[0]: line.split() for line in ended.out.splitlines()}
    for stem, psnr in expected.items():
        assert float(found[stem][2]) == pytest.approx(psnr, abs=0.006)
    with open('result.run.json') as file:
        content = json.load(file)
    assert [content[key] for key in ('protocol', 'known_set', 'luma')] == ['div2k', 'div2k validation', 'rgb']
    ended = accept(script, '--psnr=result.json')
    assert ended.status == 0 and '| a paper 20 (DIV2K validation, whole images as of DIV2K) |' in ended.out
    assert_refused(judge(script, '--luma=bt601'), '--luma=bt601', 'rgb', 'leave the flag out')


@pytest.mark.slow
def test_a_new_protocol_is_measured_in_training_and_by_the_tool(
    script, div2k, image_folder, tmp_path, train, capsys, monkeypatch
):
    ended = train('--steps=1', f'--eval-path={image_folder}')
    assert ended.status == 0, ended.err
    titles = [line.split('  ')[1].strip() for line in ended.out.splitlines() if line.startswith('images  ')]
    assert titles == ['protocol', 'whole images', 'whole images as of DIV2K', 'centre crop']
    (tmp_path / 'one').mkdir()
    (image_folder / 'coffee.png').rename(tmp_path / 'one' / 'coffee.png')
    evaluate.main(['--weights', LITE, str(tmp_path / 'one')])
    hr, lr = cut(tmp_path / 'one' / 'coffee.png')
    bicubic = np.asarray(lr.resize(hr.size, Image.BICUBIC)) / 255
    row = next(line for line in capsys.readouterr().out.splitlines() if 'DIV2K' in line)
    assert float(row.split(' | ')[3]) == pytest.approx(rgb_psnr(bicubic, np.asarray(hr) / 255, 8), abs=0.006)
