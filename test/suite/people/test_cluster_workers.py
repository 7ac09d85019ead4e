"""pictures/cluster without Ray: workers, their resources, and errors before they start."""

import errno
import os
import shutil
import sys
import tempfile

from pictures import processing, target_size
from pictures.cluster import fleet, stores, worker
from pictures.formats import reader
from rdn import engines, files

import numpy as np
import pytest
from PIL import Image

from helpers import assert_refused, run_python, snapshot

# --- workers


@pytest.fixture
def made(tmp_path, narrow):
    """Return made(options), which returns a Worker from in/ to out/."""
    (tmp_path / 'in').mkdir()
    (tmp_path / 'out').mkdir()
    with open(narrow[1], 'rb') as file:
        model = file.read()

    def make(token=None, output=tmp_path / 'out', **options):
        source, target = ((str(folder), str(folder)) for folder in (tmp_path / 'in', output))
        first = sorted(os.listdir(str(tmp_path / 'in')))
        setup = worker.Setup(
            model,
            'my.onnx',
            'auto',
            'fp32',
            engines.Place(),
            source,
            target,
            first,
            token,
            processing.Options(**options),
        )
        return worker.Worker(setup, 1)

    return make


@pytest.mark.parametrize('name, size', [('a.png', (500, 700)), ('a.jpg', (300, 90)), ('a.tif', (60, 50))])
def test_a_picture_in_bands_becomes_the_same_file_as_in_one_piece(made, photos, tmp_path, name, size):
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize(size).save(tmp_path / 'in' / name)
    task = worker.PictureTask(name, 'whole' + os.path.splitext(name)[1])
    one = made()
    whole = one.upscale(task)
    assert whole.kind == 'done' and whole.megapixels == size[0] * size[1] / 1e6, whole
    for count in (1, 3, 20):
        joined = task._replace(target=f'joined{count}' + os.path.splitext(name)[1])
        outcome, head, *bands = one.cut(joined, count)
        assert outcome.kind == 'part' and len(bands) == count
        parts = [one.upscale_band(band)[1] for band in bands]
        assert one.join(joined, head, *parts)._replace(line='') == whole._replace(line='')
        found = [(tmp_path / 'out' / each.target).read_bytes() for each in (task, joined)]
        assert found[0] == found[1]


def test_sixteen_bits_and_alpha_are_the_same_in_bands_as_in_one_piece(made, tmp_path):
    import cv2

    random = np.random.RandomState(0)
    smooth = cv2.resize(random.rand(40, 30, 4).astype(np.float32), (300, 400), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / 'in' / 'a.png'), (smooth.clip(0, 1) * 65535).astype(np.uint16))
    one, task = made(), worker.PictureTask('a.png', 'whole.png')
    assert one.upscale(task).kind == 'done'
    _, head, *bands = one.cut(task._replace(target='joined.png'), 3)
    outcome = one.join(task._replace(target='joined.png'), head, *[one.upscale_band(band)[1] for band in bands])
    assert outcome.kind == 'done', outcome
    whole, joined = (reader.read_picture(str(tmp_path / 'out' / name)).pixels for name in ('whole.png', 'joined.png'))
    assert whole.dtype == np.uint16 and whole.shape[2] == 4 and (whole == joined).all()


def test_a_picture_of_a_wanted_size_stays_with_one_worker(made, photos, tmp_path, monkeypatch):
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize((60, 40)).save(tmp_path / 'in' / 'a.png')
    monkeypatch.setattr(worker, 'LARGE_MEGAPIXELS', 0.001)
    one = made(size=target_size.TargetSize('width', 150))
    outcome = one.upscale(worker.PictureTask('a.png', 'a_w150.png', is_shown=True, splits=True))
    assert outcome.kind == 'done' and outcome.views.size == outcome.views.bicubic.size == (150, 100), outcome
    with Image.open(str(tmp_path / 'out' / 'a_w150.png')) as large:
        assert large.size == (150, 100)


