"""test/parse.py and test/accept.py: figures and verdicts from the guide's logs and from others."""

import hashlib
import json
import re

from rdn import run_record
from rdn.devices import benchmark, logs

import pytest

from helpers import DIGEST, accept, assert_refused
from vendor import (
    AIS_BENCH,
    AIS_BENCH_NEW,
    AIS_INFER_16,
    AIS_INFER_OLD,
    AIS_MSIT_TWO,
    AIS_SUMMARY,
    AIS_TWO_DEVICES,
    GUIDE_PERF,
    OTHER_PERF,
    PURE,
    TENSORRT_7,
    TENSORRT_8,
    TENSORRT_8_BOUND,
    TENSORRT_8_STREAMS,
    TENSORRT_10_H100,
    TENSORRT_10_STREAMS,
    TENSORRT_IMPLICIT,
)


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
        ('ais.log', AIS_BENCH, [], 'NPU bs1 fps:52.510'),
        ('ais_bs8.log', AIS_BENCH_NEW, ['--chips=1', '--device=310P'], '310P bs8 fps:73.070'),
        ('ais_bs16.log', AIS_INFER_OLD, ['--chips=1'], 'NPU bs16 fps:171.570'),
        ('utf16.log', TENSORRT_7.encode('utf-16'), [], 'T4 bs1 fps:25.393'),  # redirected by PowerShell
        ('marked.json', b'\xef\xbb\xbf{"value": [{"key": "Avg PSNR", "value": "38.27"}]}', [], 'PSNR:38.27'),
        ('coloured.log', AIS_BENCH.replace('52.50983173696586', '52.50983173696586\x1b[0m'), [], 'NPU bs1 fps:52.510'),
        ('ais_summary.json', AIS_SUMMARY, [], 'NPU bs4 fps:73.070'),
        ('two.log', AIS_TWO_DEVICES, [], 'NPU bs1 fps:105.020, of 2 devices'),
        ('old.log', AIS_INFER_16, [], 'NPU bs16 fps:1159.825'),
        ('bound.log', TENSORRT_8_BOUND, [], 'T4 bs10 fps:419.398'),
        ('both.log', TENSORRT_7.replace('--shapes=', '--optShapes=image:4x3 --shapes='), [], 'T4 bs1 fps:25.393'),
        ('streams.log', TENSORRT_8_STREAMS, [], 'T4 bs1 fps:17990.400, FP32'),
        ('h100_bs1.log', TENSORRT_10_H100, [], 'NVIDIA H100 PCIe bs1 fps:27809.604, FP32'),
        ('h100.log', TENSORRT_10_H100.encode('utf-16'), ['--device=H100'], 'H100 bs1 fps:27809.604, FP32'),
        ('implicit.log', TENSORRT_IMPLICIT, [], 'T4 bs64 fps:2310.550'),
        ('infstreams_bs1.log', TENSORRT_10_STREAMS, [], 'T4 bs1 fps:244.145'),
        ('msit.log', AIS_MSIT_TWO, [], 'NPU bs1 fps:557.938, of 2 devices'),
        ('result.json', '{"title": "t", "value": [{"key": "Avg PSNR", "value": "38.27"}]}', [], 'PSNR:38.27'),
    ],
)
def test_the_figure_of_a_log_is_printed(script, tmp_path, name, text, flags, printed):
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(content)
    ended = script('parse', tmp_path / name, *flags)
    said = logs.decode(content)
    tool = 'trtexec' if 'GPU Compute' in said else 'ais_bench' if 'NPU_compute' in said else 'benchmark'
    origin = '' if printed.startswith('PSNR') else f' ({tool}, no record)'
    assert (ended.status, ended.out) == (0, f'{printed}{origin}\n'), ended


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
        GUIDE_PERF.replace('7.39423', '7,39423'),  # the digits before a decimal comma are not the figure
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


def test_a_log_whose_name_has_another_batch_size_is_refused(script, tmp_path):
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


def cells(ended):
    """Return the rows of the Markdown table without its header."""
    rows = [line.strip('| ').split(' | ') for line in ended.out.splitlines() if line.startswith('|')]
    assert rows[0] == ['figure', 'reference', 'measured', 'origin', 'verdict']
    return rows[2:]


