"""pictures/cluster without Ray: pictures of folders and stores are listed, read, and written atomically."""

import contextlib
import errno
import os

from pictures import discovery, naming, processing
from pictures.cluster import stores, task_source

import pytest

from helpers import snapshot

# --- the list of pictures


def listed(source, output):
    names, summary = naming.Naming('', '_x2', None, False), processing.Summary()
    tasks = task_source.find_tasks(stores.Folder(str(source)), stores.Folder(str(output)), names, summary)
    return list(tasks), summary


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')


def test_pictures_are_listed_as_on_one_machine(tmp_path):
    touch(
        tmp_path / 'in', 'b.png', 'a.jpg', 'sub/c.png', '.hidden.png', 'notes.txt', 'index_views/d.png', 'out/a_x2.jpg'
    )
    tasks, summary = listed(tmp_path / 'in', tmp_path / 'in' / 'out')
    assert [(task.place, task.target) for task in tasks] == [
        ('a.jpg', 'a_x2.jpg'),
        ('b.png', 'b_x2.png'),
        ('sub/c.png', 'sub/c_x2.png'),
    ]
    assert summary.passed == 1 and summary.passed_names == [str(tmp_path / 'in' / 'notes.txt')]


def test_earlier_results_next_to_their_sources_are_not_enlarged(tmp_path):
    touch(tmp_path, 'a.png', 'a_x2.png', 'b_x2.png', 'c.JPG', 'c_x2.jpg', 'c_x2.png')
    tasks, _ = listed(tmp_path, tmp_path)
    assert [task.place for task in tasks] == ['a.png', 'b_x2.png', 'c.JPG', 'c_x2.png']


def test_pictures_with_the_same_result_are_found_anywhere_in_the_list(tmp_path):
    names = ['p.gif', 'p.a.gif', 'p.b.png', 'p.png', 'p b.png', 'p-.png', 'q/p.png', 'q/p.tga', 'p0.png']
    touch(tmp_path / 'in', *names)
    tasks, _ = listed(tmp_path / 'in', tmp_path / 'out')
    refused = [task for task in tasks if isinstance(task, str)]
    assert [line.split(': ')[0] for line in refused] == [
        str(tmp_path / 'out' / 'p_x2.png'),
        str(tmp_path / 'out' / 'q' / 'p_x2.png'),
    ]
    assert len(tasks) == len(names)


def test_the_report_shows_the_first_pictures_and_then_fewer_and_fewer():
    shown = list(filter(task_source.is_shown, range(1 << 20)))
    assert shown[:17] == list(range(17)) and max(shown) > 1 << 19
    assert [sum(1 << n <= x < 2 << n for x in shown) for n in range(4, 20)] == [16] * 16


def test_names_of_a_store_that_would_leave_the_output_are_refused(flaky, tmp_path, monkeypatch):
    pytest.importorskip('fsspec')
    store = stores.open_store('flaky://pictures')
    monkeypatch.setattr(store, '_keys', lambda: iter(['/pictures/../x.png', '/pictures//a.png', '/pictures/b.png']))
    monkeypatch.setattr(store, '_root', '/pictures')
    names, summary = naming.Naming('', '_x2', None, False), processing.Summary()
    tasks = list(task_source.find_tasks(store, stores.Folder(str(tmp_path)), names, summary))
    assert [isinstance(task, str) and 'not a valid file name' in task for task in tasks] == [True, True, False]


def test_a_picture_that_would_replace_itself_is_refused_also_where_results_are_skipped(tmp_path):
    touch(tmp_path, 'a.png')
    here, names = stores.Folder(str(tmp_path)), naming.Naming('', '', None, False)
    (refused,) = task_source.find_tasks(here, here, names, processing.Summary())
    assert refused == f'{tmp_path}/a.png: would be replaced by its result: name another --output or --suffix'


def test_the_views_of_a_report_that_is_being_written_are_not_enlarged(tmp_path):
    touch(tmp_path / 'in', 'a.png', 'report/.index_views.0123abcd.partial/a_rdn.png', 'report/index_views/b.png')
    tasks, _ = listed(tmp_path / 'in', tmp_path / 'out')
    assert [task.place for task in tasks] == ['a.png']
    found = discovery.find_pictures([str(tmp_path / 'in')], str(tmp_path / 'out'))
    assert [place for _, place, _ in found] == ['a.png']


# --- stores


def test_a_relative_folder_is_the_same_on_a_machine_with_another_current_folder(tmp_path, monkeypatch):
    (tmp_path / 'in').mkdir()
    monkeypatch.chdir(tmp_path)
    store = stores.open_store('in')
    monkeypatch.chdir('/')
    there = stores.open_store('in', store.absolute())
    touch(tmp_path, 'in/a.png')
    assert there.exists('a.png') and there.path('a.png') == 'in/a.png'
    with there.reading('a.png', '/tmp') as path:
        assert path == str(tmp_path / 'in' / 'a.png')


