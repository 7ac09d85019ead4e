"""Decoders in worker processes, and file names, which no C library sees."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

from pictures.formats import decoder_worker, decoders, reader, registry, tiff_pages

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers import ROOT, assert_refused

MODERN = sys.version_info >= (3, 10)
NOT_UTF8 = os.fsdecode(b'caf\xe9')


def by_pillow(path, image):
    image.save(path)


def by_imagecodecs(name, **options):
    def save(path, image):
        with open(path, 'wb') as file:
            file.write(getattr(imagecodecs, name)(np.asarray(image), **options))

    return save


def as_heic(path, image):
    import pillow_heif

    pillow_heif.from_pillow(image).save(path)


MAKERS = {
    'PNG': by_pillow,
    'TIFF': by_pillow,
    'JPEG 2000': by_imagecodecs('jpeg2k_encode'),
    'JPEG XL': by_imagecodecs('jpegxl_encode'),
    'netpbm': by_pillow,
    'AVIF': by_imagecodecs('avif_encode', speed=9),
    'HEIF': as_heic,
    'JPEG': by_pillow,
    'WEBP': by_pillow,
    'BMP': by_pillow,
    'GIF': by_pillow,
    'TGA': by_pillow,
}
NEWER = ('JPEG XL', 'AVIF', 'HEIF')


@pytest.fixture
def no_workers():
    """Start and end a test without worker processes."""
    decoders.end_all()
    yield
    decoders.end_all()


def workers_of_this_process():
    """Return the process numbers of the workers that run."""
    return children_of(os.getpid())


def children_of(number):
    """Return the process numbers of the Python programs that a process started."""
    command = ['ps', '-o', 'pid=,comm=', '--ppid', str(number)]
    listed = subprocess.run(command, stdout=subprocess.PIPE).stdout.decode()  # ps exits with 1 if there are none
    return [int(line.split()[0]) for line in listed.splitlines() if 'python' in line]


def wait_until(is_true):
    for _ in range(400):
        if is_true():
            return
        time.sleep(0.025)
    raise AssertionError('waited for 10 seconds')


# --- names


@pytest.mark.parametrize('each', registry.FORMATS, ids=lambda each: each.name)
def test_a_file_whose_name_is_not_utf8_is_read_in_every_format(tmp_path, each):
    if each.name in NEWER and not MODERN:
        pytest.skip(f'no library for Python 3.7 reads {each.name}')
    made = tmp_path / f'a{each.endings[0]}'
    MAKERS[each.name](str(made), Image.new('RGB', (24, 16), (200, 100, 50)))
    path = os.path.join(str(tmp_path), NOT_UTF8 + each.endings[0])
    shutil.copyfile(str(made), path)
    picture, expected = reader.read_picture(path), reader.read_picture(str(made))
    assert picture.pixels.shape == (16, 24, 3) and np.abs(picture.pixels[:, :, 0].astype(int) - 200).max() < 12
    assert np.array_equal(picture.pixels, expected.pixels) and picture.notes == expected.notes
    assert reader.read_size(path) == reader.read_size(str(made))


@pytest.mark.slow
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_results_keep_names_that_are_not_utf8_in_every_format(upscale, dtype):
    """The 16-bit results are written by other libraries than the 8-bit ones."""
    values = np.full((16, 24, 3), 200, dtype) * (257 if dtype == np.uint16 else 1)
    tifffile.imwrite(str(upscale.source / 'a.tif'), values, photometric='rgb')
    os.rename(str(upscale.source / 'a.tif'), os.path.join(str(upscale.source), NOT_UTF8 + '.tif'))
    for ending in registry.WRITABLE:
        assert upscale(f'--ext={ending[1:]}').status == 0, ending
        path = os.path.join(str(upscale.target), f'{NOT_UTF8}_x2{ending}')
        with open(path, 'rb') as file:
            data = file.read()
        if ending == '.jxl':  # not every Pillow can read it
            assert imagecodecs.jpegxl_decode(data).shape == (32, 48, 3)
        else:
            assert Image.open(io.BytesIO(data)).size == (48, 32), ending


# --- workers


def test_only_formats_whose_decoders_may_crash_start_a_worker(tmp_path, no_workers):
    for name in ('PNG', 'JPEG', 'WEBP', 'GIF', 'BMP', 'TGA', 'netpbm'):
        path = str(tmp_path / f'a{registry.BY_ENDING[_ending(name)].endings[0]}')
        MAKERS[name](path, Image.new('RGB', (4, 4)))
        reader.read_picture(path)
    assert workers_of_this_process() == []
    assert {each.name for each in registry.FORMATS if each.may_crash} == {'TIFF', 'JPEG 2000', *NEWER}


def _ending(name):
    return next(each.endings[0] for each in registry.FORMATS if each.name == name)


@pytest.mark.slow
def test_the_next_picture_uses_the_same_worker(tmp_path, no_workers):
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.arange(24, dtype=np.uint16).reshape(4, 6) * 2000)
    for _ in range(2):
        picture = reader.read_picture(str(tmp_path / 'a.tif'))
        assert picture.pixels[:, :, 0].tolist() == (np.arange(24).reshape(4, 6) * 2000).tolist()
        assert picture.pixels.flags.writeable
    assert len(workers_of_this_process()) == 1


@pytest.mark.slow
def test_a_relative_path_starts_at_the_current_folder(tmp_path, monkeypatch, no_workers):
    for name, value in (('x', 10), ('y', 20)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(str(tmp_path / name / 'a.tif'), np.full((4, 6), value, np.uint8))
        monkeypatch.chdir(tmp_path / name)
        assert reader.read_picture('a.tif').pixels.max() == value


@pytest.mark.slow
def test_a_worker_passes_on_the_error_of_its_library(tmp_path, no_workers):
    (tmp_path / 'a.tif').write_bytes(b'II*\0' + b'\xff' * 50)
    with pytest.raises(ValueError, match=r'a\.tif: cannot be used as an image: .'):
        reader.read_picture(str(tmp_path / 'a.tif'))
    with pytest.raises(FileNotFoundError) as caught:
        decoders.read(registry.BY_ENDING['.tif'], str(tmp_path / 'none.tif'), [])
    assert caught.value.filename == str(tmp_path / 'none.tif')
    with pytest.raises(MemoryError):
        raise decoder_worker._plain(MemoryError())
    assert len(workers_of_this_process()) == 1


CRASHING = """
import os, signal, sys
sys.path.insert(0, {root!r})
import numpy as np
from pictures.formats import decoder_worker, registry
def read(path, notes):
    if 'panic' in path:
        raise BaseException('a panic')
    if 'slow' in path:
        import time
        time.sleep(100)
    if 'bad' in path or 'once' in path and os.path.exists(path):
        if 'once' in path:
            os.remove(path)
        os.kill(os.getpid(), signal.SIGSEGV)
    print('a library prints')
    notes.append('a note')
    return np.ones((2, 3, 1), np.uint8), None, None
