"""-precision=bf16 is refused if it is slower or not available, and close to fp32 if it runs."""

import builtins
import io
import os
import shutil
import sys

from rdn import cpu, engines, guides_stack
from rdn.accuracy import result
from rdn.engines import openvino

import numpy as np
import pytest

import sample_images
from helpers import INFER, LITE, ROOT, assert_refused, run_python


def cpuinfo(monkeypatch, machine, text):
    monkeypatch.setattr(cpu.platform, 'machine', lambda: machine)
    real = builtins.open

    def fake(path, *args, **kwargs):
        if path == '/proc/cpuinfo':
            if text is None:
                raise FileNotFoundError(2, 'none', path)
            return io.StringIO(text)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(builtins, 'open', fake)


@pytest.mark.parametrize(
    'machine, text, expected',
    [
        ('x86_64', 'processor: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n', True),
        ('x86_64', 'flags\t\t: fpu amx_bf16 amx_tile\n', True),
        ('x86_64', 'flags\t\t: fpu avx2 avx512f\nbugs : avx512_bf16\n', False),
        ('aarch64', 'Features\t: fp asimd bf16 i8mm\n', True),
        ('aarch64', 'Features\t: fp asimd\n', False),
        ('x86_64', '', False),
        ('x86_64', None, False),  # not Linux
    ],
)
def test_bf16_is_found_in_the_processors_flags(monkeypatch, machine, text, expected):
    cpuinfo(monkeypatch, machine, text)
    assert cpu.has_bf16() is expected


def test_without_the_instructions_bf16_is_refused(script, dataset, narrow, monkeypatch):
    monkeypatch.setattr(cpu, 'has_bf16', lambda: False)
    assert_refused(script('RDN_infer', '-om_path=' + narrow[1], '-precision=bf16', *INFER), 'bf16', 'fp32')
    flags = ['--input=prep_dataset', '--output=out', '--model=' + narrow[1], '--precision=bf16']
    assert_refused(script('RDN_upscale', *flags), 'bf16', 'fp32')


def test_without_openvino_the_message_says_what_to_install(script, dataset, narrow, monkeypatch):
    monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
    monkeypatch.setitem(sys.modules, 'openvino', None)
    ended = script('RDN_infer', '-om_path=' + narrow[1], '-precision=bf16', *INFER)
    assert_refused(ended, 'pip install openvino' if guides_stack.HAS_OPENVINO else 'needs Python 3.8 or later')


def test_bf16_needs_the_cpu_and_no_profile(script, dataset, narrow):
    for flag in ('-provider=CUDA', '-profiling=prof'):
        assert_refused(script('RDN_infer', '-om_path=' + narrow[1], '-precision=bf16', flag, *INFER), 'bf16')


@pytest.fixture
def with_openvino(monkeypatch):
    """Make OpenVINO run on any processor; a processor without bf16 computes in fp32 instead."""
    module = pytest.importorskip('openvino')
    monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
    return module


@pytest.mark.slow
def test_bf16_moves_the_psnr_by_less_than_a_twentieth_of_a_decibel(script, dataset, lite_onnx, with_openvino):
    psnr = {}
    for precision in ('fp32', 'bf16'):
        ended = script('RDN_infer', '-om_path=' + lite_onnx, '-precision=' + precision, *INFER)
        assert ended.status == 0, ended.err
        flags = ['--pred-path=result/dumpOutput_device0', '--label-path=prep_dataset/label', '--result-path=r.json']
        assert script('RDN_postprocess', *flags).status == 0
        with open('r.json') as file:
            psnr[precision] = result.parse(file.read())
    assert 'OpenVINO, bf16' in ended.out
    assert abs(psnr['bf16'] - psnr['fp32']) < 0.05


