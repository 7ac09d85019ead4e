"""RDN_infer.py: figures count the batches that ran, records describe this run's files, invalid outputs end the run."""

import fcntl
import os
import shutil

from rdn import files, run_record
from rdn.devices import logs
from rdn.engines import onnx_runtime

import numpy as np
import pytest

from helpers import DUMP, assert_refused

PERF = 'result/perf_vision_batchsize_{}_device_0.txt'
STEMS = 'a', 'b', 'c'


@pytest.fixture
def runs(script, narrow, tmp_path, monkeypatch):
    """runs(flags…): runs RDN_infer.py on three small inputs, with a model that repeats pixels.

    `.sizes` lists the sizes of the model's batches. `.change` is applied to each output.
    """
    monkeypatch.chdir(tmp_path)
    os.mkdir('data')
    lines = []
    for index, stem in enumerate(STEMS):
        np.random.RandomState(index).rand(3, 114, 114).astype(np.float32).tofile(f'data/{stem}.bin')
        lines.append(f'{index} data/{stem}.bin 114 114\n')
    (tmp_path / 'three.info').write_text(''.join(lines))

    sizes: list = []

    def run(self, batch):
        sizes.append(len(batch))
        return [vars(call)['change'](batch.repeat(2, 2).repeat(2, 3))]

    def call(*flags, info='three.info'):
        del sizes[:]
        usual = [f'-om_path={narrow[1]}', '-output_binary=True'] + ([f'-input_text_path={info}'] if info else [])
        return script('RDN_infer', *usual, *flags)

    vars(call).update(sizes=sizes, change=lambda output: output)
    monkeypatch.setattr(onnx_runtime.OnnxRuntime, '_run_all', run)
    monkeypatch.setattr(onnx_runtime.OnnxRuntime, '_run', lambda self, batch: run(self, batch)[0])
    return call


@pytest.mark.parametrize('size, sizes', [(1, [1, 1, 1]), (2, [2, 2]), (3, [3]), (64, [64])])
def test_every_batch_has_the_reported_size(runs, script, size, sizes):
    ended = runs(f'-batch_size={size}')
    assert ended.status == 0, ended.err
    assert runs.sizes == sizes
    assert sorted(os.listdir(DUMP)) == [f'{stem}_1.bin' for stem in STEMS]
    for index, stem in enumerate(STEMS):
        lr = np.random.RandomState(index).rand(3, 114, 114).astype(np.float32)
        assert np.array_equal(np.fromfile(f'{DUMP}/{stem}_1.bin', np.float32), lr.repeat(2, 1).repeat(2, 2).ravel())
    with open(PERF.format(size)) as file:
        infer = next(line for line in file if line.startswith('[infer]')).replace(',', '').split()
    plain, interface = float(infer[2]), float(infer[5])
    assert interface / plain == pytest.approx(sum(sizes) / 3, rel=1e-3)  # the padding of the batch is computed, too
    assert script('parse', PERF.format(size)).out == f'host bs{size} fps:{interface:.3f}\n'


