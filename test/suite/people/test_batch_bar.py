"""The progress bar of RDN_upscale.py: megapixels, speed and time left, measured by the network's work."""

import io
import re

from pictures import batch_bar, estimate, pipeline, processing, workload
from pictures.formats import reader
from pictures.target_size import TargetSize
from rdn import engines

import numpy as np
import pytest
from PIL import Image


class Doubling(engines.Engine):
    name, version, precision, streams = 'doubling', None, 'fp32', 1

    def __init__(self):
        super().__init__()
        self._set_input('doubling', [None, 3, None, None], ['output'])

    def _run(self, batch):
        return batch.repeat(2, 2).repeat(2, 3)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def load_of(tmp_path):
    """Return load_of((width, height), ..., options), which returns the Workload of pictures of these sizes."""

    def make(*sizes, mode='RGB', **options):
        jobs = []
        for number, size in enumerate(sizes):
            path = tmp_path / f'{number}.png'
            Image.new(mode, size).save(str(path))
            jobs.append(processing.PictureJob(str(path), path.name, str(tmp_path / f'{number}_out.png')))
        return workload.Workload(jobs, Doubling(), 2, processing.Options(tile_size=4096, **options))

    return make


def bar_of(load, expected):
    clock = Clock()
    return batch_bar.BatchBar(load, expected, io.StringIO(), clock), clock


def test_before_the_first_tile_the_bar_shows_the_estimate(load_of):
    """The estimate is 100 seconds for 4 megapixels."""
    bar, _ = bar_of(load_of((2000, 1000), (2000, 1000)), 100)
    assert bar.text() == '0.00 of 4.00 MP, 25 s/MP, 01:40 left'


def test_progress_counts_work_and_not_files(load_of):
    """One large picture has a hundred times the pixels of each of nine small ones, and takes nearly all of the time."""
    load = load_of((1000, 1000), *[(100, 100)] * 9)
    bar, clock = bar_of(load, None)
    clock.now = 50.0
    bar.advance(load.jobs[0], 0.5)
    assert bar.text() == '0.50 of 1.09 MP, 100 s/MP, 00:59 left'
    bar.advance(load.jobs[0], 0.5)
    bar.finish(load.jobs[0], is_done=True)
    clock.now = 100.0
    assert bar.text() == '1.00 of 1.09 MP, 100 s/MP, 00:09 left'


def test_a_second_pass_counts_four_times(load_of):
    """To be 2000 pixels wide, the picture of 500 x 500 is doubled twice, and the one of 1000 x 1000 once."""
    load = load_of((500, 500), (1000, 1000), size=TargetSize('width', 2000))
    bar, clock = bar_of(load, None)
    clock.now = 5.0
    bar.advance(load.jobs[0], 1.0)  # 1.25 of 2.25 megapixels go into the network
    found = re.fullmatch(r'0\.69 of 1\.25 MP, 7\.2 s/MP, 00:0([34]) left', bar.text())
    assert found, bar.text()


def test_the_time_left_is_steady_if_the_estimate_is_right(load_of):
    load = load_of((1000, 1000), (300, 200), (2000, 1000))
    bar, clock = bar_of(load, 1000)
    whole = sum(load.weight(job) for job in load.jobs)
    for job in load.jobs:
        for _ in range(10):
            clock.now += 1000 * load.weight(job) / whole / 10
            bar.advance(job, 0.1)
            ((minutes, seconds),) = re.findall(r'(\d+):(\d+) left', bar.text())
            assert abs(60 * int(minutes) + int(seconds) - (1000 - clock.now)) < 1.5


def test_fast_work_is_shown_in_megapixels_per_second(load_of):
    bar, clock = bar_of(load_of((2000, 1000)), 0.5)
    assert '4.0 MP/s' in bar.text()


