"""RDN_upscale.py: flags, runs that fail or are stopped, models of any size."""

import errno
import os
import warnings

from pictures import processing
from pictures.formats import writer
from pictures.metadata import colour

import cv2
import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, assert_refused, difference, opened, reference, run_python, snapshot

# --- flags


def test_a_single_picture_goes_into_the_file_that_output_names(upscale, photo, tmp_path):
    photo.save(str(upscale.source / 'a.jpg'))
    ended = upscale(f'--input={upscale.source / "a.jpg"}', f'--output={tmp_path / "new" / "large.png"}')
    assert ended.status == 0 and opened(tmp_path / 'new' / 'large.png').format == 'PNG', ended.err
    photo.save(str(upscale.source / 'b.jpg'))
    assert_refused(upscale(f'--output={tmp_path / "two.png"}'), 'two.png', '2 pictures')
    assert not (tmp_path / 'two.png').exists()


def test_suffix_names_the_results_and_no_source_is_replaced(upscale, photo):
    photo.save(str(upscale.source / 'a.png'))
    assert upscale('--suffix=-large').status == 0 and (upscale.target / 'a-large.png').exists()
    assert upscale('--suffix=').status == 0 and (upscale.target / 'a.png').exists()
    before = snapshot(upscale.source)
    ended = upscale('--suffix=', f'--output={upscale.source}', '--overwrite')
    assert_refused(ended, 'a.png', 'would be replaced by its result')
    assert snapshot(upscale.source) == before
    assert_refused(upscale('--suffix=a/b'), '--suffix')


@pytest.mark.parametrize('ending', ['jpg', 'webp'])
def test_quality_makes_files_smaller(upscale, photo, ending):
    photo.save(str(upscale.source / 'a.png'))
    sizes = []
    for quality in (30, 60, 95):
        assert upscale(f'--ext={ending}', f'--quality={quality}', '--overwrite').status == 0
        sizes.append(os.path.getsize(str(upscale.target / f'a_x2.{ending}')))
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2
    for wrong in ('0', '101', 'x'):
        assert_refused(upscale(f'--quality={wrong}'), '--quality')


def test_lossless_sources_stay_lossless_and_the_flag_makes_all_results_lossless(upscale, photo):
    photo.save(str(upscale.source / 'a.png'))
    photo.save(str(upscale.source / 'b.webp'), lossless=True)
    photo.save(str(upscale.source / 'c.webp'), quality=100)
    photo.save(str(upscale.source / 'd.jpg'), quality=95)
    assert upscale().status == 0
    exact = np.asarray(opened(upscale.target / 'a_x2.png'))
    assert np.array_equal(np.asarray(opened(upscale.target / 'b_x2.webp').convert('RGB')), exact)
    assert b'VP8L' not in (upscale.target / 'c_x2.webp').read_bytes()[:64]
    assert upscale('--lossless', '--overwrite').status == 0
    assert b'VP8L' in (upscale.target / 'c_x2.webp').read_bytes()[:64] and (upscale.target / 'd_x2.png').exists()


def test_a_format_that_cannot_be_written_becomes_png_with_a_note(upscale, photo):
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'a.gif'))
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'b.ppm'))
    ended = upscale()
    assert ended.status == 0 and 'a_x2.png: saved as PNG (GIF is only written with --all-frames)' in ended.out
    assert 'b_x2.png: saved as PNG (PPM cannot be written)' in ended.out


# --- runs


def test_an_output_that_cannot_be_written_is_noticed_before_the_first_picture(upscale, photo, tmp_path, monkeypatch):
    photo.save(str(upscale.source / 'a.png'))
    monkeypatch.setattr(processing, 'upscale_picture', lambda *_: pytest.fail('computed'))
    (tmp_path / 'out').write_text('a file')
    for flag in (
        f'--output={tmp_path / "out" / "deeper"}',
        f'--report={tmp_path / "out" / "page"}',
        '--output=/proc/new',
    ):
        assert_refused(upscale(flag), flag.partition('=')[2].rpartition('/')[0])


def test_a_full_disk_ends_the_run_at_once_and_names_the_file(upscale, photo, monkeypatch):
    for name in 'abc':
        photo.crop((0, 0, 30, 30)).save(str(upscale.source / f'{name}.png'))

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(writer.Canvas, 'save', full)
    ended = upscale()
    assert_refused(ended, 'a_x2.png', 'No space left')
    assert 'b_x2.png' not in ended.out + ended.err