@pytest.mark.slow
def test_openvino_takes_batches_sizes_and_several_threads(lite_onnx, with_openvino):
    from concurrent.futures import ThreadPoolExecutor

    exact, model = (
        engines.OnnxRuntime(lite_onnx),
        engines.open_model(lite_onnx, precision='bf16', place=engines.Place(threads=2, streams=2)),
    )
    assert (model.batch, model.shape, model.streams) == (exact.batch, exact.shape, 2)
    batches = [np.random.RandomState(n).rand(1 + n % 2, 3, 114, 114).astype(np.float32) for n in range(4)]
    with ThreadPoolExecutor(4) as executor:
        for batch, output in zip(batches, executor.map(model, batches)):
            assert np.abs(output - exact(batch)).max() < 0.03
    with pytest.raises(ValueError, match='failed on an input'):
        model(np.zeros((1, 4, 114, 114), np.float32))


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='this system cannot bind threads to cores')
def test_openvino_binds_no_thread_to_a_core(lite_onnx, with_openvino):
    """Otherwise two workers of a cluster on one machine, with one thread each, would compute on the same core."""
    code = f"""
import os, threading
import numpy as np
from rdn import cpu
from rdn import engines
cpu.has_bf16 = lambda: True
own, found = frozenset(os.sched_getaffinity(0)), set()
model = engines.open_model({lite_onnx!r}, precision='bf16', place=engines.Place(threads=1))
batch = np.zeros([1, 3, 114, 114], np.float32)
model(batch)  # the first run visits each core
work = threading.Thread(target=lambda: [model(batch) for _ in range(8)])
work.start()
while work.is_alive():  # a thread would be bound only while it computes
    for thread in map(int, os.listdir('/proc/self/task')):
        try:
            found.add(frozenset(os.sched_getaffinity(thread)))
        except ProcessLookupError:
            pass
print(found == {{own}})
"""
    done = run_python('-c', code, cwd=ROOT)  # other libraries bind threads of theirs
    assert done.stdout == 'True\n', done


@pytest.mark.slow
def test_openvino_keeps_only_a_few_compiled_sizes(lite_onnx, with_openvino):
    exact, model = engines.OnnxRuntime(lite_onnx), engines.open_model(lite_onnx, precision='bf16')
    assert isinstance(model, engines.OpenVino)
    for count in (1, 2, 3, 4, 5, 6, 1):
        batch = np.random.RandomState(count).rand(count, 3, 114, 114).astype(np.float32)
        assert np.abs(model(batch) - exact(batch)).max() < 0.03
        assert len(model._compiled) <= openvino.MAX_COMPILED


@pytest.mark.parametrize('content', [b'', b'no onnx'])
def test_openvino_refuses_files_that_are_not_models(tmp_path, with_openvino, content):
    (tmp_path / 'a.onnx').write_bytes(content)
    with pytest.raises(ValueError, match='a.onnx'):
        engines.open_model(str(tmp_path / 'a.onnx'), precision='bf16')
    with pytest.raises(FileNotFoundError):
        engines.open_model('gone.onnx', precision='bf16')


@pytest.mark.slow
def test_bf16_keeps_the_accuracy_of_pytorch_in_fp32_within_the_verdicts_limits(
    script, dataset, lite_onnx, with_openvino
):
    """On a processor without bf16, OpenVINO computes in fp32, so nothing changes."""
    shutil.rmtree('prep_dataset')  # which has no manifest
    os.makedirs('images')
    for path in sample_images.sample_paths():
        shutil.copy(path, 'images')
    assert script('RDN_preprocess', '--src-path=images', '--save-path=prep_dataset').status == 0
    ended = script('RDN_infer', '-om_path=' + lite_onnx, '-precision=bf16', *INFER)
    assert ended.status == 0, ended.err
    flags = ['--pred-path=result/dumpOutput_device0', '--label-path=prep_dataset/label', '--result-path=r.json']
    ended = script('RDN_postprocess', *flags, f'--reference={LITE}')
    assert ended.status == 0 and 'OpenVINO, bf16' in ended.out, ended.err
