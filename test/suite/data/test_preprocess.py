"""RDN_preprocess.py, gen_dataset_info.py and sample_images.py: the files that the device reads."""

import os
import shutil
import signal
import subprocess
import sys
import time

from rdn.data import dataset
from rdn.devices import benchmark

import cv2
import numpy as np
import pytest
from PIL import Image

import RDN_preprocess
from helpers import ROOT, SET5, assert_refused, prepare, snapshot


def settings(fit='crop'):
    return dataset.Preparation(114, 114, 2, fit, tile=False, overlap=16, no_label=False)


def test_every_bin_and_label_equals_an_independent_computation(script, image_folder, tmp_path, prepared):
    ended = prepare(script, source=image_folder, target=tmp_path / 'prep')
    assert ended.status == 0 and '5 images' in ended.out and not ended.err
    files = snapshot(tmp_path / 'prep')
    inputs, labels = prepared
    assert sorted(files) == sorted(
        ['data', 'label', 'manifest.json']
        + [f'data/{stem}.bin' for stem in inputs]
        + [f'label/{stem}.npy' for stem in labels]
    )
    for stem in inputs:
        assert files[f'data/{stem}.bin'] == inputs[stem].tobytes()
        label = np.load(str(tmp_path / 'prep' / 'label' / (stem + '.npy')))
        assert label.dtype == np.float32 and np.array_equal(label, labels[stem][np.newaxis])


def test_one_input_is_not_called_inputs(script, image_folder, tmp_path):
    (tmp_path / 'one').mkdir()
    shutil.copy(str(image_folder / 'coffee.png'), str(tmp_path / 'one'))
    ended = prepare(script, source=tmp_path / 'one', target=tmp_path / 'prep')
    assert ended.status == 0 and ended.out.startswith('1 image\n1 input of 114 x 114 in '), ended.err


def test_a_note_lists_three_groups_of_names_that_clash_for_ais_bench_and_counts_the_rest(capsys, tmp_path):
    for group in 'abcd':
        for end in ('1', '2'):
            (tmp_path / f'{group}.{end}.bin').write_bytes(b'')
    RDN_preprocess.note_clashes(str(tmp_path))
    noted = capsys.readouterr().out.splitlines()
    assert len(noted) == 4 and noted[-1] == 'note: and 1 more group of inputs'


def test_two_runs_write_the_same_bytes(script, image_folder, tmp_path):
    prepare(script, source=image_folder, target=tmp_path / 'one')
    prepare(script, source=image_folder, target=tmp_path / 'two')
    assert snapshot(tmp_path / 'one') == snapshot(tmp_path / 'two')


def test_other_scales_and_sizes(script, image_folder, tmp_path):
    ended = prepare(script, '--scale=3', '--width=80', '--height=60', source=image_folder, target=tmp_path / 'prep')
    assert ended.status == 0, ended.err
    label = np.load(str(tmp_path / 'prep' / 'label' / 'coffee.npy'))
    assert label.shape == (1, 3, 180, 240)
    assert os.path.getsize(str(tmp_path / 'prep' / 'data' / 'coffee.bin')) == 4 * 3 * 80 * 60


@pytest.mark.parametrize('name', ['coffee.png', 'motorcycle_left.png', 'astronaut.png'])
def test_letterbox_equals_opencv(image_folder, name):
    path = str(image_folder / name)
    label = RDN_preprocess.prepare_image(path, settings('letterbox')).hr
    picture = np.asarray(cv2.imread(path))[:, :, ::-1]
    height, width = picture.shape[:2]
    ratio = min(228 / width, 228 / height)
    small = cv2.resize(picture, (int(width * ratio), int(height * ratio)), interpolation=cv2.INTER_LINEAR)
    expected = np.zeros((228, 228, 3), np.uint8)
    top, left = (228 - small.shape[0]) // 2, (228 - small.shape[1]) // 2
    expected[top : top + small.shape[0], left : left + small.shape[1]] = small
    assert label is not None and np.array_equal(np.rint(label * 255).astype(np.uint8), expected.transpose(2, 0, 1))


def test_letterbox_takes_a_small_image(script, tmp_path, photos):
    (tmp_path / 'in').mkdir()
    Image.open(photos[0]).convert('RGB').resize((150, 40)).save(str(tmp_path / 'in' / 'small.png'))
    assert prepare(script, '--fit=letterbox', source=tmp_path / 'in', target=tmp_path / 'prep').status == 0


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'CMYK', '1', 'LA'])
def test_other_modes_become_rgb(script, tmp_path, photos, mode):
    (tmp_path / 'in').mkdir()
    name = str(tmp_path / 'in' / ('x.tif' if mode == 'CMYK' else 'x.png'))
    Image.open(photos[0]).convert('RGB').convert(mode).save(name)
    ended = prepare(script, source=tmp_path / 'in', target=tmp_path / 'prep')
    assert ended.status == 0, ended.err


