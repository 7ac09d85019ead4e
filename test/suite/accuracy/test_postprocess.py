"""RDN_postprocess.py prints the correct figure for every tool's outputs, and none for wrong outputs."""

import json
import os
import shutil

from rdn.accuracy import result

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from helpers import assert_refused, judge, snapshot


def luma(picture, coefficients=(64.738, 129.057, 25.064), divisor=256):
    r, g, b = np.clip(picture, 0, 1).astype(np.float64)[:, 2:-2, 2:-2] * 255
    return 16 + (coefficients[0] * r + coefficients[1] * g + coefficients[2] * b) / divisor


def psnr_of(sr, hr, *args):
    return peak_signal_noise_ratio(luma(hr, *args), luma(sr, *args), data_range=255)


@pytest.fixture
def predictions(dataset, prepared):
    """Pictures that differ slightly from the labels, by stem, dumped in benchmark's form."""
    noise = np.random.RandomState(3)
    pictures = {
        stem: (hr + noise.normal(0, 0.004 * (i + 1), hr.shape)).astype(np.float32)
        for i, (stem, hr) in enumerate(prepared[1].items())
    }
    os.mkdir('pred')
    for stem, picture in pictures.items():
        np.savetxt(f'pred/{stem}_1.txt', picture.reshape(1, -1), '%.6g')
    return pictures


def test_psnr_equals_an_independent_computation(script, predictions, prepared):
    ended = judge(script, outputs='pred')
    assert ended.status == 0 and not ended.err, ended.err
    expected = {stem: psnr_of(sr, prepared[1][stem]) for stem, sr in predictions.items()}
    lines = {line.split()[0]: line.split() for line in ended.out.splitlines()}
    for stem, value in expected.items():
        small = Image.fromarray(np.rint(prepared[0][stem] * 255).astype(np.uint8).transpose(1, 2, 0))
        bicubic = np.asarray(small.resize((228, 228), Image.BICUBIC)).transpose(2, 0, 1) / 255
        assert abs(float(lines[stem][1]) - psnr_of(bicubic, prepared[1][stem])) < 0.0051
        assert abs(float(lines[stem][2]) - value) < 0.0051
    assert ended.out.splitlines()[-1] == f'Avg PSNR: {np.mean(list(expected.values())):.2f}'


def test_bt601_luma_by_flag(script, predictions, prepared):
    bt601 = ((65.481, 128.553, 24.966), 255)
    expected = np.mean([psnr_of(sr, prepared[1][stem], *bt601) for stem, sr in predictions.items()])
    assert judge(script, '--luma=bt601', outputs='pred').out.splitlines()[-1] == f'Avg PSNR: {expected:.2f}'


def test_result_json_has_the_form_of_the_guide(script, predictions, prepared):
    judge(script, outputs='pred')
    with open('result.json') as file:
        result = json.load(file)
    assert list(result) == ['title', 'value'] and result['title'] == 'Overall statistical evaluation'
    assert [pair['key'] for pair in result['value']] == [
        'Number of images',
        'Top1 PSNR',
        'Top2 PSNR',
        'Top3 PSNR',
        'Top4 PSNR',
        'Top5 PSNR',
        'Avg PSNR',
    ]
    assert all(list(pair) == ['key', 'value'] and isinstance(pair['value'], str) for pair in result['value'])
    values = [float(pair['value']) for pair in result['value']]
    exact = sorted((psnr_of(sr, prepared[1][stem]) for stem, sr in predictions.items()), reverse=True)
    assert values[0] == 5 and np.allclose(values[1:], exact + [np.mean(exact)], atol=0.0051)


def test_figures_are_written_with_the_guides_number_of_decimals():
    text = result.format_result([36.8, 43.16, 34.941, 37.5601, 38.9])
    assert [pair['value'] for pair in json.loads(text)['value']] == [
        '5',
        '43.16',
        '38.9',
        '37.56',
        '36.8',
        '34.94',
        '38.27',
    ]
    assert text.startswith('{\n    "title": "Overall statistical evaluation",\n    "value": [\n        {\n')


