"""ais_bench's folders as users have them: a run, its parent, several devices; its logs and summaries."""

import os
import re
import shutil

from rdn import run_record
from rdn.devices import number_text, outputs

import numpy as np
import pytest

from helpers import DIGEST, DUMP, accept, assert_refused, judge
from vendor import AIS_2023_TWO, AIS_2024, AIS_2026, AIS_CONTRADICTION, AIS_MSIT_TWO, TENSORRT_7, summary


@pytest.fixture
def computed(inferred):
    """A function that copies the outputs of a run into a folder of ais_bench's form, and changes them on request."""
    names = outputs.list_outputs(DUMP)

    def lay(folder, kept=names, ending='bin', change=0.0):
        os.makedirs(folder)
        for name in kept:
            array = np.fromfile(os.path.join(DUMP, name), np.float32) + np.float32(change)
            path = os.path.join(folder, name.replace('_1.bin', f'_0.{ending}'))
            if ending == 'npy':
                np.save(path, array.reshape(1, 3, 228, 228))
            elif ending == 'txt':
                np.savetxt(path, array.reshape(-1, 228), '%f')
            else:
                array.tofile(path)

    vars(lay).update(names=names)
    return lay


def judged(script, folder, *flags):
    places = [f'--pred-path={folder}', '--label-path=prep_dataset/label', '--result-path=result.json']
    return script('RDN_postprocess', *places, *flags)


@pytest.mark.parametrize('ending', ['bin', 'npy', 'txt'])
def test_all_three_formats_give_the_same_psnr(script, computed, ending):
    expected = judge(script).out.splitlines()[-1]
    computed('ais/run', ending=ending)
    ended = judged(script, 'ais/run')
    assert ended.status == 0 and ended.out.splitlines()[-1] == expected, ended.err
    if ending == 'txt':
        with open('ais/run/coffee_0.txt', 'rb') as file:
            assert number_text.parse_text(file.read()).size == 3 * 228 * 228


def test_the_newest_run_in_a_folder_is_used_and_named(script, computed):
    computed('ais/2026_01_31-23_59_59', change=0.5)
    computed('ais/2026_02_01-00_00_00')
    computed('ais/other', change=0.5)
    ended = judged(script, 'ais')
    assert ended.status == 0 and 'the outputs of its newest run, ais/2026_02_01-00_00_00' in ended.out, ended.err
    assert ended.out.splitlines()[-1] == judge(script).out.splitlines()[-1]


def test_a_single_run_is_found_and_several_are_refused(script, computed):
    computed('ais/bs1')
    assert judged(script, 'ais').status == 0
    computed('ais/bs4')
    assert_refused(judged(script, 'ais'), 'ais/bs1 and ais/bs4', 'name one')


@pytest.mark.parametrize('names', [('device0', 'device1'), ('device0_0', 'device1_1'), ('device2_0', 'device2_1')])
def test_devices_that_all_computed_the_same_are_one_result(script, computed, names):
    for name in names:
        computed(f'ais/run/{name}')
    ended = judged(script, 'ais/run')
    assert ended.status == 0 and ended.out.splitlines()[-1] == judge(script).out.splitlines()[-1], ended.err
    shutil.rmtree(f'ais/run/{names[1]}')
    assert judged(script, 'ais').status == 0  # a single one, from the parent


def test_devices_that_differ_are_refused_with_both_names(script, computed):
    computed('ais/run/device0_0')
    computed('ais/run/device1_1', change=0.01)
    ended = judged(script, 'ais/run')
    assert_refused(ended, 'ais/run/device1_1/', 'ais/run/device0_0/', 'differ by 0.01')
    assert not os.path.exists('result.json')


def test_a_divided_set_is_joined(script, computed):
    computed('ais/run/device0', computed.names[:2])
    computed('ais/run/device1', computed.names[2:])
    ended = judged(script, 'ais/run')
    assert ended.status == 0 and ended.out.splitlines()[-1] == judge(script).out.splitlines()[-1], ended.err


def test_a_device_that_was_stopped_is_not_taken_for_a_divided_set(script, computed):
    computed('ais/run/device0_0')
    computed('ais/run/device1_1', computed.names[:3])
    assert_refused(
        judged(script, 'ais/run'), 'ais/run', 'every device must compute all images, or only one device each image'
    )
    shutil.rmtree('ais/run/device0_0')
    assert_refused(judged(script, 'ais/run'), 'no output for')


