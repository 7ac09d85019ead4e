"""PyTorch's engine: the same numbers on any device, smaller runs if memory is short, a larger range after overflow."""

import sys

from rdn import engines
from rdn.engines import pytorch, torch_device
from rdn.network import exporter

import numpy as np
import onnx
import pytest
import torch

import models
from helpers import save
from tools import bench_gpu

has_half = pytest.mark.skipif(sys.version_info < (3, 8), reason='on a CPU, torch 1.5 computes only in fp32')


@pytest.fixture(scope='module')
def network():
    """A network with random weights, whose outputs depend on fewer than 10 pixels in each direction."""
    torch.manual_seed(0)
    return models.RDN(2, 3, 8, 8, 1, 1).eval()


@pytest.fixture(scope='module')
def path(tmp_path_factory, network):
    return save(tmp_path_factory.mktemp('weights') / 'a.pth', network)


@pytest.fixture
def gpu(monkeypatch):
    """The CPU replaces an accelerator, the only one on this machine."""
    device = torch_device.TorchDevice('cpu', 'a stand-in')
    monkeypatch.setattr(torch_device, 'CPU', 'host')
    monkeypatch.setattr(torch_device, 'find_accelerator', lambda: (device, []))
    return device


def batch(*shape):
    return np.random.RandomState(0).rand(*shape).astype(np.float32)


def expected(network, x):
    with torch.no_grad():
        return network(torch.from_numpy(x)).numpy()


class SmallMemory(torch.nn.Module):
    """A network on a device with memory for `pixels` per run; `runs` lists those that fitted, `tried` counts all."""

    def __init__(self, network, pixels):
        super().__init__()
        self.network, self.pixels, self.runs, self.tried = network, pixels, [], 0

    def forward(self, x):
        self.tried += 1
        if x.shape[0] * x.shape[2] * x.shape[3] > self.pixels:
            raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
        self.runs.append(tuple(x.shape))
        return self.network(x)


def with_memory(model, pixels):
    """Put the engine on a device with little memory; return the stand-in."""
    small = SmallMemory(model._loaded.network, pixels)
    model._loaded = model._loaded._replace(network=small)
    return small


@pytest.mark.parametrize('shape', [(1, 3, 20, 16), (3, 3, 9, 33)])
def test_it_computes_what_the_network_computes(network, path, shape):
    model = engines.open_model(path, 'pytorch')
    x = batch(*shape)
    assert np.abs(model(x) - expected(network, x)).max() < 1e-5
    assert (model.name, model.precision, model.shape) == ('PyTorch, fp32 (CPU)', 'fp32', [3, None, None])
    assert model(x[:0]).shape == (0, 3, 2 * shape[2], 2 * shape[3])


@pytest.mark.parametrize('dense', exporter.DENSE)
@pytest.mark.parametrize('size', [(None, None), (20, 16)])
def test_an_onnx_file_of_this_project_runs_from_its_weights(network, tmp_path, dense, size):
    target = str(tmp_path / 'a.onnx')
    exporter.export_onnx(network, exporter.Shape(None, *size), 9, exporter.Variant('deconv', dense), target)
    model = engines.open_model(target, 'pytorch')
    x = batch(2, 3, 30, 24)
    assert model.path == target and np.abs(model(x) - expected(network, x)).max() < 1e-5


def test_an_onnx_that_computes_something_else_with_our_weights_is_refused(network, tmp_path):
    target = str(tmp_path / 'a.onnx')
    exporter.export_onnx(network, exporter.Shape(None, 20, 16), 9, exporter.Variant(), target)
    graph = onnx.load(target)
    next(node for node in graph.graph.node if node.op_type == 'Relu').op_type = 'Sigmoid'
    onnx.save(graph, target)
    with pytest.raises(ValueError, match='a.onnx: PyTorch differs from this file by'):
        engines.open_model(target, 'pytorch')


