"""Results and existing files: clashes, dates, results in place of their sources, records of earlier runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

from pictures import clashes, history, in_place, processing
from pictures.formats import reader

import numpy as np
import pytest
from PIL import Image

from helpers import ROOT, assert_refused, opened, snapshot


@pytest.fixture
def small(photo):
    """Return small(number), which returns a part of a photograph of 12 x 9 pixels."""
    return lambda number: photo.crop((5 * number, 0, 5 * number + 12, 9))


def names(folder):
    return sorted(name for name in os.listdir(str(folder)) if not name.startswith('.'))


def shows(path, image):
    """Return whether a result was made from this picture."""
    return abs(reader.read_picture(str(path)).pixels[::2, ::2, :3].astype(int) - image_pixels(image)).mean() < 12


def image_pixels(image):
    return np.asarray(image.convert('RGB')).astype(int)


# --- two pictures, one name


def test_pictures_of_one_result_are_numbered_and_keep_their_numbers(upscale, small):
    small(1).save(str(upscale.source / 'p.gif'))
    small(2).save(str(upscale.source / 'p.png'))
    assert_refused(upscale(), 'p_x2.png', 'p.gif', '--on-clash=number')
    shutil.rmtree(str(upscale.target))
    assert upscale('--on-clash=number').status == 0
    assert names(upscale.target) == ['p_x2-2.png', 'p_x2.png']
    first = snapshot(upscale.target)
    assert shows(upscale.target / 'p_x2-2.png', small(2)) and not shows(upscale.target / 'p_x2-2.png', small(8))
    small(8).save(str(upscale.source / 'p.bmp'))
    ended = upscale('--on-clash=number', '--resume', '--ext=png')
    assert ended.status == 0 and '2 skipped' in ended.out and '1 done' in ended.out, ended
    assert names(upscale.target) == ['p_x2-2.png', 'p_x2-3.png', 'p_x2.png']
    assert shows(upscale.target / 'p_x2-3.png', small(8))
    assert {name: snapshot(upscale.target)[name] for name in first} == first
    (upscale.source / 'p.gif').unlink()
    ended = upscale('--on-clash=number', '--resume', '--ext=png')
    assert ended.status == 0 and '2 skipped' in ended.out and len(names(upscale.target)) == 3, ended


def job(source, target):
    return processing.PictureJob(source, os.path.basename(source), target)


def test_a_number_never_takes_the_usual_name_of_another_picture(tmp_path):
    sources = [str(tmp_path / name) for name in ('a/p-2.png', 'a/p.gif', 'a/p.png', 'b/p.png')]
    targets = [str(tmp_path / 'out' / name) for name in ('p-2.png', 'p.png', 'p.png', 'p.png')]
    result = clashes.numbered(list(map(job, sources, targets)), history.History())
    assert [os.path.basename(each.target) for each in result] == ['p-2.png', 'p.png', 'p-3.png', 'p-4.png']


def test_numbered_results_in_the_folder_of_their_pictures_are_not_enlarged_again(upscale, small):
    small(1).save(str(upscale.source / 'p.gif'))
    small(2).save(str(upscale.source / 'p.png'))
    for _ in range(2):
        assert upscale('--on-clash=number', f'--output={upscale.source}', '--resume').status == 0
    assert names(upscale.source) == ['p.gif', 'p.png', 'p_x2-2.png', 'p_x2.png']


# --- dates


def test_dates_are_those_of_the_picture_if_asked_for(upscale, small):
    small(1).save(str(upscale.source / 'a.jpg'))
    os.utime(str(upscale.source / 'a.jpg'), ns=(10**18 + 7, 10**18 + 123456789))
    assert upscale('--keep-dates').status == 0
    source, result = (os.stat(str(path)) for path in (upscale.source / 'a.jpg', upscale.target / 'a_x2.jpg'))
    assert result.st_mtime_ns == source.st_mtime_ns == 10**18 + 123456789
    assert result.st_atime_ns <= os.stat(str(upscale.source / 'a.jpg')).st_atime_ns
    assert upscale('--overwrite').status == 0
    assert os.stat(str(upscale.target / 'a_x2.jpg')).st_mtime_ns > source.st_mtime_ns


# --- in place


def enlarge_in_place(script, narrow, *flags):
    return script('RDN_upscale', '--in-place', f'--model={narrow[1]}', *flags)


def test_a_picture_is_replaced_with_a_backup_and_not_enlarged_a_second_time(script, tmp_path, narrow, small):
    path = tmp_path / 'photo.JPG'
    small(1).save(str(path), 'JPEG')
    path.chmod(0o640)
    original = path.read_bytes()
    assert enlarge_in_place(script, narrow, path).status == 0
    assert opened(path).size == (24, 18) and opened(path).format == 'JPEG' and path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / 'photo.JPG.orig').read_bytes() == original
    before = snapshot(tmp_path)
    for flags in (['--overwrite'], ['--quality=80']):
        ended = enlarge_in_place(script, narrow, path, *flags)
        assert_refused(ended, 'already enlarged in place', f'rename {path}.orig back to {path}')
    ended = enlarge_in_place(script, narrow, path)
    assert ended.status == 0 and '1 skipped: done before; to repeat one, rename its .orig back' in ended.out, ended
    ended = enlarge_in_place(script, narrow, path, '--resume', f'--report={tmp_path / "page"}')
    assert ended.status == 0 and '1 skipped' in ended.out and 'page' in ended.out, ended
    shutil.rmtree(str(tmp_path / 'page'))
    assert snapshot(tmp_path) == before
    (tmp_path / 'photo.JPG.orig').unlink()
    assert enlarge_in_place(script, narrow, path).status == 0 and opened(path).size == (48, 36)


def test_without_a_backup_the_record_prevents_a_second_time(script, tmp_path, narrow, small):
    path = tmp_path / 'a.png'
    small(1).save(str(path))
    assert enlarge_in_place(script, narrow, path, '--no-backup').status == 0 and names(tmp_path) == ['a.png']
    assert_refused(
        enlarge_in_place(script, narrow, path, '--compression=small'), 'already enlarged in place', '--overwrite'
    )
    for flags in ([], ['--no-backup']):
        ended = enlarge_in_place(script, narrow, path, *flags)
        assert ended.status == 0 and '1 skipped: done before' in ended.out, ended
    ended = enlarge_in_place(script, narrow, path, '--resume', f'--report={tmp_path / "page"}')
    assert ended.status == 0 and '1 skipped' in ended.out, ended
    assert enlarge_in_place(script, narrow, path, '--no-backup', '--overwrite').status == 0
    assert opened(path).size == (48, 36)


def test_a_run_notices_pictures_that_another_run_replaced_meanwhile(tmp_path, small):
    """Without that, two runs at once would enlarge a picture twice."""
    for name in ('a.png', 'b.png'):
        small(1).save(str(tmp_path / name))
    first, second = history.History('made'), history.History('made')
    for name in ('a.png', 'b.png'):
        path = str(tmp_path / name)
        assert not in_place.is_done(path, second, overwrite=False, resume=True)
        with open(path, 'r+b') as file:
            first.add(path, path, file.fileno())
        assert in_place.is_done(path, second, overwrite=False, resume=True)
        assert in_place.is_done(path, first, overwrite=False, resume=True)


def test_the_lock_of_a_killed_run_is_removed_when_its_result_is_skipped(upscale, small):
    small(1).save(str(upscale.source / 'p.png'))
    assert upscale().status == 0
    before = snapshot(upscale.target)
    (upscale.target / '.p_x2.png.0123abcd.partial.lock').write_text('')
    assert upscale('--resume').status == 0
    assert snapshot(upscale.target) == before


def test_the_original_is_kept_despite_no_backup_if_the_result_lost_something(script, tmp_path, narrow, small):
    path = tmp_path / 'a.tif'
    small(1).save(str(path), save_all=True, append_images=[small(2)])
    original = path.read_bytes()
    ended = enlarge_in_place(script, narrow, path, '--no-backup')
    assert (
        ended.status == 0 and 'a.tif.orig is kept' in ended.out and (tmp_path / 'a.tif.orig').read_bytes() == original
    )


def test_pictures_that_cannot_be_replaced_are_refused_and_unchanged(script, tmp_path, narrow, small):
    (tmp_path / 'pictures').mkdir()
    folder = tmp_path / 'pictures'
    small(1).save(str(folder / 'anim.gif'))
    small(1).save(str(folder / 'tga.tga'))
    small(1).save(str(folder / 'really.jpg'), 'PNG')
    small(1).save(str(folder / 'taken.png'))
    (folder / 'taken.png.orig').write_text('of someone')
    small(1).save(str(tmp_path / 'elsewhere.png'))
    (folder / 'link.png').symlink_to(tmp_path / 'elsewhere.png')
    before = snapshot(tmp_path)
    for name, words in [
        ('anim.gif', ['GIF is only written with --all-frames', 'without --in-place']),
        ('tga.tga', ['TGA cannot be written', 'leave out --in-place']),
        ('really.jpg', ['not a JPEG file', 'rename it']),
        ('taken.png', ['taken.png.orig exists, but is not a backup', 'move it elsewhere']),
        ('link.png', ['a symbolic link']),
    ]:
        assert_refused(enlarge_in_place(script, narrow, folder / name), name, *words)
    assert_refused(enlarge_in_place(script, narrow, folder / 'taken.png', '--resume'), 'taken.png.orig')
    assert snapshot(tmp_path) == before and (folder / 'link.png').is_symlink()


def test_a_gif_is_replaced_with_all_its_frames(script, tmp_path, narrow, small):
    path = tmp_path / 'anim.gif'
    small(1).save(str(path), save_all=True, append_images=[small(2)], duration=[50, 70])
    original = path.read_bytes()
    assert enlarge_in_place(script, narrow, path, '--all-frames').status == 0
    with Image.open(str(path)) as image:
        assert (image.format, image.n_frames, image.size) == ('GIF', 2, (24, 18))
    assert (tmp_path / 'anim.gif.orig').read_bytes() == original


def test_backups_are_not_counted_as_skipped_files(script, tmp_path, narrow, small):
    small(1).save(str(tmp_path / 'a.png'))
    (tmp_path / 'b.txt').write_text('no picture')
    (tmp_path / 'c.orig').write_text('no picture')
    enlarge_in_place(script, narrow, tmp_path)
    ended = enlarge_in_place(script, narrow, tmp_path)
    assert ended.status == 0 and '2 files skipped: not pictures' in ended.out and 'a.png.orig' not in ended.out, ended


@pytest.mark.parametrize('flag', ['--output=out', '--suffix=_2', '--ext=png', '--cluster'])
def test_flags_that_contradict_in_place_are_refused(script, tmp_path, narrow, flag, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = enlarge_in_place(script, narrow, 'a.png', flag, *(['--output=o'] if flag == '--cluster' else []))
    assert_refused(ended, '--in-place')


def test_flags_that_a_cluster_does_not_support_are_refused(script):
    for flag in ('--keep-dates', '--on-clash=number'):
        assert_refused(script('RDN_upscale', '--cluster', '--input=a', '--output=b', flag), flag.split('=')[0])
    assert_refused(script('RDN_upscale', 'a.png', '--no-backup'), '--in-place')


STEPS = ['open', 'link', 'fchmod', 'fsync', 'replace', 'remove', 'write', 'close', 'rename']


def killed_at(number, monkeypatch, do):
    """Run `do` in a process that is killed before its system call of that number; return whether it was killed."""
    child = os.fork()
    if not child:
        calls = iter(range(number))

        def counted(real):
            def call(*arguments, **keywords):
                if next(calls, None) is None:
                    os._exit(9)
                return real(*arguments, **keywords)

            return call

        for name in STEPS:
            monkeypatch.setattr(os, name, counted(getattr(os, name)))
        do()
        os._exit(0)
    return os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize('has_links', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_after_a_kill_at_any_step_the_original_exists_under_its_name_or_as_a_backup(tmp_path, monkeypatch, has_links):
    path, backup = tmp_path / 'photo.jpg', tmp_path / 'photo.jpg.orig'
    seen = set()

    def no_links(*_):
        raise PermissionError

    if not has_links:
        monkeypatch.setattr(os, 'link', no_links)

    def enlarge():
        with in_place.replacing(str(path)) as file:
            file.write(b'the large one')
            in_place.complete(file, str(path))
            in_place.keep_original(str(path))

    for number in range(100):
        path.write_bytes(b'the original')
        if backup.exists():
            backup.unlink()
        was_killed = killed_at(number, monkeypatch, enlarge)
        found = path.read_bytes(), backup.read_bytes() if backup.exists() else None
        seen.add(found)
        if found[0] == b'the original':
            assert found[1] in (None, b'the original')
            assert not in_place.is_done(str(path), history.History(), False, False)
            enlarge()  # continues from there
        assert (path.read_bytes(), backup.read_bytes()) == (b'the large one', b'the original')
        if not was_killed:
            break
    assert number > 5 and len(seen) == 3
    assert names(tmp_path) == ['photo.jpg', 'photo.jpg.orig']


def test_a_result_that_fails_leaves_no_backup(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(b'the original')
    with pytest.raises(KeyboardInterrupt), in_place.replacing(str(path)) as file:
        file.write(b'large')
        in_place.keep_original(str(path))
        raise KeyboardInterrupt
    assert snapshot(tmp_path) == {'a.png': b'the original'}


def test_a_copy_that_the_user_made_is_never_removed(tmp_path):
    path = tmp_path / 'a.png'
    for name in ('a.png', 'a.png.orig'):
        (tmp_path / name).write_bytes(b'the original')
    with pytest.raises(KeyboardInterrupt), in_place.replacing(str(path)):
        in_place.keep_original(str(path))
        raise KeyboardInterrupt
    assert snapshot(tmp_path) == {'a.png': b'the original', 'a.png.orig': b'the original'}


# --- records


def test_the_same_command_again_skips_finished_results_and_makes_the_rest(upscale, small):
    small(1).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    small(2).save(str(upscale.source / 'b.png'))
    before = snapshot(upscale.target)
    ended = upscale()
    assert ended.status == 0 and '1 done' in ended.out, ended
    assert '1 skipped: done before; --overwrite makes them again' in ended.out
    assert snapshot(upscale.target)['a_x2.png'] == before['a_x2.png']
    assert '2 skipped: done before\n' in upscale('--resume').out


@pytest.mark.slow
def test_the_same_command_after_ctrl_c_makes_the_rest(tmp_path, photo, narrow):
    (tmp_path / 'in').mkdir()
    for number in range(12):
        photo.save(str(tmp_path / 'in' / f'{number}.png'))
    target = tmp_path / 'out'
    command = [sys.executable, os.path.join(ROOT, 'RDN_upscale.py'), 'in', '--output=out', f'--model={narrow[1]}']
    process = subprocess.Popen(command, cwd=str(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (target.exists() and len(names(target)) > 2):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    done = len(names(target))
    assert 2 < done < 12
    ended = subprocess.run(command, cwd=str(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 0 and f'{done} skipped: done before; --overwrite' in ended.stdout, ended
    assert len(names(target)) == 12


@pytest.mark.parametrize('flag', ['--quality=80', '--wrap'])
def test_results_of_other_settings_are_not_replaced(upscale, small, flag):
    small(1).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    assert_refused(upscale(flag), 'a_x2.png', 'already exists')


def test_a_record_is_valid_only_for_unchanged_files(upscale, small, narrow):
    source, target = upscale.source / 'a.png', upscale.target / 'a_x2.png'
    small(1).save(str(source))

    def check(change):
        assert upscale('--overwrite').status == 0 and upscale().status == 0
        change()
        before = target.read_bytes()
        assert_refused(upscale(), 'a_x2.png', 'already exists')
        assert target.read_bytes() == before

    check(lambda: small(2).save(str(source)))
    check(lambda: target.write_bytes(target.read_bytes() + b'edited'))
    check(lambda: shutil.copy(str(source), str(target)))
    check(lambda: (upscale.target / history.NAME).unlink())
    assert_refused(upscale(f'--model={narrow[0]}'), 'already exists')


def test_corrupt_lines_of_a_record_do_not_affect_the_others(tmp_path):
    for name in ('source', 'a', 'b'):
        (tmp_path / name).write_text(name)
    past, path = history.History('now'), tmp_path / history.NAME

    def add(name):
        with open(str(tmp_path / name)) as file:
            past.add(str(tmp_path / 'source'), str(tmp_path / name), file.fileno())

    add('a')
    for rest in (b'\n{"result": "b", "sour', b'\n[]', b'\n{"result": 3}', b'\n\xff', b'\n' + b'[' * 100000):
        with open(str(path), 'ab') as file:
            file.write(rest)
    add('b')
    again = history.History('now')
    assert all(again.proves(str(tmp_path / 'source'), str(tmp_path / name)) for name in 'ab')
    assert not history.History('other').proves(str(tmp_path / 'source'), str(tmp_path / 'a'))
    entry = json.loads(path.read_text(errors='replace').splitlines()[1])
    assert entry['source'] == 'source' and entry['result_state'][0] == 1


def test_a_record_that_is_a_link_is_not_followed_and_the_result_is_written(upscale, small, tmp_path):
    small(1).save(str(upscale.source / 'a.png'))
    upscale.target.mkdir()
    (tmp_path / 'mine.txt').write_text('mine')
    (upscale.target / history.NAME).symlink_to(tmp_path / 'mine.txt')
    assert upscale().status == 0 and (tmp_path / 'mine.txt').read_text() == 'mine'
    assert_refused(upscale(), 'already exists')


def test_folders_that_move_together_keep_their_record(upscale, small, tmp_path):
    small(1).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    (tmp_path / 'moved').mkdir()
    for name in ('in', 'out'):
        shutil.move(str(tmp_path / name), str(tmp_path / 'moved' / name))
    ended = upscale(f'--input={tmp_path / "moved" / "in"}', f'--output={tmp_path / "moved" / "out"}')
    assert ended.status == 0 and '1 skipped' in ended.out, ended
