"""--scale, --width and the like: the exact size, the float pixels between the passes, and the notes for the user."""

import errno
import math
import os
import shutil
import tempfile

from pictures import Upscaler, jobs, naming, passes, processing, reduction, spill, target_size, upscaler
from pictures.formats import reader
from pictures.metadata import metadata
from pictures.target_size import TargetSize
from rdn import engines

import numpy as np
import pytest
from PIL import Image

from helpers import assert_refused, difference, opened, reference, save, snapshot, tiny_rdn

LANCZOS = Image.LANCZOS


class Repeating(engines.Engine):
    """A model that repeats each pixel."""

    name, version, precision, streams = 'repeating', None, 'fp32', 1

    def __init__(self, times=2):
        super().__init__()
        self.times = times
        self._set_input('repeating', [None, 3, None, None], ['output'])

    def _run(self, batch):
        return batch.repeat(self.times, 2).repeat(self.times, 3)


def lanczos(planes_last, size):
    """Resize (H, W, C) of floats with Pillow's LANCZOS in mode F, a whole plane at a time."""
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(planes_last, 2, 0)]
    return np.dstack([np.asarray(plane.resize(size, LANCZOS)) for plane in planes])


def enlarged(pixels, wanted, times=2, folder=None):
    plan = passes.make_plan(pixels.shape[0], pixels.shape[1], times, wanted)
    result = np.full((plan.size[1], plan.size[0], pixels.shape[2]), 77, pixels.dtype)
    cutting = upscaler.Cutting(64, 16)
    shares = []
    for rows, columns, part in passes.upscale(
        pixels, Repeating(times), plan, cutting, folder or tempfile.gettempdir(), shares.append
    ):
        result[rows, columns] = part
    assert not plan.passes or abs(sum(shares) - 1) < 1e-6
    return result


# --- the size that is asked for


@pytest.mark.parametrize(
    'unit, amount, source, size',
    [
        ('scale', 3, (201, 127), (603, 381)),
        ('scale', 1.5, (201, 127), (302, 191)),  # 301.5, 190.5
        ('width', 3840, (4000, 3000), (3840, 2880)),
        ('width', 1000, (201, 127), (1000, 632)),  # 631.84
        ('height', 1000, (201, 127), (1583, 1000)),  # 1582.68
        ('max_side', 500, (201, 127), (500, 316)),  # 315.92
        ('max_side', 500, (127, 201), (316, 500)),
        ('megapixels', 24, (6000, 4000), (6000, 4000)),
        ('megapixels', 1, (400, 100), (2000, 500)),
        ('width', 10, (5000, 1), (10, 1)),
    ],
)
def test_the_other_side_follows_rounded_to_the_nearest(unit, amount, source, size):
    assert TargetSize(unit, amount).of(*source) == size


@pytest.mark.parametrize(
    'wanted, times, passed, is_reduced',
    [
        (None, 2, 1, False),
        (TargetSize('scale', 2), 2, 1, False),
        (TargetSize('scale', 3), 2, 2, True),
        (TargetSize('scale', 4), 2, 2, False),
        (TargetSize('scale', 4.01), 2, 3, True),
        (TargetSize('scale', 3), 3, 1, False),
        (TargetSize('scale', 4), 4, 1, False),
        (TargetSize('scale', 2), 4, 1, True),
        (TargetSize('scale', 9), 3, 2, False),
        (TargetSize('width', 100), 2, 0, False),
        (TargetSize('width', 99), 2, 0, True),
        (TargetSize('width', 101), 2, 1, True),
    ],
)
def test_the_network_runs_as_often_as_needed_and_not_once_more(wanted, times, passed, is_reduced):
    plan = passes.make_plan(60, 100, times, wanted)
    assert (plan.passes, plan.is_reduced) == (passed, is_reduced)


def test_a_model_that_does_not_enlarge_cannot_reach_a_size():
    passes.check(1, None)
    with pytest.raises(ValueError, match='--model'):
        passes.check(1, TargetSize('scale', 2))


# --- the pixels


def test_lanczos_in_bands_equals_pillows_on_the_whole_picture(photo, monkeypatch):
    """The edges of bands may be between pixels; the tolerance is half a thousandth of a step of 8 bits."""
    monkeypatch.setattr(reduction, 'BAND_PIXELS', 3000)
    floats = np.asarray(photo, np.float32) / 255
    for size in ((150, 97), (201, 31), (7, 127), (1, 1), (200, 126)):
        found = np.concatenate(
            [part for _, part in reduction.reduce(reduction.bands_of(floats.transpose(2, 0, 1)), 127, size)], 1
        )
        assert np.abs(found.transpose(1, 2, 0) - lanczos(floats, size)).max() < 2e-6, size