def test_batches_that_do_not_fit_are_halved_and_later_ones_start_small(network, path):
    model = engines.open_model(path, 'pytorch')
    small = with_memory(model, 2 * 20 * 16)
    x = batch(8, 3, 20, 16)
    for _ in range(2):
        assert np.abs(model(x) - expected(network, x)).max() < 1e-5
    assert small.runs == [(2, 3, 20, 16)] * 8
    assert small.tried == 8 + 2  # runs with 8 and with 4 images failed once each
    assert len(model.notes) == 1 and 'not enough memory' in model.notes[0]


@pytest.mark.parametrize('size', [(160, 100), (90, 230), (70, 70)])
def test_tiles_that_do_not_fit_are_computed_in_parts_without_seams(network, path, size):
    model = engines.open_model(path, 'pytorch')
    small = with_memory(model, 66 * 66)
    x = batch(2, 3, *size)
    assert np.abs(model(x) - expected(network, x)).max() < 1e-5
    assert len(small.runs) > 2 and len(model.notes) == 1


def test_a_device_without_any_memory_is_an_error_that_names_it(path):
    model = engines.open_model(path, 'pytorch')
    with_memory(model, 100)
    with pytest.raises(ValueError, match='CPU: not enough memory even for .* or take the device cpu'):
        model(batch(1, 3, 100, 100))


def test_another_failure_is_not_taken_for_a_lack_of_memory(path):
    model = pytorch.PyTorch(path)

    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError('an illegal memory access was encountered')

    model._loaded = model._loaded._replace(network=Broken())
    with pytest.raises(ValueError, match='illegal memory access'):
        model(batch(1, 3, 20, 16))
    assert not model.notes


@has_half
def test_an_accelerator_computes_in_fp16_and_is_exact_on_demand(network, path, gpu):
    model, x = pytorch.PyTorch(path), batch(1, 3, 20, 16)
    assert (model.name, model.chip, model.streams) == ('PyTorch, fp16 (a stand-in)', 'a stand-in', 2)
    assert 1e-6 < np.abs(model(x) - expected(network, x)).max() < 1e-2
    assert model.tiles_a_run(114, 114) == 32 and model.tiles_a_run(5000, 5000) == 1
    named = engines.open_model(path, 'pytorch', 'fp32')
    assert np.abs(named(x) - expected(network, x)).max() < 1e-5


@pytest.fixture
def loud(tmp_path):
    """(weights, network), with features that are too large for fp16."""
    torch.manual_seed(0)
    network = models.RDN(2, 3, 8, 8, 1, 1).eval()
    with torch.no_grad():
        network.sfe1.weight.mul_(1e6)
        network.output.weight.mul_(1e-6)
    return save(tmp_path / 'loud.pth', network), network


@has_half
def test_a_network_that_overflows_in_fp16_runs_in_bf16_with_a_note(loud, gpu):
    model, x = pytorch.PyTorch(loud[0]), batch(1, 3, 20, 16)
    exact = expected(loud[1], x)
    assert np.abs(model(x) - exact).max() < 0.05 * np.ptp(exact)
    assert model.precision == 'bf16' and model.name == 'PyTorch, bf16 (a stand-in)'
    assert model.notes == ['fp16 overflows in this network, so it is computed in bf16']


@has_half
def test_fp16_that_was_named_is_not_replaced(loud, gpu):
    model = pytorch.PyTorch(loud[0], 'fp16')
    with pytest.raises(ValueError, match='fp16 overflows in this network: take fp32'):
        model(batch(1, 3, 20, 16))


def test_outputs_that_are_not_finite_in_fp32_are_an_error(path):
    model = engines.open_model(path, 'pytorch')
    with pytest.raises(ValueError, match='not finite'):
        model(np.full([1, 3, 20, 16], np.nan, np.float32))


