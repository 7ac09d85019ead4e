"""RDN_infer.py does benchmark's job with benchmark's files; its outputs equal those of a bare onnxruntime session."""

import os
import re

from rdn.devices import logs
from rdn.engines import onnx_runtime

import numpy as np
import onnx
import onnxruntime
import pytest

import helpers
from helpers import assert_refused, snapshot

GUIDE = [
    '-model_type=vision',
    '-device_id=0',
    '-batch_size=1',
    '-input_text_path=./RDN_prep_bin.info',
    '-input_width=114',
    '-input_height=114',
    '-output_binary=False',
    '-useDvpp=False',
]
DUMP = 'result/dumpOutput_device0'


@pytest.fixture(scope='session')
def expected(lite_onnx, prepared):
    """Stem -> output of a bare session, which computes one image at a time."""
    session = onnxruntime.InferenceSession(lite_onnx, providers=['CPUExecutionProvider'])
    return {stem: session.run(None, {'image': x[np.newaxis]})[0][0] for stem, x in prepared[0].items()}


def infer(script, model, *flags):
    """Run RDN_infer.py with the guide's flags."""
    return helpers.infer(script, model, *flags, usual=GUIDE)


def test_text_outputs_equal_a_bare_session(script, dataset, lite_onnx, expected):
    ended = infer(script, lite_onnx)
    assert ended.status == 0 and not ended.err, ended.err
    assert sorted(os.listdir(DUMP)) == sorted(stem + '_1.txt' for stem in expected)
    for stem, output in expected.items():
        actual = np.loadtxt(os.path.join(DUMP, stem + '_1.txt')).reshape(3, 228, 228)
        assert np.abs(actual - output).max() < 1e-6


@pytest.mark.parametrize('batch_size', [1, 2, 5, 8])
def test_binary_outputs_equal_a_bare_session_for_any_batch_size(script, dataset, lite_onnx, expected, batch_size):
    ended = infer(script, lite_onnx, '-output_binary=True', f'-batch_size={batch_size}')
    assert ended.status == 0, ended.err
    assert sorted(os.listdir(DUMP)) == sorted(stem + '_1.bin' for stem in expected)
    for stem, output in expected.items():
        actual = np.fromfile(os.path.join(DUMP, stem + '_1.bin'), np.float32).reshape(3, 228, 228)
        assert np.abs(actual - output).max() < 1e-5
    assert os.path.exists(f'result/perf_vision_batchsize_{batch_size}_device_0.txt')


def fixed_batch(path, target, size):
    model = onnx.load(path)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = size
    onnx.save(model, str(target))
    return str(target)


def test_model_of_a_fixed_batch_size_takes_an_incomplete_last_batch(script, dataset, lite_onnx, expected):
    model = fixed_batch(lite_onnx, dataset / 'rdn_x2_bs2.onnx', 2)
    assert infer(script, model, '-batch_size=2', '-output_binary=True').status == 0
    for stem, output in expected.items():
        assert np.abs(np.fromfile(os.path.join(DUMP, stem + '_1.bin'), np.float32) - output.ravel()).max() < 1e-5
    assert_refused(infer(script, model, '-batch_size=3'), 'batches of 2, not 3')


def test_guides_name_of_the_model_with_another_ending_is_found(script, dataset, lite_onnx):
    os.symlink(lite_onnx, 'rdn_x2.onnx')
    assert infer(script, './rdn_x2_bs1.onnx').status == 0
    assert_refused(infer(script, './other_bs1.onnx'), './other_bs1.onnx')