@pytest.mark.parametrize(
    'flag, size',
    [
        pytest.param('--scale=4', (804, 508), marks=pytest.mark.slow),
        ('--scale=3', (603, 381)),
        pytest.param('--width=500', (500, 316), marks=pytest.mark.slow),
    ],
)
def test_two_passes_in_float_are_followed_by_lanczos(upscale, photo, narrow, flag, size):
    """The reference runs the whole picture through PyTorch twice, clips to 0...1 between, and uses LANCZOS in mode F."""
    photo.save(str(upscale.source / 'a.png'))
    ended = upscale(flag, '--suffix=')
    assert ended.status == 0, ended.err
    expected = reference(narrow, reference(narrow, np.asarray(photo) / 255))
    if size != (804, 508):
        expected = np.clip(lanczos(expected, size), 0, 1)
    assert difference(opened(upscale.target / 'a.png'), expected) < 0.51


def test_nothing_is_rounded_between_the_passes():
    """The network adds a fifth of a step of 8 bits each time; three fifths are more than half a step."""

    class Adding(Repeating):
        def _run(self, batch):
            return super()._run(batch) + np.float32(0.2 / 255)

    plan = passes.make_plan(20, 20, 2, TargetSize('scale', 8))
    pixels = np.full((20, 20, 3), 100, np.uint8)
    parts = list(passes.upscale(pixels, Adding(), plan, upscaler.Cutting(64, 16), '.', lambda _: None))
    assert all((part == 101).all() for _, _, part in parts)


