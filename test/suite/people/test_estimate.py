"""The line before a run of RDN_upscale.py: how many pictures and megapixels, and about how long they take."""

import time

from pictures import estimate, processing, workload
from rdn import engines

import numpy as np
import pytest
from PIL import Image

from helpers import write_png


class Standin(engines.Engine):
    """An engine that doubles pixels; its own clock advances by a known time for each pixel of the input."""

    name, version, precision, path = 'a stand-in', None, 'fp32', 'standin'

    def __init__(self, seconds_a_pixel, side=None, batch=None, first=0.0):
        super().__init__()
        self.rate, self.batch, self.streams, self.shape = seconds_a_pixel, batch, 1, [3, side, side]
        self.now, self.runs, self.first = 0.0, [], first

    def _run(self, batch):
        self.now += batch[:, 0].size * self.rate + self.first * (batch.shape not in self.runs)
        self.runs.append(batch.shape)
        return batch.repeat(2, 2).repeat(2, 3)


@pytest.fixture
def on_its_clock(monkeypatch):
    """Return on_its_clock(engine), which makes the estimate read the engine's clock."""

    def use(engine):
        monkeypatch.setattr(estimate, 'clock', lambda: engine.now)
        return engine

    return use


def job(tmp_path, name, size, mode='RGB'):
    path = str(tmp_path / name)
    Image.new(mode, size).save(path)
    return processing.PictureJob(path, name, path + '.not there')


def said(engine, jobs, **options):
    load = workload.Workload(jobs, engine, 2, processing.Options(**options))
    return estimate.describe(load, estimate.expected_seconds(load))


def test_the_estimate_follows_from_the_sizes_and_the_speed(tmp_path, on_its_clock):
    """Two pictures of 456 x 342 pixels have 5 x 4 tiles of 114 each, with an overlap of 16: 519,840 pixels in all."""
    jobs = [job(tmp_path, f'{number}.png', (456, 342)) for number in range(2)]
    engine = on_its_clock(Standin(120 / 519840, side=114))
    assert said(engine, jobs) == '2 pictures, 0.31 megapixels, about 2 minutes on this machine (a stand-in)'


@pytest.mark.parametrize(
    'mode, options, times',
    [
        ('RGB', {}, 1),
        ('RGBA', {}, 2),
        ('LA', {}, 2),
        ('RGB', {'self_ensemble': True}, 8),
        ('RGBA', {'self_ensemble': True}, 16),
    ],
)
def test_alpha_and_the_self_ensemble_count(tmp_path, on_its_clock, mode, options, times):
    engine = on_its_clock(Standin(3600 / 114**2, side=114))
    one = said(engine, [job(tmp_path, 'a.png', (114, 114), mode)], **options)
    assert f'about {times} hour{"" if times == 1 else "s"} on' in one if times > 1 else 'about 60 minutes on' in one


def test_overlapping_and_mirrored_pixels_count(tmp_path, on_its_clock):
    """Each further tile of 114 adds 98 new pixels; a picture of one pixel takes a whole tile."""
    engine = on_its_clock(Standin(1 / 114**2, side=114))
    for size, tiles in (((1, 1), 1), ((114, 114), 1), ((115, 114), 2), ((212, 115), 4), ((213, 1), 3)):
        assert f'about {tiles} second' in said(engine, [job(tmp_path, 'a.png', size)])


def test_a_batch_that_is_not_full_takes_as_long_as_a_full_one(tmp_path, on_its_clock):
    engine = on_its_clock(Standin(1 / 114**2, side=114, batch=4))
    assert 'about 8 seconds' in said(engine, [job(tmp_path, 'a.png', (5 * 98, 10))])