def test_a_request_that_fails_is_retried(flaky, tmp_path):
    store = stores.open_store('flaky://pictures')
    flaky.fails = stores.TRIES - 1
    with store.writing('a.png', str(tmp_path)) as path, open(path, 'wb') as file:
        file.write(b'content')
    flaky.fails = stores.TRIES - 1
    with store.reading('a.png', str(tmp_path)) as path, open(path, 'rb') as file:
        assert file.read() == b'content'
    assert os.listdir(str(tmp_path)) == []


def test_an_error_of_a_store_that_always_fails_names_the_picture(flaky, tmp_path):
    store = stores.open_store('flaky://pictures')
    flaky.fails = 100
    with pytest.raises(OSError) as raised:
        with store.writing('图 1.png', str(tmp_path)) as path, open(path, 'wb'):
            pass
    assert raised.value.filename == 'flaky://pictures/图 1.png' and 'reset by the store' in str(raised.value)
    with pytest.raises(OSError, match='cannot be written to'):
        store.check_writable()


@pytest.mark.parametrize('is_there', [False, True])
def test_a_store_that_does_not_say_whether_a_file_exists_is_refused_and_keeps_nothing(flaky, monkeypatch, is_there):
    """S3 answers HEAD with 403 without the right to read, and for missing objects without the right to list."""
    store, info = stores.open_store('flaky://pictures'), flaky.info

    def deny(self, path, **keywords):
        if self.exists_really(path) == is_there:
            raise PermissionError(errno.EACCES, 'Forbidden')
        return info(self, path, **keywords)

    monkeypatch.setattr(flaky, 'exists_really', lambda self, path: path in self.store, raising=False)
    monkeypatch.setattr(flaky, 'info', deny)
    with pytest.raises(PermissionError, match='does not say whether a file exists: Forbidden: allow reading') as raised:
        store.check_writable()
    assert raised.value.filename == 'flaky://pictures' and flaky.store == {}


def test_nothing_is_uploaded_if_writing_failed(flaky, tmp_path):
    store = stores.open_store('flaky://pictures')
    with pytest.raises(ValueError):
        with store.writing('half.png', str(tmp_path)) as path, open(path, 'wb') as file:
            file.write(b'half')
            raise ValueError('broken off')
    assert not store.exists('half.png') and os.listdir(str(tmp_path)) == []


def test_a_store_without_atomic_uploads_shows_no_half_written_file(flaky, tmp_path, monkeypatch):
    store = stores.open_store('flaky://pictures')
    whole = flaky.put_file

    def put(self, local, key, **keywords):
        self.pipe_file(key, b'half')
        if killed:
            raise KeyboardInterrupt
        whole(self, local, key, **keywords)

    monkeypatch.setattr(flaky, 'put_file', put)
    for killed in (True, False):
        with contextlib.suppress(KeyboardInterrupt):
            with store.writing('sub/a.png', str(tmp_path)) as path, open(path, 'wb') as file:
                file.write(b'content')
        assert store.exists('sub/a.png') is not killed
    with store.reading('sub/a.png', str(tmp_path)) as path, open(path, 'rb') as copied:
        assert copied.read() == b'content'
    assert list(store.list(store)) == ['sub/a.png']


def test_a_store_is_listed_folder_by_folder(flaky, tmp_path):
    store = stores.open_store('flaky://pictures')
    for place in ('b.png', 'a.png', 'sub/c.png', '.hidden/d.png', 'out/e.png'):
        with store.writing(place, str(tmp_path)) as path, open(path, 'wb'):
            pass
    assert list(store.list(stores.open_store('flaky://pictures/out'))) == [
        'a.png',
        'b.png',
        '.hidden/d.png',
        'sub/c.png',
    ]
    with pytest.raises(FileNotFoundError):
        list(stores.open_store('flaky://nothing').list(store))


def test_a_file_url_is_a_folder(tmp_path):
    (tmp_path / 'a b').mkdir()
    store = stores.open_store(f'file://{tmp_path}/a%20b')
    assert isinstance(store, stores.Folder) and store.is_there()


def test_a_folder_given_as_a_url_is_made_at_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in ('file', 'local'):
        stores.open_store(f'{kind}://{tmp_path}/out/{kind}').check_writable()
    assert snapshot(tmp_path) == {'out': None, 'out/file': None, 'out/local': None}


def test_a_url_of_an_unknown_protocol_is_refused():
    pytest.importorskip('fsspec')
    with pytest.raises(ValueError, match='nosuch://x: cannot be opened'):
        stores.open_store('nosuch://x')