def write_origin(protocol=None, verdict=None, **more):
    """Write the record beside result.json, as RDN_postprocess.py does."""
    with open('result.json', 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    content = {
        'of': digest,
        'protocol': protocol,
        'known_set': 'set5',
        'luma': 'rdn-pytorch',
        'scale': 2,
        'label_size': None if protocol == 'whole' else [228, 228],
        'images': 5,
        'outputs': None,
        'verdict': verdict,
        'outputs_folder': 'outputs',
        'outputs_digest': DIGEST,
        **more,
    }
    with open('result.run.json', 'w') as file:
        json.dump(content, file)


def loss(average, image):
    return {'change': -average, 'image_change': -image, 'max_loss': 0.05, 'max_image_loss': 0.1}


def test_the_guides_speeds_are_accepted(script, guide_logs):
    ended = accept(script, *ACCEPT[1:])
    assert ended.status == 0, ended.err
    assert cells(ended) == [['images/s, batch 1', 'T4 25.393', '310 29.577', 'benchmark, no record', 'met']]


@pytest.mark.parametrize(
    'protocol, verdict, flags, verdicts',
    [
        ('crop', None, ACCEPT, ['other protocol', 'met']),  # 38.27 dB on other pixels is not comparable with 38.18
        (None, None, ACCEPT, ['other protocol', 'met']),
        ('letterbox', None, ACCEPT, ['met', 'met']),
        ('whole', None, ACCEPT, ['met', 'met']),
        ('whole', None, [*ACCEPT, '--official-psnr=38.28'], ['not met', 'met']),
        ('crop', loss(0.05, 0.1), ACCEPT, ['met', 'other protocol', 'met']),
        ('crop', loss(0.051, 0.1), ACCEPT, ['not met', 'other protocol', 'met']),
        ('crop', loss(0.0, 0.101), ACCEPT, ['not met', 'other protocol', 'met']),
        ('crop', loss(-0.06, -0.06), ACCEPT, ['not met', 'other protocol', 'met']),  # a gain is a difference too
        ('crop', loss(0, 0), [*ACCEPT, '--chips=3'], ['met', 'other protocol', 'not met']),  # 22.2 images/s
    ],
)
def test_the_status_depends_only_on_the_figures_that_can_be_compared(
    script, guide_logs, protocol, verdict, flags, verdicts
):
    write_origin(protocol, verdict)
    ended = accept(script, *flags)
    assert [row[-1] for row in cells(ended)] == verdicts
    assert ended.status == ('not met' in verdicts)


@pytest.mark.parametrize('figure', ['nan', 'inf', '0', '-1'])
def test_a_published_figure_is_a_number_above_0(script, guide_logs, figure):
    assert_refused(accept(script, *ACCEPT, f'--official-psnr={figure}'), '--official-psnr')


def test_the_status_is_1_if_nothing_can_be_judged(script, guide_logs):
    write_origin('crop')
    ended = accept(script, '--psnr=result.json')
    assert cells(ended)[0][-1] == 'other protocol' and ended.status == 1 and '--reference' in ended.err


def test_the_record_of_another_result_is_ignored(script, guide_logs):
    write_origin('whole', loss(0, 0))
    (guide_logs / 'result.json').write_text('{"title": "t", "value": [{"key": "Avg PSNR", "value": "38.5"}]}')
    assert [row[-1] for row in cells(accept(script, *ACCEPT))] == ['images unknown', 'met']


def test_files_that_cannot_be_compared_are_refused(script, guide_logs):
    (guide_logs / 'RDN_bs4.log').write_text(TENSORRT_7.replace('image:1x3', 'image:4x3'))
    assert_refused(accept(script, *(ACCEPT[:2] + ['--gpu=RDN_bs4.log'])), 'batches of 1', 'RDN_bs4.log of 4')
    swapped = ['--npu=RDN_bs1.log', '--gpu=perf_vision_batchsize_1_device_0.txt']
    assert_refused(accept(script, *swapped), 'RDN_bs1.log', 'a log of trtexec')
    assert_refused(accept(script, '--npu=RDN_bs1.log'), '--gpu')
    assert_refused(accept(script), '--psnr')
    assert_refused(accept(script, '--psnr=RDN_bs1.log'), 'RDN_bs1.log', 'Avg PSNR')
    assert_refused(accept(script, '--psnr=gone.json'), 'gone.json')


@pytest.mark.parametrize(
    'log',
    [
        *(GUIDE_PERF, OTHER_PERF, PURE, AIS_BENCH, AIS_BENCH_NEW, AIS_SUMMARY),
        '[INFO] multidevice:[1, 2] run begin\n' + AIS_MSIT_TWO,
        *(TENSORRT_7, TENSORRT_8, TENSORRT_10_H100, TENSORRT_10_STREAMS),
    ],
)
def test_a_log_truncated_anywhere_has_its_whole_figure_or_is_refused(log):
    """The digits at the end of a truncated log would be a wrong figure: 7 for 7.39423."""
    whole = logs.parse_speed(log, '').rate
    accepted = refused = 0
    for end in range(len(log) + 1):
        try:
            assert logs.parse_speed(log[:end], '').rate == whole, log[:end][-60:]
            accepted += 1
        except ValueError:
            refused += 1
    assert accepted and refused


@pytest.mark.parametrize(
    'more, verdict',
    [
        ({}, 'met'),
        ({'known_set': None}, 'images unknown'),
        ({'known_set': 'other'}, 'other images'),
        ({'known_set': 'set14'}, 'other images'),  # no figure is published for it
        ({'known_set': None, 'dataset': 'set5'}, 'images unknown'),  # older records have the name of the folder
        ({'scale': 4}, 'other protocol'),
        ({'luma': 'bt601'}, 'other protocol'),
        ({'label_size': [114, 114]}, 'other protocol'),
        ({'label_size': None}, 'other protocol'),
        ({'protocol': 'whole', 'label_size': [228, 228]}, 'other protocol'),  # with labels of 228 x 228
        ({'protocol': 'of a newer version'}, 'other protocol'),
    ],
)
def test_published_figures_are_judged_only_for_their_images_protocol_scale_and_luma(script, guide_logs, more, verdict):
    write_origin(**{'protocol': 'letterbox', **more})
    row = cells(accept(script, *ACCEPT))[0]
    assert row[-1] == verdict
    assert row[1] == ('guide, Ascend 310 38.27 (Set5, letterbox)' if verdict == 'met' else
                      'RDN-pytorch, PyTorch 38.18 (Set5, whole images)')  # fmt: skip


def test_a_record_with_the_protocols_title_leads_to_the_same_verdict(script, guide_logs):
    write_origin('whole')
    by_name = accept(script, *ACCEPT)
    write_origin('whole images', label_size=None)
    assert accept(script, *ACCEPT) == by_name and '38.27 (whole images)' in by_name.out


@pytest.mark.parametrize(
    'damage',
    [
        {'outputs': {'tool': 1}},
        {'verdict': {'change': 0}},
        {'outputs': 'x'},
        {'protocol': ['crop']},
        {'known_set': {}},
        {'scale': [2]},
        {'label_size': [228]},
    ],
)
def test_a_record_of_another_form_is_refused_by_name(script, guide_logs, damage):
    write_origin(**{'protocol': 'letterbox', **damage})
    assert_refused(accept(script, *ACCEPT), 'result.run.json', 'remove it')


def test_several_devices_are_not_multiplied(script, tmp_path):
    (tmp_path / 'two.log').write_text(AIS_TWO_DEVICES)
    assert_refused(script('parse', tmp_path / 'two.log', '--chips=4'), 'two.log', '2 devices', '--chips')


@pytest.mark.parametrize(
    'lines', [AIS_BENCH_NEW + AIS_BENCH_NEW.replace('mean(8)', 'mean(4)'), TENSORRT_8_BOUND.replace('Output', 'Input')]
)
def test_two_batch_sizes_in_one_log_are_refused(lines):
    with pytest.raises(ValueError, match='several runs'):
        logs.parse_speed(lines, '')


def speed_verdict(script, folder, gpu_log, *flags, rate=25.0):
    """Judge the guide's device, at `rate` images/s, by a GPU's log; return (status, reference, verdict, stderr)."""
    (folder / 'gpu.log').write_text(gpu_log)
    (folder / 'npu.txt').write_text(GUIDE_PERF.replace('7.39423', f'{rate}'))
    ended = accept(script, f'--npu={folder}/npu.txt', f'--gpu={folder}/gpu.log', '--chips=1', *flags)
    row = cells(ended)[0]
    return ended.status, row[1], row[4], ended.err


def test_the_verdict_names_the_gpu_as_its_log_does(script, tmp_path):
    t4 = TENSORRT_10_H100.replace('NVIDIA H100 PCIe', 'Tesla T4').replace('Precision: FP32', 'Precision: FP32+FP16')
    faster = speed_verdict(script, tmp_path, t4, rate=30000.0)
    assert faster[:3] == (0, 'Tesla T4 27809.604, FP32+FP16', 'met')
    assert speed_verdict(script, tmp_path, t4, rate=27000.0)[:3] == (1, 'Tesla T4 27809.604, FP32+FP16', 'not met')


def test_another_precision_is_a_reference_only_if_asked_for(script, tmp_path):
    status, reference, verdict, error = speed_verdict(script, tmp_path, TENSORRT_10_H100, rate=30000.0)
    assert (status, reference, verdict) == (1, 'NVIDIA H100 PCIe 27809.604, FP32', 'other precision')
    assert '--gpu-precision' in error and '--reference' not in error
    for flag in ('fp32', 'FP32', 'any'):
        judged = speed_verdict(script, tmp_path, TENSORRT_10_H100, f'--gpu-precision={flag}', rate=30000.0)
        assert judged[:3] == (0, reference, 'met'), judged
    assert speed_verdict(script, tmp_path, TENSORRT_10_H100, '--gpu-precision=int8', rate=30000.0)[2] == verdict


@pytest.mark.parametrize(
    'precision, asked, is_judged',
    [
        ('FP16', [], True),
        ('FP32+FP16', [], True),
        ('FP32+FP16+INT8', [], False),
        ('FP32+FP16+INT8', ['--gpu-precision=fp16+int8'], True),
        ('FP32+BF16', [], False),
        ('FP32+INT8', [], False),
        ('FP16 + INT8', [], False),
        ('TF32', [], False),
        ('FP32+FP16 (obey precision constraints)', [], False),
        ('FP32 (Strongly Typed)', [], False),
        ('Strongly Typed', [], False),
        ('Strongly Typed', ['--gpu-precision=strongly-typed'], True),
    ],
)
def test_only_fp16_is_the_guides_precision(script, tmp_path, precision, asked, is_judged):
    log = TENSORRT_10_H100.replace('Precision: FP32', f'Precision: {precision}')
    status, reference, verdict, _ = speed_verdict(script, tmp_path, log, *asked, rate=30000.0)
    assert reference == f'NVIDIA H100 PCIe 27809.604, {precision}'
    assert (status, verdict) == ((0, 'met') if is_judged else (1, 'other precision'))


@pytest.mark.parametrize(
    'asked',
    [
        'nonsense',
        '',
        'fp',
        'fp16+',
        'fp16+nonsense',
        'any+fp16',
        'fp16 int8',
        'fp16 (nonsense)',
        'not any',
        'strongly-typed)',
    ],
)
def test_an_unknown_precision_is_refused_with_the_known_ones(script, guide_logs, asked):
    ended = script('accept', *ACCEPT, f'--gpu-precision={asked}')
    assert ended.status == 2 and ended.out == ''
    for known in 'fp32 tf32 fp16 bf16 int8 fp8 strongly-typed any +'.split():
        assert known in ended.err.splitlines()[-1]


@pytest.mark.parametrize(
    'asked, precision',
    [
        ('int8+fp16', 'FP32+FP16+INT8'),
        ('FP32+FP16+INT8', 'FP32+FP16+INT8'),
        ('fp16 + int8', 'FP16 + INT8'),
        ('TF32', 'TF32'),
        ('bf16', 'FP32+BF16'),
        ('fp8', 'FP32+FP8'),
        ('Strongly Typed', 'FP32 (Strongly Typed)'),
        ('FP32+FP16 (obey precision constraints)', 'FP32+FP16 (obey precision constraints)'),
        ('Any', 'FP32+INT4'),
    ],
)
def test_a_precision_may_be_asked_for_in_any_order_and_in_the_logs_words(script, tmp_path, asked, precision):
    log = TENSORRT_10_H100.replace('Precision: FP32', f'Precision: {precision}')
    assert speed_verdict(script, tmp_path, log, f'--gpu-precision={asked}', rate=30000.0)[2] == 'met'


def test_streams_and_an_implicit_batch_count_in_the_verdict(script, tmp_path):
    assert speed_verdict(script, tmp_path, TENSORRT_10_STREAMS, rate=220.0)[:3] == (1, 'T4 244.145', 'not met')
    assert speed_verdict(script, tmp_path, TENSORRT_10_STREAMS, rate=245.0)[:3] == (0, 'T4 244.145', 'met')


def test_a_name_that_the_log_contradicts_is_refused(script, tmp_path):
    (tmp_path / 'gpu.log').write_text(TENSORRT_10_H100)
    (tmp_path / 'npu.txt').write_text(GUIDE_PERF)
    ended = accept(script, f'--npu={tmp_path}/npu.txt', f'--gpu={tmp_path}/gpu.log', '--gpu-name=T4')
    assert_refused(ended, 'gpu.log', 'NVIDIA H100 PCIe', 'T4')
    assert_refused(script('parse', tmp_path / 'gpu.log', '--device=T4'), 'gpu.log', 'NVIDIA H100 PCIe', 'T4')
    (tmp_path / 'gpu.log').write_text(TENSORRT_10_H100.replace('H100 PCIe', 'A100-SXM4-40GB'))
    assert_refused(script('parse', tmp_path / 'gpu.log', '--device=A10'), 'NVIDIA A100-SXM4-40GB')


@pytest.mark.parametrize('name', ['NVIDIA H100 PCIe B200', 'H100 T4', 'NVIDIA H100 PCIe 80GB'])
def test_a_name_with_words_that_the_log_lacks_is_refused(script, tmp_path, name):
    (tmp_path / 'gpu.log').write_text(TENSORRT_10_H100)
    assert_refused(
        script('parse', tmp_path / 'gpu.log', f'--device={name}'), 'its log names NVIDIA H100 PCIe, not', name
    )


@pytest.mark.parametrize('name', ['H100', 'h100 pcie', 'NVIDIA H100 PCIe'])
def test_a_name_may_be_a_part_of_the_logs(script, tmp_path, name):
    (tmp_path / 'gpu.log').write_text(TENSORRT_10_H100)
    assert script('parse', tmp_path / 'gpu.log', f'--device={name}').out.startswith(f'{name} bs')


def test_a_gpu_of_another_compute_capability_is_not_called_t4(script, tmp_path):
    unnamed = re.sub(r'.*Selected Device: .*\n', '', TENSORRT_10_H100)
    path = tmp_path / 'gpu.log'
    path.write_text(unnamed + '[I] Compute Capability: 9.0\n')
    assert script('parse', path).out.startswith('GPU of compute capability 9.0 bs')
    assert script('parse', path, '--device=H100').out.startswith('H100 bs')
    assert_refused(script('parse', path, '--device=Tesla T4'), path, 'GPU of compute capability 9.0, not Tesla T4')
    path.write_text(unnamed + '[I] Compute Capability: 7.5\n')
    assert script('parse', path).out.startswith('T4 bs')
    assert script('parse', path, '--device=Tesla T4').out.startswith('Tesla T4 bs')


def test_a_figure_of_this_machines_processor_is_not_printed_under_a_cards_name(script, tmp_path):
    path = tmp_path / 'perf_vision_batchsize_1_device_0.txt'
    path.write_text(GUIDE_PERF)
    host = run_record.Record('RDN_infer.py', None, None, None, run_record.HOST, 1, model=DIGEST, manifest=None)
    run_record.write(str(path), host)
    assert script('parse', path).out == 'host bs1 fps:7.394\n'
    assert_refused(script('parse', path, '--device=310P3'), path, "this machine's processor")


def test_the_table_fits_the_console_and_markdown_is_written_only_to_a_file(script, guide_logs):
    write_origin('whole', loss(0, 0))
    (guide_logs / 'RDN_bs1.log').write_text(TENSORRT_10_H100.replace('H100 PCIe', 'H100 80GB HBM3 MIG 1g.10gb'))
    for flags in ([], ['--card=Atlas 300I Duo of the machine room on the ground floor', '--markdown=table.md']):
        ended = script('accept', *ACCEPT, *flags)
        assert max(map(len, ended.out.splitlines())) <= 120 and '|' not in ended.out
        assert 'published figure, dB' in ended.out and 'MIG 1g.10gb 27809.604' in ended.out
    assert '| Atlas 300I Duo of the machine room on the ground floor' in (guide_logs / 'table.md').read_text()


def test_the_status_is_1_if_the_speed_is_not_judged(script, guide_logs):
    """Even if accuracy is kept."""
    write_origin('whole', loss(0, 0))
    (guide_logs / 'RDN_bs1.log').write_text(TENSORRT_10_H100)
    ended = accept(script, *ACCEPT)
    assert [row[-1] for row in cells(ended)] == ['met', 'met', 'other precision']
    assert ended.status == 1 and 'RDN_bs1.log: speed is not judged' in ended.err and '--gpu-precision' in ended.err