def test_a_large_picture_is_returned_only_if_the_scheduler_can_cut_it(made, photos, tmp_path, monkeypatch):
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize((300, 200)).save(tmp_path / 'in' / 'a.png')
    monkeypatch.setattr(worker, 'LARGE_MEGAPIXELS', 0.05)
    one, task = made(), worker.PictureTask('a.png', 'a_x2.png', splits=True)
    assert one.upscale(task).kind == 'large' and os.listdir(str(tmp_path / 'out')) == []
    assert one.upscale(task._replace(splits=False)).kind == 'done'


def test_all_frames_of_a_file_stay_together_on_one_worker(made, photos, tmp_path, monkeypatch):
    with Image.open(photos[0]) as photo:
        first = photo.convert('RGB').resize((60, 40))
    first.save(tmp_path / 'in' / 'a.webp', save_all=True, append_images=[first.rotate(180)], duration=[40, 70])
    monkeypatch.setattr(worker, 'LARGE_MEGAPIXELS', 0.001)
    task = worker.PictureTask('a.webp', 'a_x2.webp', is_shown=True, splits=True)
    outcome = made(all_frames=True).upscale(task)
    assert outcome.kind == 'done' and outcome.views and outcome.megapixels == pytest.approx(2 * 60 * 40 / 1e6)
    with Image.open(tmp_path / 'out' / 'a_x2.webp') as image:
        assert image.size == (120, 80) and image.n_frames == 2


def test_a_result_that_a_worker_wrote_before_it_died_counts_as_done(made, photos, tmp_path):
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize((40, 30)).save(tmp_path / 'in' / 'a.png')
    one, task = made(), worker.PictureTask('a.png', 'a_x2.png')
    assert one.upscale(task).kind == 'done'
    before = snapshot(tmp_path / 'out')
    assert one.upscale(task).kind == 'failed'  # the result exists, as on one machine
    assert one.upscale(task._replace(is_retry=True)).kind == 'done'
    assert snapshot(tmp_path / 'out') == before
    assert made(resume=True).upscale(task).kind == 'skipped'
    assert made(overwrite=True).upscale(task).kind == 'done'


def test_a_machine_without_the_folder_or_with_another_one_says_so(made, tmp_path):
    with files.scratch_folder(str(tmp_path / 'out' / 'token')) as token:
        assert made(token=os.path.basename(token)).ready().refusal is None
    assert 'another folder of that name' in made(token='.other').ready().refusal
    assert 'nowhere: this machine does not see the folder' in made(output=tmp_path / 'nowhere').ready().refusal


def test_a_machine_that_does_not_see_the_first_picture_says_so(made, tmp_path):
    (tmp_path / 'in' / 'a.png').write_bytes(b'')
    setup = made()._setup._replace(first=['mounted/elsewhere.png'])
    assert 'elsewhere.png: this machine does not see the file' in str(worker.Worker(setup, 1).ready().refusal)


def test_a_first_picture_that_is_a_broken_link_refuses_no_machine(made, tmp_path):
    (tmp_path / 'in' / '0.png').symlink_to('nowhere')
    (tmp_path / 'in' / 'a.png').write_bytes(b'')
    assert made().ready().refusal is None


def test_a_machine_that_may_not_write_the_results_says_so(made, monkeypatch):
    def deny(folder):
        raise PermissionError(errno.EACCES, 'cannot be written to', folder)

    monkeypatch.setattr(files, 'check_writable', deny)
    assert 'cannot be written to' in made().ready().refusal


def test_a_local_copy_that_fills_a_machines_disk_does_not_end_the_run(made, flaky, monkeypatch):
    one = made()
    one._input = stores.open_store('flaky://pictures')
    monkeypatch.setattr(one._input._system, 'get_file', lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'full')))
    outcome = one.upscale(worker.PictureTask('a.png', 'b.png'))
    assert outcome.kind == 'unfit'
    assert outcome.line == f'flaky://pictures/a.png: full: local copies need space in {tempfile.gettempdir()}'


