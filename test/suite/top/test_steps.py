"""rdn/steps.py: the message about a missing file of the walk names the step that writes it."""

from rdn import cli, steps

import pytest


@pytest.mark.parametrize(
    'path, maker',
    [
        ('./RDN_prep_bin.info', 'gen_dataset_info.py'),
        ('./prep_dataset/data', 'RDN_preprocess.py'),
        ('prep_dataset/label/', 'RDN_preprocess.py'),
        ('./prep_dataset/data/baby.bin', 'RDN_preprocess.py'),
        ('rdn_x2_bs4.om', 'test/pth2om.sh'),
        ('./rdn_x3.onnx', 'RDN_pth2onnx.py'),
        ('RDN_bs1.log', 'test/perf_gpu.sh'),
        ('./result/dumpOutput_device3', 'step 5'),
        ('result/perf_vision_batchsize_1_device_0.txt', 'step 5'),
        ('result/bs4/pure_summary.json', 'step 5'),
        ('result/bs4/result.json', 'RDN_postprocess.py'),
        ('rdn_x2.pth', 'https://'),
        ('/root/dataset/set5', 'sample_images.py'),
        ('photo.jpg', None),
        ('data', None),
        ('my.log', None),
    ],
)
def test_a_missing_file_of_the_walk_names_the_step_that_makes_it(tmp_path, path, maker):
    said = cli.describe_error(FileNotFoundError(2, 'No such file or directory', path))
    assert said.startswith(f'{path}: No such file or directory')
    assert maker in said if maker else said.endswith('directory')


def test_a_file_that_is_there_but_cannot_be_read_names_no_step():
    assert (
        cli.describe_error(PermissionError(13, 'Permission denied', 'rdn_x2.onnx')) == 'rdn_x2.onnx: Permission denied'
    )
    assert steps.who_makes('rdn_x2.onnx') is not None


def test_numbers_and_their_nouns_agree():
    assert [cli.count(number, 'image') for number in (0, 1, 2, 1200)] == [
        '0 images',
        '1 image',
        '2 images',
        '1,200 images',
    ]