each = registry.BY_ENDING['.tif']
decoder_worker.BY_NAME[each.name] = each._replace(read=read, read_page=lambda path, page, notes: read(path, notes))
decoder_worker.serve()
"""


@pytest.fixture
def crashing(monkeypatch, no_workers):
    """Return a function whose decoder fails for some paths: `bad`, `once` (for a crash), `panic`, `slow`."""
    monkeypatch.setattr(decoders, 'PROGRAM', CRASHING.format(root=ROOT))

    def read(path):
        notes = []
        array = decoders.read(registry.BY_ENDING['.tif'], path, notes)[0]
        assert notes == ['a note'] and array.tolist() == [[[1]] * 3] * 2

    return read


def test_a_crashed_worker_is_replaced(crashing):
    crashing('/good')
    first = workers_of_this_process()
    with pytest.raises(ValueError, match=r'the decoder of TIFF crashed \(SIGSEGV\): open it in another program'):
        crashing('/bad')
    assert workers_of_this_process() == []
    crashing('/good')
    assert len(first) == 1 and first != workers_of_this_process()


def test_the_error_names_the_page_whose_decoder_crashed(crashing, tmp_path):
    path = str(tmp_path / 'bad.tif')
    with tifffile.TiffWriter(path) as writer:
        for value in (1, 2):
            writer.write(np.full((4, 5), value, np.uint8), metadata=None)
    with pytest.raises(ValueError, match=r'page 1 of 2: the decoder of TIFF crashed \(SIGSEGV\)'):
        next(tiff_pages.read_frames(path, []).frames())


@pytest.mark.slow
def test_a_crash_in_a_used_worker_is_retried_once_in_a_new_one(crashing, tmp_path):
    (tmp_path / 'once').write_bytes(b'')
    crashing('/good')
    crashing(str(tmp_path / 'once'))
    (tmp_path / 'once').write_bytes(b'')
    decoders.end_all()
    with pytest.raises(ValueError, match='SIGSEGV'):  # a new worker crashes, too, so there is no second try
        crashing(str(tmp_path / 'once'))


@pytest.mark.slow
def test_a_panic_makes_only_its_picture_fail(crashing):
    with pytest.raises(ValueError, match='a panic'):
        crashing('/panic')
    assert len(workers_of_this_process()) == 1


@pytest.mark.slow
def test_a_worker_that_died_while_idle_is_replaced(crashing):
    crashing('/good')
    for number in workers_of_this_process():
        os.kill(number, signal.SIGKILL)
    crashing('/good')


@pytest.mark.slow
def test_a_decoder_in_an_endless_loop_is_stopped(crashing, monkeypatch):
    monkeypatch.setattr(decoders, 'SECONDS', 1)
    with pytest.raises(ValueError, match='the decoder of TIFF did not end within'):
        crashing('/slow')


@pytest.mark.slow
def test_an_interruption_stops_a_worker_that_reads(crashing):
    caught = []

    def read():
        try:
            crashing('/slow')
        except ValueError as error:
            caught.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    wait_until(workers_of_this_process)
    decoders.end_all()
    thread.join(10)
    assert caught == ['interrupted'] and workers_of_this_process() == []


@pytest.mark.slow
def test_threads_share_a_few_workers(crashing, monkeypatch):
    threads = [threading.Thread(target=crashing, args=('/good',)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(workers_of_this_process()) <= decoders.MAX_WORKERS


@pytest.mark.slow
def test_a_picture_whose_decoder_crashes_fails_and_the_others_succeed(upscale, monkeypatch, no_workers):
    values = np.full((8, 8, 3), 90, np.uint8)
    for name in 'a', 'bad', 'c':
        tifffile.imwrite(str(upscale.source / f'{name}.tif'), values, photometric='rgb')
    program = decoders.PROGRAM.replace('decoder_worker.serve()', CRASH_ON_BAD + 'decoder_worker.serve()')
    monkeypatch.setattr(decoders, 'PROGRAM', program)
    ended = upscale()
    assert_refused(ended, '1 of 3 failed', 'bad.tif: cannot be used as an image: the decoder of TIFF crashed')
    assert sorted(path.name for path in upscale.target.glob('*.tif')) == ['a_x2.tif', 'c_x2.tif']


CRASH_ON_BAD = (
    'import os; from pictures.formats import registry; each = registry.BY_ENDING[".tif"]; '
    'decoder_worker.BY_NAME["TIFF"] = each._replace('
    'read=lambda path, notes: os.abort() if "bad" in path else each.read(path, notes)); '
)


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pictures.formats import decoders, registry
decoders.PROGRAM = sys.argv[2]
print(flush=True)
decoders.read(registry.BY_ENDING['.tif'], '/slow', [])
"""