@pytest.mark.parametrize('ending', ['1.bin', '0.txt', '0.bin', '0.npy'])
def test_outputs_of_every_tool_give_the_same(script, predictions, ending):
    from_text = judge(script, outputs='pred').out
    shutil.rmtree('pred')
    os.mkdir('pred')
    for stem, picture in predictions.items():
        path = f'pred/{stem}_{ending}'
        if ending.endswith('bin'):
            picture.tofile(path)
        elif ending.endswith('npy'):
            np.save(path, picture[np.newaxis])
        else:
            np.savetxt(path, picture.reshape(-1, 76), '%.7f')
    with open('pred/sumary.json', 'w') as file:  # ais_bench writes a file with this spelling
        file.write('{}')
    assert judge(script, outputs='pred').out == from_text


def rename(old, new):
    os.rename(f'prep_dataset/label/{old}.npy', f'prep_dataset/label/{new}.npy')
    os.rename(f'pred/{old}_1.txt', f'pred/{new}_1.txt')


def test_stems_may_contain_underscores_dots_and_digits(script, predictions):
    before = judge(script, outputs='pred').out.splitlines()[-1]
    for old, new in (('coffee', 'a'), ('rocket', 'a_1'), ('chelsea', 'a_1_1.x'), ('astronaut', 'b.c_0')):
        rename(old, new)
    assert judge(script, outputs='pred').out.splitlines()[-1] == before


def test_ais_bench_cuts_a_name_at_its_first_dot(script, predictions):
    before = judge(script, outputs='pred').out.splitlines()[-1]
    os.rename('prep_dataset/label/coffee.npy', 'prep_dataset/label/my.coffee.npy')
    os.remove('pred/coffee_1.txt')
    predictions['coffee'].tofile('pred/my_0.bin')
    assert judge(script, outputs='pred').out.splitlines()[-1] == before
    rename('rocket', 'my.rocket')
    assert_refused(judge(script, outputs='pred'), 'my_0.bin', 'my.coffee', 'my.rocket')


def spoil(kind, predictions):
    """Make the outputs wrong; return the words that the message must contain."""
    path = 'pred/coffee_1.txt'
    picture = predictions['coffee'].copy()
    if kind == 'missing':
        os.remove(path)
        return ['coffee_1.txt']
    if kind == 'doubled':
        picture.tofile('pred/coffee_1.bin')
        return ['coffee_1.bin', 'coffee_1.txt']
    if kind == 'foreign':
        shutil.copy(path, 'pred/tea_1.txt')
        return ['tea_1.txt']
    if kind == 'word':
        with open(path, 'a') as file:
            file.write('spam')
    elif kind == 'empty':
        open(path, 'w').close()
    elif kind == 'not text':
        picture.tofile(path)
    elif kind in ('nan', 'inf'):
        picture[1, 5, 5] = float(kind)
        np.savetxt(path, picture.reshape(1, -1))
    elif kind == 'short':
        np.savetxt(path, picture.reshape(1, -1)[:, :-1])
    else:
        os.remove(path)
        path = 'pred/coffee_1.' + ('npy' if 'npy' in kind else 'bin')
        if kind == 'fp16 bin':
            picture.astype(np.float16).tofile(path)
        elif kind == 'long bin':
            np.append(picture.ravel(), np.float32(0)).tofile(path)
        elif kind == 'uint8 npy':
            np.save(path, np.zeros((3, 228, 228), np.uint8))
        elif kind == 'pickled npy':
            np.save(path, np.array([{}], dtype=object), allow_pickle=True)
        elif kind == 'cut npy':
            np.save(path, picture)
            with open(path, 'r+b') as file:
                file.truncate(5000)
    return [path]


