"""test/parse.py: the guide's figures from the guide's logs."""

import pytest

import benchmark_files
import parse
from conftest import assert_refused

GUIDE_PERF = """[e2e] throughputRate: 1.32351, latency: 3777.82
[data read] throughputRate: 263.518, moduleLatency: 3.7948
[preprocess] throughputRate: 3.93749, moduleLatency: 253.969
[infer] throughputRate: 6.8117, Interface throughputRate: 7.39423, moduleLatency: 139.064
[post] throughputRate: 3.24091, moduleLatency: 308.555
"""
OTHER_PERF = """[e2e] throughputRate: 60.5samples/s, latency: 82644ms
[data read] throughputRate: 64.8samples/s, moduleLatency: 15.4ms
[preprocess] throughputRate: 64.5samples/s, moduleLatency: 15.5ms
[inference] throughputRate: 64.3samples/s, Interface throughputRate: 7.39423samples/s, moduleLatency: 13.2ms
[postprocess] throughputRate: 64.2samples/s, moduleLatency: 15.6ms
"""
TENSORRT_7 = """&&&& RUNNING TensorRT.trtexec # trtexec --onnx=rdn_x2.onnx --fp16 --shapes=image:1x3x114x114
[09/04/2021-07:06:46] [I] Host Latency
[09/04/2021-07:06:46] [I] min: 38.7 ms (end to end 38.8 ms)
[09/04/2021-07:06:46] [I] max: 45.1 ms (end to end 45.2 ms)
[09/04/2021-07:06:46] [I] mean: 39.6 ms (end to end 39.7 ms)
[09/04/2021-07:06:46] [I] GPU Compute
[09/04/2021-07:06:46] [I] min: 38.6577 ms
[09/04/2021-07:06:46] [I] max: 44.8702 ms
[09/04/2021-07:06:46] [I] mean: 39.3814 ms
[09/04/2021-07:06:46] [I] median: 39.0232 ms
[09/04/2021-07:06:46] [I] percentile: 44.8702 ms at 99%
[09/04/2021-07:06:46] [I] total compute time: 3.07175 s
"""
TENSORRT_8 = """[I] === Explanations of the performance metrics ===
[I] GPU Compute Time: the GPU latency to execute the kernels for a query.
[I] Latency: min = 4.4 ms, max = 5.5 ms, mean = 4.5 ms, median = 4.4 ms, percentile(99%) = 5.4 ms
[I] Enqueue Time: min = 0.4 ms, max = 0.5 ms, mean = 0.45 ms, median = 0.4 ms, percentile(99%) = 0.5 ms
[I] H2D Latency: min = 0.1 ms, max = 0.2 ms, mean = 0.15 ms, median = 0.1 ms, percentile(99%) = 0.2 ms
[I] GPU Compute Time: min = 4.23773 ms, max = 5.25439 ms, mean = 4.26986 ms, median = 4.25195 ms, percentile(99%) = 5.2 ms
[I] D2H Latency: min = 0.1 ms, max = 0.2 ms, mean = 0.15 ms, median = 0.1 ms, percentile(99%) = 0.2 ms
[I] Total GPU Compute Time: 3.1 s
"""
PURE = '[INFO] ave_throughputRate: 1.67129samples/s, ave_latency: 599.028ms\n'


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
    ],
)
def test_other_content_is_refused_with_the_files_name(script, tmp_path, text):
    (tmp_path / 'a.log').write_text(text)
    assert_refused(script('parse', tmp_path / 'a.log'), tmp_path / 'a.log')


def test_own_performance_file_reads_back():
    text = benchmark_files.format_performance(5, 4.0, {'data read': 0.5, 'preprocess': 0.25, 'infer': 2.0, 'post': 1.0})
    assert parse.parse_performance(text) == 2.5
    assert '[e2e] throughputRate: 1.25, latency: 4000\n' in text
    assert '[post] throughputRate: 5, moduleLatency: 200\n' in text
    assert parse.parse_pure_inference(benchmark_files.format_pure_inference(40, 8.0)) == 5
