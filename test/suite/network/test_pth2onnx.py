"""RDN_pth2onnx.py: the graph for atc; if the export fails, no file appears."""

import os
import re

from rdn import engines
from rdn.engines import comparison
from rdn.network import checkpoint, exporter, onnx_graph, split_convolutions, upsampling

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import shape_inference

from helpers import FULL, LITE, assert_refused, save, snapshot, tiny_rdn
from models import RDN

GUIDES = exporter.Variant()


def export(model, path, shape=(None, 114, 114), opset=9, variant=GUIDES):
    exporter.export_onnx(model, exporter.Shape(*shape), opset, variant, path)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_export_equals_pytorch_for_any_batch_size(script, tmp_path, scale):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn(scale)), str(tmp_path / 'out' / 'rdn.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target)
    assert ended.status == 0, ended.err
    model = checkpoint.load(weights)
    session = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider'])
    for batch in (1, 3):
        x = np.random.RandomState(batch).rand(batch, 3, 114, 114).astype(np.float32)
        actual = session.run(None, {'image': x})[0]
        with torch.no_grad():
            expected = model(torch.from_numpy(x)).numpy()
        assert actual.shape == (batch, 3, 114 * scale, 114 * scale)
        assert np.abs(actual - expected).max() < 1e-5 * np.ptp(expected)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_deconv_gives_the_same_numbers_without_transpose_and_reshape(script, tmp_path, scale):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn(scale)), str(tmp_path / 'rdn.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, '--upsample=deconv')
    assert ended.status == 0, ended.err
    operators = onnx_graph.count_operators(target)
    assert set(operators) <= {'Conv', 'Relu', 'Concat', 'Add', 'Constant', 'ConvTranspose'}
    assert operators['ConvTranspose'] == (2 if scale == 4 else 1)
    session = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider'])
    x = np.random.RandomState(0).rand(2, 3, 114, 114).astype(np.float32)
    with torch.no_grad():
        expected = checkpoint.load(weights)(torch.from_numpy(x)).numpy()
    assert np.abs(session.run(None, {'image': x})[0] - expected).max() < 1e-6


@pytest.mark.parametrize('factor', [2, 3])
def test_deconv_is_the_pixel_shuffle_bit_for_bit(factor):
    x = torch.rand(2, 5 * factor**2, 4, 6)
    assert torch.equal(upsampling.Deconv(factor, 5)(x), torch.nn.functional.pixel_shuffle(x, factor))


@pytest.mark.parametrize('scale, transposes', [(2, 1), (3, 1), (4, 2)])
def test_only_the_contracts_operators_at_opset_9(tmp_path, scale, transposes):
    path, model = str(tmp_path / 'rdn.onnx'), tiny_rdn(scale)
    export(model, path, (None, 30, 20))
    graph = onnx.load(path)
    assert [entry.version for entry in graph.opset_import] == [9]
    operators = onnx_graph.count_operators(path)
    assert set(operators) <= {'Conv', 'Relu', 'Concat', 'Add', 'Reshape', 'Transpose', 'Constant'}
    assert operators['Transpose'] == transposes
    dims = graph.graph.input[0].type.tensor_type.shape.dim
    assert graph.graph.input[0].name == 'image' and dims[0].dim_param and not dims[0].dim_value
    assert [dim.dim_value for dim in dims[1:]] == [3, 30, 20]


@pytest.mark.parametrize('opset', [11, 12])
@pytest.mark.parametrize('scale, steps', [(2, 1), (3, 1), (4, 2)])
def test_since_opset_11_depth_to_space_replaces_the_transpose(script, tmp_path, opset, scale, steps):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn(scale)), str(tmp_path / 'rdn.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, f'--opset={opset}')
    assert ended.status == 0 and f'opset {opset}' in ended.out, ended.err
    assert [entry.version for entry in onnx.load(target).opset_import] == [opset]
    operators = onnx_graph.count_operators(target)
    assert set(operators) <= {'Conv', 'Relu', 'Concat', 'Add', 'DepthToSpace', 'Constant'}
    assert operators['DepthToSpace'] == steps
    session = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider'])
    x = np.random.RandomState(0).rand(2, 3, 114, 114).astype(np.float32)
    with torch.no_grad():
        expected = checkpoint.load(weights)(torch.from_numpy(x)).numpy()
    assert np.abs(session.run(None, {'image': x})[0] - expected).max() < 1e-5 * np.ptp(expected)


@pytest.mark.parametrize('flags', [[], ['--opset=11'], ['--upsample=deconv']])
def test_batch_size_is_fixed_in_the_file(script, tmp_path, flags):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn()), str(tmp_path / 'rdn.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, '--batch-size=4', *flags)
    assert ended.status == 0 and 'image (4, 3, 114, 114)' in ended.out, ended.err
    graph = onnx.load(target).graph
    for value, size in ((graph.input[0], 114), (graph.output[0], 228)):
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [4, 3, size, size]


@pytest.mark.parametrize('flags', [['--upsample=deconv'], ['--opset=11']])
def test_with_free_sizes_outputs_equal_pytorch_for_any_size(script, tmp_path, flags):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn()), str(tmp_path / 'rdn.onnx')
    sizes = ['--height=0', '--width=0']
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, *sizes, *flags)
    assert ended.status == 0 and 'image (N, 3, H, W)' in ended.out, ended.err
    session = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider'])
    for shape in ((1, 3, 7, 50), (3, 3, 61, 1), (1, 3, 114, 114)):
        x = np.random.RandomState(0).rand(*shape).astype(np.float32)
        with torch.no_grad():
            expected = checkpoint.load(weights)(torch.from_numpy(x)).numpy()
        assert np.abs(session.run(None, {'image': x})[0] - expected).max() < 1e-5 * np.ptp(expected)


