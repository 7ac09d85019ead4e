"""RDN_upscale.py: files of every kind become files of the same kind, twice as large."""

import fcntl
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

from pictures import upscaler
from rdn import engines

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import ROOT, assert_refused, difference, opened, reference, reference_unclipped, snapshot, tiny_rdn


def test_a_result_equals_the_whole_picture_through_pytorch(upscale, photo, narrow):
    photo.save(str(upscale.source / 'photo.png'))
    ended = upscale()
    assert ended.status == 0 and not ended.err, ended.err
    result = opened(upscale.target / 'photo_x2.png')
    assert result.mode == 'RGB' and result.size == (402, 254)
    assert difference(result, reference(narrow, np.asarray(photo) / 255)) < 0.51


@pytest.mark.parametrize('batch_size', [3, 4])
def test_the_batch_size_does_not_change_the_result(upscale, photo, batch_size):
    photo.save(str(upscale.source / 'a.png'))
    upscale()
    first = np.asarray(opened(upscale.target / 'a_x2.png')).astype(int)
    upscale('--overwrite', f'--batch-size={batch_size}')
    assert np.abs(first - np.asarray(opened(upscale.target / 'a_x2.png'))).max() <= 1


def test_self_ensemble_is_the_mean_over_eight_turns_and_flips(upscale, photo, narrow):
    square = photo.crop((0, 0, 114, 114))
    square.save(str(upscale.source / 'a.png'))
    assert upscale('--self-ensemble').status == 0
    x = np.asarray(square) / 255
    total = 0
    for turn in range(4):
        for flip in (False, True):
            y = reference_unclipped(narrow, np.rot90(x[:, ::-1] if flip else x, turn))
            y = np.rot90(y, -turn)
            total = total + (y[:, ::-1] if flip else y)
    assert difference(opened(upscale.target / 'a_x2.png'), np.clip(total / 8, 0, 1)) < 0.51


@pytest.mark.parametrize('size', [(1, 1), (1, 500), (500, 1), (113, 113), (114, 114), (115, 2)])
def test_pictures_of_every_size_are_enlarged(upscale, size):
    Image.new('RGB', size, (200, 100, 50)).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    assert opened(upscale.target / 'a_x2.png').size == (size[0] * 2, size[1] * 2)


NAMES = ['with space.png', 'it\'s "so".png', '照片.png', 'smile 😀.png', 'dots.v1.2.png', 'UPPER.PNG', '-dash.png']


def test_names_and_folders_keep_their_form(upscale, photo):
    small = photo.crop((0, 0, 20, 10))
    (upscale.source / 'sub' / 'x.png').mkdir(parents=True)
    for name in NAMES:
        small.save(str(upscale.source / 'sub' / 'x.png' / name))
    (upscale.source / 'notes.txt').write_text('no picture')
    (upscale.source / '.hidden.png').write_text('no picture')
    ended = upscale()
    assert ended.status == 0 and '1 file skipped: not a picture (' in ended.out and 'notes.txt)' in ended.out, ended
    found = sorted(name for name in snapshot(upscale.target) if name.lower().endswith('.png') and '_x2' in name)
    assert found == sorted(f'sub/x.png/{name[:-4]}_x2{name[-4:].lower()}' for name in NAMES)


def test_bad_files_do_not_stop_the_others_and_are_named_at_the_end(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'good.png'))
    buffer = io.BytesIO()
    photo.save(buffer, 'JPEG')
    (upscale.source / 'cut.jpg').write_bytes(buffer.getvalue()[:2000])
    (upscale.source / 'empty.png').write_bytes(b'')
    (upscale.source / 'text.png').write_text('hello')
    Image.fromarray(np.zeros((9, 9), np.float32)).save(str(upscale.source / 'float.tif'))
    Image.new('RGB', (8200, 1)).save(str(upscale.source / 'long.webp'))
    ended = upscale()
    assert_refused(ended, '5 of 6 failed', 'cut.jpg', 'empty.png', 'float.tif', 'and 2 more')
    assert all(name in ended.out for name in ('cut.jpg', 'empty.png', 'text.png', 'float.tif', 'long_x2.webp'))
    assert list(snapshot(upscale.target)) == ['good_x2.png'] and '1 done' in ended.out


def test_the_last_line_names_the_command_that_enlarges_the_rest(upscale, photo):
    (upscale.source / 'bad.png').write_bytes(b'')
    alone = upscale()
    assert_refused(alone, '1 of 1 failed')
    assert 'the same command' not in alone.err and alone.out.endswith('\n0 done\n')
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'good.png'))
    some = upscale()
    assert some.err.endswith('; the same command tries only what is missing\n')
    assert some.out.endswith(f'\n1 done, in {upscale.target}\n')
    assert upscale('--overwrite').err.endswith('; the same command without --overwrite tries only what is missing\n')


def test_existing_results_are_kept_unless_a_flag_says_otherwise(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'a.png'))
    small.save(str(upscale.source / 'b.png'))
    upscale.target.mkdir()
    (upscale.target / 'a_x2.png').write_text('mine')
    assert_refused(upscale(), '1 of 2 failed', 'a_x2.png', '--overwrite')
    assert (upscale.target / 'a_x2.png').read_text() == 'mine' and (upscale.target / 'b_x2.png').exists()
    ended = upscale('--resume')
    assert ended.status == 0 and '2 skipped' in ended.out and (upscale.target / 'a_x2.png').read_text() == 'mine'
    assert upscale('--overwrite').status == 0
    assert opened(upscale.target / 'a_x2.png').size == (60, 60)
    assert_refused(upscale('--overwrite', '--resume'), '--resume')