def test_the_last_line_names_three_failures_and_the_log_all(upscale, photo, tmp_path):
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'good.png'))
    for number in range(5):
        (upscale.source / f'bad{number}.png').write_text('x')
    ended = upscale(f'--log={tmp_path / "log.txt"}')
    assert_refused(ended, '5 of 6 failed', 'bad0.png', 'bad2.png', f'and 2 more, in {tmp_path / "log.txt"}')
    lines = (tmp_path / 'log.txt').read_text().splitlines()
    assert [f'bad{number}.png' in line for number, line in enumerate(lines)] == [True] * 5
    for number in range(5):
        (upscale.source / f'bad{number}.png').unlink()
    assert upscale('--resume', f'--log={tmp_path / "log.txt"}').status == 0 and (tmp_path / 'log.txt').read_text() == ''


def test_a_pipe_among_the_pictures_is_refused_at_once(upscale, photo):
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'good.png'))
    os.mkfifo(str(upscale.source / 'pipe.png'))
    assert_refused(upscale(), 'pipe.png', 'not a plain file')
    assert (upscale.target / 'good_x2.png').exists()


def test_the_report_of_a_resumed_run_shows_earlier_results_too(upscale, photo, tmp_path):
    for name in ('a.png', 'b.jpg', 'deep/c.png'):
        (upscale.source / name).parent.mkdir(exist_ok=True)
        photo.crop((0, 0, 60, 40)).save(str(upscale.source / name))
    upscale(f'--report={tmp_path / "first"}')
    (upscale.target / 'b_x2.jpg').unlink()
    ended = upscale('--resume', f'--report={tmp_path / "second"}')
    assert ended.status == 0 and '2 skipped' in ended.out, ended.err
    first, second = ((tmp_path / name / 'index.html').read_text(encoding='utf-8') for name in ('first', 'second'))
    assert first == second and all(f'<bdi>{name}</bdi>' in second for name in ('a.png', 'b.jpg', 'deep/c.png'))


def test_colours_on_the_page_are_those_of_the_profile(upscale, photo, tmp_path):
    """Linear values with a linear profile look like the photograph."""
    linear = np.rint(255 * (np.asarray(photo) / 255.0) ** 2.2).astype(np.uint8)
    profile = colour.make_profile(1.0, [x / 1e5 for x in colour.SRGB_CHROMATICITIES])
    Image.fromarray(linear).save(str(upscale.source / 'a.png'), icc_profile=profile)
    assert upscale(f'--report={tmp_path / "page"}').status == 0
    views = [name for name in os.listdir(str(tmp_path / 'page' / 'index_views')) if '_bicubic.' in name]
    seen = np.asarray(opened(tmp_path / 'page' / 'index_views' / views[0]).resize(photo.size)).astype(float)
    bright = np.asarray(photo).min(2) > 60
    assert abs(seen[bright].mean() - np.asarray(photo)[bright].mean()) < 6


def test_a_result_of_another_picture_is_named_and_the_page_shows_the_others(upscale, photo, tmp_path):
    for name in ('a.png', 'b.png'):
        photo.save(str(upscale.source / name))
    upscale.target.mkdir()
    Image.new('RGB', (20, 30)).save(str(upscale.target / 'a_x2.png'))
    ended = upscale('--resume', f'--report={tmp_path / "page"}')
    assert_refused(ended, f'{upscale.target}/a_x2.png: 20 x 30 pixels, expected 402 x 254')
    assert (tmp_path / 'page' / 'index.html').read_text().count('>b.png<') == 1


@pytest.mark.parametrize('flag', ['--threads=-1', '--overlap=-1', '--tile-size=0', '--device-id=-1'])
def test_numbers_out_of_range_are_usage_errors(upscale, flag):
    ended = upscale(flag)
    assert_refused(ended, flag.partition('=')[0])
    assert ended.status == 2


def test_results_are_gif_only_with_all_frames(upscale, photo):
    photo.crop((0, 0, 12, 9)).save(str(upscale.source / 'a.png'))
    assert_refused(upscale('--ext=gif'), '--ext=gif', '--all-frames')
    assert_refused(upscale(f'--output={upscale.target}/a.gif'), 'a.gif', 'only written with --all-frames')
    assert upscale('--ext=gif', '--all-frames').status == 0
    assert opened(upscale.target / 'a_x2.gif').format == 'GIF'


def test_ctrl_c_leaves_one_line_that_says_how_to_continue(upscale, photo, monkeypatch):
    photo.save(str(upscale.source / 'a.png'))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(processing, 'upscale_picture', interrupt)
    ended = upscale()
    assert_refused(ended, 'interrupted', 'the same command continues')
    assert ended.status == 130


def test_a_failure_without_a_path_names_the_picture(upscale, photo, monkeypatch):
    photo.save(str(upscale.source / 'a.png'))

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(processing, 'upscale_picture', fail)
    assert_refused(upscale(), f'{upscale.source}/a.png: not enough memory')


