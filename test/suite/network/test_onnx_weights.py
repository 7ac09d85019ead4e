"""rdn/network/onnx_weights.py and split_convolutions.py: from an exported model back to its weights."""

from rdn.network import exporter, half_precision, onnx_graph, onnx_weights, split_convolutions

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from helpers import tiny_rdn
from models import RDN


def export(path, model, dense='concat', upsampling='shuffle'):
    exporter.export_onnx(model, exporter.Shape(None, 20, 16), 9, exporter.Variant(upsampling, dense), str(path))
    return str(path)


def changed(path, change):
    """Apply `change` to a file's initializers, which it receives by name."""
    model = onnx.load(path)
    change({tensor.name: tensor for tensor in model.graph.initializer}, model.graph)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('dense', exporter.DENSE)
@pytest.mark.parametrize('scale, upsampling', [(2, 'shuffle'), (3, 'deconv'), (4, 'deconv')])
def test_weights_come_back_bit_for_bit_and_in_the_networks_order(tmp_path, scale, upsampling, dense):
    model = tiny_rdn(scale)
    weights = onnx_weights.state_dict_of(export(tmp_path / 'rdn.onnx', model, dense, upsampling))
    expected = model.state_dict()
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


@pytest.mark.parametrize('dense', exporter.DENSE)
def test_equal_weights_are_written_each_under_its_name(tmp_path, dense):
    model = RDN(2, 3, 8, 8, 2, 2).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.fill_(0.0 if tensor.dim() == 1 else 0.01)
    path = export(tmp_path / 'rdn.onnx', model, dense)
    assert onnx_graph.count_parameters(path) == sum(tensor.numel() for tensor in model.parameters())
    assert list(onnx_weights.state_dict_of(path)) == list(model.state_dict())


def rename(weights, graph):
    weights['sfe2.weight'].name = 'onnx::Conv_7'
    graph.node[1].input[1] = 'onnx::Conv_7'


def narrow_a_part(weights, graph):
    part = weights['gff.0.weight/16-32']
    part.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(part)[:, :9], part.name))


def drop_a_part(weights, graph):
    graph.initializer.remove(weights['gff.0.weight/0-16'])


def drop_the_last_part(weights, graph):
    graph.initializer.remove(weights['gff.0.weight/32-48'])


@pytest.mark.parametrize(
    'change, words',
    [
        (rename, 'onnx::Conv_7|sfe2.weight'),
        (narrow_a_part, 'gff.0.weight is incomplete: its part 16-32'),
        (drop_a_part, 'gff.0.weight is incomplete: its part 16-32'),
        (drop_the_last_part, r'gff.0.weight has shape \[16, 32, 1, 1\]'),
        (lambda weights, graph: graph.initializer.remove(weights['output.bias']), 'no key output.bias'),
        (lambda weights, graph: graph.ClearField('initializer'), 'no weights'),
    ],
)
def test_incomplete_weights_are_refused_with_the_files_name(tmp_path, change, words):
    path = changed(export(tmp_path / 'rdn.onnx', tiny_rdn(), 'split'), change)
    with pytest.raises(ValueError, match=words) as raised:
        onnx_weights.state_dict_of(path)
    assert str(raised.value).startswith(f'{path}: ') and 'give the weights (.pth)' in str(raised.value)


def test_rounded_weights_are_refused(tmp_path):
    path = export(tmp_path / 'rdn.onnx', tiny_rdn())
    half_precision.convert(path)
    with pytest.raises(ValueError, match='rdn.onnx: its weights are rounded to fp16: give the weights'):
        onnx_weights.state_dict_of(path)


def test_parts_are_joined_in_the_order_of_their_channels():
    whole = np.arange(2 * 12).reshape(2, 12, 1, 1).astype(np.float32)
    parts = {'a.weight/10-12': whole[:, 10:], 'a.weight/0-2': whole[:, :2], 'a.weight/2-10': whole[:, 2:10]}
    joined = split_convolutions.join({**parts, 'a.bias': np.ones(2)})
    assert sorted(joined) == ['a.bias', 'a.weight'] and np.array_equal(joined['a.weight'], whole)
    assert [split_convolutions.key_of(name) for name in ('a.weight/2-10', 'a.bias')] == ['a.weight', 'a.bias']