@pytest.mark.parametrize('opset', ['8', '18', 'x'])
def test_opsets_that_are_not_exported_are_refused(script, tmp_path, opset):
    target = tmp_path / 'rdn.onnx'
    assert_refused(script('RDN_pth2onnx', '--input-file', LITE, '--output-file', target, '--opset', opset), '--opset')
    assert not target.exists()


@pytest.mark.slow
def test_default_network_has_the_profile_of_the_guide(tmp_path):
    path, model = str(tmp_path / 'rdn.onnx'), checkpoint.load(FULL)
    export(model, path)
    operators = onnx_graph.count_operators(path)
    assert [operators[name] for name in ('Conv', 'Concat', 'Transpose')] == [150, 129, 1]
    split = str(tmp_path / 'split.onnx')
    export(model, split, variant=exporter.Variant(dense='split'))
    operators = onnx_graph.count_operators(split)
    # Convolutions: 36 + 9 in each of 16 blocks, 16 in the global fusion, 5 others.
    # A sum of n convolutions has n - 1 additions, and there are 17 residuals.
    assert operators['Conv'] == 16 * (36 + 9) + 16 + 5 and 'Concat' not in operators
    assert operators['Add'] == 16 * (36 - 8 + 9 - 1) + 16 - 1 + 17
    assert onnx_graph.count_parameters(split) == 22123395
    shapes = shape_inference.infer_shapes(onnx.load(path)).graph.value_info
    transpose = [node for node in onnx.load(path).graph.node if node.op_type == 'Transpose'][0]
    shape = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in shapes}
    assert shape[transpose.input[0]][1:] == [64, 2, 2, 114, 114]


