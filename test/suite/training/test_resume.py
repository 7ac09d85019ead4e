"""RDN_train.py: runs that are stopped, killed and resumed, and the time that a run takes."""

import collections
import os
import resource
import signal
import subprocess
import sys
import time

from rdn import files
from rdn.network import checkpoint
from rdn.training import graph, patches, steps, trainer, validation

import pytest
import torch

import models
from helpers import ROOT, TINY, assert_refused, assert_same, run_python, snapshot, weights

# Sends itself a signal. It runs in a process of its own, because signal handlers apply to a whole process.
STOPPED = """
import os, signal, RDN_train
import rdn.cli as cli, rdn.cpu as cpu, rdn.training.trainer as trainer
cpu.has_bf16 = lambda: False
learn = trainer.Trainer.learn
def interrupted(run):
    if run.step == 2:
        os.kill(os.getpid(), signal.{name})
    return learn(run)
trainer.Trainer.learn = interrupted
cli.run(RDN_train.main)
"""


@pytest.mark.slow
@pytest.mark.parametrize('name, status', [('SIGTERM', 143), ('SIGINT', 130), ('SIGHUP', 129)])
def test_a_run_that_was_stopped_and_resumed_equals_one_that_was_not(train, tmp_path, image_folder, name, status):
    assert train('--steps=6', output='whole.pth').status == 0
    flags = ['--train-path', image_folder, f'--output-file={tmp_path / "out.pth"}', *TINY, '--steps=6']
    ended = run_python('-c', STOPPED.format(name=name), *flags, cwd=ROOT)
    assert ended.returncode == status and '--resume' in ended.stderr and not (tmp_path / 'out.pth').exists()
    ended = train('--steps=6', '--resume')
    assert ended.status == 0 and 'resumed at step 3' in ended.out
    assert_same(weights(tmp_path / 'whole.pth'), weights(tmp_path / 'out.pth'))
    if sys.version_info >= (3, 8):  # torch 1.5 writes memory addresses into the file
        assert (tmp_path / 'whole.pth').read_bytes() == (tmp_path / 'out.pth').read_bytes()


def test_existing_weights_are_replaced_only_on_request(train, tmp_path):
    (tmp_path / 'out.pth').write_text('precious')
    assert_refused(train('--steps=1'), 'out.pth', '--overwrite')
    assert_refused(train('--steps=1', '--resume'), 'out.pth', '--overwrite')  # there is no checkpoint to continue
    assert (tmp_path / 'out.pth').read_text() == 'precious'
    assert train('--steps=1', '--overwrite').status == 0
    assert 'sfe1.weight' in weights(tmp_path / 'out.pth')


def test_the_minutes_of_a_run_include_measuring(train, image_folder, monkeypatch):
    """If measuring takes long, it is done only at the end, and the announced time includes it."""

    def slow_score(*_, **__):
        time.sleep(0.3)
        return validation.Quality(30.0, 30.0, 0.9, 0.9)

    monkeypatch.setattr(validation, 'evaluate', slow_score)
    monkeypatch.setattr(validation.Evaluation, 'estimate_seconds', lambda *_: 0.6)
    started = time.monotonic()
    ended = train('--minutes=0.05', '--eval-path', image_folder)
    assert ended.status == 0 and 3 <= time.monotonic() - started
    assert 'with measuring, 0:03 minutes' in ended.out
    assert int(ended.out.split()[-2]) > 1  # steps
    assert not [line for line in ended.out.splitlines() if ' min ' in line]


@pytest.mark.slow
def test_a_run_says_so_if_measuring_takes_most_of_its_time(train, image_folder, monkeypatch):
    monkeypatch.setattr(validation.Evaluation, 'estimate_seconds', lambda *_: 63.0)
    ended = train('--minutes=0.05', '--eval-path', image_folder)
    assert ended.status == 0 and 'with measuring, 1:04 minutes' in ended.out or 'with measuring, 1:05' in ended.out
    assert 'measuring takes more than half of --minutes' in ended.out


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(torch, 'compile'), reason='this torch cannot record CUDA graphs')
def test_a_run_continues_from_one_device_to_another(tmp_path, photos):
    """From GraphSteps to PlainSteps and back: weights, averages, Adam's moments and the loss are kept."""
    pairs = [patches.load_pair(photos[0], 2, 16)]
    settings = dict(learning_rate=1e-3, seed=0, minutes=None, steps=100, batch_size=2)
    device, path = torch.device('cpu'), str(tmp_path / 'checkpoint')

    def begun(way):
        torch.manual_seed(1)
        model = models.RDN(2, 3, 8, 4, 2, 2)
        if way == 'graph':
            source = patches.DevicePatches(pairs, 2, 16, device)
            return trainer.Trainer(graph.GraphSteps(model, source, 2, fp16=True, compiled=False), settings)
        return trainer.Trainer(
            steps.PlainSteps(model, patches.HostPatches(pairs, 2, 16), 2, 0, device, False), settings
        )

    run = begun('graph')
    for way in ('plain', 'graph', 'plain'):
        for _ in range(2):
            run.learn()
        run.save(path)
        other = begun(way)
        other.load(path)
        assert other.step == run.step and float(other.steps.loss) == float(run.steps.loss)
        for ours, theirs in zip(run.steps.keep()[:2], other.steps.keep()[:2]):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs))
        for ours, theirs in zip(run.steps.keep().adam, other.steps.keep().adam):
            assert set(ours) == set(theirs) and all(float((ours[key] - theirs[key]).abs().max()) == 0 for key in ours)
        run = other
    assert run.step == 42  # GraphSteps does ten steps in one call


