"""RDN_upscale.py with file names that would control the terminal, and with other things in the places of results."""

import contextlib
import errno
import os
import resource

from pictures import processing
from pictures.cluster import stores, worker
from pictures.report import report
from rdn import engines, escaping

import numpy as np
import pytest
from PIL import Image

from helpers import assert_refused, opened

HOSTILE = 'a\n0 of 1 failed: all well\x1b]0;t\x07\x1b[2J\u202egnp'
SHOWN = r'a\n0 of 1 failed: all well\x1b]0;t\x07\x1b[2J\u202egnp'


def put(path, side=12):
    Image.new('RGB', (side, side), (90, 120, 30)).save(str(path))


@pytest.fixture
def made(tmp_path, narrow):
    """made(resume=True) makes a worker of a cluster that reads from in/ and writes to out/."""

    def make(output=None, **flags):
        folders = [str(tmp_path / 'in'), str(output or tmp_path / 'out')]
        for folder in folders:
            if '://' not in folder:
                os.makedirs(folder, exist_ok=True)
        with open(narrow[1], 'rb') as file:
            model = file.read()
        source, target = ((folder, folder) for folder in folders)
        setup = worker.Setup(
            model, 'my.onnx', 'auto', 'fp32', engines.Place(), source, target, [], None, processing.Options(**flags)
        )
        return worker.Worker(setup, 1)

    return make


# --- names


def test_a_hostile_name_is_shown_once_on_one_line(upscale, tmp_path):
    (upscale.source / f'{HOSTILE}.png').write_bytes(b'broken')
    (upscale.source / f'{HOSTILE}.txt').write_bytes(b'no picture')
    put(upscale.source / f'good{HOSTILE}.png')
    ended = upscale(f'--log={tmp_path / "log.txt"}')
    assert_refused(ended, '1 of 2 failed', f'{SHOWN}.png')
    log = (tmp_path / 'log.txt').read_text()
    assert log.startswith(f'{upscale.source}/{SHOWN}.png: ') and log.count('\n') == log.count(SHOWN) == 1, log
    assert ended.out.count(SHOWN) == 3 and ended.err.count(SHOWN) == 1
    for text in (ended.out, ended.err, log):
        assert escaping.escape(text, '\n') == text
    assert opened(upscale.target / f'good{HOSTILE}_x2.png').size == (24, 24)


def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(upscale, tmp_path):
    with open(os.path.join(os.fsencode(str(upscale.source)), b'caf\xe9.png'), 'wb') as file:
        file.write(b'broken')
    ended = upscale(f'--log={tmp_path / "log.txt"}')
    assert_refused(ended, r'caf\xe9.png')
    assert (tmp_path / 'log.txt').read_bytes().count(rb'caf\xe9.png: ') == 1


def test_names_in_any_language_stay_as_they_are(upscale, tmp_path):
    names = ['图片', 'صورة', 'é\u0301', '👩‍👧', 'क्‍ष']
    for name in names:
        (upscale.source / f'{name}.png').write_bytes(b'broken')
    assert upscale(f'--log={tmp_path / "log.txt"}').status == 1
    log = (tmp_path / 'log.txt').read_text(encoding='utf-8')
    assert [f'/{name}.png: ' in log for name in names] == [True] * len(names)


def test_a_worker_reports_a_hostile_name_like_a_single_machine(upscale, made, tmp_path):
    (upscale.source / f'{HOSTILE}.png').write_bytes(b'broken')
    upscale(f'--log={tmp_path / "log.txt"}')
    task = worker.PictureTask(f'{HOSTILE}.png', f'{HOSTILE}_x2.png')
    outcome = made().upscale(task)
    summary = processing.Summary()
    summary.fail(outcome.line)
    summary.write_failures(str(tmp_path / 'log2.txt'))
    assert (tmp_path / 'log.txt').read_text() == (tmp_path / 'log2.txt').read_text()


# --- folders and empty files in the places of results


@pytest.fixture
def occupied(upscale):
    """Make three pictures; in the places of their results are a folder, an empty file and a result."""
    (upscale.target / 'folder_x2.png').mkdir(parents=True)
    (upscale.target / 'empty_x2.png').write_bytes(b'')
    (upscale.target / 'whole_x2.png').write_bytes(b'mine')
    for name in ('folder', 'empty', 'whole'):
        put(upscale.source / f'{name}.png')
    return upscale