def test_the_result_folder_is_locked_from_the_outputs_to_their_record(runs, monkeypatch):
    free, write = [], run_record.write

    def watch(target, *rest):
        descriptor = os.open('result', os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.append(target)
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
        write(target, *rest)

    monkeypatch.setattr(run_record, 'write', watch)
    assert runs().status == 0 and runs('-round=1', info=None).status == 0
    assert free == []


def test_outputs_that_another_run_wrote_have_no_record_of_this_run(runs, monkeypatch):
    """A tool without a lock replaces the outputs between this run's rename and its record."""
    write = run_record.write

    def replace(target, *rest):
        if target == DUMP:
            os.rename(DUMP, 'of this run')
            shutil.copytree('of this run', DUMP)
            np.zeros((3, 228, 228), np.float32).tofile(f'{DUMP}/a_1.bin')
        write(target, *rest)

    monkeypatch.setattr(run_record, 'write', replace)
    assert runs().status == 0
    assert os.path.exists(f'{DUMP}.run.json') and run_record.read(DUMP) is None
    shutil.rmtree(DUMP)
    os.rename('of this run', DUMP)
    assert run_record.read(DUMP)


def test_outputs_that_another_run_wrote_meanwhile_are_replaced_whole(runs):
    """They did not exist when this run began."""

    def write_another(output):
        os.makedirs(DUMP, exist_ok=True)
        for name in ('a_1.bin', 'other_1.bin', 'notes.text'):
            with open(f'{DUMP}/{name}', 'w') as file:
                file.write('of another run')
        return output

    runs.change = write_another
    assert runs().status == 0
    assert sorted(os.listdir(DUMP)) == ['a_1.bin', 'b_1.bin', 'c_1.bin', 'notes.text']
    assert os.path.getsize(f'{DUMP}/a_1.bin') == 4 * 3 * 228 * 228
    assert run_record.read(DUMP)


def test_the_record_names_the_model_that_ran_even_if_its_file_changed(runs, narrow):
    shutil.copy(narrow[1], 'own.onnx')
    digest = files.digest('own.onnx')

    def change_file(output):
        shutil.copy(narrow[0], 'own.onnx')
        return output

    runs.change = change_file
    assert runs('-om_path=own.onnx').status == 0
    record = run_record.read(DUMP)
    assert record and record.model == digest


@pytest.mark.parametrize('size', [1, 4])
def test_a_performance_file_without_its_record_is_not_attributed_to_a_card(runs, script, size):
    assert runs(f'-batch_size={size}').status == 0 and runs(f'-batch_size={size}', '-round=1', info=None).status == 0
    for name in (PERF.format(size), 'result/PureInfer_perf_of_narrow_in_device_0.txt'):
        shutil.copy(name, 'copied.txt')
        ended = script('parse', 'copied.txt')
        assert ended.out.startswith(f'host bs{size} fps:') and 'RDN_infer.py, no record' in ended.out
        rate = logs.read(name, logs.parse_speed).rate
        assert ended.out.split('fps:')[1].split()[0] == f'{rate:.3f}'  # not multiplied by four
        assert_refused(script('parse', 'copied.txt', '--device=310P3'), 'copied.txt', 'host')
        with open('copied.txt') as file:
            text = file.read()
        mark = text.index('\n') + 1
        for end in range(mark):
            with pytest.raises(ValueError):
                logs.parse_speed(text[:end], '')


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda output: output * np.float32('nan'), 'nan or infinity'),
        (lambda output: output / np.float32(0), 'nan or infinity'),
        (lambda output: output * 255, 'values from'),
        (lambda output: output - 9, 'values from'),
    ],
)
def test_outputs_that_cannot_be_pictures_are_kept_and_end_the_run(runs, change, said):
    runs.change = change
    with np.errstate(all='ignore'):
        assert_refused(runs(), 'narrow.onnx', '3 of 3 outputs', f'{DUMP}/a_1.bin', said)
        assert len(os.listdir(DUMP)) == 3
        assert_refused(runs('-round=1', info=None), 'narrow.onnx', said)
    assert not os.path.exists('result/PureInfer_perf_of_narrow_in_device_0.txt')


def test_a_run_whose_precision_changed_keeps_the_earlier_outputs(runs, monkeypatch):
    assert runs().status == 0
    before = files.digest(f'{DUMP}/a_1.bin')
    run = onnx_runtime.OnnxRuntime._run_all

    def change(self, batch):
        self.precision = 'bf16'
        return run(self, 1 - batch)

    monkeypatch.setattr(onnx_runtime.OnnxRuntime, '_run_all', change)
    assert_refused(runs(), 'overflowed in fp32, so later outputs are in bf16: run it again with -precision=bf16')
    assert files.digest(f'{DUMP}/a_1.bin') == before and run_record.read(DUMP)