@pytest.mark.parametrize(
    'scale, flags',
    [
        (2, ['--height=20', '--width=16']),
        (3, ['--height=20', '--width=16', '--opset=11', '--half']),
        (4, ['--height=0', '--width=0', '--upsample=deconv']),
    ],
)
def test_a_split_graph_has_no_concat_and_gives_the_same_numbers(script, tmp_path, scale, flags):
    weights, target = save(tmp_path / 'rdn.pth', tiny_rdn(scale)), str(tmp_path / 'rdn.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, '--dense=split', *flags)
    assert ended.status == 0, ended.err
    operators = onnx_graph.count_operators(target)
    enlarging = 2 if scale == 4 else 1
    # Convolutions: 1 + 2 in a block's layers, 3 in its fusion; 3 in the global fusion; 4 others; those of upscale.
    assert operators['Conv'] == 3 * (1 + 2 + 3) + 3 + 4 + enlarging
    # Additions: 1 in the second layer, 2 in a block's fusion and its residual; 2 in the global fusion and its residual.
    assert operators['Add'] == 3 * (1 + 2 + 1) + 2 + 1
    assert 'Concat' not in operators and operators['Relu'] == 3 * 2
    assert onnx_graph.count_parameters(target) == sum(p.numel() for p in tiny_rdn(scale).parameters())
    session = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider'])
    x = np.random.RandomState(0).rand(2, 3, 20, 16).astype(np.float32)
    with torch.no_grad():
        expected = checkpoint.load(weights)(torch.from_numpy(x)).numpy()
    limit = 1e-2 if '--half' in flags else 1e-5
    assert np.abs(session.run(None, {'image': x})[0] - expected).max() < limit * np.ptp(expected)


def test_a_sum_of_convolutions_is_the_convolution_of_the_concatenation(tmp_path):
    path, model = str(tmp_path / 'rdn.onnx'), tiny_rdn()
    export(model, path, (1, 20, 16), 9, exporter.Variant(dense='split'))
    graph = onnx.load(path).graph
    whole = model.rdbs[1].lff.weight.detach().numpy()
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for start, end in ((0, 16), (16, 24), (24, 32)):
        assert np.array_equal(values[f'rdbs.1.lff.weight/{start}-{end}'], whole[:, start:end])
    convs = [list(node.input) for node in graph.node if node.op_type == 'Conv']
    assert [names[2:] for names in convs if 'rdbs.1.lff' in names[1]] == [['rdbs.1.lff.bias'], [], []]
    names = [*values, *(name for node in graph.node for name in (node.name, *node.output))]
    assert all(re.fullmatch('[A-Za-z0-9/][A-Za-z0-9_./-]*', name.replace('::', '')) for name in names)


def test_a_network_of_one_block_and_one_layer_has_a_split_graph_too(tmp_path):
    path, model = str(tmp_path / 'rdn.onnx'), RDN(2, 3, 8, 4, 1, 1).eval()
    export(model, path, (1, 20, 16), 9, exporter.Variant(dense='split'))
    assert onnx_graph.count_operators(path)['Conv'] == 1 + 2 + 1 + 5 and onnx_graph.count_parameters(path)
    assert comparison.largest_difference(model, path, exporter.Shape(1, 20, 16)) < 1e-5


def test_a_network_that_cannot_be_split_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(split_convolutions, 'ELEMENTWISE', {'Add'})
    with pytest.raises(ValueError, match='rdbs.0.layers.1.conv.weight cannot be split: the channels'):
        export(tiny_rdn(), str(tmp_path / 'rdn.onnx'), (1, 20, 16), 9, exporter.Variant(dense='split'))
    monkeypatch.setattr(split_convolutions, 'split', lambda model: None)
    with pytest.raises(ValueError, match='contains Concat'):
        export(tiny_rdn(), str(tmp_path / 'rdn.onnx'), (1, 20, 16), 9, exporter.Variant(dense='split'))


def test_summary_names_operators_parameters_and_difference(script, tmp_path):
    ended = script('RDN_pth2onnx', '--input-file', LITE, '--output-file', tmp_path / 'rdn.onnx')
    assert '648,067' in ended.out and '36 Conv' in ended.out and 'difference' in ended.out


def test_difference_to_pytorch_leaves_no_file(script, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, 'largest_difference', lambda *_: 1e-3)
    target = tmp_path / 'out' / 'rdn.onnx'
    target.parent.mkdir()
    weights = save(tmp_path / 'rdn.pth', tiny_rdn())
    assert_refused(script('RDN_pth2onnx', '--input-file', weights, '--output-file', target), 'differs', target)
    assert os.listdir(str(target.parent)) == []


def test_outputs_that_are_not_finite_do_not_agree(script, tmp_path, monkeypatch):
    model, target = tiny_rdn(), tmp_path / 'rdn.onnx'
    with torch.no_grad():
        model.sfe1.weight.fill_(1e30)
        model.sfe2.weight.fill_(1e30)
    flags = ['--input-file', save(tmp_path / 'rdn.pth', model), '--output-file', target]
    assert_refused(script('RDN_pth2onnx', *flags), 'not finite')
    weights = save(tmp_path / 'rdn.pth', tiny_rdn())
    broken = lambda self, batch: [np.full((len(batch), 3, 228, 228), np.nan, np.float32)]  # noqa: E731
    monkeypatch.setattr(engines.OnnxRuntime, '_run_all', broken)
    assert_refused(script('RDN_pth2onnx', '--input-file', weights, '--output-file', target), 'differs', 'nan')
    assert not target.exists()


def test_the_comparison_detects_a_wrong_weight(tmp_path):
    path, model = str(tmp_path / 'rdn.onnx'), tiny_rdn()
    export(model, path, (None, 20, 20))
    assert comparison.largest_difference(model, path, exporter.Shape(None, 20, 20)) < 1e-5
    with torch.no_grad():
        model.gff[1].weight[0, 0, 0, 0] += 0.1
    assert comparison.largest_difference(model, path, exporter.Shape(None, 20, 20)) > 1e-5


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--scale=3'], ['scale_factor is 2', 'not 3']),
        (['--num-blocks=16'], ['num_blocks is 6']),
        (['--scale=5'], ['--scale']),
        (['--height=0'], ['--height', '--upsample=deconv']),
        (['--height=-1'], ['--height']),
        (['--sacle=2'], ['--sacle']),
    ],
)
def test_flags_must_agree_with_the_weights(script, tmp_path, flags, words):
    target = tmp_path / 'rdn.onnx'
    assert_refused(script('RDN_pth2onnx', '--input-file', LITE, '--output-file', target, *flags), *words)
    assert not target.exists()


def test_missing_weights_are_named(script, tmp_path):
    assert_refused(
        script('RDN_pth2onnx', '--input-file', tmp_path / 'rdn_x2.pth', '--output-file', tmp_path / 'rdn.onnx'),
        tmp_path / 'rdn_x2.pth',
    )


def test_weights_are_not_overwritten(script, tmp_path):
    weights = save(tmp_path / 'rdn.pth', tiny_rdn())
    before = snapshot(tmp_path)
    assert_refused(script('RDN_pth2onnx', '--input-file', weights, '--output-file', weights), 'overwrite')
    assert snapshot(tmp_path) == before
