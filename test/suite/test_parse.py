"""test/parse.py and accept.py: the guide's figures and verdicts from the guide's logs."""

from rdn.ascend import benchmark, logs

import pytest

from vendor import AIS_BENCH, AIS_BENCH_NEW, AIS_INFER_OLD, GUIDE_PERF, OTHER_PERF, PURE, TENSORRT_7, TENSORRT_8
from walk import assert_refused


@pytest.mark.parametrize(
    'name, text, flags, printed',
    [
        ('perf_vision_batchsize_1_device_0.txt', GUIDE_PERF, [], '310 bs1 fps:29.577'),
        (
            'perf_vision_batchsize_16_device_0.txt',
            GUIDE_PERF,
            ['--chips', '1', '--device', '310P'],
            '310P bs16 fps:7.394',
        ),
        ('perf_vision_batchsize_1_device_0.txt', OTHER_PERF, [], '310 bs1 fps:29.577'),
        ('PureInfer_perf_of_rdn_x2_bs4_in_device_0.txt', PURE, [], '310 bs4 fps:6.685'),
        ('pure.log', PURE.replace(': ', '='), ['--chips', '1'], '310 bs1 fps:1.671'),
        ('RDN_bs1.log', TENSORRT_7, [], 'T4 bs1 fps:25.393'),
        ('windows.log', TENSORRT_7.replace('\n', '\r\n'), [], 'T4 bs1 fps:25.393'),
        ('bs4.log', TENSORRT_7.replace('image:1x3', 'image:4x3'), [], 'T4 bs4 fps:101.571'),
        ('new.log', TENSORRT_8, ['--device', 'A10'], 'A10 bs1 fps:234.200'),
        ('RDN_bs4.log', TENSORRT_7.replace('--shapes=image:1x3x114x114', ''), [], 'T4 bs4 fps:101.571'),
        ('ais.log', AIS_BENCH, [], '310 bs1 fps:210.039'),
        ('ais_bs8.log', AIS_BENCH_NEW, ['--chips=1', '--device=310P'], '310P bs8 fps:73.070'),
        ('ais_bs16.log', AIS_INFER_OLD, ['--chips=1'], '310 bs16 fps:171.570'),
        ('result.json', '{"title": "t", "value": [{"key": "Avg PSNR", "value": "38.27"}]}', [], 'PSNR:38.27'),
    ],
)
def test_log_becomes_its_figure(script, tmp_path, name, text, flags, printed):
    with open(str(tmp_path / name), 'w', newline='') as file:
        file.write(text)
    ended = script('parse', tmp_path / name, *flags)
    assert (ended.status, ended.out) == (0, printed + '\n'), ended


@pytest.mark.parametrize(
    'text',
    [
        '',
        'hello',
        '{',
        '{"value": []}',
        '[e2e] throughputRate: 3',
        'GPU Compute\nmean',
        GUIDE_PERF.replace('7.39423', '0'),
        GUIDE_PERF.replace('7.39423', 'nan'),
        GUIDE_PERF.replace('7.39423', '7,39423'),  # digits before a decimal comma are no figure
        GUIDE_PERF + GUIDE_PERF.replace('7.39423', '3.1'),  # of two runs
        TENSORRT_7.replace('39.3814', '39,3814'),
        TENSORRT_8 + TENSORRT_8.replace('4.26986', '9.1'),
        AIS_BENCH.replace('52.5', '52,5'),
        PURE.replace('1.67129', '0'),
        '{"value": [{"key": "Avg PSNR", "value": "nan"}]}',
        '{"value": [{"key": "Avg PSNR", "value": "38,27"}]}',
    ],
)
def test_other_content_is_refused_with_the_files_name(script, tmp_path, text):
    (tmp_path / 'a.log').write_text(text)
    assert_refused(script('parse', tmp_path / 'a.log'), tmp_path / 'a.log')


