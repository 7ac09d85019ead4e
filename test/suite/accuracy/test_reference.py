"""RDN_postprocess.py --reference compares a device with PyTorch; its figures equal an independent computation."""

import json
import os
import shutil

from rdn import files
from rdn.accuracy import agreement, pytorch_outputs
from rdn.data import manifest

import numpy as np
import pytest
import torch

from helpers import DIGEST, DUMP, INFER, accept, assert_refused, judge, listing, prepare, reference_unclipped, tiny_rdn


def rows(ended):
    """Return stem -> [model dB, PyTorch dB, change, largest difference, cosine]."""
    lines = ended.out.split('against PyTorch:')[0].splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith('against PyTorch'))
    return {line.split()[0]: [float(x) for x in line.split()[1:]] for line in lines[start + 1 :] if line}


def output(stem):
    return os.path.join(DUMP, f'{stem}_1.bin')


def test_fp32_agrees_with_pytorch_on_the_same_inputs(script, inferred, narrow):
    ended = judge(script, f'--reference={inferred[0]}')
    assert ended.status == 0, ended.err
    assert len(rows(ended)) == 5
    for stem, (device, pytorch, change, difference, cosine) in rows(ended).items():
        lr = np.fromfile(f'prep_dataset/data/{stem}.bin', np.float32).reshape(3, 114, 114).transpose(1, 2, 0)
        expected = reference_unclipped(narrow, lr).transpose(2, 0, 1)
        actual = np.fromfile(output(stem), np.float32).reshape(3, 228, 228)
        assert abs(change) <= 1e-4 and abs(device - pytorch) <= 1.1e-3
        assert difference == pytest.approx(np.abs(actual - expected).max(), rel=0.02, abs=1e-9)
        assert cosine == pytest.approx(1, abs=1e-6)
    with open('result.run.json') as file:
        assert abs(json.load(file)['verdict']['change']) < 1e-4


@pytest.mark.parametrize('flag', ['--max-loss=-0.1', '--max-loss=501', '--max-image-loss=-1', '--max-image-loss=nan'])
def test_a_limit_outside_the_range_of_the_record_is_refused(script, flag):
    assert_refused(script('RDN_postprocess', '--pred-path=a', '--label-path=b', flag), flag.split('=')[0])


def test_an_error_in_one_image_is_found_although_the_average_hardly_changes(script, inferred):
    picture = np.fromfile(output('coffee'), np.float32)
    noise = np.random.RandomState(0).normal(0, 0.02, picture.shape).astype(np.float32)
    (picture + noise).tofile(output('coffee'))
    ended = judge(script, f'--reference={inferred[0]}', '--max-loss=9')
    assert ended.status == agreement.NOT_KEPT and 'accuracy not kept' in ended.err and 'Avg PSNR' in ended.out
    device, pytorch, change, difference, cosine = rows(ended)['coffee']
    assert change == pytest.approx(device - pytorch, abs=2e-3) and change < -0.1
    assert difference == pytest.approx(np.abs(noise).max(), rel=0.01)
    a, b = (picture + noise).astype(float), picture.astype(float)
    expected = np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert cosine == pytest.approx(expected, abs=1e-6)
    assert judge(script, f'--reference={inferred[0]}', '--max-loss=9', '--max-image-loss=99').status == 0


def test_a_gain_is_a_difference_too(script, inferred):
    """A device that returns the labels computes something else than PyTorch, although its PSNR is higher."""
    label = np.load('prep_dataset/label/coffee.npy')[0]
    (0.9 * label + 0.1 * np.fromfile(output('coffee'), np.float32).reshape(label.shape)).tofile(output('coffee'))
    ended = judge(script, f'--reference={inferred[0]}')
    assert ended.status == agreement.NOT_KEPT and rows(ended)['coffee'][2] > 0.1


def test_pytorchs_outputs_are_computed_once_and_not_for_other_weights(script, inferred, tmp_path, monkeypatch):
    assert judge(script, f'--reference={inferred[0]}').status == 0
    folders = os.listdir('prep_dataset/reference')
    assert len(folders) == 1

    def fail(*_, **__):
        raise AssertionError('computed again')

    with monkeypatch.context() as patch:
        patch.setattr(torch, 'load', fail)
        assert judge(script, f'--reference={inferred[0]}').status == 0
    state = torch.load(inferred[0])
    state['output.bias'] += 0.05
    torch.save(state, 'other.pth')
    ended = judge(script, '--reference=other.pth')
    assert ended.status == agreement.NOT_KEPT and len(os.listdir('prep_dataset/reference')) == 2
    assert rows(ended)['coffee'][3] == pytest.approx(0.05, abs=1e-4)


def test_another_preparation_has_its_own_references(script, inferred, narrow):
    assert judge(script, f'--reference={inferred[0]}').status == 0
    assert prepare(script, '--fit=letterbox').status == 0
    assert script('RDN_infer', f'-om_path={narrow[1]}', *INFER).status == 0
    ended = judge(script, f'--reference={inferred[0]}')
    assert ended.status == 0 and all(abs(row[2]) <= 1e-4 for row in rows(ended).values())
    assert len(os.listdir('prep_dataset/reference')) == 2


