"""pictures/pipeline.py: reading, upscaling and writing overlap, but the results and their order do not change."""

import errno
import os
import signal
import threading
import time

from pictures import passes, pipeline, processing, upscaler
from pictures.formats import reader, stderr_capture, writer
from pictures.metadata import metadata
from rdn import cpu, engines

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from helpers import assert_refused, opened, snapshot
from tools import bench_files


class Doubling(engines.Engine):
    """A model that repeats each pixel."""

    name, version, precision, streams = 'doubling', None, 'fp32', 1

    def __init__(self):
        self._set_input('doubling', [None, 3, None, None], ['output'])

    def _run(self, batch):
        return batch.repeat(2, 2).repeat(2, 3)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return run(count), which upscales `count` 20 x 10 pictures on two cores and returns (job, outcome) of each."""
    monkeypatch.setattr(cpu, 'available_cores', lambda: 2)
    (tmp_path / 'out').mkdir()

    def call(count, size=(20, 10), megapixels=None, advance=lambda *_: None):
        jobs = []
        for number in range(count):
            source = tmp_path / f'{number}.png'
            Image.new('RGB', size, (number, 0, 0)).save(str(source))
            jobs.append(processing.PictureJob(str(source), source.name, str(tmp_path / 'out' / source.name)))
        finished = []
        recipe = pipeline.Recipe(Doubling(), 2, processing.Options())
        pipeline.Pipeline(recipe, advance, lambda *pair: finished.append(pair)).run(
            jobs, lambda job: processing.megapixels(job.source) if megapixels is None else megapixels
        )
        return finished

    vars(call).update(target=tmp_path / 'out')
    return call


def slow(function, seconds, monkeypatch, module, name):
    """Make a function of a module slower by `seconds`, a number or a function of the arguments."""

    def slower(*arguments):
        time.sleep(seconds(*arguments) if callable(seconds) else seconds)
        return function(*arguments)

    monkeypatch.setattr(module, name, slower)


def test_outcomes_come_in_the_order_of_the_jobs_even_if_the_first_is_written_last(run, monkeypatch):
    slow(processing.save, lambda job, *_: 0.2 * job.source.endswith('0.png'), monkeypatch, processing, 'save')
    finished = run(4)
    assert [job.place for job, _ in finished] == ['0.png', '1.png', '2.png', '3.png']
    assert [outcome.line for _, outcome in finished] == [job.target for job, _ in finished]
    for number, (job, _) in enumerate(finished):
        assert (np.asarray(opened(job.target)) == (number, 0, 0)).all() and opened(job.target).size == (40, 20)


def test_one_picture_is_read_and_one_written_while_a_third_is_upscaled(run, monkeypatch):
    """Each of the three steps waits for the other two. If they ran one after another, the barrier would break."""
    all_three = threading.Barrier(3, timeout=20)
    read, upscale, save = reader.read_picture, processing.upscale_picture, processing.save

    def meeting(function, number):
        def call(first, *arguments):
            if str(getattr(first, 'source', first)).endswith(f'{number}.png'):
                all_three.wait()
            return function(first, *arguments)

        return call

    monkeypatch.setattr(reader, 'read_picture', meeting(read, 2))
    monkeypatch.setattr(processing, 'upscale_picture', meeting(upscale, 1))
    monkeypatch.setattr(processing, 'save', meeting(save, 0))
    assert [outcome.error for _, outcome in run(3)] == [None] * 3


@pytest.mark.parametrize('megapixels, most', [(0.1, 2 + pipeline.AHEAD), (0, 4), (20, 2), (100, 1)])
def test_a_slow_writer_limits_the_pictures_and_megapixels_in_memory(run, monkeypatch, megapixels, most):
    """0 megapixels mean that the header does not contain the size."""
    underway, counts, lock = set(), [], threading.Lock()
    pixels = np.broadcast_to(np.uint8(0), (1000, int(1000 * (megapixels or 1)), 3))

    def read(path):
        with lock:
            underway.add(path)
            counts.append(len(underway))
        return reader.Picture(pixels, metadata.Metadata(), False, [])

    def save(job, *_):
        time.sleep(0.02)
        with lock:
            underway.remove(job.source)
        return []

    monkeypatch.setattr(reader, 'read_picture', read)
    monkeypatch.setattr(processing, 'upscale_picture', lambda *_: None)
    monkeypatch.setattr(processing, 'save', save)
    finished = run(12, megapixels=megapixels)
    assert [outcome.error for _, outcome in finished] == [None] * 12
    assert len(counts) == 12 and max(counts) <= most and not underway


@pytest.mark.parametrize('module, name', [
    (reader, 'read_picture'),
    (processing, 'upscale_picture'),
    (processing, 'save'),
])  # fmt: skip
@pytest.mark.parametrize('error', [ValueError('broken'), OSError(errno.EIO, 'broken'), MemoryError()])
def test_a_failure_in_any_step_affects_only_its_picture(run, monkeypatch, module, name, error):
    function = getattr(module, name)

    def fails(first, *arguments):
        if str(getattr(first, 'source', first)).endswith('1.png'):
            raise error
        return function(first, *arguments)

    monkeypatch.setattr(module, name, fails)
    finished = run(4)
    assert [outcome.error for _, outcome in finished] == [None, error, None, None]
    assert sorted(os.listdir(str(run.target))) == ['0.png', '2.png', '3.png']


def test_a_full_disk_ends_the_run_during_the_next_picture(tmp_path, upscale, photo, monkeypatch):
    """The disk is full when the first picture is written; the second, upscaled meanwhile, does not count as failed."""
    for name in 'abcdefgh':
        photo.save(str(upscale.source / f'{name}.png'))
    full, second = threading.Event(), threading.Event()
    begun = []
    through = passes.upscale

    def save(*_):
        assert second.wait(20)
        full.set()
        raise OSError(errno.ENOSPC, 'No space left on device')

    def parts(*arguments):
        begun.append(len(begun))
        for pair in through(*arguments):
            if len(begun) > 1:
                second.set()
                assert full.wait(20)
                time.sleep(0.05)
            yield pair

    monkeypatch.setattr(writer.Canvas, 'save', save)
    monkeypatch.setattr(passes, 'upscale', parts)
    ended = upscale()
    assert_refused(ended, 'a_x2.png', 'No space left')
    assert 'b_x2.png' not in ended.out + ended.err and len(begun) == 2
    assert snapshot(upscale.target) == {}


@pytest.mark.parametrize('stop, status', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_only_complete_files(upscale, photo, monkeypatch, stop, status):
    for name in 'abcdefgh':
        photo.save(str(upscale.source / f'{name}.png'))
    writing = threading.Event()
    save, through = writer.Canvas.save, processing.upscale_picture

    def slowly(canvas, file, *arguments):
        writing.set()
        file.write(b'half')
        time.sleep(0.2)
        file.seek(0)
        file.truncate()
        return save(canvas, file, *arguments)

    def stopped(job, *arguments):
        if job.place == 'b.png':
            assert writing.wait(20)
            os.kill(os.getpid(), stop)
        return through(job, *arguments)

    monkeypatch.setattr(writer.Canvas, 'save', slowly)
    monkeypatch.setattr(processing, 'upscale_picture', stopped)
    ended = upscale()
    assert ended.status == status and 'Traceback' not in ended.err
    assert list(snapshot(upscale.target)) == ['a_x2.png'] and opened(upscale.target / 'a_x2.png').size == (402, 254)


def test_the_progress_of_a_picture_adds_up_to_one(run):
    counted = []
    run(3, size=(600, 300), advance=lambda *pair: counted.append(pair))
    for name in ('0.png', '1.png', '2.png'):
        shares = [share for job, share in counted if job.place == name]
        assert len(shares) > 1 and abs(sum(shares) - 1) < 1e-9


def test_the_bar_is_shown_while_the_output_of_libraries_is_discarded(capfd):
    with stderr_capture.console() as console, stderr_capture.libraries():
        os.write(2, b'a library')
        print('the bar', file=console, flush=True)
    assert capfd.readouterr().err == 'the bar\n'


def test_small_tiles_are_passed_on_in_groups(monkeypatch):
    handed = []
    in_order = cpu.map_in_order
    monkeypatch.setattr(cpu, 'map_in_order', lambda function, items, workers: in_order(function, noted(items), workers))

    def noted(groups):
        for group in groups:
            handed.append(len(group))
            yield group

    pixels = np.random.RandomState(0).randint(0, 256, (300, 200, 3)).astype(np.uint8)
    result = np.zeros((600, 400, 3), np.uint8)
    layout = upscaler.layout_for(Doubling(), (300, 200), 24, 8, 2)
    for tile, part in upscaler.upscale_pixels(pixels, Doubling(), layout):
        result[2 * tile.rows.core_start :, 2 * tile.columns.core_start :][: part.shape[0], : part.shape[1]] = part
    assert np.array_equal(result, pixels.repeat(2, 0).repeat(2, 1))
    assert sum(handed) > 200 and len(handed) < 5


def test_the_network_of_the_benchmark_is_bicubic(tmp_path, photo):
    bench_files.write_bicubic(str(tmp_path / 'bicubic.onnx'))
    session = onnxruntime.InferenceSession(str(tmp_path / 'bicubic.onnx'), providers=['CPUExecutionProvider'])
    planes = [plane.convert('F') for plane in photo.split()]
    output = session.run(None, {'image': np.stack([np.asarray(plane) for plane in planes])[np.newaxis]})[0][0]
    expected = np.stack([np.asarray(plane.resize((402, 254), Image.BICUBIC)) for plane in planes])
    assert np.abs(output - expected)[:, 8:-8, 8:-8].max() < 0.01