def test_failed_and_skipped_pictures_are_not_in_the_total(load_of, tmp_path):
    Image.new('RGB', (1, 1)).save(str(tmp_path / '1_out.png'))
    load = load_of((1000, 1000), (1000, 1000), (1000, 1000), resume=True)
    bar, _ = bar_of(load, 40)
    assert '0.00 of 2.00 MP' in bar.text()
    bar.finish(load.jobs[1], is_done=False)
    assert '0.00 of 2.00 MP' in bar.text()
    bar.advance(load.jobs[0], 0.5)
    bar.finish(load.jobs[0], is_done=False)
    assert '0.50 of 1.50 MP' in bar.text()


def test_the_bar_is_drawn_on_a_terminal_and_reaches_its_end(load_of):
    load = load_of((1000, 1000))
    console = Terminal()
    with batch_bar.BatchBar(load, 10, console) as bar:
        for _ in range(3):
            bar.advance(load.jobs[0], 1 / 3)
        bar.finish(load.jobs[0], is_done=True)
        assert bar._bar.n == pytest.approx(1)
    drawn = console.getvalue()
    assert '  0%' in drawn and '0.00 of 1.00 MP, 10 s/MP, 00:10 left' in drawn


def test_pictures_of_unknown_size_do_not_stop_the_bar(load_of, tmp_path):
    load = load_of((1000, 1000), (1, 1))
    (tmp_path / '2.png').write_bytes(b'no picture')
    unknown = processing.PictureJob(str(tmp_path / '2.png'), '2.png', 'x')
    both = workload.Workload([load.jobs[0], unknown], Doubling(), 2, processing.Options(tile_size=4096))
    bar, _ = bar_of(both, 10)
    assert '0.00 of 2.00 MP' in bar.text()  # it counts as the mean of the others
    alone, _ = bar_of(workload.Workload([unknown], Doubling(), 2, processing.Options()), None)
    alone.advance(unknown, 0.5)
    alone.finish(unknown, is_done=True)
    assert alone.text() == ''


def test_a_header_is_read_once_for_the_line_and_the_bar(load_of, monkeypatch):
    read, size = [], reader.read_size

    def noted(path):
        read.append(path)
        return size(path)

    monkeypatch.setattr(reader, 'read_size', noted)
    load = load_of((30, 20), (20, 30), (9, 9))
    estimate.describe(load, estimate.expected_seconds(load))
    bar, _ = bar_of(load, None)
    pipeline.Pipeline(
        pipeline.Recipe(load.model, 2, load.options), bar.advance, lambda job, _: bar.finish(job, True)
    ).run(load.jobs, lambda job: load.load(job).held)
    assert sorted(read) == sorted(job.source for job in load.jobs)


def test_headers_that_were_not_sampled_are_read_when_their_pictures_are_enlarged(load_of, monkeypatch):
    """Every second header of 2,000 is read before the run; the total is corrected when the others are read."""
    monkeypatch.setattr(
        workload,
        'look_at',
        lambda path: workload.Header(1000, 1000 if path.endswith(('0', '2', '4', '6', '8')) else 500, False),
    )
    jobs = [processing.PictureJob(str(number), '', f'no {number}') for number in range(2000)]
    load = workload.Workload(jobs, Doubling(), 2, processing.Options())
    assert load.is_sampled and load.total().megapixels == pytest.approx(2000)
    for job in jobs:
        load.load(job)
    assert not load.is_sampled and load.total().megapixels == pytest.approx(1500)


def test_the_header_of_a_turned_picture_has_its_upright_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    for ending, said in {'jpg': {'exif': exif}, 'tif': {'tiffinfo': {0x0112: 8}}, 'webp': {'exif': exif}}.items():
        Image.new('RGB', (30, 20)).save(str(tmp_path / f'a.{ending}'), **said)
        assert workload.look_at(str(tmp_path / f'a.{ending}')) == workload.Header(20, 30, False), ending


def test_the_work_includes_all_passes_alpha_and_the_self_ensemble(load_of):
    load = load_of((100, 50), mode='RGBA', size=TargetSize('scale', 3), self_ensemble=True)
    total = load.total()
    assert total.network_pixels == (100 * 50 + 200 * 100) * 2 * 8
    assert total.result_megapixels == pytest.approx(0.045) and total.tile == (100, 200)
    assert np.isclose(load.load(load.jobs[0]).held, 0.045 / 4)