@pytest.mark.parametrize(
    'kind',
    [
        'missing',
        'doubled',
        'foreign',
        'word',
        'empty',
        'not text',
        'nan',
        'inf',
        'short',
        'fp16 bin',
        'long bin',
        'uint8 npy',
        'pickled npy',
        'cut npy',
    ],
)
def test_wrong_output_is_named_and_the_earlier_result_stays(script, predictions, kind):
    judge(script, outputs='pred')
    before = snapshot('.')['result.json']
    words = spoil(kind, predictions)
    assert_refused(judge(script, '--save-images=images', outputs='pred'), *words)
    assert snapshot('.')['result.json'] == before


def test_labels_of_another_size_are_refused(script, predictions):
    assert_refused(judge(script, '--scale=3', outputs='pred'), 'astronaut.npy', '[1, 3, 228, 228]', '342')


@pytest.mark.parametrize('value', [2, float('nan')])
def test_labels_outside_their_range_are_refused(script, predictions, prepared, value):
    label = prepared[1]['coffee'].copy()
    label[0, 0, 0] = value
    np.save('prep_dataset/label/coffee.npy', label[np.newaxis])
    assert_refused(judge(script, outputs='pred'), 'coffee.npy')


@pytest.mark.parametrize('folder', ['pred', 'prep_dataset/label'])
def test_missing_folder_is_named(script, predictions, folder):
    shutil.rmtree(folder)
    assert_refused(judge(script, outputs='pred'), folder)
    os.makedirs(folder)
    assert judge(script, outputs='pred').status != 0


def test_min_psnr_decides_the_status(script, predictions):
    average = float(judge(script, outputs='pred').out.splitlines()[-1].split()[-1])
    assert judge(script, f'--min-psnr={average - 0.1:g}', outputs='pred').status == 0
    ended = judge(script, f'--min-psnr={average + 0.1:g}', outputs='pred')
    assert_refused(ended, 'accuracy not met')
    assert ended.out.splitlines()[-1] == f'Avg PSNR: {average:.2f}' and os.path.exists('result.json')
    assert_refused(judge(script, '--min-psnr=nan', outputs='pred'), '--min-psnr')


def test_pictures_and_sheets_show_what_was_measured(script, predictions, prepared):
    assert judge(script, '--save-images=out/images', outputs='pred').status == 0
    assert sorted(os.listdir('out/images')) == sorted(
        f'{stem}_{kind}.png' for stem in predictions for kind in ('x2', 'sheet')
    )
    for stem, picture in predictions.items():
        saved = np.asarray(Image.open(f'out/images/{stem}_x2.png'))
        exact = np.clip(picture, 0, 1).transpose(1, 2, 0) * 255
        assert np.abs(saved - exact).max() < 0.501  # rounded to 8 bits, from texts of 6 digits
        sheet = np.asarray(Image.open(f'out/images/{stem}_sheet.png').convert('RGB'))
        hr = np.rint(prepared[1][stem] * 255).astype(np.uint8).transpose(1, 2, 0)
        assert sheet.shape[1] > 3 * 228 and holds(sheet, saved[:40, :40]) and holds(sheet, hr[:40, :40])


def holds(sheet, patch):
    """Return whether the picture contains the patch."""
    rows, columns = np.nonzero((sheet == patch[0, 0]).all(2))
    return any(
        np.mean(sheet[y : y + 40, x : x + 40] == patch) > 0.9
        for y, x in zip(rows, columns)
        if sheet[y : y + 40, x : x + 40].shape == patch.shape
    )


def test_the_psnr_of_an_equal_picture_is_infinite(script, predictions, prepared):
    prepared[1]['coffee'].tofile('pred/coffee_1.bin')
    os.remove('pred/coffee_1.txt')
    assert judge(script, outputs='pred').status == 0
    with open('result.json') as file:
        assert json.load(file)['value'][1]['value'] == 'inf'
