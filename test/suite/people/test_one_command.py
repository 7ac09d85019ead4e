"""RDN_upscale.py photo.jpg: places of results without --output, the default weights, earlier results among the inputs."""

import glob
import os
import re
import shutil

from pictures import jobs, naming, processing, request
from rdn import engines, files

import pytest

from helpers import FULL, LITE, ROOT, assert_refused, opened, run_python, snapshot


@pytest.fixture
def run(script, narrow, tmp_path, monkeypatch):
    """Return run('photo.jpg', flag, ...), which runs the script in an empty folder with a small network."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: script('RDN_upscale', *arguments, f'--model={narrow[1]}')


def put(photo, *paths):
    """Write a small picture to each path, in its format."""
    for path in paths:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        photo.crop((0, 0, 20, 10)).save(path)


def pictures_in(folder):
    return sorted(name for name, content in snapshot(folder).items() if content is not None)


# --- places


def test_a_result_is_next_to_its_picture(run, photo, tmp_path):
    put(photo, 'photo.jpg', 'deep/other.png')
    ended = run('photo.jpg', 'deep/other.png')
    assert ended.status == 0, ended.err
    assert pictures_in(tmp_path) == ['deep/other.png', 'deep/other_x2.png', 'photo.jpg', 'photo_x2.jpg']
    assert opened('photo_x2.jpg').size == (40, 20)


@pytest.mark.parametrize('given', ['photos', 'photos/', './photos', 'photos/../photos', '{here}/photos'])
def test_the_results_of_a_folder_are_in_a_folder_next_to_it_with_the_same_structure(run, photo, tmp_path, given):
    put(photo, 'photos/a.jpg', 'photos/trip/b.png')
    ended = run(given.format(here=tmp_path))
    assert ended.status == 0, ended.err
    assert pictures_in(tmp_path) == [
        'photos/a.jpg',
        'photos/trip/b.png',
        'photos_x2/a_x2.jpg',
        'photos_x2/trip/b_x2.png',
    ]


def test_the_results_of_the_current_folder_are_in_a_folder_next_to_it(run, photo, tmp_path, monkeypatch):
    put(photo, 'photos/a.jpg', 'photos/trip/b.jpg')
    monkeypatch.chdir(tmp_path / 'photos')
    assert run('.').status == 0 and (tmp_path / 'photos_x2' / 'trip' / 'b_x2.jpg').exists()
    monkeypatch.chdir(tmp_path / 'photos' / 'trip')
    assert run('..', '--overwrite').status == 0
    assert pictures_in(tmp_path / 'photos') == ['a.jpg', 'trip/b.jpg']


def test_files_and_folders_can_be_arguments_or_values_of_input(run, photo, tmp_path):
    put(photo, 'a.jpg', 'b.png', 'photos/c.jpg')
    assert run('a.jpg', 'photos', '--input', 'b.png').status == 0
    assert {'a_x2.jpg', 'b_x2.png', 'photos_x2/c_x2.jpg'} < set(pictures_in(tmp_path))
    assert run('a.jpg', '--input', 'photos', '--output=all').status == 0
    assert pictures_in(tmp_path / 'all') == ['a_x2.jpg', 'c_x2.jpg']


def test_a_picture_that_is_named_twice_is_enlarged_once(run, photo):
    put(photo, 'a.jpg')
    ended = run('a.jpg', './a.jpg', '--input', 'a.jpg')
    assert ended.status == 0 and '1 done, in a_x2.jpg' in ended.out, ended


def test_suffix_and_ext_change_the_names_of_results(run, photo, tmp_path):
    put(photo, 'photos/a.jpg', 'b.jpg')
    assert run('photos', 'b.jpg', '--suffix=-large', '--ext=png').status == 0
    assert pictures_in(tmp_path) == ['b-large.png', 'b.jpg', 'photos-large/a-large.png', 'photos/a.jpg']
    assert run('b.jpg', '--suffix=', '--ext=png').status == 0 and os.path.exists('b.png')
    assert_refused(run('photos', '--suffix='), 'photos', '--suffix', '--output')


def test_without_a_picture_one_line_says_how_to_name_one(run, script):
    ended = script('RDN_upscale')
    assert_refused(ended, 'photo.jpg')
    assert ended.status == 2
    assert_refused(script('RDN_upscale', '--cluster', '--input=photos'), '--cluster', '--output')
    assert_refused(run('nothing.jpg'), 'nothing.jpg')


def test_an_existing_result_is_kept_unless_a_flag_says_otherwise(run, photo):
    put(photo, 'photo.jpg')
    assert run('photo.jpg').status == 0
    with open('photo_x2.jpg', 'ab') as file:
        file.write(b'edited')
    with open('photo_x2.jpg', 'rb') as file:
        before = file.read()
    assert_refused(run('photo.jpg'), 'photo_x2.jpg', '--overwrite', '--resume')
    assert '1 skipped' in run('photo.jpg', '--resume').out
    with open('photo_x2.jpg', 'rb') as file:
        assert file.read() == before


# --- results are not enlarged again


def test_a_second_run_over_a_folder_enlarges_no_results(run, photo, tmp_path):
    """The earlier results are next to their pictures, in another format, and in folders next to folders."""
    put(photo, 'photos/a.jpg', 'photos/trip/b.jpg', 'photos/trip/day/c.png')
    assert run('photos/a.jpg', 'photos/trip/day/c.png').status == 0
    assert run('photos/trip/b.jpg', '--ext=png').status == run('photos/trip/day').status == 0
    assert run('photos/trip').status == 0
    there = {'a_x2.jpg', 'trip/b_x2.png', 'trip/day/c_x2.png', 'trip/day_x2/c_x2.png', 'trip_x2/b_x2.jpg'}
    assert there < set(pictures_in('photos'))
    for flags in ([], ['--overwrite']):
        ended = run('photos', *flags)
        assert ended.status == 0, ended.err
        assert pictures_in(tmp_path / 'photos_x2') == ['a_x2.jpg', 'trip/b_x2.jpg', 'trip/day/c_x2.png']
        assert re.search(
            r'^not enlarged again: 6 results of earlier runs: photos/a_x2.jpg, .*…$', ended.out, re.MULTILINE
        )


def test_results_of_another_scale_are_recognized_too(run, photo, tmp_path):
    put(photo, 'photos/a.jpg', 'photos/a_x3.png', 'photos/trip/b.jpg', 'photos/trip_x4/b_x4.jpg', 'photos/c_x3.jpg')
    assert run('photos').status == 0
    assert pictures_in(tmp_path / 'photos_x2') == ['a_x2.jpg', 'c_x3_x2.jpg', 'trip/b_x2.jpg']


def test_a_result_that_the_user_names_is_enlarged(run, photo):
    put(photo, 'photo.jpg')
    assert run('photo.jpg').status == run('photo_x2.jpg').status == 0
    assert opened('photo_x2_x2.jpg').size == (80, 40)


def test_all_files_named_by_a_wildcard_are_enlarged_once(run, photo, tmp_path):
    """In the second run, the shell expands `*` to pictures and results."""
    put(photo, 'photo.jpg', 'photos/a.jpg')
    for _ in range(2):
        ended = run(*sorted(glob.glob('*')), '--overwrite')
        assert ended.status == 0, ended.err
    assert 'results of earlier runs: photo_x2.jpg, photos_x2/a_x2.jpg' in ended.out
    assert pictures_in(tmp_path) == ['photo.jpg', 'photo_x2.jpg', 'photos/a.jpg', 'photos_x2/a_x2.jpg']


def test_a_name_that_only_looks_like_a_result_is_a_picture(tmp_path, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(photo, 'in/a_x2.jpg', 'in/b.png', 'in/b_5x.png', 'in/c_x2/b.png', 'in/d_x2/e_x2.png')
    found = jobs.find_jobs(['in'], naming.make_naming(None, None, None, False, '_x2'), processing.Summary())
    assert not found.results and len(found.jobs) == 5


# --- weights


@pytest.mark.slow
def test_without_a_model_the_compact_weights_of_the_repository_are_used(photo, tmp_path):
    """This works from any folder; nothing but the result is written there or in the repository."""
    put(photo, str(tmp_path / 'photo.png'))
    (tmp_path / 'rdn_x2.onnx').write_text('an earlier default')
    weights = files.digest(LITE)
    before = {place: pictures_in(place) for place in (os.path.join(ROOT, 'weights'), os.path.join(ROOT, 'rdn'))}
    done = run_python(os.path.join(ROOT, 'RDN_upscale.py'), 'photo.png', cwd=str(tmp_path))
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert 'rdn_x2_lite.pth' in first and weights[:12] in first and '--model' in first and 'x2 on ' in first
    assert pictures_in(tmp_path) == ['photo.png', 'photo_x2.png', 'rdn_x2.onnx']
    assert {place: [n for n in pictures_in(place) if '.pyc' not in n] for place in before} == {
        place: [n for n in names if '.pyc' not in n] for place, names in before.items()
    }


def test_weights_give_the_same_result_as_their_onnx_export(script, narrow, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo.save('a.png')
    for model, folder in zip(narrow, ('weights', 'exported')):
        assert script('RDN_upscale', 'a.png', '--model', model, '--precision=fp32', f'--output={folder}').status == 0
    a, b = (list(opened(f'{folder}/a_x2.png').getdata()) for folder in ('weights', 'exported'))
    assert max(abs(x - y) for one, other in zip(a, b) for x, y in zip(one, other)) <= 1


def test_the_digest_of_a_model_is_on_the_console_and_on_the_page(script, narrow, photo, tmp_path, monkeypatch):
    """Different models may have the same file name."""
    monkeypatch.chdir(tmp_path)
    put(photo, 'a.png')
    shutil.copy(narrow[1], 'rdn_x2.onnx')
    ended = script('RDN_upscale', 'a.png', '--model=rdn_x2.onnx', '--report=page')
    digest = files.digest('rdn_x2.onnx')
    assert ended.status == 0 and f'rdn_x2.onnx (SHA-256 {digest[:12]}…)' in ended.out.splitlines()[0]
    with open('page/index.html', encoding='utf-8') as file:
        page = file.read()
    assert 'rdn_x2.onnx' in page and digest in page


@pytest.mark.parametrize('given, file', [(None, LITE), ('lite', LITE), ('full', FULL), ('my.pth', 'my.pth')])
def test_a_model_is_a_file_or_a_name_of_the_projects_own(tmp_path, monkeypatch, given, file):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my.pth').write_bytes(b'')
    assert os.path.samefile(request.ChosenModel(given, 'auto', 'auto', engines.Place()).file, file)


def test_a_picture_that_does_not_exist_is_refused_before_an_engine_starts(script, monkeypatch, tmp_path):
    monkeypatch.setattr(engines, 'opened', None)
    assert_refused(script('RDN_upscale', str(tmp_path / 'nosuch.jpg')), 'nosuch.jpg: no such file or folder')
