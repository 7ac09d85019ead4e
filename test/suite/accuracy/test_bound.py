"""A verdict is valid only for the outputs that were judged, even if other outputs have the same figures."""

import json
import os
import shutil

from rdn import files, run_record
from rdn.accuracy import assessment, result
from rdn.devices import outputs as device_outputs

import numpy as np
import pytest

from helpers import DIGEST, DUMP, accept, assert_refused, judge


@pytest.fixture(scope='module')
def once(tmp_path_factory, prepared):
    """A folder after step 6 with one image, whose output is nearly its label."""
    folder = tmp_path_factory.mktemp('once')
    label = prepared[1]['coffee']
    noise = np.random.RandomState(0).normal(0, 0.01, label.shape)
    for place in ('prep_dataset/label', DUMP):
        (folder / place).mkdir(parents=True)
    np.save(str(folder / 'prep_dataset/label/coffee.npy'), label[np.newaxis])
    (label + noise).astype(np.float32).tofile(str(folder / DUMP / 'coffee_1.bin'))
    outputs = assessment.Outputs(str(folder / DUMP), device_outputs.find_outputs, device_outputs.read_outputs)
    found = assessment.assess(outputs, str(folder / 'prep_dataset/label'), assessment.Criteria())
    found.write(str(folder / 'result.json'))
    return folder


@pytest.fixture
def compared(once, tmp_path, monkeypatch):
    """A copy of that folder as the current one, with a verdict added to the record; returns the record's content."""
    shutil.copytree(str(once), str(tmp_path / 'work'))
    monkeypatch.chdir(tmp_path / 'work')
    with open('result.run.json') as file:
        content = json.load(file)
    content['verdict'] = {'change': 0.0, 'image_change': 0.0, 'max_loss': 0.05, 'max_image_loss': 0.1}
    write_record(content)
    return content


def write_record(content):
    with open('result.run.json', 'w') as file:
        json.dump(content, file)


def verdict(script):
    return accept(script, '--psnr=result.json')


def move_a_little():
    """Change an output so little that PSNR stays equal to two decimals, as rounding the weights to fp16 does."""
    path = f'{DUMP}/coffee_1.bin'
    np.multiply(np.fromfile(path, np.float32), np.float32(1 + 1e-6)).tofile(path)


def test_the_verdict_on_these_outputs_counts(script, compared):
    ended = verdict(script)
    assert ended.status == 0 and '| met |' in ended.out and 'not on this machine' not in ended.out


def test_a_result_with_equal_figures_from_other_outputs_does_not_keep_the_verdict(script, compared):
    with open('result.json') as file:
        before = file.read()
    move_a_little()
    assert_refused(verdict(script), 'result.run.json', DUMP, 'run RDN_postprocess.py again')
    assert judge(script).status == 0
    with open('result.json') as file:
        assert file.read() == before  # the figures have only two decimals
    assert '| met |' not in verdict(script).out


def test_a_kill_between_the_result_and_its_record_leaves_no_verdict(script, compared, monkeypatch):
    move_a_little()
    write = files.write_text

    def write_until_killed(path, text):
        if path.endswith('.run.json'):
            raise KeyboardInterrupt
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, 'write_text', write_until_killed)
        assert judge(script).status == 130
    assert os.path.exists('result.json') and not os.path.exists('result.run.json')
    assert '| met |' not in verdict(script).out


def test_two_results_written_at_once_leave_no_record_of_the_other(tmp_path, monkeypatch):
    """A second run writes both files after the first has written result.json, but not yet its record."""
    path, write = str(tmp_path / 'result.json'), files.write_text
    names = 'crop', 'set5', 'rdn-pytorch', 2, (228, 228), 1, None, None, str(tmp_path / 'gone')

    def write_second(target, text):
        if target.endswith('.run.json'):
            monkeypatch.setattr(files, 'write_text', write)
            result.write(path, [27.39], result.Origin(*names, DIGEST))
        write(target, text)

    monkeypatch.setattr(files, 'write_text', write_second)
    result.write(path, [38.27], result.Origin(*names, DIGEST))
    assert result.read_average(path) == 27.39 and result.read_origin(path) is None


def test_results_moved_with_their_outputs_keep_the_verdict(script, compared, monkeypatch):
    os.mkdir('moved')
    for name in ('result', 'result.json', 'result.run.json'):
        shutil.move(name, f'moved/{name}')
    monkeypatch.chdir('moved')
    assert verdict(script).status == 0
    move_a_little()
    assert_refused(verdict(script), 'result.run.json')


def test_the_verdict_says_so_if_the_judged_outputs_are_missing(script, compared):
    shutil.rmtree('result')
    ended = verdict(script)
    assert ended.status == 0 and 'its outputs are not on this machine' in ended.out


def test_a_record_without_a_checksum_of_the_judged_outputs_is_refused(script, compared):
    del compared['outputs_digest'], compared['outputs_folder']
    write_record(compared)
    assert_refused(verdict(script), 'result.run.json', 'older version')


def test_outputs_that_change_while_they_are_judged_are_refused(script, compared, monkeypatch):
    digests = iter([DIGEST, 'another'])
    monkeypatch.setattr(run_record, 'digest_of', lambda target: next(digests))
    assert_refused(judge(script), DUMP, 'changed while')


def test_the_record_of_a_folder_covers_the_folders_of_its_devices(tmp_path):
    folder = tmp_path / 'run'
    (folder / 'device0_0').mkdir(parents=True)
    (folder / 'device0_0' / 'a_0.bin').write_bytes(b'1')
    run_record.write(str(folder), run_record.Record('ais_bench', None, None, None, '310P3', 1, DIGEST, None))
    assert run_record.read(str(folder))
    (folder / 'device0_0' / 'a_0.bin').write_bytes(b'2')
    assert run_record.read(str(folder)) is None


def test_pytorchs_average_has_as_many_decimals_as_the_result(script, compared):
    compared['verdict'].update(change=-0.0213, image_change=-0.03)
    write_record(compared)
    average = result.read_average('result.json')
    assert f'PyTorch {result.two_decimals(average + 0.0213)} (limits 0.05, 0.1)' in verdict(script).out