def test_warnings_of_libraries_are_not_shown(upscale, photo):
    exif = Image.Exif()
    exif[0x010F] = 'maker'
    photo.save(str(upscale.source / 'a.jpg'), exif=exif.tobytes()[:-6])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        # Files that an earlier test left open may be collected here.
        warnings.simplefilter('ignore', ResourceWarning)
        upscale()
    assert [str(warning.message) for warning in caught] == []


# --- models of any size


@pytest.fixture(scope='session')
def narrow_of_any_size(narrow, tmp_path_factory):
    path = tmp_path_factory.mktemp('any') / 'any.onnx'
    flags = ['--upsample=deconv', '--height=0', '--width=0']
    done = run_python('RDN_pth2onnx.py', f'--input-file={narrow[0]}', f'--output-file={path}', *flags, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return str(path)


@pytest.mark.parametrize('size', [(201, 127), (201, 5), (9, 5), (1, 1)])
@pytest.mark.parametrize('tile_size', [64, 192, 1000])
def test_tiles_give_the_same_result_as_the_whole_picture(upscale, photo, narrow, narrow_of_any_size, size, tile_size):
    small = photo.crop((0, 0, *size))
    small.save(str(upscale.source / 'a.png'))
    ended = upscale(f'--model={narrow_of_any_size}', f'--tile-size={tile_size}')
    assert ended.status == 0 and f'tiles of {tile_size} pixels' in ended.out and 'compact weights' in ended.out, (
        ended.err
    )
    assert difference(opened(upscale.target / 'a_x2.png'), reference(narrow, np.asarray(small) / 255)) < 0.51


def test_an_overlap_as_large_as_a_tile_is_refused(upscale, photo, narrow_of_any_size):
    photo.save(str(upscale.source / 'a.png'))
    assert_refused(upscale(f'--model={narrow_of_any_size}', '--tile-size=16'), 'overlap 16', '16 pixels')


def test_alpha_far_from_an_edge_keeps_its_exact_value(upscale, photo, lite_onnx):
    """The trained network's output for 255 is not exactly 255."""
    alpha = np.zeros((127, 201), np.uint8)
    alpha[30:90, 40:150] = 255
    alpha[100:, :] = 77
    Image.fromarray(np.dstack([np.asarray(photo), alpha])).save(str(upscale.source / 'a.png'))
    assert upscale(f'--model={lite_onnx}').status == 0
    result = np.asarray(opened(upscale.target / 'a_x2.png'))[:, :, 3]
    far = cv2.erode(alpha, np.ones((7, 7))) == cv2.dilate(alpha, np.ones((7, 7)))
    far = far.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(result[far], alpha.repeat(2, 0).repeat(2, 1)[far]) and far.mean() > 0.7


@pytest.mark.parametrize('flags', [
    ['--output=out.jpg', '--lossless'],
    ['--output=out.jpg', '--ext=png'],
    ['--output=out.png', '--suffix=-large'],
    ['--output=out.gif'],
])  # fmt: skip
def test_a_file_that_other_flags_contradict_is_refused(upscale, photo, tmp_path, flags):
    photo.save(str(upscale.source / 'a.png'))
    assert_refused(upscale(f'--output={tmp_path / flags[0][9:]}', *flags[1:]), flags[0][9:])
    assert not (tmp_path / flags[0][9:]).exists()


def test_corrupt_files_and_broken_links_do_not_stop_the_others(upscale, photo):
    photo.crop((0, 0, 20, 20)).save(str(upscale.source / 'a.png'))
    (upscale.source / 'b.tif').write_bytes(b'II*\0\0\0\0\0')
    os.symlink('nowhere', str(upscale.source / 'c.jpg'))
    ended = upscale()
    assert ended.status == 1 and '1 done' in ended.out and '2 of 3 failed' in ended.err
    assert 'b.tif' in ended.err and 'c.jpg' in ended.err and 'Traceback' not in ended.err


def test_the_self_ensemble_takes_oblong_pictures_whole(upscale, photo, narrow_of_any_size):
    photo.crop((0, 0, 60, 40)).save(str(upscale.source / 'a.png'))
    ended = upscale(f'--model={narrow_of_any_size}', '--self-ensemble')
    assert ended.status == 0, ended.err
    assert opened(upscale.target / 'a_x2.png').size == (120, 80)


def test_the_log_is_written_even_if_the_run_ends_early(upscale, photo, tmp_path, monkeypatch):
    (upscale.source / 'a.png').write_bytes(b'broken')
    photo.crop((0, 0, 20, 20)).save(str(upscale.source / 'b.png'))

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(writer.Canvas, 'save', full)
    ended = upscale(f'--log={tmp_path / "log"}')
    assert ended.status == 1 and 'a.png' in (tmp_path / 'log').read_text()