def test_a_second_picture_with_the_same_result_is_an_error(upscale, photo):
    small = photo.crop((0, 0, 30, 30))
    small.save(str(upscale.source / 'a.png'))
    small.save(str(upscale.source / 'a.jpg'))
    assert_refused(upscale('--ext=png'), '1 of 2 failed', 'a_x2.png')


@pytest.mark.parametrize('place', ['in', 'in/results'])
def test_results_are_not_enlarged_by_the_next_run(upscale, photo, tmp_path, place):
    photo.crop((0, 0, 30, 30)).save(str(upscale.source / 'a.png'))
    for _ in range(2):
        assert upscale(f'--output={tmp_path / place}', '--overwrite').status == 0
    assert [name for name in snapshot(upscale.source) if name.endswith('.png')] == (
        ['a.png', 'a_x2.png'] if place == 'in' else ['a.png', 'results/a_x2.png']
    )


def test_wrong_use_ends_with_one_line(upscale, photo, tmp_path, lite_onnx):
    assert_refused(upscale(), 'no pictures')
    photo.crop((0, 0, 9, 9)).save(str(upscale.source / 'a.png'))
    assert_refused(upscale(f'--input={tmp_path / "nothing"}'), 'nothing')
    assert_refused(upscale(f'--model={tmp_path / "rdn_x2.onnx"}'), 'rdn_x2.onnx')
    assert_refused(upscale(f'--model={upscale.source / "a.png"}'), 'a.png')
    assert_refused(upscale('--ext=gif'), '--ext')
    assert_refused(upscale('--overlap=114'), 'overlap')


def test_scale_comes_from_the_model(script, tmp_path, photo):
    torch.save(tiny_rdn(3).state_dict(), str(tmp_path / 'x3.pth'))
    script('RDN_pth2onnx', '--input-file', tmp_path / 'x3.pth', '--output-file', tmp_path / 'x3.onnx')
    photo.save(str(tmp_path / 'a.png'))
    flags = ['--input', tmp_path / 'a.png', '--output', tmp_path / 'out', '--model', tmp_path / 'x3.onnx']
    assert script('RDN_upscale', *flags).status == 0
    assert opened(tmp_path / 'out' / 'a_x3.png').size == (603, 381)


def test_model_is_run_tile_by_tile(narrow, monkeypatch):
    monkeypatch.setattr(upscaler, 'RUN_PIXELS', 1)  # otherwise a thread takes several small tiles at a time
    model, seen = engines.OnnxRuntime(narrow[1]), []
    run = model._run

    def watched(batch):
        seen.append(batch.shape[0])
        return run(batch)

    monkeypatch.setattr(model, '_run', watched)
    layout = upscaler.layout_for(model, (300, 300), 192, 16, 2)
    parts = upscaler.upscale_pixels(np.zeros((300, 300, 3), np.uint8), model, layout)
    next(parts)
    assert set(seen) == {1} and len(seen) <= 2  # at most one is computed ahead
    assert sum(1 for _ in parts) == 8 and seen == [1] * 9


def test_bar_on_a_terminal_has_megapixels_and_no_warning(tmp_path, photo, narrow):
    photo.resize((228, 344)).save(str(tmp_path / 'a.png'))  # its tiles' shares add up to a little more than 1
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
    command = [
        sys.executable,
        os.path.join(ROOT, 'RDN_upscale.py'),
        '--model',
        narrow[1],
        '--input',
        'a.png',
        '--output=.',
    ]
    process = subprocess.Popen(command, cwd=str(tmp_path), stderr=slave, stdout=subprocess.DEVNULL)
    assert process.wait() == 0
    os.close(slave)
    shown = b''
    while b'100%' not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert b'0.08 of 0.08 MP' in shown and b'MP, ' in shown and b' left' in shown and b'Warning' not in shown


@pytest.mark.slow
def test_killed_run_leaves_whole_pictures_and_resumes_to_the_same(tmp_path, photos, narrow):
    source, target = tmp_path / 'in', tmp_path / 'out'
    source.mkdir()
    for number, path in enumerate(photos * 2):
        shutil.copy(path, str(source / (f'{number}_{os.path.basename(path)}')))
    command = [sys.executable, os.path.join(ROOT, 'RDN_upscale.py'), '--input', str(source), '--model', narrow[1]]
    subprocess.run(command + ['--output', str(tmp_path / 'whole')], check=True, stdout=subprocess.DEVNULL)
    whole = snapshot(tmp_path / 'whole')
    kills = 0
    for extra in (0, 0.15, 0.3):
        process = subprocess.Popen(command + ['--output', str(target), '--resume'], stdout=subprocess.DEVNULL)
        before = len(os.listdir(str(target))) if target.exists() else 0
        while process.poll() is None and (not target.exists() or len(os.listdir(str(target))) <= before):
            time.sleep(0.005)
        time.sleep(extra)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        there = {name: data for name, data in snapshot(target).items() if not name.startswith('.')}
        assert all(whole[name] == data for name, data in there.items())
    subprocess.run(command + ['--output', str(target), '--resume'], check=True, stdout=subprocess.DEVNULL)
    assert {name: data for name, data in snapshot(target).items() if not name.startswith('.')} == whole and kills
