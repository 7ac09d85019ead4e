"""No plausible but wrong figure: each cause of one is refused with a clear line. docs/testing.md lists the causes."""

import os
import shutil

from rdn.data import manifest
from rdn.devices import number_text

import numpy as np
import pytest
import torch

from helpers import assert_refused, infer, judge, listing, prepare, snapshot, tiny_rdn


@pytest.fixture
def walked(script, image_folder, tmp_path, monkeypatch):
    """A working folder after steps 4.2 and 4.3, with outputs that differ slightly from the labels."""
    monkeypatch.chdir(tmp_path)
    assert prepare(script).status == 0
    assert listing(script).status == 0
    os.makedirs('result/dumpOutput_device0')
    random = np.random.RandomState(0)
    for name in os.listdir('prep_dataset/label'):
        picture = np.load('prep_dataset/label/' + name)[0]
        dump(name[:-4], picture + random.normal(0, 0.01, picture.shape))
    assert judge(script).status == 0
    os.remove('result.json')
    return tmp_path


def dump(stem, picture):
    with open(f'result/dumpOutput_device0/{stem}_1.txt', 'wb') as file:
        file.write(number_text.format_text(picture.astype(np.float32)))


def label(stem):
    return np.load(f'prep_dataset/label/{stem}.npy')[0]


def assert_no_figure(ended, *words):
    assert_refused(ended, *words)
    assert not os.path.exists('result.json') and 'PSNR' not in ended.out


def test_an_input_of_an_earlier_preparation_is_not_listed(script, walked):
    shutil.copy('prep_dataset/data/coffee.bin', 'prep_dataset/data/zebra.bin')
    assert_refused(listing(script), 'zebra.bin', 'manifest.json')


def test_a_missing_input_is_named(script, walked):
    os.remove('prep_dataset/data/coffee.bin')
    assert_refused(listing(script), 'coffee.bin', 'missing')


def test_an_input_that_changed_is_neither_listed_nor_inferred(script, walked, narrow):
    np.zeros((3, 114, 114), np.float32).tofile('prep_dataset/data/coffee.bin')
    assert_refused(listing(script), 'coffee.bin', 'changed')
    assert_refused(infer(script, narrow[1]), 'coffee.bin', 'changed')


def test_a_label_that_changed_is_missing_or_is_not_listed_is_refused(script, walked):
    kept = label('coffee')
    np.save('prep_dataset/label/coffee.npy', kept[np.newaxis] * np.float32(0.5))
    assert_no_figure(judge(script), 'coffee.npy', 'changed')
    np.save('prep_dataset/label/coffee.npy', kept[np.newaxis])
    np.save('prep_dataset/label/zebra.npy', kept[np.newaxis])
    dump('zebra', kept)
    assert_no_figure(judge(script), 'zebra.npy')
    os.remove('prep_dataset/label/zebra.npy')
    os.remove('prep_dataset/label/coffee.npy')
    os.remove('result/dumpOutput_device0/zebra_1.txt')
    os.remove('result/dumpOutput_device0/coffee_1.txt')
    assert_no_figure(judge(script), 'coffee.npy', 'missing')  # there is no average over the other four


def test_labels_of_one_preparation_beside_inputs_of_another_are_refused(script, walked, narrow):
    """A kill between the renames of the two folders leaves such a set."""
    shutil.copytree('prep_dataset/label', 'label of crops')
    assert prepare(script, '--fit=letterbox').status == 0
    shutil.rmtree('prep_dataset/label')
    os.rename('label of crops', 'prep_dataset/label')
    assert_no_figure(judge(script), 'prep_dataset/label/', 'changed')
    assert prepare(script).status == 0
    assert judge(script).status == 0


def test_without_a_manifest_the_tools_work_as_before(script, walked, narrow):
    os.remove('prep_dataset/manifest.json')
    assert listing(script).status == infer(script, narrow[1]).status == 0
    shutil.rmtree('result/dumpOutput_device0')
    os.makedirs('result/dumpOutput_device0')
    for name in os.listdir('prep_dataset/label'):
        dump(name[:-4], label(name[:-4]))
    assert judge(script).status == 0