def test_own_performance_file_reads_back():
    text = benchmark.format_performance(5, 4.0, {'data read': 0.5, 'preprocess': 0.25, 'infer': 2.0, 'post': 1.0})
    assert logs.parse_speed(text, '').rate == 2.5
    assert '[e2e] throughputRate: 1.25, latency: 4000\n' in text
    assert '[post] throughputRate: 5, moduleLatency: 200\n' in text
    assert logs.parse_speed(benchmark.format_pure_inference(40, 8.0), '').rate == 5


def test_a_name_and_content_of_different_batches_are_refused(script, tmp_path):
    (tmp_path / 'RDN_bs16.log').write_text(TENSORRT_7)
    assert_refused(script('parse', tmp_path / 'RDN_bs16.log'), 'batches of 1', '16')
    (tmp_path / 'ais_bs1.log').write_text(AIS_BENCH_NEW)
    assert_refused(script('parse', tmp_path / 'ais_bs1.log'), 'batches of 8', '1')


@pytest.fixture
def guide_logs(tmp_path, monkeypatch):
    """The guide's three files, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'result.json').write_text('{"title": "t", "value": [{"key": "Avg PSNR", "value": "38.27"}]}')
    (tmp_path / 'perf_vision_batchsize_1_device_0.txt').write_text(GUIDE_PERF)
    (tmp_path / 'RDN_bs1.log').write_text(TENSORRT_7)
    return tmp_path


ACCEPT = ['--psnr=result.json', '--npu=perf_vision_batchsize_1_device_0.txt', '--gpu=RDN_bs1.log']


def test_the_guide_is_accepted_with_its_own_figures(script, guide_logs):
    ended = script('accept', *ACCEPT)
    assert ended.status == 0, ended.err
    assert (
        ended.out
        == """figure             reference       measured    verdict
PSNR, dB           official 38.18  38.27       met
images/s, batch 1  T4 25.393       310 29.577  met

| figure | reference | measured | verdict |
| --- | --- | --- | --- |
| PSNR, dB | official 38.18 | 38.27 | met |
| images/s, batch 1 | T4 25.393 | 310 29.577 | met |
"""
    )


@pytest.mark.parametrize(
    'flags, verdicts',
    [
        (['--psnr=result.json', '--official-psnr=38.28'], ['not met']),
        (['--psnr=result.json', '--official-psnr=38.27'], ['met']),
        (ACCEPT + ['--chips=3'], ['met', 'not met']),  # 22.2 images/s
        (ACCEPT[1:], ['met']),
        (ACCEPT + ['--official-psnr=40', '--chips=1'], ['not met', 'not met']),
    ],
)
def test_the_status_is_the_verdict(script, guide_logs, flags, verdicts):
    ended = script('accept', *flags)
    assert [line.split(' | ')[-1].rstrip(' |') for line in ended.out.splitlines() if line.startswith('|')][
        2:
    ] == verdicts
    assert ended.status == (0 if set(verdicts) == {'met'} else 1)


def test_what_cannot_be_compared_is_refused(script, guide_logs):
    (guide_logs / 'RDN_bs4.log').write_text(TENSORRT_7.replace('image:1x3', 'image:4x3'))
    assert_refused(script('accept', *(ACCEPT[:2] + ['--gpu=RDN_bs4.log'])), 'batches of 1', 'RDN_bs4.log of 4')
    swapped = ['--npu=RDN_bs1.log', '--gpu=perf_vision_batchsize_1_device_0.txt']
    assert_refused(script('accept', *swapped), 'RDN_bs1.log', 'a log of trtexec')
    assert_refused(script('accept', '--npu=RDN_bs1.log'), '--gpu')
    assert_refused(script('accept'), '--psnr')
    assert_refused(script('accept', '--psnr=RDN_bs1.log'), 'RDN_bs1.log', 'Avg PSNR')
    assert_refused(script('accept', '--psnr=gone.json'), 'gone.json')