def test_outputs_next_to_device_folders_are_refused(script, computed):
    computed('ais/run')
    computed('ais/run/device0')
    assert_refused(judged(script, 'ais/run'), 'from different runs')


@pytest.mark.parametrize(
    'log, flags, printed',
    [
        (AIS_2024, [], 'NPU bs4 fps:5.326 (ais_bench, no record)'),
        (AIS_2026, ['--device=310P3'], '310P3 bs4 fps:5.645 (ais_bench, no record)'),
        (AIS_2023_TWO, [], 'NPU bs1 fps:9.797, of 2 devices (ais_bench, no record)'),
    ],
)
def test_logs_of_three_generations_are_read(script, tmp_path, log, flags, printed):
    path = tmp_path / 'ais.log'
    path.write_text(log)
    assert script('parse', path, *flags).out == printed + '\n'


SECOND = re.compile(r'(\[INFO\] )?i:1 device_.*\n')


@pytest.mark.parametrize(
    'log',
    [
        AIS_2023_TWO.replace('qsize:4 result:0', 'qsize:3 result:1'),
        AIS_2023_TWO.replace('qsize:4 result:0', 'qsize:5 result:0'),  # a third device was ready
        SECOND.sub('', AIS_MSIT_TWO),
        SECOND.sub('', AIS_MSIT_TWO).replace('557.9376050278543', '281.38893494131406'),
        SECOND.sub('', AIS_MSIT_TWO).replace('557.9376050278543', '281.38893494131406').replace('qsize:4', 'qsize:2'),
        re.sub(r'(i:1 device_2 throughput:)\S+', r'\g<1>', AIS_MSIT_TWO),
        re.sub(r'(i:1 device_2 throughput:)\S+', r'\g<1>0', AIS_MSIT_TWO),
        re.sub(r'(i:1 device_2 throughput:)\S+', r'\g<1>None', AIS_MSIT_TWO),
        '[INFO] multidevice:[1, 2, 3] run begin\n' + AIS_MSIT_TWO,
        AIS_MSIT_TWO.replace('i:1 device_2', 'i:2 device_3'),
        '[ERROR] subprocess run failed error_callback:acl error\n' + AIS_MSIT_TWO,
        '[INFO] subprocess_2 qsize:2 now waiting\n' + AIS_MSIT_TWO,
    ],
)
def test_a_log_with_a_missing_device_or_figure_is_refused(script, tmp_path, log):
    path = tmp_path / 'two.log'
    path.write_text(log)
    assert_refused(script('parse', path), 'two.log', 'one of several devices failed')


def test_a_message_of_failure_is_ignored_if_all_devices_have_figures(script, tmp_path):
    path = tmp_path / 'two.log'
    for log in (
        AIS_MSIT_TWO,
        '[INFO] multidevice:[1, 2] run begin\n' + AIS_MSIT_TWO,
        AIS_MSIT_TWO.replace('result:1', ''),
    ):
        path.write_text(log)
        assert script('parse', path).out == 'NPU bs1 fps:557.938, of 2 devices (ais_bench, no record)\n'


def test_a_total_that_is_not_the_sum_of_its_devices_is_refused(script, tmp_path):
    path = tmp_path / 'two.log'
    path.write_text(AIS_MSIT_TWO.replace('557.9376050278543', '900.5'))
    assert_refused(script('parse', path), 'two.log', '900.5', '557.938')


THROUGHPUT = '[INFO] throughput 1000*batchsize.mean({})/NPU_compute_time.mean({}): {}\n'


@pytest.mark.parametrize(
    'log, words',
    [
        (AIS_CONTRADICTION, ['112.531', '1546.06']),
        (THROUGHPUT.format(1, 20.0, 55.0), ['55', '50']),
        (THROUGHPUT.format(1.5, 20.0, 50.0), ['50', '75']),
        # The older form has no batch size, and the computed one is 1.2.
        (
            '[INFO] NPU_compute_time (ms): min = 9, max = 11, mean = 10.0, median = 10.0, percentile(99%) = 11\n'
            '[INFO] throughput (1000*batchsize/NPU_compute_time): 120.0\n',
            ['120', 'not 1000', 'any batch size'],
        ),
        # The line of times has another mean.
        (
            '[INFO] NPU_compute_time (ms): min = 9, max = 41, mean = 40.0, median = 40.0, percentile(99%) = 41\n'
            + THROUGHPUT.format(1, 20.0, 50.0),
            ['50', '25'],
        ),
        (AIS_MSIT_TWO.replace(': 276.54867008654026', ': 376.54867008654026'), ['376.549', '276.549']),
    ],
)
def test_a_rate_that_its_own_line_contradicts_is_refused(script, tmp_path, log, words):
    path = tmp_path / 'ais.log'
    path.write_text(log)
    assert_refused(script('parse', path), 'ais.log', *words)