def test_photo_of_a_turned_camera_is_upright(tmp_path, photos):
    picture = Image.open(photos[1]).convert('RGB')
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    picture.transpose(Image.ROTATE_90).save(str(tmp_path / 'turned.png'), exif=exif)
    turned = RDN_preprocess.prepare_image(str(tmp_path / 'turned.png'), settings())
    picture.save(str(tmp_path / 'upright.png'))
    upright = RDN_preprocess.prepare_image(str(tmp_path / 'upright.png'), settings())
    assert np.array_equal(turned.hr, upright.hr)


def spoil(folder, kind):
    """Change the folder so that it must be refused; return the name that the message must contain."""
    photo = str(folder / 'coffee.png')
    if kind == 'text':
        (folder / 'notes.txt').write_text('hello')
        return 'notes.txt'
    if kind == 'empty file':
        (folder / 'empty.png').write_bytes(b'')
        return 'empty.png'
    if kind == 'truncated':
        (folder / 'cut.png').write_bytes(open(photo, 'rb').read()[:30000])
        return 'cut.png'
    if kind == 'small':
        Image.open(photo).resize((400, 227)).save(str(folder / 'small.png'))
        return 'small.png'
    if kind == 'same stem':
        Image.open(photo).convert('RGB').save(str(folder / 'coffee.jpg'))
        return 'coffee.jpg'
    if kind == '16 bits':
        Image.fromarray(np.zeros((300, 300), np.uint16)).save(str(folder / 'deep.png'))
        return 'deep.png'
    if kind == '16 bits of colour':
        cv2.imwrite(str(folder / 'deep.png'), np.zeros((300, 300, 3), np.uint16))
        return 'deep.png'
    if kind in ('16 bits of JPEG 2000', '16 bits of PPM', '12 bits of PPM'):
        ending = 'jp2' if '2000' in kind else 'ppm'
        if '12' in kind:
            (folder / 'deep.ppm').write_bytes(b'P6 # a comment\n300 300\n4095\n' + bytes(300 * 300 * 6))
        else:
            cv2.imwrite(str(folder / f'deep.{ending}'), np.full((300, 300, 3), 65535, np.uint16))
        return f'deep.{ending}'
    if kind == 'folder':
        (folder / 'inner').mkdir()
        return 'inner'
    shutil.move(photo, str(folder / 'a b.png'))
    return 'a b'


@pytest.mark.parametrize(
    'kind',
    [
        'text',
        'empty file',
        'truncated',
        'small',
        'same stem',
        '16 bits',
        '16 bits of colour',
        '16 bits of JPEG 2000',
        '16 bits of PPM',
        '12 bits of PPM',
        'folder',
        'space',
    ],
)
def test_wrong_image_ends_in_one_line_and_leaves_the_earlier_result(script, image_folder, tmp_path, kind):
    prepare(script, source=image_folder, target=tmp_path / 'prep')
    before = snapshot(tmp_path / 'prep')
    name = spoil(image_folder, kind)
    assert_refused(prepare(script, source=image_folder, target=tmp_path / 'prep'), name)
    assert snapshot(tmp_path / 'prep') == before


def test_a_wrong_image_leaves_an_empty_target_empty(script, image_folder, tmp_path):
    spoil(image_folder, 'truncated')
    prepare(script, source=image_folder, target=tmp_path / 'prep')
    assert snapshot(tmp_path / 'prep') == {}


def test_second_run_replaces_its_own_files_and_keeps_others(script, image_folder, tmp_path):
    target = tmp_path / 'prep'
    prepare(script, source=image_folder, target=target)
    for path in (target / 'note.txt', target / 'data' / 'note.txt', target / 'data' / 'model.bin'):
        path.write_text('mine')
    (target / 'label' / 'sub').mkdir()
    (target / 'label' / 'sub' / 'keep').write_text('mine')
    (image_folder / 'coffee.png').unlink()
    assert prepare(script, source=image_folder, target=target).status == 0
    files = snapshot(target)
    assert 'data/coffee.bin' not in files and 'label/coffee.npy' not in files
    assert len([name for name in files if name.endswith('.npy')]) == 4
    assert [files[name] for name in ('note.txt', 'data/note.txt', 'data/model.bin', 'label/sub/keep')] == [b'mine'] * 4


@pytest.mark.parametrize('missing', ['nothing', 'empty', 'file'])
def test_no_folder_of_images_is_an_error(script, tmp_path, missing):
    source = tmp_path / missing
    if missing == 'empty':
        source.mkdir()
    if missing == 'file':
        source.write_text('')
    assert_refused(prepare(script, source=source, target=tmp_path / 'prep'), source)


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc, a folder that cannot be written to')
def test_read_only_target_is_named(script, image_folder):
    assert_refused(prepare(script, source=image_folder, target='/proc/self'), '/proc/self')


