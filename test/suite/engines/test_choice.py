"""The choice of an engine: which one auto takes, and what is computed exactly; a named engine is used or refused."""

import os
import subprocess
import sys

from pictures import Upscaler
from rdn import cpu, engines
from rdn.engines import device_files, onnx_runtime, pytorch, torch_device
from rdn.network import exporter

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import models
from helpers import INFER, ROOT, assert_refused, opened, run_python, save, snapshot

new_python = pytest.mark.skipif(sys.version_info < (3, 8), reason='there is no OpenVINO, and torch 1.5 has only fp32')


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    """(weights, ONNX file for any size) of a tiny network."""
    folder = tmp_path_factory.mktemp('model')
    models.torch.manual_seed(0)
    network = models.RDN(2, 3, 8, 8, 2, 2).eval()
    exporter.export_onnx(
        network, exporter.Shape(None, None, None), 9, exporter.Variant('deconv'), str(folder / 'a.onnx')
    )
    return save(folder / 'a.pth', network), str(folder / 'a.onnx')


@pytest.fixture
def machine(monkeypatch):
    """machine(bf16=True, gpu=True): simulates a machine with these features; the CPU replaces the GPU."""

    def install(bf16=False, gpu=False, openvino=True):
        device = torch_device.TorchDevice('cpu', 'a stand-in')
        monkeypatch.setattr(cpu, 'has_bf16', lambda: bf16)
        monkeypatch.setattr('rdn.engines.openvino.is_installed', lambda: openvino)
        monkeypatch.setattr(torch_device, 'find_accelerator', lambda: (device if gpu else None, []))
        monkeypatch.setattr(device_files, 'are_present', lambda: gpu)
        if gpu:
            monkeypatch.setattr(torch_device, 'CPU', 'host')

    return install


def batch(*shape):
    return np.random.RandomState(0).rand(*shape).astype(np.float32)