def test_without_a_manifest_nothing_is_prepared_over_the_set(script, walked):
    """The set may be from a version without manifests, or from another program."""
    os.remove('prep_dataset/manifest.json')
    before = snapshot('prep_dataset')
    assert_refused(prepare(script), 'prep_dataset/', 'prepare into a new folder')
    assert snapshot('prep_dataset') == before
    assert script('RDN_preprocess', '--src-path=images', '--save-path=prep_2').status == 0
    assert snapshot('prep_dataset') == before and snapshot('prep_2').items() >= before.items()


@pytest.mark.parametrize(
    'flags, said',
    [
        (['--width=57', '--height=57', '--scale=4'], 'width 114, not 57'),  # the outputs have the same number of pixels
        (['--width=57', '--height=228'], 'width 114, not 57'),
        (['--height=57'], 'height 114, not 57'),
        (['--scale=3'], 'scale 2, not 3'),
    ],
)
def test_other_flags_than_those_of_the_preparation_are_refused(script, walked, flags, said):
    assert_no_figure(judge(script, *flags), 'manifest.json', said)


def test_inputs_are_listed_and_read_only_in_the_size_of_the_preparation(script, walked, tmp_path):
    ended = script('gen_dataset_info', 'bin', './prep_dataset/data', 'other.info', '57', '228')
    assert_refused(ended, 'manifest.json', 'width 114, not 57')
    assert not os.path.exists('other.info')
    torch.save(tiny_rdn().state_dict(), 'tiny.pth')
    sizes = ['--height=228', '--width=57']
    assert script('RDN_pth2onnx', '--input-file=tiny.pth', '--output-file=tall.onnx', *sizes).status == 0
    with open('RDN_prep_bin.info') as file:
        lines = file.read()
    with open('RDN_prep_bin.info', 'w') as file:
        file.write(lines.replace(' 114 114', ' 57 228'))
    assert_refused(infer(script, 'tall.onnx'), 'manifest.json', 'width 114, not 57')
    assert not [name for name in snapshot('result') if name.startswith('perf')]


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'{',
        b'[]',
        b'{"flags": {}, "sha256": 3}',
        b'{"flags": {}, "sha256": {}, "images": [3]}',
        b'\xff',
        b'[' * 100000,
    ],
)
def test_a_broken_manifest_is_named(script, walked, content):
    with open('prep_dataset/manifest.json', 'wb') as file:
        file.write(content)
    assert_refused(listing(script), 'manifest.json', 'prepare into a new folder')


def test_the_manifest_lists_the_flags_and_every_file(script, walked):
    written = manifest.read('prep_dataset')
    assert written
    _, flags, digests, originals = written
    assert originals and sorted(originals) == sorted(name[:-4] for name in os.listdir('prep_dataset/label'))
    assert (flags['width'], flags['height'], flags['scale'], flags['fit'], flags['tile']) == (
        114,
        114,
        2,
        'crop',
        False,
    )
    assert sorted(digests) == sorted(name for name in snapshot('prep_dataset') if '/' in name)
    before = snapshot('prep_dataset')
    assert prepare(script).status == 0
    assert snapshot('prep_dataset') == before


def test_outputs_of_another_preparation_are_not_counted(script, walked):
    assert prepare(script, '--fit=letterbox').status == 0  # same names, same sizes
    assert_no_figure(judge(script), 'another picture')
    assert judge(script, '--allow-mismatch').status == 0


def test_outputs_under_each_others_names_are_not_counted(script, walked):
    dump('coffee', label('rocket'))
    dump('rocket', label('coffee'))
    assert_no_figure(judge(script), 'coffee_1.txt', 'another picture')


def test_swapped_colours_are_not_counted(script, walked):
    for name in os.listdir('prep_dataset/label'):
        dump(name[:-4], label(name[:-4])[::-1])
    assert_no_figure(judge(script), 'BGR')