def test_whole_images_are_compared_in_one_piece(script, inferred, narrow):
    assert prepare(script, '--tile').status == listing(script).status == 0
    assert script('RDN_infer', f'-om_path={narrow[1]}', *INFER).status == 0
    ended = judge(script, f'--reference={inferred[0]}')
    assert ended.status == 0 and len(rows(ended)) == 5, ended.err
    with open('result.run.json') as file:
        assert json.load(file)['protocol'] == 'whole'


def test_weights_and_sets_that_cannot_be_a_reference_are_named(script, inferred):
    assert_refused(judge(script, '--reference=gone.pth'), 'gone.pth')
    with open('text.pth', 'w') as file:
        file.write('text')
    assert_refused(judge(script, '--reference=text.pth'), 'text.pth')
    os.remove('prep_dataset/manifest.json')
    assert_refused(judge(script, f'--reference={inferred[0]}'), 'manifest.json')
    assert not os.path.exists('result.json') and not os.path.exists('prep_dataset/reference')


@pytest.mark.slow
def test_accept_measures_by_itself_from_inputs_outputs_and_weights(script, inferred):
    flags = [
        '--psnr=result.json',
        f'--reference={inferred[0]}',
        f'--pred-path={DUMP}',
        '--label-path=prep_dataset/label',
    ]
    ended = accept(script, *flags)
    assert ended.status == 0, ended.err
    assert '| met |' in ended.out and '| other images |' in ended.out
    zeros = np.zeros((3, 228, 228), np.float32)
    picture = np.fromfile(output('coffee'), np.float32).reshape(zeros.shape)
    (picture * 0.9).tofile(output('coffee'))
    ended = accept(script, *flags)
    assert ended.status == 1 and '| not met |' in ended.out
    zeros.tofile(output('coffee'))
    assert_refused(accept(script, *flags), 'coffee_1.bin', 'computed nothing')


@pytest.fixture
def kept(tmp_path):
    """kept(): PyTorch's kept output for a prepared set with one input; `.path` is its file, `.record` its record."""
    torch.manual_seed(0)
    weights = tmp_path / 'tiny.pth'
    torch.save(tiny_rdn().state_dict(), str(weights))
    lr = np.random.RandomState(0).rand(3, 8, 8).astype(np.float32)
    folder = tmp_path / 'prep'
    (folder / 'label').mkdir(parents=True)
    (folder / 'data').mkdir()
    lr.tofile(str(folder / 'data' / 'a.bin'))
    flags = {'width': 8, 'height': 8, 'scale': 2}
    manifest.write_next(str(folder), flags, {'data/a.bin': files.digest(str(folder / 'data' / 'a.bin'))}, {})
    manifest.commit(str(folder))
    job = pytorch_outputs.ReferenceRun(str(weights), str(folder / 'label'), ['a'], 8, 8)

    def call():
        return pytorch_outputs.find(job)('a')

    call()
    path = next((folder / 'reference').glob('*/a.npy'))
    vars(call).update(path=path, record=path.with_name('reference.json'))
    return call


@pytest.mark.parametrize('change', ['values', 'shape', 'cut'])
def test_a_kept_output_that_changed_is_refused(kept, change):
    picture = np.load(str(kept.path))
    if change == 'cut':
        kept.path.write_bytes(kept.path.read_bytes()[:-4])
    else:
        np.save(str(kept.path), picture * np.float32(1.002) if change == 'values' else picture[:, 1:])
    with pytest.raises(ValueError, match='a.npy: changed since PyTorch computed it: remove '):
        kept()
    shutil.rmtree(str(kept.path.parent))
    assert np.array_equal(kept(), picture)


def test_a_missing_kept_output_is_named_with_the_remedy(kept):
    kept.path.unlink()
    with pytest.raises(ValueError, match='a.npy: is missing: remove '):
        kept()


def test_outputs_that_older_versions_kept_are_computed_again(kept):
    picture = np.load(str(kept.path))
    kept.record.unlink()
    np.save(str(kept.path), picture * np.float32(1.002))
    assert np.array_equal(kept(), picture) and kept.record.exists()


@pytest.mark.parametrize(
    'change, said',
    [
        ({'weights': DIGEST}, 'computed with other weights'),
        ({'manifest': DIGEST}, 'computed with another manifest'),
        ({'weights': 3}, 'weights is 3'),
        ({'sha256': {'a.npy': 1}}, 'sha256 is'),
        ({'sha256': []}, 'sha256 is'),
        ({'more': 1}, "unknown field 'more'"),
    ],
)
def test_the_record_of_other_or_unknown_outputs_is_refused(kept, change, said):
    content = json.loads(kept.record.read_text())
    content.update(change)
    kept.record.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'reference.json: .*{said}'):
        kept()


def test_weights_whose_output_is_not_a_picture_are_refused_as_reference(kept, tmp_path):
    state = torch.load(str(tmp_path / 'tiny.pth'))
    state['output.bias'] += 1000
    torch.save(state, str(tmp_path / 'tiny.pth'))
    with pytest.raises(ValueError, match='tiny.pth: the output of this model has values from'):
        kept()
