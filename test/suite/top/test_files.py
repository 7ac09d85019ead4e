"""rdn/files.py: results are complete or missing, never partial."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time

from rdn import files

import numpy as np
import pytest

from helpers import ROOT, snapshot


class Stop(BaseException):
    """An error that, like KeyboardInterrupt, is not an Exception."""


@pytest.mark.parametrize('before', [None, b'old'])
def test_a_file_stays_the_old_one_until_the_new_one_is_complete(tmp_path, before):
    path = tmp_path / 'sub' / 'result'
    if before:
        path.parent.mkdir()
        path.write_bytes(before)
    with pytest.raises(Stop):
        with files.atomic_file(str(path)) as file:
            file.write(b'half')
            raise Stop
    assert snapshot(path.parent) == ({'result': before} if before else {})
    with files.atomic_file(str(path)) as file:
        file.write(b'new')
        file.flush()
        assert path.exists() == bool(before)
    assert snapshot(path.parent) == {'result': b'new'}


def test_a_folder_at_the_path_of_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / 'result').mkdir()
    with pytest.raises(IsADirectoryError, match='result'):
        with files.atomic_file(str(tmp_path / 'result')) as file:
            file.write(b'new')
    assert os.listdir(str(tmp_path)) == ['result']


def test_a_folder_stays_the_old_one_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / 'out'
    path.mkdir()
    (path / 'ours').write_text('old')
    (path / 'note').write_text('mine')
    with pytest.raises(Stop):
        with files.atomic_folder(str(path), ['ours']) as new:
            open(os.path.join(new, 'ours'), 'w').close()
            raise Stop
    assert snapshot(tmp_path) == {'out': None, 'out/ours': b'old', 'out/note': b'mine'}
    with files.atomic_folder(str(path), ['ours', 'gone']) as new:
        with open(os.path.join(new, 'more'), 'w') as file:
            file.write('new')
    assert snapshot(tmp_path) == {'out': None, 'out/more': b'new', 'out/note': b'mine'}


def test_a_foreign_file_with_the_name_of_a_result_is_not_overwritten(tmp_path):
    path = tmp_path / 'out'
    path.mkdir()
    (path / 'x').write_text('mine')
    with pytest.raises(FileExistsError, match='has the name of a new result'):
        with files.atomic_folder(str(path), []) as new:
            open(os.path.join(new, 'x'), 'w').close()
    assert snapshot(tmp_path) == {'out': None, 'out/x': b'mine'}


def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')


def test_the_error_of_a_full_disk_names_the_file_to_be_written(tmp_path, monkeypatch):
    with pytest.raises(OSError) as raised, files.atomic_file(str(tmp_path / 'result')):
        monkeypatch.setattr(os, 'fsync', full)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / 'result'))


def test_no_error_names_a_hidden_file(tmp_path):
    with pytest.raises(OSError) as raised, files.atomic_path(str(tmp_path / 'result')) as partial:
        raise OSError(errno.ENOSPC, 'No space left on device', partial)
    assert raised.value.filename == str(tmp_path / 'result')


def test_an_error_on_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, files.atomic_path(str(tmp_path / 'result')):
        open(str(tmp_path / 'source'))
    assert raised.value.filename == str(tmp_path / 'source')


def test_the_error_of_a_full_disk_inside_a_new_folder_names_the_final_path(tmp_path, monkeypatch):
    with pytest.raises(OSError) as raised, files.atomic_folder(str(tmp_path / 'out'), []) as new:
        monkeypatch.setattr(os, 'fsync', full)
        files.write_text(os.path.join(new, 'sub', 'x.bin'), 'text')
    assert raised.value.filename == str(tmp_path / 'out' / 'sub' / 'x.bin')


def test_the_error_for_an_array_that_does_not_fit_on_the_disk_names_its_folder(tmp_path):
    with pytest.raises(OSError, match='not written completely') as raised:
        with files.atomic_folder(str(tmp_path / 'out'), []), open('/dev/full', 'wb') as file:
            np.zeros(99999, np.float32).tofile(file)
    assert raised.value.filename == str(tmp_path / 'out')


@pytest.mark.parametrize('link', [False, True])
def test_is_filled_tells_full_empty_and_missing_files_apart_and_refuses_folders(tmp_path, link):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real' / 'full').write_bytes(b'x')
    (tmp_path / 'real' / 'empty').write_bytes(b'')
    (tmp_path / 'real' / 'folder').mkdir()
    if link:
        (tmp_path / 'link').mkdir()
        for name in ('full', 'empty', 'folder', 'absent'):
            (tmp_path / 'link' / name).symlink_to(tmp_path / 'real' / name)
    place = str(tmp_path / ('link' if link else 'real'))
    assert [files.is_filled(f'{place}/{name}') for name in ('full', 'empty', 'absent')] == [True, False, None]
    with pytest.raises(OSError) as raised:
        files.is_filled(f'{place}/folder')
    assert raised.value.filename == f'{place}/folder'
    with pytest.raises(OSError, match='not a plain file'):
        files.is_filled(os.devnull)


def test_a_file_at_the_path_of_a_folder_is_kept(tmp_path):
    (tmp_path / 'out').write_text('mine')
    with pytest.raises(OSError):
        with files.atomic_folder(str(tmp_path / 'out'), []):
            pass
    assert snapshot(tmp_path) == {'out': b'mine'}


def killed(tmp_path, body):
    """Run lines of Python that kill their own process with SIGKILL."""
    lines = f'import os, signal; from rdn import files\n{body}\n'
    process = subprocess.run([sys.executable, '-c', lines], cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=ROOT))
    assert process.returncode == -9


DIE = 'os.kill(os.getpid(), signal.SIGKILL)'


def test_the_next_process_removes_the_partial_results_of_a_killed_one(tmp_path):
    killed(tmp_path, f'with files.atomic_file("result") as file:\n    file.write(b"half"); file.flush(); {DIE}')
    killed(tmp_path, f'with files.atomic_folder("out", []) as new:\n    os.mkdir(new + "/x"); {DIE}')
    assert not (tmp_path / 'result').exists() and os.listdir(str(tmp_path))
    with files.atomic_file(str(tmp_path / 'result')) as file:
        file.write(b'new')
    with files.atomic_folder(str(tmp_path / 'out'), []):
        pass
    assert snapshot(tmp_path) == {'result': b'new', 'out': None}


def test_a_folder_returns_if_a_process_was_killed_between_two_renames(tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'note').write_text('mine')
    lines = f"""