def test_a_model_of_any_size_is_timed_on_a_tile_that_takes_a_moment(tmp_path, on_its_clock):
    """This holds for a network that takes 20 seconds a tile too; the extra time of the first run does not count.

    There are 9 x 7 tiles, each as small as this number of tiles allows.
    """
    picture = job(tmp_path, 'a.png', (2000, 1500))
    for rate in (1e-7, 1e-5, 3e-4):
        engine = on_its_clock(Standin(rate, first=0.3))
        text = said(engine, [picture], tile_size=256)
        pixels = 9 * 7 * (-(-(2000 + 8 * 16) // 9)) * (-(-(1500 + 6 * 16) // 7))
        assert estimate.in_words(max(pixels * rate, 3 / estimate.FILE_MEGAPIXELS_A_SECOND)) in text
        assert engine.now < 6, rate


def test_a_picture_of_one_tile_does_not_use_all_streams(tmp_path):
    class Sleeper(Standin):
        def _run(self, batch):
            time.sleep(0.05)
            return batch.repeat(2, 2).repeat(2, 3)

    engine = Sleeper(0, side=114)
    engine.streams = 2
    load = workload.Workload([job(tmp_path, 'a.png', (114, 114))], engine, 2, processing.Options())
    assert 0.05 <= (estimate.expected_seconds(load) or 0) < 0.09


def test_results_of_earlier_runs_take_no_time(tmp_path, on_its_clock):
    jobs = [job(tmp_path, f'{number}.png', (114, 114)) for number in range(3)]
    with open(jobs[0].target, 'w'):
        engine = on_its_clock(Standin(5 / 114**2, side=114))
    assert said(engine, jobs, resume=True).startswith('2 pictures, 0.026 megapixels, about 10 seconds on')
    assert said(engine, jobs, overwrite=True).startswith('3 pictures, 0.039 megapixels, about 15 seconds on')
    for each in jobs:
        open(each.target, 'w').close()
    assert said(engine, jobs, resume=True) == 'nothing to enlarge: 3 results there already'


def test_only_some_headers_of_very_many_pictures_are_read(tmp_path, on_its_clock, monkeypatch):
    """Each picture has 11 x 5 tiles, and a tile takes a hundredth of a second: 55,000 seconds in all."""
    one = job(tmp_path, 'a.png', (1000, 500))
    read = []

    def look_at(path):
        read.append(path)
        return workload.Header(1000, 500, False)

    monkeypatch.setattr(workload, 'look_at', look_at)
    engine = on_its_clock(Standin(0.01 / 114**2, side=114))
    many = [one._replace(source=f'{number}.png') for number in range(100000)]
    assert said(engine, many).startswith('100,000 pictures, about 50,000 megapixels, about 15 hours on')
    assert len(read) <= 1000


def test_pictures_of_unknown_size_count_as_the_mean_of_the_others(tmp_path, on_its_clock):
    known, unknown = job(tmp_path, 'a.png', (114, 114)), tmp_path / 'b.png'
    unknown.write_bytes(b'no picture')
    other = processing.PictureJob(str(unknown), 'b.png', 'x')
    engine = on_its_clock(Standin(2 / 114**2, side=114))
    assert said(engine, [known, other]).startswith('2 pictures, about 0.026 megapixels, about 4 seconds on')
    assert said(engine, [other]) == '1 picture, size unknown'


def test_the_line_has_no_time_if_the_model_fails_on_a_tile(tmp_path):
    class Failing(Standin):
        def _run(self, batch):
            raise MemoryError

    line = said(Failing(1, side=114), [job(tmp_path, 'a.png', (114, 114))])
    assert line == '1 picture, 0.013 megapixels, on this machine (a stand-in)'


def test_a_palette_with_transparency_has_alpha(tmp_path):
    write_png(tmp_path / 'a.png', (2, 1, 8, 3), [b'\0\1'], (b'PLTE', bytes(6)), (b'tRNS', b'\0\xff'))
    assert workload.look_at(str(tmp_path / 'a.png')) == workload.Header(2, 1, True)


@pytest.mark.parametrize(
    'seconds, words',
    [
        (0.01, 'about 1 second'),
        (1.4, 'about 1 second'),
        (7.6, 'about 8 seconds'),
        (12, 'about 10 seconds'),
        (41, 'about 40 seconds'),
        (57, 'about 55 seconds'),
        (58, 'about 1 minute'),
        (119, 'about 2 minutes'),
        (9.4 * 60, 'about 9 minutes'),
        (22 * 60, 'about 20 minutes'),
        (88 * 60, 'about 90 minutes'),
        (100 * 60, 'about 2 hours'),
        (3.2 * 3600, 'about 3 hours'),
        (50 * 3600, 'about 2 days'),
        (400 * 86400, 'about 400 days'),
    ],
)
def test_times_are_rounded_and_given_in_words(seconds, words):
    assert estimate.in_words(seconds) == words


@pytest.mark.parametrize(
    'megapixels, words',
    [(0.0002, '0.0002'), (0.31, '0.31'), (3.84, '3.8'), (99.9, '99.9'), (123.4, '123'), (54321, '54,321')],
)
def test_megapixels_have_two_or_more_significant_digits(megapixels, words):
    assert estimate.megapixels_in_words(megapixels) == words


def test_the_stand_in_doubles_arrays():
    assert Standin(1)(np.ones((1, 3, 2, 2), np.float32)).shape == (1, 3, 4, 4)