@pytest.mark.parametrize('stop', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_nothing_half_written(tmp_path, photos, stop):
    (tmp_path / 'in').mkdir()
    for number in range(2000):
        os.symlink(photos[0], str(tmp_path / 'in' / (f'{number}.png')))
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, 'RDN_preprocess.py'), '--src-path=in', '--save-path=out'],
        cwd=str(tmp_path),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores SIGINT for background jobs
    )
    deadline = time.time() + 60
    while not list(tmp_path.glob('out/.data*/*.bin')) and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(stop)
    _, err = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[stop]
    assert err.count('\n') <= 1 and 'Traceback' not in err
    assert snapshot(tmp_path / 'out') == {}


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc, to see what a process has loaded')
@pytest.mark.parametrize('name', ['RDN_pth2onnx', 'RDN_preprocess', 'RDN_infer', 'RDN_postprocess'])
def test_ctrl_c_while_the_libraries_load_is_one_line(tmp_path, name):
    arguments = {'RDN_pth2onnx': ['--input-file=a', '--output-file=b'], 'RDN_infer': ['-om_path=a', '-round=1']}
    command = [sys.executable, os.path.join(ROOT, name + '.py')] + arguments.get(name, ['--nothing=a'])
    process = subprocess.Popen(
        command,
        cwd=str(tmp_path),
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores SIGINT for background jobs
    )
    while not numpy_is_loading(process.pid) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == f'{name}.py: interrupted\n', err


def numpy_is_loading(pid):
    """Return whether a process has mapped the first of numpy's libraries."""
    with open(f'/proc/{pid}/maps') as file:
        return 'numpy' in file.read()


@pytest.mark.skipif(not os.path.isdir(SET5), reason='no shared data here')
def test_set5_prepares_to_five_pairs(script, tmp_path):
    assert prepare(script, source=SET5, target=tmp_path / 'prep').status == 0
    assert len(os.listdir(str(tmp_path / 'prep' / 'data'))) == 5


def test_info_file_has_index_path_and_size_sorted_by_name(script, dataset):
    expected = (dataset / 'RDN_prep_bin.info').read_text()
    (dataset / 'RDN_prep_bin.info').unlink()
    ended = script('gen_dataset_info', 'bin', './prep_dataset/data', './RDN_prep_bin.info', 114, 114)
    assert ended.status == 0
    assert (dataset / 'RDN_prep_bin.info').read_text() == expected
    assert expected.splitlines()[0] == '0 ./prep_dataset/data/astronaut.bin 114 114'


def test_an_info_file_with_dots_and_non_ascii_letters_in_its_names_is_read_back(tmp_path):
    lines = [benchmark.InfoLine(f'./d/{stem}.bin', 3, 4) for stem in ('a', 'b.c', 'ö_1')]
    (tmp_path / 'x.info').write_text(benchmark.format_info(lines), encoding='utf-8')
    assert benchmark.read_info(str(tmp_path / 'x.info')) == lines


@pytest.mark.parametrize(
    'kind, names', [('png', ['astronaut', 'chelsea', 'coffee', 'motorcycle_left']), ('jpg', ['rocket'])]
)
def test_info_file_of_pictures_has_their_own_sizes(script, image_folder, tmp_path, kind, names):
    assert script('gen_dataset_info', kind, image_folder, tmp_path / 'x.info').status == 0
    expected = []
    for index, name in enumerate(names):
        path = str(image_folder / (f'{name}.{kind}'))
        width, height = Image.open(path).size
        expected.append(f'{index} {path} {width} {height}')
    assert (tmp_path / 'x.info').read_text().splitlines() == expected


def test_info_file_is_refused(script, dataset, image_folder):
    before = (dataset / 'RDN_prep_bin.info').read_text()

    def generate(*arguments):
        return script('gen_dataset_info', *arguments)

    info = dataset / 'RDN_prep_bin.info'
    assert_refused(generate('bin', 'prep_dataset/data', info), 'width and height')
    assert_refused(generate('png', image_folder, info, 3, 4), 'leave out width and height')
    assert_refused(generate('bin', 'prep_dataset/label', info, 114, 114), 'no bin files')
    assert_refused(generate('bin', 'prep_dataset/data', info, 114, 115), 'astronaut.bin', '155952 bytes')
    assert_refused(generate('bin', 'no_such', info, 114, 114), 'no_such')
    (image_folder / 'a.png').write_text('text')
    assert_refused(generate('png', image_folder, info), 'a.png')
    shutil.move('prep_dataset', 'prep dataset')
    assert_refused(generate('bin', 'prep dataset/data', info, 114, 114), 'white space')
    assert info.read_text() == before


def test_sample_images_are_copied_whole(script, tmp_path, photos):
    assert script('sample_images', tmp_path / 'samples').status == 0
    files = snapshot(tmp_path / 'samples')
    assert files == {os.path.basename(path): open(path, 'rb').read() for path in photos}