def test_a_summary_whose_arguments_contradict_its_rate_is_refused(script, tmp_path):
    path = tmp_path / 'run_summary.json'
    path.write_text(summary(1, 20.0, {'batchsize': 16}))
    assert_refused(script('parse', path), 'run_summary.json', '800')


@pytest.mark.parametrize(
    'name, text',
    [
        ('ais.log', THROUGHPUT.format(1.667, 20.0, 83.35)),
        ('ais.log', THROUGHPUT.format(1.6666666666666667, 20.0, 83.33333333333333)),
        ('run_summary.json', summary(5 / 3, 20.0, None)),
    ],
)
def test_the_mean_of_several_batch_sizes_is_not_taken_for_a_batch_size(script, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    ended = script('parse', tmp_path / name)
    assert ended.status == 0, ended.err
    assert re.fullmatch(r'NPU fps:83\.3\d\d, batches of 1\.667 on average \(ais_bench, no record\)\n', ended.out), (
        ended.out
    )


def test_the_mean_of_several_batch_sizes_is_not_compared(script, tmp_path):
    (tmp_path / 'npu.log').write_text(THROUGHPUT.format(1.667, 20.0, 83.35))
    (tmp_path / 'gpu.log').write_text(TENSORRT_7)
    assert_refused(accept(script, '--npu', tmp_path / 'npu.log', '--gpu', tmp_path / 'gpu.log'), '1.667', 'of 1')
    (tmp_path / 'rdn_bs2.log').write_text(THROUGHPUT.format(1.667, 20.0, 83.35))
    assert_refused(script('parse', tmp_path / 'rdn_bs2.log'), 'rdn_bs2.log', '1.667', '2')


def test_a_mean_batch_size_of_15_99_is_not_taken_for_16(script, tmp_path):
    (tmp_path / 'ais.log').write_text(THROUGHPUT.format(15.99, 20.0, 799.5))
    assert 'bs16' not in script('parse', tmp_path / 'ais.log').out


@pytest.mark.parametrize('args', [['ais_bench', '--model', 'a.om', '--batchsize', '4'], {'--batchsize': 4}, None])
def test_summaries_are_read_with_every_form_of_arguments(script, tmp_path, args):
    for name in ('run_summary.json', 'sumary.json'):
        (tmp_path / name).write_text(summary(4, 100.0, args))
        assert script('parse', tmp_path / name).out == 'NPU bs4 fps:40.000 (ais_bench, no record)\n'


def test_accept_compares_a_summary_with_trtexec(script, tmp_path):
    (tmp_path / 'run_summary.json').write_text(summary(1, 21.0, None))
    (tmp_path / 'gpu.log').write_text(TENSORRT_7)
    ended = accept(script, '--npu', tmp_path / 'run_summary.json', '--gpu', tmp_path / 'gpu.log', '--card=310P3')
    assert ended.status == 0 and 'T4 25.393' in ended.out and '310P3 47.619' in ended.out


def test_more_devices_than_the_card_has_are_not_multiplied(script, inferred, tmp_path):
    """A 310P3 card has one device. With --chips 4, as for the guide's 310, the speed would be four times too high."""
    record = run_record.Record('ais_bench', None, None, None, '310P3', 1, model=DIGEST, manifest=None)
    path = tmp_path / 'run_summary.json'
    path.write_text(summary(1, 20.0, None))
    run_record.write(str(path), record)
    assert script('parse', path).out == '310P3 bs1 fps:50.000\n'
    assert_refused(
        script('parse', path, '--chips=4'), 'run_summary.json', '310P3, whose card has 1 device: leave out --chips'
    )
    run_record.write(str(path), record._replace(card_devices=2))
    assert script('parse', path).out == '310P3 bs1 fps:100.000\n'