def test_performance_file_has_benchmarks_form(script, dataset, lite_onnx):
    infer(script, lite_onnx, '-device_id=3')
    with open('result/perf_vision_batchsize_1_device_3.txt') as file:
        text = file.read()
    number = r'[\d.e+]+'
    mark, text = text.split('\n', 1)
    assert mark == '[source] RDN_infer.py on host with batches of 1'
    assert re.match(
        (
            r'\[e2e\] throughputRate: N, latency: N\n'
            r'\[data read\] throughputRate: N, moduleLatency: N\n'
            r'\[preprocess\] throughputRate: N, moduleLatency: N\n'
            r'\[infer\] throughputRate: N, Interface throughputRate: N, moduleLatency: N\n'
            r'\[post\] throughputRate: N, moduleLatency: N\n$'
        ).replace('N', number),
        text,
    )
    rate, latency = (float(x) for x in re.findall(r'\[e2e\] throughputRate: (.*), latency: (.*)', text)[0])
    assert abs(rate * latency / 1e3 - 5) < 1e-3  # five images
    assert logs.parse_speed(text, '').rate > rate
    assert os.path.isdir('result/dumpOutput_device3')


def test_pure_inference_writes_benchmarks_file(script, dataset, lite_onnx):
    os.symlink(lite_onnx, 'rdn_x2.onnx')
    ended = script('RDN_infer', '-round=2', '-om_path=./rdn_x2.onnx', '-batch_size=2')
    assert ended.status == 0, ended.err
    with open('result/PureInfer_perf_of_rdn_x2_in_device_0.txt') as file:
        text = file.read()
    rate, latency = (
        float(x)
        for x in re.findall(
            r'^\[source\] RDN_infer.py on host with batches of 2\n\[INFO\] ave_throughputRate: ([\d.]+)samples/s, ave_latency: ([\d.]+)ms\n$',
            text,
        )[0]
    )
    assert abs(rate * latency - 1000) < 1
    assert text in ended.out and logs.parse_speed(text, '').rate == rate


@pytest.mark.parametrize(
    'flags, said', [(['-input_width=228'], '228 x 114'), (['-input_width=60', '-input_height=80'], '60 x 80')]
)
def test_pure_inference_refuses_another_size_than_the_models(script, dataset, lite_onnx, flags, said):
    ended = script('RDN_infer', f'-om_path={lite_onnx}', '-round=1', *flags)
    assert_refused(ended, f'{lite_onnx}: made for 114 x 114, but the flags say {said}')
    assert snapshot('result') == {}
    same = script('RDN_infer', f'-om_path={lite_onnx}', '-round=1', '-input_width=114', '-input_height=114')
    assert same.status == 0, same.err


def test_a_flag_that_is_left_out_contradicts_nothing(script, dataset, lite_onnx):
    flags = ['-input_text_path=RDN_prep_bin.info', '-input_width=228']
    ended = script('RDN_infer', f'-om_path={lite_onnx}', *flags)
    assert_refused(ended, 'RDN_prep_bin.info: inputs of 114 x 114, but the flags say 228 x 114')


def test_one_output_is_reported_in_the_singular(script, dataset, lite_onnx):
    (dataset / 'RDN_prep_bin.info').write_text(lines(dataset)[0] + '\n')
    ended = infer(script, lite_onnx)
    assert ended.status == 0 and f'1 output in {DUMP}\n' in ended.out, ended.err


def test_outputs_of_an_earlier_run_are_replaced_and_other_files_kept(script, dataset, lite_onnx):
    os.makedirs(DUMP)
    for name in ('old_1.txt', 'coffee_1.bin', 'notes.md'):
        with open(os.path.join(DUMP, name), 'w') as file:
            file.write('x')
    assert infer(script, lite_onnx).status == 0
    assert 'notes.md' in os.listdir(DUMP) and len(os.listdir(DUMP)) == 6