def test_a_card_that_does_not_run_a_convolution_is_named_and_not_used(monkeypatch, path):
    monkeypatch.setattr(torch_device, '_is_present', lambda kind: kind == 'cuda')
    monkeypatch.setattr(torch_device, '_card', lambda name: 'GeForce GTX 780' if name != 'cpu' else 'CPU')
    monkeypatch.setattr(torch_device, 'failure', lambda name, precision: None if name == 'cpu' else 'no kernel image')
    model = engines.open_model(path, 'pytorch')
    assert model.name == 'PyTorch, fp32 (CPU)'
    assert len(model.notes) == 1 and 'cuda (GeForce GTX 780) is not used' in model.notes[0]
    assert 'no kernel image' in model.notes[0]
    with pytest.raises(ValueError, match=r'cuda:1 \(GeForce GTX 780\) does not work here \(no kernel image\)'):
        engines.open_model(path, 'pytorch', place=engines.Place(device='cuda:1'))


@pytest.mark.parametrize('driver, build, words', [(True, None, 'built for the CPU'), (True, '12.8', 'finds no card')])
def test_a_driver_that_pytorch_does_not_use_causes_a_note(monkeypatch, driver, build, words):
    monkeypatch.setattr(torch_device.shutil, 'which', lambda name: '/usr/bin/nvidia-smi' if driver else None)
    monkeypatch.setattr(torch_device, '_is_present', lambda kind: False)
    monkeypatch.setattr(torch.version, 'cuda', build)
    found, notes = torch_device.find_accelerator()
    assert found is None and len(notes) == 1 and words in notes[0] and 'pytorch.org' in notes[0]


@pytest.mark.parametrize('name', ['cuda:7', 'npu', 'xpu', 'mps', 'tpu'])
def test_a_missing_named_device_is_an_error(path, monkeypatch, name):
    if torch.cuda.is_available() or not torch_device.failure(name, 'fp32'):
        pytest.skip('this machine has it')
    with pytest.raises(ValueError, match=name):
        engines.open_model(path, place=engines.Place(device=name))


def test_fp32_is_computed_without_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True, raising=False)
    torch_device.compute_exactly('cuda')
    assert torch.backends.cudnn.allow_tf32 is False


def test_a_closed_model_holds_no_weights(path):
    model = engines.open_model(path, 'pytorch')
    model.close()
    assert isinstance(model, pytorch.PyTorch) and not list(model._loaded.network.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
@pytest.mark.parametrize('precision, bound', [('fp32', 1e-5), ('fp16', 1e-2), ('bf16', 5e-2)])
def test_a_real_gpu_computes_what_the_cpu_computes(network, path, precision, bound):
    model = engines.open_model(path, 'pytorch', precision)
    x = batch(5, 3, 114, 114)
    exact = expected(network, x)
    assert model.precision == precision and np.abs(model(x) - exact).max() < bound * np.ptp(exact)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_a_real_gpu_that_is_nearly_full_computes_in_smaller_runs(network, path):
    model = engines.open_model(path, 'pytorch', 'fp32')
    x = batch(64, 3, 256, 256)
    exact = expected(network, x[:1])
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2e8 / torch.cuda.get_device_properties(0).total_memory)
    try:
        assert np.abs(model(x)[:1] - exact).max() < 1e-5 * np.ptp(exact)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(model.notes) == 1


def test_the_benchmark_prints_its_tables_or_one_line_if_there_is_no_gpu(path, gpu, monkeypatch, capsys):
    monkeypatch.setattr(bench_gpu, 'BATCHES', (1, 2))
    monkeypatch.setattr(bench_gpu, 'SIDE', 16)
    monkeypatch.setattr(bench_gpu, 'PHOTOGRAPH', (90, 60))
    monkeypatch.setattr(bench_gpu, 'PRECISIONS', ('fp32',))
    bench_gpu.bench_on(path, gpu, 1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith('fp32')][:2] == [['fp32', '1'], ['fp32', '2']]
    monkeypatch.setattr(torch_device, 'find_accelerator', lambda: (None, ['cuda (GTX 780) is not used']))
    bench_gpu.bench(path, None, 1)
    assert capsys.readouterr().out == 'PyTorch finds no GPU that it can use; cuda (GTX 780) is not used\n'