def renamed(path, target):
    """The same graph with other names of its weights, like a graph of another project."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        for node in model.graph.node:
            node.input[:] = [f'x.{name}' if name == tensor.name else name for name in node.input]
        tensor.name = f'x.{tensor.name}'
    onnx.save(model, str(target))
    return str(target)


@new_python
@pytest.mark.parametrize(
    'has, precision, name',
    [
        ({}, 'auto', 'ONNX Runtime, fp32 (CPU)'),
        ({'bf16': True}, 'auto', 'OpenVINO, bf16'),
        ({'bf16': True, 'openvino': False}, 'auto', 'ONNX Runtime, fp32 (CPU)'),
        ({'bf16': True, 'gpu': True}, 'auto', 'PyTorch, fp16 (a stand-in)'),
        ({'bf16': True, 'gpu': True}, 'bf16', 'PyTorch, bf16 (a stand-in)'),
        ({'bf16': True, 'gpu': True}, 'fp32', 'PyTorch, fp32 (a stand-in)'),
        ({'bf16': True}, 'fp32', 'ONNX Runtime, fp32 (CPU)'),
        ({'bf16': True}, 'bf16', 'OpenVINO, bf16'),
    ],
)
def test_auto_takes_the_fastest_engine_that_loses_little(paths, lossy, machine, has, precision, name):
    machine(**has)
    for path in paths:
        model = engines.open_model(path, precision=precision)
        assert model.name == name and model.shape == [3, None, None] and model.path == path
        assert model.is_lossy == (precision == 'auto' and 'fp32' not in name)


@new_python
def test_a_network_of_another_project_is_computed_in_fp32(paths, lossy, machine, tmp_path):
    foreign = renamed(paths[1], tmp_path / 'foreign.onnx')
    machine(bf16=True)
    assert engines.open_model(foreign).name == 'ONNX Runtime, fp32 (CPU)'
    machine(bf16=True, gpu=True)
    model = engines.open_model(foreign)
    assert model.precision == 'fp32' and 'a stand-in is not used: ' in model.notes[0]


@new_python
def test_auto_takes_the_next_engine_if_openvino_does_not_load(paths, lossy, machine, monkeypatch):
    machine(bf16=True)
    monkeypatch.setitem(sys.modules, 'openvino', None)  # as a broken or too old installation
    model = engines.open_model(paths[1])
    assert model.name == 'ONNX Runtime, fp32 (CPU)' and 'OpenVINO is not used: ' in model.notes[0]
    with pytest.raises(ValueError, match='pip install openvino'):
        engines.open_model(paths[1], precision='bf16')


def test_the_device_cpu_is_the_processor_for_onnx_runtime_too(paths, lossy, machine, monkeypatch):
    machine()
    monkeypatch.setattr(
        onnxruntime, 'get_available_providers', lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider']
    )
    asked = []
    real = onnxruntime.InferenceSession

    def session(path, options, providers):
        asked.append(providers)
        return real(path, options, providers=['CPUExecutionProvider'])

    monkeypatch.setattr(onnxruntime, 'InferenceSession', session)
    for engine in ('auto', 'onnxruntime'):
        engines.open_model(paths[1], engine, place=engines.Place(device='cpu'))
    assert asked == [['CPUExecutionProvider']] * 2


@new_python
def test_a_note_on_a_failing_device_appears_once(paths, lossy, machine, monkeypatch):
    machine(bf16=True)
    monkeypatch.setattr(device_files, 'are_present', lambda: True)
    monkeypatch.setattr(torch_device, 'find_accelerator', lambda: (None, ['cuda is not used']))
    model = engines.open_model(paths[1])
    model.exact()
    assert model.notes == ['cuda is not used']


@new_python
def test_a_note_from_the_timed_tile_is_shown(upscale, narrow, photo, lossy, machine, monkeypatch):
    """fp16 overflows, and bf16 is used, already on the first tile, which is timed for the estimate."""
    photo.crop((0, 0, 40, 30)).save(str(upscale.source / 'a.png'))
    machine(gpu=True)
    real = pytorch.PyTorch._forward

    def forward(self, loaded, x):
        return real(self, loaded, x) * (float('inf') if loaded.precision == 'fp16' else 1)

    monkeypatch.setattr(pytorch.PyTorch, '_forward', forward)
    ended = upscale('--overwrite')
    assert ended.status == 0 and ended.out.count('fp16 overflows in this network, so it is computed in bf16') == 1, (
        ended
    )


@new_python
@pytest.mark.parametrize('has', [{'bf16': True}, {'gpu': True}])
def test_pictures_of_16_bits_are_computed_in_fp32(paths, lossy, machine, has):
    machine(**has)
    fast, exact = Upscaler(paths[0]), Upscaler(paths[0], precision='fp32')
    assert fast.model.precision != 'fp32'
    deep = np.random.RandomState(0).randint(0, 65536, (30, 40, 3)).astype(np.uint16)
    assert np.abs(fast(deep).astype(int) - exact(deep)).max() <= 1  # two engines may round the last bit differently
    assert fast.model.exact() is fast.model.exact() and fast.model.exact().precision == 'fp32'
    named = Upscaler(paths[0], precision=fast.model.precision or '')
    assert named.model.exact() is named.model
    fast.model.close()


@new_python
def test_the_first_line_says_how_to_get_exact_fp32(upscale, narrow, photo, lossy, machine):
    photo.crop((0, 0, 40, 30)).save(str(upscale.source / 'a.png'))
    machine(gpu=True)
    ended = upscale('--overwrite')
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[0].endswith(', x2 on PyTorch, fp16 (a stand-in) (exact: --precision=fp32)')
    exact = upscale('--overwrite', '--precision=fp32', '--engine=onnxruntime')
    assert exact.out.splitlines()[0].endswith(', x2 on ONNX Runtime, fp32 (CPU)')


def test_weights_run_in_each_engine_and_leave_nothing_behind(upscale, narrow, photo, tmp_path):
    photo.crop((0, 0, 40, 30)).save(str(upscale.source / 'a.png'))
    before = snapshot(os.path.dirname(narrow[0])), sorted(os.listdir(ROOT))
    results = []
    for flags in (['--engine=onnxruntime'], ['--engine=pytorch', '--device=cpu'], ['--precision=fp32']):
        ended = upscale(f'--model={narrow[0]}', '--overwrite', *flags)
        assert ended.status == 0, ended.err
        results.append(np.asarray(opened(upscale.target / 'a_x2.png')).astype(int))
    assert max(np.abs(result - results[0]).max() for result in results) <= 1
    assert (snapshot(os.path.dirname(narrow[0])), sorted(os.listdir(ROOT))) == before


@pytest.mark.parametrize(
    'file, engine, precision, place, words',
    [
        (0, 'om', 'auto', {}, 'leave the engine out'),
        (1, 'auto', 'fp16', {}, 'needs a GPU'),
        (1, 'onnxruntime', 'bf16', {}, 'leave the engine and the provider out'),
        (1, 'openvino', 'fp16', {}, 'OpenVINO does not compute in fp16|pip install openvino'),
        (1, 'openvino', 'fp32', {'provider': 'CPU'}, 'leave them out'),
        (1, 'openvino', 'fp32', {'device': 'cuda'}, 'is only for PyTorch'),
        (0, 'pytorch', 'fp32', {'provider': 'CPU'}, 'leave them out'),
        (0, 'pytorch', 'int8', {}, 'RDN_quantize.py'),
        (1, 'onnxruntime', 'auto', {'device': 'cuda:1'}, 'is only for PyTorch'),
        (0, 'auto', 'auto', {'device': 'gpu'}, 'not a device'),
        (0, 'tensorflow', 'auto', {}, 'tensorflow'),
    ],
)
def test_named_options_that_are_not_available_are_errors(paths, machine, file, engine, precision, place, words):
    machine()
    with pytest.raises(ValueError, match=words):
        engines.open_model(paths[file], engine, precision, engines.Place(**place))


@new_python
def test_a_missing_openvino_that_was_named_says_what_to_install(paths, monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(ValueError, match='pip install openvino'):
        engines.open_model(paths[1], 'openvino')


@new_python
def test_openvino_computes_in_fp32_too(paths):
    x = batch(2, 3, 33, 48)
    expected = engines.OnnxRuntime(paths[1])(x)
    for path in paths:
        model = engines.open_model(path, 'openvino')
        assert model.name == 'OpenVINO, fp32' and np.abs(model(x) - expected).max() < 1e-5


@new_python
def test_openvino_keeps_one_signal_stack_for_any_number_of_models(paths):
    """With a Core for each model, the signal stack of a freed Core was restored, and Ctrl-C crashed."""
    code = f"""