def lines(dataset):
    return (dataset / 'RDN_prep_bin.info').read_text().splitlines()


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda text: text.replace('coffee', 'tea'), ['tea.bin']),
        (lambda text: '', ['RDN_prep_bin.info', 'empty']),
        (lambda text: text.replace('2 ./', '7 ./'), ['line 3']),
        (lambda text: text.replace(' 114 114', ' 114'), ['line 1']),
        (lambda text: text.replace('coffee.bin 114 114', 'coffee.bin 114 115'), ['coffee.bin']),
        (lambda text: text.replace('114 114', '115 115'), ['115 x 115']),
        (lambda text: text.replace('coffee', 'chelsea'), ['chelsea_1.txt']),
    ],
)
def test_wrong_info_file_is_named_and_the_earlier_result_stays(script, dataset, lite_onnx, change, words):
    infer(script, lite_onnx)
    before = snapshot('result')
    (dataset / 'RDN_prep_bin.info').write_text(change((dataset / 'RDN_prep_bin.info').read_text()))
    assert_refused(infer(script, lite_onnx), *words)
    assert snapshot('result') == before


def test_input_of_the_wrong_size_is_named_and_leaves_nothing(script, dataset, lite_onnx, prepared):
    prepared[0]['coffee'].astype(np.float16).tofile('prep_dataset/data/coffee.bin')
    assert_refused(infer(script, lite_onnx), 'coffee.bin', 'float16')
    assert snapshot('result') == {}


@pytest.mark.parametrize(
    'flags, words',
    [
        (['-useDvpp=True'], ['useDvpp']),
        (['-output_binary=maybe'], ['output_binary']),
        (['-batch_size=0'], ['batch_size']),
        (['-model_type=nlp'], ['model_type']),
        (['-input_width=228'], ['228']),
        (['-round=3'], ['-round']),
    ],
)
def test_wrong_flags_are_refused(script, dataset, lite_onnx, flags, words):
    assert_refused(infer(script, lite_onnx, *flags), *words)


@pytest.mark.parametrize('content', [b'', b'text', b'IMOD' + bytes(100)])
def test_file_that_is_not_onnx_is_refused(script, dataset, content):
    (dataset / 'model.onnx').write_bytes(content)
    assert_refused(infer(script, 'model.onnx'), 'model.onnx')


@pytest.mark.parametrize('name', ['CANN', 'TensorRT', 'CUDA'])
def test_a_provider_that_does_not_load_is_an_error_and_not_the_cpu(monkeypatch, script, narrow, name):
    """ONNX Runtime itself only warns, and falls back to the CPU."""
    real = onnxruntime.InferenceSession
    providers = [onnx_runtime.PROVIDERS[name], 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: providers)
    monkeypatch.setattr(
        onnxruntime,
        'InferenceSession',
        lambda path, options, providers: real(path, options, providers=['CPUExecutionProvider']),
    )
    ended = script('RDN_infer', f'-om_path={narrow[1]}', '-round=1', f'-provider={name}')
    assert_refused(ended, f'{name} does not load in this onnxruntime', 'pip install onnxruntime-')
    assert script('RDN_infer', f'-om_path={narrow[1]}', '-round=1').status == 0  # nobody named one


def test_providers_are_taken_in_their_order(monkeypatch):
    def available(*names):
        monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [n + 'ExecutionProvider' for n in names])

    monkeypatch.setattr(onnxruntime, '__version__', '1.22.0')
    available('CPU', 'CUDA', 'Azure', 'CANN')
    assert onnx_runtime.choose_providers(None, 1) == [
        ('CANNExecutionProvider', {'device_id': '1', 'precision_mode': 'must_keep_origin_dtype'}),
        ('CUDAExecutionProvider', {'device_id': '1', 'use_tf32': '0'}),
        'CPUExecutionProvider',
    ]
    assert onnx_runtime.choose_providers('CPU', 1) == ['CPUExecutionProvider']
    with pytest.raises(ValueError, match='no TensorRT'):
        onnx_runtime.choose_providers('TensorRT', 0)


@pytest.mark.parametrize(
    'name, words', [('rdn_x2_bs1.om', ['Ascend device', '.onnx']), ('rdn_x2.pth', ['RDN_pth2onnx.py'])]
)
def test_other_kinds_of_files_are_refused_by_their_kind(script, dataset, name, words):
    with open(name, 'w') as file:
        file.write('IMOD')
    assert_refused(infer(script, name), name, *words)