def outcomes(made, output=None, **options):
    """Return a cluster worker's outcomes by the pictures' names."""
    one = made(output, **options)
    return {name: one.upscale(worker.PictureTask(f'{name}.png', f'{name}_x2.png')) for name in NAMES}


NAMES = ('folder', 'empty', 'whole')


def test_resume_does_not_take_a_folder_or_an_empty_file_for_a_result(occupied, made):
    said = outcomes(made, resume=True)
    assert [said[name].kind for name in NAMES] == ['failed', 'done', 'skipped']
    (occupied.target / 'empty_x2.png').write_bytes(b'')
    ended = occupied('--resume')
    assert_refused(ended, '1 of 3 failed', 'folder_x2.png: is a folder')
    assert said['folder'].line in ended.err
    assert '1 skipped' in ended.out and '1 done' in ended.out
    assert opened(occupied.target / 'empty_x2.png').size == (24, 24)
    assert (occupied.target / 'whole_x2.png').read_bytes() == b'mine'


@pytest.mark.parametrize('flag', [None, 'overwrite'])
def test_a_folder_in_the_place_of_a_result_is_named_with_every_flag(occupied, made, flag):
    flags = {flag: True} if flag else {}
    said = outcomes(made, **flags)
    kinds = ['failed', 'done', 'done'] if flag else ['failed'] * 3
    assert [said[name].kind for name in NAMES] == kinds
    ended = occupied(*(f'--{name}' for name in flags))
    assert said['folder'].line in ended.err and 'is a folder' in said['folder'].line
    assert (f'{kinds.count("failed")} of 3 failed' in ended.err) and (occupied.target / 'folder_x2.png').is_dir()


def test_a_folder_or_an_empty_file_at_a_url_is_not_a_result(flaky, upscale, made, tmp_path):
    store = stores.open_store('flaky://results')
    for place, content in (('folder_x2.png/other', b'other'), ('empty_x2.png', b''), ('whole_x2.png', b'mine')):
        with store.writing(place, str(tmp_path)) as path, open(path, 'wb') as file:
            file.write(content)
    assert [store.is_filled(f'{name}_x2.png') for name in ('none', 'empty', 'whole')] == [None, False, True]
    for name in NAMES:
        put(upscale.source / f'{name}.png')
    said = outcomes(made, 'flaky://results', resume=True)
    assert [said[name].kind for name in NAMES] == ['failed', 'done', 'skipped']
    assert said['folder'].line == 'flaky://results/folder_x2.png: is a folder, not a file'


# --- full disks


@contextlib.contextmanager
def largest_file(size):
    """Limit files of this process to `size` bytes: writing more fails without a file name, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(side):
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (side, side, 3), np.uint8))


def test_a_view_that_does_not_fit_on_the_disk_is_named(tmp_path):
    (tmp_path / 'page').mkdir()
    image = noise(200)
    with pytest.raises(OSError) as raised, report.writing(str(tmp_path / 'page')) as page, largest_file(4096):
        page.add('a', report.Views(image, image))
    assert raised.value.errno == errno.EFBIG
    assert os.path.dirname(raised.value.filename) == str(tmp_path / 'page' / 'index_views')
    assert os.listdir(str(tmp_path / 'page')) == []


def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_disk_that_is_full_at_the_report_is_not_blamed_on_a_result(upscale, tmp_path, monkeypatch):
    put(upscale.source / 'a.png')
    write = report.Report._write_view

    def write_on_a_full_disk(*arguments):
        monkeypatch.setattr(os, 'fsync', full)
        return write(*arguments)

    monkeypatch.setattr(report.Report, '_write_view', write_on_a_full_disk)
    ended = upscale(f'--report={tmp_path / "page"}')
    assert_refused(ended, f'{tmp_path}/page/index_views/', 'No space left')
    assert 'a_x2.png' not in ended.err and (upscale.target / 'a_x2.png').exists()


def test_a_full_disk_on_a_cluster_is_reported_with_the_result(upscale, made, monkeypatch):
    put(upscale.source / 'a.png')
    one = made()
    monkeypatch.setattr(os, 'fsync', full)
    outcome = one.upscale(worker.PictureTask('a.png', 'a_x2.png'))
    assert outcome == worker.Outcome('fatal', f'{upscale.target}/a_x2.png: No space left on device')
