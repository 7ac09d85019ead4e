"""files.py: results that are there whole or not at all."""

import os

import pytest

import files
from conftest import snapshot


class Stop(BaseException):
    """As Ctrl-C: no Exception."""


@pytest.mark.parametrize('before', [None, b'old'])
def test_file_is_the_old_one_until_the_new_one_is_whole(tmp_path, before):
    path = tmp_path / 'sub' / 'result'
    if before:
        path.parent.mkdir()
        path.write_bytes(before)
    with pytest.raises(Stop):
        with files.replacing(str(path)) as file:
            file.write(b'half')
            raise Stop
    assert snapshot(path.parent) == ({'result': before} if before else {})
    with files.replacing(str(path)) as file:
        file.write(b'new')
        file.flush()
        assert path.exists() == bool(before)
    assert snapshot(path.parent) == {'result': b'new'}


def test_folder_in_the_place_of_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / 'result').mkdir()
    with pytest.raises(IsADirectoryError, match='result'):
        with files.replacing(str(tmp_path / 'result')) as file:
            file.write(b'new')
    assert os.listdir(str(tmp_path)) == ['result']


def test_folder_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / 'out'
    path.mkdir()
    (path / 'ours').write_text('old')
    (path / 'note').write_text('mine')
    with pytest.raises(Stop):
        with files.replacing_folder(str(path), ['ours']) as new:
            open(os.path.join(new, 'ours'), 'w').close()
            raise Stop
    assert snapshot(tmp_path) == {'out': None, 'out/ours': b'old', 'out/note': b'mine'}
    with files.replacing_folder(str(path), ['ours', 'gone']) as new:
        with open(os.path.join(new, 'more'), 'w') as file:
            file.write('new')
    assert snapshot(tmp_path) == {'out': None, 'out/more': b'new', 'out/note': b'mine'}


def test_foreign_file_of_a_results_name_is_not_overwritten(tmp_path):
    path = tmp_path / 'out'
    path.mkdir()
    (path / 'x').write_text('mine')
    with pytest.raises(FileExistsError, match='in the way'):
        with files.replacing_folder(str(path), []) as new:
            open(os.path.join(new, 'x'), 'w').close()
    assert snapshot(tmp_path) == {'out': None, 'out/x': b'mine'}


def test_file_in_the_place_of_a_folder_stays(tmp_path):
    (tmp_path / 'out').write_text('mine')
    with pytest.raises(OSError):
        with files.replacing_folder(str(tmp_path / 'out'), []):
            pass
    assert snapshot(tmp_path) == {'out': b'mine'}