def test_16_bits_are_computed_exactly_in_every_pass():
    class Rough(Repeating):
        def _run(self, batch):
            raise AssertionError('the model that is not exact was used')

    class Exact(Repeating):
        def _run(self, batch):
            kept.append(batch.shape)
            return super()._run(batch)

    kept = []
    rough = Rough()
    rough.set_exact(Exact)
    pixels = np.random.RandomState(0).randint(0, 65536, (10, 12, 1)).astype(np.uint16)
    plan = passes.make_plan(10, 12, 2, TargetSize('scale', 4))
    ((_, _, part),) = passes.upscale(pixels, rough, plan, upscaler.Cutting(64, 16), '.', lambda _: None)
    assert len(kept) == 2 and np.array_equal(part, pixels.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('channels', [1, 2, 3, 4])
def test_grey_alpha_and_16_bits_are_enlarged_to_an_exact_size(channels, dtype):
    top = np.iinfo(dtype).max
    pixels = np.random.RandomState(channels).randint(0, top + 1, (50, 70, channels)).astype(dtype)
    if channels in (2, 4):
        pixels[..., -1] = top
    expected = np.clip(lanczos(pixels.repeat(4, 0).repeat(4, 1) / top, (210, 150)), 0, 1)
    assert difference(enlarged(pixels, TargetSize('scale', 3)), expected, top) < (0.51 if top == 255 else 0.6)


def test_invisible_pixels_do_not_colour_the_edges_of_a_reduced_picture():
    """The picture is white on invisible black; Pillow weights colours by alpha too."""
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[10:30, 10:30] = 255
    result = enlarged(pixels, TargetSize('width', 30))
    visible = result[..., 3] > 0
    assert (result[..., :3][visible] == 255).all()
    alpha = np.clip(lanczos(pixels[..., 3:] / 255, (30, 30)), 0, 1)
    assert difference(result[..., 3:], alpha.reshape(30, 30, 1)) < 0.51


@pytest.mark.slow
def test_a_picture_of_that_size_stays_as_it_is_and_a_larger_one_is_only_reduced(upscale, photo):
    photo.save(str(upscale.source / 'same.png'))
    photo.resize((402, 254)).save(str(upscale.source / 'large.png'))
    ended = upscale('--width=201')
    assert ended.status == 0, ended.err
    assert np.array_equal(np.asarray(opened(upscale.target / 'same_w201.png')), np.asarray(photo))
    large = np.asarray(photo.resize((402, 254)), np.float32) / 255
    expected = np.clip(lanczos(large, (201, 127)), 0, 1)
    assert difference(opened(upscale.target / 'large_w201.png'), expected) < 0.51
    assert 'large_w201.png: only reduced: the picture is larger' in ended.out
    assert 'same_w201.png: not enlarged: it has this size' in ended.out


@pytest.mark.slow
def test_width_is_that_of_the_upright_picture(upscale, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(str(upscale.source / 'a.jpg'), exif=exif)
    assert upscale('--width=300').status == 0
    assert opened(upscale.target / 'a_w300.jpg').size == (300, math.floor(300 * 201 / 127 + 0.5))


# --- memory and disk


def test_pixels_that_are_too_large_for_memory_go_to_an_unnamed_file(photo, tmp_path, monkeypatch):
    pixels = np.asarray(photo)[:40, :60]
    expected = enlarged(pixels, TargetSize('scale', 5))
    monkeypatch.setattr(spill, 'HELD_BYTES', 1000)
    kinds, new = [], spill.new_planes

    def noted(shape, folder):
        planes = new(shape, folder)
        kinds.append(type(planes))
        assert not os.listdir(folder)
        return planes

    monkeypatch.setattr(spill, 'new_planes', noted)
    assert np.array_equal(enlarged(pixels, TargetSize('scale', 5), folder=str(tmp_path)), expected)
    assert kinds == [np.memmap] * 2 and not os.listdir(str(tmp_path))


def test_too_little_disk_space_is_an_error_before_the_network_runs(upscale, photo, monkeypatch):
    photo.save(str(upscale.source / 'a.png'))
    monkeypatch.setattr(spill, 'HELD_BYTES', 1000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(1, 1, 1_000_000))
    monkeypatch.setattr(upscaler, 'upscale_planes', lambda *_: pytest.fail('computed'))
    ended = upscale('--scale=3')
    # 402 x 254 pixels of three floats: 1.2 MB.
    assert_refused(ended, 'a.png', str(upscale.target), 'free', '--output')
    assert snapshot(upscale.target) == {}


def test_the_file_between_passes_is_above_a_folder_that_does_not_exist_yet(upscale, photo, monkeypatch):
    (upscale.source / 'deep').mkdir()
    photo.crop((0, 0, 20, 10)).save(str(upscale.source / 'deep' / 'a.png'))
    monkeypatch.setattr(spill, 'HELD_BYTES', 1000)
    ended = upscale('--scale=3')
    assert ended.status == 0, ended.err
    assert list(snapshot(upscale.target)) == ['deep', 'deep/a_x3.png']


def test_a_result_larger_than_the_memory_is_refused(tmp_path):
    """The picture is a column of 500 pixels, and the result would be 384,000 pixels wide."""
    job = processing.PictureJob('line.png', 'line.png', str(tmp_path / 'line.png'))
    picture = reader.Picture(np.zeros((500, 1, 3), np.uint8), metadata.Metadata(), False, [])
    options = processing.Options(size=TargetSize('width', 384000))
    with pytest.raises(ValueError, match=r'line.png: 384000 x 192000000 pixels take .* of memory'):
        processing.upscale_picture(job, picture, Repeating(), 2, options, lambda _: None)


def test_a_disk_that_fills_up_meanwhile_fails_the_picture(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(spill, 'HELD_BYTES', 1000)
    monkeypatch.setattr(os, 'posix_fallocate', full, raising=False)
    with pytest.raises(ValueError, match='no space'):
        spill.new_planes((3, 100, 100), str(tmp_path))
    assert not os.listdir(str(tmp_path))


def test_the_disk_space_is_that_of_two_successive_passes(monkeypatch):
    monkeypatch.setattr(spill, 'HELD_BYTES', 0)
    plan = passes.make_plan(10, 10, 2, TargetSize('scale', 7))  # 20, 40, 80, then 70
    assert passes.room_needed(plan, 3) == 12 * (20 * 20 + 40 * 40)  # the last pass is reduced band by band
    exact = passes.make_plan(10, 10, 2, TargetSize('scale', 8))  # 20, 40, and 80 is the result
    assert passes.room_needed(exact, 3) == 12 * (20 * 20 + 40 * 40)
    assert passes.room_needed(passes.make_plan(10, 10, 2, None), 3) == 0


# --- names, notes and flags


@pytest.mark.parametrize(
    'wanted, suffix',
    [
        (None, '_x2'),
        (TargetSize('scale', 3.0), '_x3'),
        (TargetSize('scale', 1.5), '_x1.5'),
        (TargetSize('width', 3840), '_w3840'),
        (TargetSize('height', 2160), '_h2160'),
        (TargetSize('max_side', 4000), '_max4000'),
        (TargetSize('megapixels', 24.5), '_mp24.5'),
    ],
)
def test_results_of_each_size_are_recognized(tmp_path, wanted, suffix):
    assert target_size.suffix_of(wanted, 2) == suffix
    for name in ('a.jpg', f'a{suffix}.png', f'b{suffix}.png'):
        Image.new('RGB', (3, 3)).save(str(tmp_path / name))
    names = naming.make_naming(None, None, None, False, '_x2')
    found = jobs.find_jobs([str(tmp_path)], names, processing.Summary())
    assert found.results == [str(tmp_path / f'a{suffix}.png')]
    assert [os.path.basename(job.source) for job in found.jobs] == ['a.jpg', f'b{suffix}.png']


@pytest.mark.slow
def test_a_very_large_scale_is_noted(upscale, photo):
    photo.crop((0, 0, 20, 10)).save(str(upscale.source / 'a.png'))
    assert 'beyond x4 the network adds little detail' in upscale('--scale=5').out
    assert opened(upscale.target / 'a_x5.png').size == (100, 50)
    assert 'beyond' not in upscale('--scale=4').out


def test_resume_looks_at_the_sizes_of_results(upscale, photo):
    photo.crop((0, 0, 20, 10)).save(str(upscale.source / 'a.png'))
    assert upscale('--scale=3', '--suffix=').status == 0
    assert '1 skipped' in upscale('--scale=3', '--suffix=', '--resume').out
    assert_refused(upscale('--scale=4', '--suffix=', '--resume'), 'a.png', '60 x 30', '80 x 40', '--overwrite')
    assert opened(upscale.target / 'a.png').size == (60, 30)


def test_the_sizes_exclude_each_other_and_only_enlarge(upscale, photo):
    photo.crop((0, 0, 20, 10)).save(str(upscale.source / 'a.png'))
    wrong = ['--scale=1', '--scale=nan', '--scale=1e300', '--width=0', '--width=2.5', '--height=1e7', '--megapixels=0']
    for flags in (['--scale=3', '--width=9'], *([flag] for flag in wrong)):
        ended = upscale(*flags)
        assert ended.status == 2
        assert_refused(ended, flags[0].split('=')[0])


@pytest.mark.slow
def test_report_and_self_ensemble_work_with_a_size(upscale, photo, tmp_path):
    photo.crop((0, 0, 40, 30)).save(str(upscale.source / 'a.png'))
    ended = upscale('--width=101', '--self-ensemble', f'--report={tmp_path / "page"}')
    assert ended.status == 0 and 'page' in ended.out, ended
    assert '8 times as long with --self-ensemble' in ended.out
    assert opened(upscale.target / 'a_w101.png').size == (101, 76)
    views = [name for name in os.listdir(str(tmp_path / 'page' / 'index_views')) if not name.startswith('.')]
    assert {opened(tmp_path / 'page' / 'index_views' / name).size for name in views if name.endswith('png')} == {
        (101, 76)
    }
    assert upscale('--width=101', '--self-ensemble', f'--report={tmp_path / "page"}', '--resume').status == 0


@pytest.mark.slow
def test_the_python_interface_takes_a_size(narrow, photo, tmp_path):
    enlarge = Upscaler(narrow[1], precision='fp32')
    expected = np.clip(lanczos(reference(narrow, reference(narrow, np.asarray(photo) / 255)), (603, 381)), 0, 1)
    assert difference(enlarge(photo, scale=3), expected) < 0.51
    assert enlarge(np.asarray(photo)[..., 0], width=500).shape == (316, 500)
    with pytest.raises(TypeError, match='expected one of'):
        enlarge(photo, scale=3, width=500)
    with pytest.raises(TypeError, match='length'):
        enlarge(photo, length=3)
    for wrong in ({'scale': 1}, {'width': 1.5}, {'megapixels': 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            enlarge(photo, **wrong)


@pytest.mark.slow
def test_a_network_of_scale_3_runs_once_for_scale_3(photo, tmp_path):
    save(tmp_path / 'x3.pth', tiny_rdn(3))
    enlarge = Upscaler(str(tmp_path / 'x3.pth'), precision='fp32', engine='pytorch', device='cpu')
    small = photo.crop((0, 0, 30, 20))
    assert np.array_equal(np.asarray(enlarge(small, scale=3)), np.asarray(enlarge(small)))