@pytest.mark.slow
@pytest.mark.parametrize('sent', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_program_that_started_them(sent):
    command = [sys.executable, '-c', HOLDER, ROOT, CRASHING.format(root=ROOT)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert program.stdout
    program.stdout.readline()
    wait_until(lambda: children_of(program.pid))
    (worker,) = children_of(program.pid)
    time.sleep(0.5)  # the worker needs a moment until it answers requests
    os.kill(program.pid, sent)
    program.wait()
    program.stdout.close()
    wait_until(lambda: not os.path.exists(f'/proc/{worker}'))


@pytest.mark.parametrize('layout', [{'tile': (16, 16)}, {'rowsperstrip': 2, 'compression': 'zlib'}])
def test_a_tiff_with_fewer_parts_than_its_size_needs_is_refused_at_once(tmp_path, layout):
    """Without the check, tifffile would fill the missing parts with black for minutes."""
    tifffile.imwrite(str(tmp_path / 'a.tif'), np.ones((64, 32), np.uint8), **layout)
    assert reader.read_picture(str(tmp_path / 'a.tif')).pixels.shape == (64, 32, 1)
    with tifffile.TiffFile(str(tmp_path / 'a.tif'), mode='r+b') as tiff:
        place = tiff.pages[0].tags['ImageLength'].valueoffset
    with open(str(tmp_path / 'a.tif'), 'r+b') as file:
        file.seek(place)
        file.write((3000000).to_bytes(4, 'little'))
    with pytest.raises(ValueError, match='parts of its picture are missing'):
        reader.read_picture(str(tmp_path / 'a.tif'))