import ctypes, gc
import numpy as np
from rdn import engines

class Stack(ctypes.Structure):
    _fields_ = [('address', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]

def stack():
    found = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found)) == 0
    return found.address

first, second = (engines.open_model({paths[1]!r}, 'openvino') for _ in range(2))
for model in (first, second):
    model(np.zeros([1, 3, 20, 16], np.float32))  # loads the plugin for the processor
del model
with_both = stack()
del first
gc.collect()
del second
gc.collect()
print(stack() == with_both)
"""
    done = run_python('-c', code, cwd=ROOT)
    assert done.stdout == 'True\n', done


def test_the_guides_step_stays_at_fp32_on_onnx_runtime_unless_asked(script, dataset, narrow, lossy, machine):
    machine(bf16=True, gpu=True)
    ended = script('RDN_infer', f'-om_path={narrow[1]}', *INFER)
    assert ended.status == 0 and f'{narrow[1]} on ONNX Runtime, fp32 (CPU), batches of 1' in ended.out, ended.err
    exact = snapshot('result/dumpOutput_device0')
    ended = script('RDN_infer', f'-om_path={narrow[1]}', '-engine=pytorch', '-precision=fp32', *INFER)
    assert ended.status == 0 and 'on PyTorch, fp32 (a stand-in), batches of 1' in ended.out, ended.err
    found = snapshot('result/dumpOutput_device0')
    for name, content in exact.items():
        assert np.abs(np.frombuffer(found[name], np.float32) - np.frombuffer(content, np.float32)).max() < 1e-5
    with open('result/dumpOutput_device0.run.json') as file:
        assert '"engine": "PyTorch"' in file.read()


@new_python
@pytest.mark.parametrize('flag', ['-engine=pytorch', '-device=cpu'])
def test_the_guides_step_computes_in_fp32_if_only_the_engine_was_named(script, dataset, narrow, lossy, machine, flag):
    machine(bf16=True, gpu='engine' in flag)
    ended = script('RDN_infer', f'-om_path={narrow[1]}', flag, *INFER)
    assert ended.status == 0 and 'on PyTorch, fp32 (' in ended.out, ended


def test_the_guides_step_refuses_a_missing_device(script, dataset, narrow):
    assert_refused(script('RDN_infer', f'-om_path={narrow[1]}', '-engine=pytorch', '-device=tpu', *INFER), 'tpu')


class Cann:
    """A fake onnxruntime with the CANN provider, on a chip without convolutions in fp32."""

    def __init__(self, monkeypatch):
        self.modes = []
        real = onnxruntime.InferenceSession
        outer = self

        class Session:
            def __init__(self, path, options, providers):
                self.real = real(path, options, providers=['CPUExecutionProvider'])
                self.mode = providers[0][1]['precision_mode']
                outer.modes.append(self.mode)

            def get_providers(self):
                return ['CANNExecutionProvider', 'CPUExecutionProvider']

            def run(self, *arguments):
                if self.mode == 'must_keep_origin_dtype':
                    raise RuntimeError('E10001: Conv2D does not support float32')
                return self.real.run(*arguments)

            def __getattr__(self, name):
                return getattr(self.real, name)

        providers = ['CANNExecutionProvider', 'CPUExecutionProvider']
        monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: providers)
        monkeypatch.setattr(onnxruntime, 'InferenceSession', Session)


def test_cann_computes_in_fp32_or_says_that_it_does_not(paths, monkeypatch):
    chip = Cann(monkeypatch)
    model = engines.open_model(paths[1], 'onnxruntime')
    assert chip.modes == ['must_keep_origin_dtype', 'force_fp16']
    assert (model.precision, model.chip) == ('fp16', 'CANN') and 'Conv2D' in model.notes[0]
    with pytest.raises(ValueError, match='Conv2D'):
        engines.open_model(paths[1], 'onnxruntime', 'fp32')


def test_tf32_is_off_on_cuda(monkeypatch):
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: ['CUDAExecutionProvider'])
    monkeypatch.setattr(onnxruntime, '__version__', '1.18.1')
    assert onnx_runtime.choose_providers('CUDA', 0) == [('CUDAExecutionProvider', {'device_id': '0', 'use_tf32': '0'})]
    monkeypatch.setattr(onnxruntime, '__version__', '1.10.0')  # which does not know the option
    monkeypatch.setenv('NVIDIA_TF32_OVERRIDE', '1')
    monkeypatch.delenv('NVIDIA_TF32_OVERRIDE')
    assert onnx_runtime.choose_providers('CUDA', 0) == [('CUDAExecutionProvider', {'device_id': '0'})]
    assert os.environ['NVIDIA_TF32_OVERRIDE'] == '0'


def test_tiles_of_a_picture_go_through_an_accelerator_in_batches(paths, machine, monkeypatch):
    machine(gpu=True)
    enlarge, seen = Upscaler(paths[0], precision='fp32', tile_size=64), []
    real = pytorch.PyTorch._run

    def run(self, x):
        seen.append(x.shape)
        return real(self, x)

    monkeypatch.setattr(pytorch.PyTorch, '_run', run)
    picture = np.asarray(Image.new('RGB', (200, 150), (90, 10, 200)))
    assert enlarge(picture).shape == (300, 400, 3)
    assert len(seen) == 1 and seen[0][0] > 4


def test_torch_is_not_imported_for_an_onnx_file_on_a_machine_without_an_accelerator(paths):
    """The import takes seconds, and torch may be missing on machines of a cluster."""
    code = (
        'import sys; from rdn import engines; from rdn.engines import choice, device_files\n'
        'device_files.are_present = lambda: False; choice._is_ours = lambda path: False\n'
        f'engines.open_model({paths[1]!r}); assert "torch" not in sys.modules'
    )
    done = run_python('-c', code, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_driver_files_show_that_there_may_be_an_accelerator(monkeypatch):
    monkeypatch.setattr(device_files.sys, 'platform', 'linux')
    for found, expected in (([], False), (['/dev/davinci0'], True)):
        monkeypatch.setattr(device_files.glob, 'glob', lambda pattern, found=found: found)
        assert device_files.are_present() is expected
    monkeypatch.setattr(device_files.sys, 'platform', 'darwin')
    assert device_files.are_present()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason='needs two cores')
def test_a_process_bound_to_some_cores_uses_only_those(paths):
    body = (
        'import os, sys; from rdn import engines; engine = engines.OnnxRuntime(sys.argv[1], engines.Place("CPU"));'
        "print({core for task in os.listdir('/proc/self/task') for core in os.sched_getaffinity(int(task))})"
    )
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, '-c', body, paths[1]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    assert (done.returncode, done.stdout) == (0, f'{{{core}}}\n'), done.stderr
