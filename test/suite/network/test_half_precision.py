"""RDN_pth2onnx.py --half: a strongly typed fp16 model, and the errors if the range of fp16 is too small."""

import json

from rdn import engines
from rdn.network import checkpoint, half_precision, onnx_graph

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper, shape_inference

from helpers import assert_refused, infer, judge, listing, prepare, save, tiny_rdn


def export_half(script, weights, target, *flags):
    return script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, '--half', *flags)


@pytest.mark.parametrize('flags', [[], ['--opset=11'], ['--upsample=deconv', '--height=0', '--width=0']])
@pytest.mark.parametrize('scale', [2, 4])
def test_all_but_input_and_output_is_float16(script, tmp_path, scale, flags):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn(scale)), str(tmp_path / 'rdn.onnx')
    ended = export_half(script, weights, target, *flags)
    assert ended.status == 0 and 'fp16 with float32 input and output' in ended.out, ended.err
    graph = shape_inference.infer_shapes(onnx.load(target)).graph
    assert [value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)] == [TensorProto.FLOAT] * 2
    assert (graph.node[0].op_type, graph.node[-1].op_type) == ('Cast', 'Cast')
    inner = [value.type.tensor_type.elem_type for value in graph.value_info]
    assert len(inner) > 20 and set(inner) <= {TensorProto.FLOAT16, TensorProto.INT64}
    constants = [tensor for tensor in graph.initializer if tensor.data_type != TensorProto.INT64]
    assert {tensor.data_type for tensor in constants} == {TensorProto.FLOAT16}
    written = {tensor.name: numpy_helper.to_array(tensor) for tensor in constants}
    for key, value in checkpoint.load(weights).state_dict().items():
        assert np.array_equal(written[key], value.half().numpy()), key


@pytest.mark.parametrize('scale', [2, 3])
def test_onnxruntime_computes_what_pytorch_does_with_rounded_weights(script, tmp_path, scale):
    model, target = tiny_rdn(scale), str(tmp_path / 'rdn.onnx')
    assert export_half(script, save(tmp_path / 'rdn.pth', model), target).status == 0
    x = np.random.RandomState(3).rand(2, 3, 114, 114).astype(np.float32)
    actual = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider']).run(None, {'image': x})[0]
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(tensor.half().float())
        expected = model(torch.from_numpy(x)).numpy()
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-2 * np.ptp(expected)


def test_weights_beyond_fp16_are_named_and_leave_no_file(script, tmp_path):
    model, target = tiny_rdn(), tmp_path / 'out' / 'rdn.onnx'
    with torch.no_grad():
        model.gff[0].weight[0, 0] = 70000.0
    assert_refused(export_half(script, save(tmp_path / 'rdn.pth', model), target), 'gff.0.weight', '65504')
    assert not target.exists()


def test_values_beyond_fp16_are_refused(script, tmp_path):
    model, target = tiny_rdn(), tmp_path / 'rdn.onnx'
    if not isinstance(half_precision.pytorch_reference(model), half_precision._HalfNetwork):
        pytest.skip('this PyTorch has no fp16 convolution on the CPU')
    with torch.no_grad():
        model.sfe1.weight *= 1000
        model.sfe2.weight *= 1000
    assert_refused(export_half(script, save(tmp_path / 'rdn.pth', model), target), 'not finite', 'fp16')
    assert not target.exists()


def test_a_wrong_conversion_is_detected(script, tmp_path, monkeypatch):
    convert, target = half_precision.convert, tmp_path / 'rdn.onnx'

    def wrong(path):
        convert(path)
        model = onnx.load(path)
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == 'output.bias')
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float16(0.2), bias.name))
        onnx.save(model, path)

    monkeypatch.setattr(half_precision, 'convert', wrong)
    weights = save(tmp_path / 'rdn.pth', tiny_rdn())
    assert_refused(export_half(script, weights, target), 'differs from PyTorch', '1e-02')
    assert not target.exists()


def test_without_fp16_convolutions_the_reference_has_rounded_weights(monkeypatch):
    def forward(self, x):
        raise RuntimeError('"slow_conv2d_cpu" not implemented for \'Half\'')

    monkeypatch.setattr(half_precision._HalfNetwork, 'forward', forward)
    model = tiny_rdn()
    reference = half_precision.pytorch_reference(model)
    rounded = {key: value.half().float() for key, value in model.state_dict().items()}
    assert any(not torch.equal(value, model.state_dict()[key]) for key, value in rounded.items())
    assert all(torch.equal(value, rounded[key]) for key, value in reference.state_dict().items())


def test_a_model_in_fp16_runs_as_it_is_and_its_record_says_so(script, image_folder, tmp_path, narrow, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_half(script, narrow[0], 'half.onnx').status == 0
    assert prepare(script).status == listing(script).status == infer(script, 'half.onnx').status == 0
    with open('result/dumpOutput_device0.run.json') as file:
        assert json.load(file)['precision'] == 'fp16'
    ended = judge(script, f'--reference={narrow[0]}')
    assert ended.status == 0 and 'fp16' in ended.out, ended.err


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'int8'])
def test_another_precision_than_fp16_is_refused(script, tmp_path, monkeypatch, precision):
    monkeypatch.chdir(tmp_path)
    assert export_half(script, save('rdn.pth', tiny_rdn()), 'half.onnx').status == 0
    assert engines.open_model('half.onnx').precision == 'fp16'
    with pytest.raises(ValueError, match='half.onnx: is an fp16 model, not'):
        engines.open_model('half.onnx', precision=precision)


def test_a_model_in_fp16_is_not_quantized(script, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime.quantization.onnx_model')
    from rdn.quantization import qdq

    monkeypatch.chdir(tmp_path)
    assert export_half(script, save('rdn.pth', tiny_rdn()), 'half.onnx').status == 0
    with pytest.raises(ValueError, match='half.onnx: is in fp16'):
        qdq.load('half.onnx')


def test_a_cast_alone_does_not_make_a_model_fp16(tmp_path, narrow):
    model = onnx.load(narrow[1])
    model.graph.node[0].name = 'Cast'
    onnx.save(model, str(tmp_path / 'cast.onnx'))
    assert onnx_graph.precision_of(str(tmp_path / 'cast.onnx')) == onnx_graph.precision_of(narrow[1]) == 'fp32'