def test_a_full_disk_ends_the_run_only_if_all_machines_share_it(made, tmp_path, monkeypatch):
    one = made()
    monkeypatch.setattr(one, '_upscale', lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'no space', 'x')))
    assert one.upscale(worker.PictureTask('a.png', 'b.png')).kind == 'fatal'
    one._output = None  # not a Folder, so not shared
    assert one.upscale(worker.PictureTask('a.png', 'b.png')).kind == 'unfit'


def test_an_error_of_a_model_names_the_path_that_the_user_gave(tmp_path):
    here = str(tmp_path), str(tmp_path)
    setup = worker.Setup(
        b'no model', 'my.onnx', 'auto', 'fp32', engines.Place(), here, here, [], None, processing.Options()
    )
    assert str(worker.Worker(setup, 1).ready().refusal).startswith('my.onnx: ')


@pytest.mark.parametrize(
    'resources, threads, expected',
    [
        ({'CPU': 4.0}, 0, [{'num_cpus': 4}]),
        ({'CPU': 64.0}, 0, [{'num_cpus': 8}] * 8),
        ({'CPU': 64.0}, 16, [{'num_cpus': 16}] * 4),
        ({'CPU': 3.0}, 1, [{'num_cpus': 1}] * 3),
        ({'CPU': 2.0}, 4, [{'num_cpus': 2}]),
        ({'CPU': 12.0}, 0, [{'num_cpus': 6}] * 2),
        ({'memory': 1.0}, 0, []),
        ({'CPU': 16.0, 'GPU': 2.0}, 0, [{'num_gpus': 1, 'num_cpus': 8}] * 2),
        ({'CPU': 16.0, 'NPU': 8.0}, 1, [{'resources': {'NPU': 1}, 'num_cpus': 1}] * 8),
        ({'GPU': 1.0}, 0, [{'num_gpus': 1, 'num_cpus': 0}]),
    ],
)
def test_a_machine_has_a_worker_for_each_accelerator_or_for_some_cores(resources, threads, expected):
    assert fleet.worker_needs(resources, threads, True) == expected
    if 'GPU' in resources or 'NPU' in resources:
        on_cores = fleet.worker_needs(resources, threads, False)
        assert all(set(need) == {'num_cpus'} for need in on_cores)


# --- the command line


@pytest.fixture
def one_picture(upscale, photos):
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize((40, 30)).save(upscale.source / 'a.png')
    return upscale


def test_without_ray_one_line_names_what_to_install(one_picture, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'ray', None)
    monkeypatch.chdir(tmp_path)
    assert_refused(one_picture('--cluster'), '--cluster', 'requirements-cluster.txt')
    assert os.listdir(str(one_picture.target)) == []


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--output=out.png'], 'a folder or a URL'),
        (['--input=nowhere'], 'no such folder'),
        (['--input=photo.png'], 'photo.png: a file: --cluster takes a folder'),
        (['--model=nowhere.onnx'], 'no such model'),
    ],
)
def test_wrong_inputs_and_models_are_refused_before_ray_starts(one_picture, monkeypatch, tmp_path, flags, words):
    monkeypatch.setattr(fleet, 'joined', lambda _: pytest.fail('started'))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photo.png').write_bytes(b'')
    assert_refused(one_picture('--cluster', *flags), words)


@pytest.mark.parametrize('flag', ['--input=s3://pictures/in', '--output=s3://pictures/out'])
def test_a_url_without_the_flag_for_it_is_refused(one_picture, monkeypatch, tmp_path, flag):
    monkeypatch.chdir(tmp_path)
    assert_refused(one_picture(flag), flag.partition('=')[2], '--cluster')
    assert not (tmp_path / 's3:').exists()


def test_the_packages_that_are_sent_are_all_that_a_worker_needs(tmp_path):
    """Another machine has no checkout of the repository."""
    for path in fleet.sent_packages():
        copy = shutil.copytree if os.path.isdir(path) else shutil.copy
        copy(path, str(tmp_path / os.path.basename(path)))
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    code = 'import rdn.engines.pytorch; from pictures.cluster import worker; print(worker.__file__)'
    done = run_python('-c', code, cwd=str(tmp_path), env=environment)
    assert done.returncode == 0 and done.stdout.startswith(str(tmp_path)), done.stderr