files.exchange_names = lambda a, b: False
rename = os.rename
os.rename = lambda a, b: (rename(a, b), {DIE})
with files.atomic_folder('out', []):
    pass"""
    killed(tmp_path, lines)
    assert not (tmp_path / 'out').exists()
    with pytest.raises(Stop):
        with files.atomic_folder(str(tmp_path / 'out'), []):
            raise Stop
    assert snapshot(tmp_path) == {'out': None, 'out/note': b'mine'}


def test_a_living_process_keeps_its_file(tmp_path):
    with files.atomic_file(str(tmp_path / 'result')) as first:
        first.write(b'first')
        first.flush()
        other = 'from rdn import files\nwith files.atomic_file("result") as file:\n    file.write(b"second")'
        subprocess.run(
            [sys.executable, '-c', other], cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=ROOT), check=True
        )
        assert snapshot(tmp_path)['result'] == b'second'
    assert snapshot(tmp_path) == {'result': b'first'}


@pytest.mark.parametrize('moment', [1, 2])
def test_the_old_result_returns_if_the_process_is_stopped_between_two_renames(tmp_path, monkeypatch, moment):
    """Without swapping of names: Ctrl-C comes just after the first rename, or instead of the second."""
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'result').write_text('old')
    rename, calls = os.rename, []

    def interrupted(a, b):
        calls.append(a)
        if len(calls) == 1 or moment == 1 or len(calls) > 2:
            rename(a, b)
        if len(calls) == moment:
            raise KeyboardInterrupt

    monkeypatch.setattr(files, 'exchange_names', lambda a, b: False)
    monkeypatch.setattr(os, 'rename', interrupted)
    with pytest.raises(KeyboardInterrupt):
        with files.atomic_folder(str(tmp_path / 'out'), ['result']) as folder:
            with open(os.path.join(folder, 'result'), 'w') as file:
                file.write('new')
    assert snapshot(tmp_path) == {'out': None, 'out/result': b'old'}


@pytest.mark.parametrize('swaps', [True, False])
def test_a_folder_is_replaced_with_or_without_a_kernel_that_swaps_names(tmp_path, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(files, 'exchange_names', lambda a, b: False)
    for version in ('first', 'second'):
        with files.atomic_folder(str(tmp_path / 'out'), ['result']) as folder:
            with open(os.path.join(folder, 'result'), 'w') as file:
                file.write(version)
        assert (tmp_path / 'out' / 'result').read_text() == version
        assert os.listdir(str(tmp_path)) == ['out'] and os.listdir(str(tmp_path / 'out')) == ['result']


def test_there_is_no_moment_without_the_folder(tmp_path):
    """If the kernel swaps names, a reader that looks all the time finds the old or the new result."""
    if not files.exchange_names(*[str(make(tmp_path / name)) for name in 'ab']):
        pytest.skip('this file system does not swap names')
    seen, stop = set(), threading.Event()
    path = tmp_path / 'out' / 'result'

    def look():
        while not stop.is_set():
            try:
                seen.add(path.read_text())
            except FileNotFoundError:
                seen.add('nothing')

    write(tmp_path, 'old')
    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(200):
        write(tmp_path, 'new')
    stop.set()
    thread.join()
    assert seen <= {'old', 'new'}


def make(folder):
    folder.mkdir()
    return folder


def write(tmp_path, text):
    with files.atomic_folder(str(tmp_path / 'out'), ['result']) as folder:
        with open(os.path.join(folder, 'result'), 'w') as file:
            file.write(text)


@pytest.mark.skipif(
    not shutil.which('unshare') or os.getuid() != 0, reason='makes a PID namespace: needs unshare, as root'
)
def test_in_containers_where_every_process_is_number_1_the_next_one_cleans_up(tmp_path):
    """After a kill, the process in the next container has the same number as the killed one."""

    def in_container(body):
        lines = f'import os, signal; from rdn import files; assert os.getpid() == 1\n{body}\n'
        command = ['unshare', '--pid', '--fork', '--kill-child', sys.executable, '-c', lines]
        return subprocess.run(command, cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=ROOT), capture_output=True)

    write = 'with files.atomic_folder("out", ["result"]) as new:\n    open(new + "/result", "w").close()\n    {}'
    process = subprocess.Popen(
        ['unshare', '--pid', '--fork', '--kill-child', sys.executable, '-c',
         'import os, time; from rdn import files\n' + write.format('print(flush=True); time.sleep(60)')],
        cwd=str(tmp_path), env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout and process.stdout.readline()
    assert in_container(write.format('pass')).returncode == 0  # while a process with the same number still runs
    process.kill()
    process.communicate()
    deadline = time.time() + 20
    while len(os.listdir(str(tmp_path))) > 1 and time.time() < deadline:
        done = in_container(write.format('pass'))
        assert done.returncode == 0, done.stderr
    assert snapshot(tmp_path) == {'out': None, 'out/result': b''}


def test_a_name_of_the_maximum_length_can_be_written(tmp_path):
    for name in ('a' * 251 + '.txt', 'ö' * 125 + '.json'):
        with files.atomic_file(str(tmp_path / name)) as file:
            file.write(b'x')
        with files.atomic_folder(str(tmp_path / name[:-5]), []):
            pass
    assert len(os.listdir(str(tmp_path))) == 4


def test_a_large_folder_is_not_listed_for_every_written_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'MANY_NAMES', 3)
    listed, real = [], os.listdir

    def listdir(folder):
        listed.append(folder)
        return real(folder)

    monkeypatch.setattr(os, 'listdir', listdir)
    (tmp_path / '.5.0123abcd.partial').write_text('half')  # of a process that has ended
    (tmp_path / '.5.0123abcd.partial.lock').write_text('')
    for number in range(20):
        files.write_text(str(tmp_path / str(number)), 'whole')
    assert sorted(real(str(tmp_path))) == sorted(map(str, range(20)))
    assert 1 <= len(listed) < 9


def test_clean_up_lists_a_large_folder_again(tmp_path, monkeypatch):
    monkeypatch.setattr(files, 'MANY_NAMES', 3)
    for number in range(9):
        files.write_text(str(tmp_path / str(number)), 'whole')
    (tmp_path / '.5.0123abcd.partial').write_text('half')
    (tmp_path / '.5.0123abcd.partial.lock').write_text('')
    files.clean_up(str(tmp_path / '5'))
    assert sorted(os.listdir(str(tmp_path))) == sorted(map(str, range(9)))


def test_a_reserved_name_is_refused_to_a_second_process_and_free_after_the_first(tmp_path):
    path = str(tmp_path / 'new' / 'weights.pth')
    with files.reserved(path, 'is being written'):
        with pytest.raises(BlockingIOError, match='is being written'):
            with files.reserved(path, 'is being written'):
                pass
        with files.reserved(path + '2', 'is being written'):
            pass
    with files.reserved(path, 'is being written'):
        pass
    assert os.listdir(str(tmp_path / 'new')) == []


def test_the_reservation_of_a_killed_process_is_free(tmp_path):
    (tmp_path / '.weights.pth.lock').write_text('')
    with files.reserved(str(tmp_path / 'weights.pth'), 'is being written'):
        pass
    assert os.listdir(str(tmp_path)) == []