@pytest.mark.parametrize('value', [0, 1, 0.5, -3])
def test_a_device_that_computed_nothing_is_noticed(script, walked, value):
    dump('coffee', np.full((3, 228, 228), value))
    assert_no_figure(judge(script), 'coffee_1.txt', 'computed nothing')


def test_values_up_to_255_are_noticed(script, walked):
    dump('coffee', label('coffee') * 255)
    assert_no_figure(judge(script), 'coffee_1.txt')


@pytest.mark.parametrize('kind', [np.float16, np.uint8, np.float64])
def test_binary_outputs_of_other_types_are_refused(script, walked, kind):
    os.remove('result/dumpOutput_device0/coffee_1.txt')
    label('coffee').astype(kind).tofile('result/dumpOutput_device0/coffee_1.bin')
    assert_no_figure(judge(script), 'coffee_1.bin', 'float32')


def test_nan_is_refused(script, walked):
    picture = label('coffee').copy()
    picture[0, 5, 5] = np.nan
    dump('coffee', picture)
    assert_no_figure(judge(script), 'coffee_1.txt', 'nan')


def test_decimal_commas_are_refused(script, walked):
    with open('result/dumpOutput_device0/coffee_1.txt', 'rb') as file:
        text = file.read()
    with open('result/dumpOutput_device0/coffee_1.txt', 'wb') as file:
        file.write(text.replace(b'.', b','))
    assert_no_figure(judge(script), 'coffee_1.txt', 'not a number')


def test_an_output_that_is_still_being_written_is_refused(script, walked, monkeypatch):
    parse, path = number_text.parse_text, 'result/dumpOutput_device0/coffee_1.txt'

    def parse_slowly(text):
        with open(path, 'ab') as file:
            file.write(b' ')
        return parse(text)

    monkeypatch.setattr(number_text, 'parse_text', parse_slowly)
    assert_no_figure(judge(script), 'coffee_1.txt', 'changed while')


def test_a_truncated_output_is_refused(script, walked):
    with open('result/dumpOutput_device0/coffee_1.txt', 'rb+') as file:
        file.truncate(1000000)
    assert_no_figure(judge(script), 'coffee_1.txt')


def test_an_info_file_with_fewer_images_does_not_lead_to_an_average(script, walked, narrow):
    with open('RDN_prep_bin.info') as file:
        lines = file.readlines()
    with open('RDN_prep_bin.info', 'w') as file:
        file.writelines(lines[:-1])
    assert infer(script, narrow[1]).status == 0  # replaces the earlier outputs
    assert_no_figure(judge(script), 'rocket')


def test_the_wrong_scale_is_refused(script, walked):
    assert_no_figure(judge(script, '--scale=3'), 'scale')
    for name in os.listdir('prep_dataset/label'):
        dump(name[:-4], np.zeros((3, 342, 342)))
    assert_no_figure(judge(script), 'values')


def test_a_label_folder_reached_through_a_link_keeps_its_manifest(script, walked):
    os.symlink('prep_dataset/label', 'labels')
    flags = ['--pred-path=result/dumpOutput_device0', '--label-path=labels', '--result-path=result.json']
    assert script('RDN_postprocess', *flags).status == 0
    os.remove('result.json')
    assert_no_figure(script('RDN_postprocess', *flags, '--width=57', '--height=57', '--scale=4'), 'width 114, not 57')
    np.save('prep_dataset/label/coffee.npy', label('coffee')[np.newaxis] * np.float32(0.5))
    assert_no_figure(script('RDN_postprocess', *flags), 'coffee.npy', 'changed')


def test_a_number_outside_the_range_of_float32_is_refused(script, walked):
    path = 'result/dumpOutput_device0/coffee_1.txt'
    with open(path, 'rb') as file:
        text = file.read()
    with open(path, 'wb') as file:
        file.write(b'1e300 ' + text.split(maxsplit=1)[1])
    assert_no_figure(judge(script), 'coffee_1.txt', 'float32')