@pytest.mark.slow
def test_a_killed_run_leaves_a_checkpoint_for_the_same_schedule(tmp_path, image_folder, train):
    output = tmp_path / 'out.pth'
    flags = ['--train-path', str(image_folder), f'--output-file={output}', '--minutes=60'] + TINY
    code = 'import sys, RDN_train; from rdn import cli; RDN_train.CHECKPOINT_SECONDS = 0; cli.run(RDN_train.main)'
    process = subprocess.Popen([sys.executable, '-c', code] + flags, cwd=ROOT, stdout=subprocess.DEVNULL)
    kept, deadline = tmp_path / 'out.pth.checkpoint', time.time() + 60
    while not kept.exists() and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = checkpoint.load_plain(str(kept))
    assert state['step'] > 0 and 0 < state['seconds'] < 60
    assert_refused(train('--steps=1', '--resume'), 'minutes')  # the schedule would be another one
    assert kept.exists()


@pytest.mark.parametrize('flags', [[], ['--resume'], ['--overwrite']])
def test_a_second_run_with_the_same_output_is_refused_and_changes_nothing(train, tmp_path, flags):
    (tmp_path / 'out.pth.checkpoint').write_bytes(b'of the first run')
    with files.reserved(str(tmp_path / 'out.pth'), 'the first run'):
        before = snapshot(tmp_path)
        assert_refused(train('--steps=1', *flags), 'out.pth', 'another run of RDN_train.py', '--output-file')
        assert snapshot(tmp_path) == before


@pytest.mark.slow
def test_a_run_that_measured_until_its_time_was_over_needs_no_checkpoint(train, tmp_path, image_folder, monkeypatch):
    """The clock, not a step, ends such a run, before its first checkpoint."""
    quality = validation.Quality(30.0, 30.0, 0.9, 0.9)

    def measure(evaluation, *_):
        time.sleep(0.2)
        return dict.fromkeys(evaluation.folders, quality)

    monkeypatch.setattr(validation.Evaluation, 'measure', measure)
    monkeypatch.setattr(validation.Evaluation, 'estimate_seconds', lambda *_: 0.0)
    ended = train('--minutes=0.003', '--report-minutes=0.00001', '--eval-path', image_folder)
    assert ended.status == 0 and 'written to' in ended.out
    assert sorted(os.listdir(str(tmp_path))) == ['images', 'out.pth']


@pytest.mark.slow
def test_a_run_takes_as_many_minutes_as_it_was_given(train, tmp_path):
    start = time.time()
    ended = train('--minutes=0.05', '--report-minutes=0.01')
    assert ended.status == 0 and 3 <= time.time() - start < 30
    assert len([line for line in ended.out.splitlines() if ' min ' in line]) > 1
    assert (tmp_path / 'out.pth').exists()


def test_a_checkpoint_is_neither_overwritten_nor_mixed(train, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer.Trainer, 'write_weights', lambda *_: (_ for _ in ()).throw(OSError(28, 'full')))
    assert_refused(train('--steps=2'), 'full')
    path = tmp_path / 'out.pth.checkpoint'
    kept = path.read_bytes()
    assert_refused(train('--steps=2'), path, '--resume')
    assert_refused(train('--steps=2', '--resume', '--num-blocks=3'), path, 'num_blocks = 2, but this run has 3')
    assert_refused(train('--steps=2', '--resume', '--seed=1'), path, 'seed')
    assert path.read_bytes() == kept
    monkeypatch.undo()
    assert train('--steps=2', '--resume').status == 0
    assert not path.exists()


@pytest.mark.slow
def test_a_full_disk_at_a_checkpoint_is_one_line_and_leaves_the_old_one(train, tmp_path, monkeypatch):
    """torch closes its archive after a failed write, which raises an error of its own."""
    monkeypatch.setattr(trainer.Trainer, 'write_weights', lambda *_: (_ for _ in ()).throw(OSError(28, 'full')))
    assert_refused(train('--steps=2'), 'full')
    before = snapshot(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (0, 1000, 20000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
            assert_refused(train('--steps=3', '--output-file=' + str(tmp_path / 'other.pth')), 'other.pth', 'too large')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    assert snapshot(tmp_path) == before


def test_a_broken_checkpoint_is_named_and_kept(train, tmp_path):
    checkpoint = tmp_path / 'out.pth.checkpoint'
    for content in (b'no checkpoint', b''):
        checkpoint.write_bytes(content)
        assert_refused(train('--steps=2', '--resume'), checkpoint)
        assert checkpoint.read_bytes() == content
    torch.save(collections.OrderedDict(step=1), str(checkpoint))
    assert_refused(train('--steps=2', '--resume'), checkpoint, 'not a checkpoint of this RDN_train.py')
