"""Harmful weights and ONNX files are refused in one clear line, in bounded memory; nothing else is run or read."""

import os
import pickle
import zipfile

from rdn.network import checkpoint, onnx_graph, rdn_architecture

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image

from helpers import LITE, Payload, assert_refused


@pytest.mark.slow
def test_code_in_weights_never_runs(limited, tmp_path):
    torch.save({'sfe1.weight': Payload()}, 'new.pth')
    with open('old.pth', 'wb') as file:
        pickle.dump({'sfe1.weight': Payload()}, file)
    for name in ('new.pth', 'old.pth'):
        assert_refused(limited('RDN_pth2onnx.py', '--input-file=' + name, '--output-file=a.onnx'), name)
        with open('a.pth.checkpoint', 'wb') as file, open(name, 'rb') as source:
            file.write(source.read())
        (tmp_path / 'images').mkdir(exist_ok=True)
        Image.new('RGB', (99, 99)).save('images/a.png')
        flags = ['--train-path=images', '--output-file=a.pth', '--steps=1', '--resume', '--num-blocks=1']
        assert_refused(limited('RDN_train.py', *flags), 'a.pth.checkpoint')
    assert not os.path.exists('payload ran')


@pytest.mark.slow
def test_weights_that_unpack_to_gigabytes_are_refused(limited):
    with zipfile.ZipFile(LITE) as source, zipfile.ZipFile('bomb.pth', 'w', zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry.filename))
        target.writestr('archive/data/999', bytes(300 << 20))
    assert os.path.getsize('bomb.pth') < 10 << 20
    assert_refused(limited('RDN_pth2onnx.py', '--input-file=bomb.pth', '--output-file=a.onnx'), 'bomb.pth', 'unpack')


@pytest.mark.slow
def test_weights_of_a_giant_network_are_refused_before_it_is_built(limited):
    weights = checkpoint.load(LITE).state_dict()
    weights['sfe1.weight'] = torch.zeros(200000, 3, 3, 3)  # whose sfe2 would have 1.4 TB
    torch.save(weights, 'giant.pth')
    ended = limited('RDN_pth2onnx.py', '--input-file=giant.pth', '--output-file=a.onnx')
    assert_refused(ended, 'giant.pth')
    few = torch.zeros(1)
    names = 'scale_factor', 'num_channels', 'num_features', 'growth_rate', 'num_blocks', 'num_layers'
    shapes = rdn_architecture.Rdn().parameter_shapes(dict(zip(names, (2, 3, 40000, 40000, 1, 1))))
    torch.save({key: few.expand(shape) for key, shape in shapes.items()}, 'expanded.pth')
    assert os.path.getsize('expanded.pth') < 1 << 20
    ended = limited('RDN_pth2onnx.py', '--input-file=expanded.pth', '--output-file=a.onnx')
    assert_refused(ended, 'expanded.pth', 'an expanded tensor')


def write_onnx(path, tensor, nodes=None):
    image = helper.make_tensor_value_info('image', TensorProto.FLOAT, [1, 3, 114, 114])
    output = helper.make_tensor_value_info('output', TensorProto.FLOAT, [1, 3, 114, 114])
    nodes = (nodes or []) + [
        helper.make_node('ReduceSum', ['w'], ['r'], keepdims=0),
        helper.make_node('Add', ['image', 'r'], ['output']),
    ]
    graph = helper.make_graph(nodes, 'g', [image], [output], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)])
    model.ir_version = 4
    with open(path, 'wb') as file:
        file.write(model.SerializeToString())


def external(location):
    tensor = TensorProto(name='w', data_type=TensorProto.FLOAT, dims=[16], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = 'location', location
    return tensor


@pytest.mark.parametrize('location', ['../../../../etc/passwd', '/etc/passwd', 'beside.bin'])
def test_an_onnx_that_reads_other_files_is_refused(limited, location):
    np.zeros(16, np.float32).tofile('beside.bin')
    write_onnx('a.onnx', external(location))
    assert_refused(limited('RDN_infer.py', '-round=1', '-om_path=a.onnx', '-batch_size=1'), 'a.onnx', 'other files')
    open('transpose.py', 'w').close()
    assert_refused(limited('patch_transpose_whitelist.py', '--transpose-py=transpose.py', '--onnx=a.onnx'), 'a.onnx')


def test_references_to_other_files_are_found_in_constants_and_inner_graphs(limited):
    constant = helper.make_node('Constant', [], ['w2'], value=external('beside.bin'))
    inner = helper.make_graph([constant], 'inner', [], [helper.make_tensor_value_info('w2', TensorProto.FLOAT, [16])])
    condition = helper.make_node('Constant', [], ['c'], value=helper.make_tensor('c', TensorProto.BOOL, [], [True]))
    nodes = [condition, helper.make_node('If', ['c'], ['w3'], then_branch=inner, else_branch=inner)]
    np.zeros(16, np.float32).tofile('beside.bin')
    write_onnx('a.onnx', helper.make_tensor('w', TensorProto.FLOAT, [1], [0.0]), nodes)
    assert_refused(limited('RDN_infer.py', '-round=1', '-om_path=a.onnx', '-batch_size=1'), 'a.onnx', 'other files')


def varint(number):
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def field(number, content):
    """Return a protobuf field that contains bytes, for parts of ONNX that onnx 1.7 cannot write."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def test_references_to_other_files_are_found_in_the_functions_of_a_model(tmp_path):
    """On Python 3.7, onnx 1.7 does not know functions but ONNX Runtime 1.10 runs them, so every function is refused."""
    np.zeros(16, np.float32).tofile(str(tmp_path / 'beside.bin'))
    inner = helper.make_graph([helper.make_node('Constant', [], ['k'], value=external('beside.bin'))], 'inner', [], [])
    nodes = [
        helper.make_node('Constant', [], ['c'], value=external('beside.bin')),
        helper.make_node('If', ['x'], ['c'], then_branch=inner, else_branch=inner),
    ]
    for node in nodes:
        path = str(tmp_path / 'a.onnx')
        write_onnx(path, helper.make_tensor('w', TensorProto.FLOAT, [1], [0.0]))
        onnx_graph.check_whole(path)
        function = field(1, b'Function') + field(4, b'x') + field(5, b'c') + field(7, node.SerializeToString())
        with open(path, 'ab') as file:
            file.write(field(25, function + field(10, b'domain')))
        with pytest.raises(ValueError, match='a.onnx: (stores weights in other files|has parts that)'):
            onnx_graph.check_whole(path)


def test_an_onnx_tensor_of_50_gigabytes_is_refused(limited):
    tensor = TensorProto(name='w', data_type=TensorProto.FLOAT, dims=[50000, 250000], raw_data=b'1234')
    write_onnx('header.onnx', tensor)
    fill = [helper.make_node('ConstantOfShape', ['s'], ['w'])]
    write_onnx('filled.onnx', helper.make_tensor('s', TensorProto.INT64, [2], [50000, 250000]), fill)
    for name in ('header.onnx', 'filled.onnx'):
        ended = limited('RDN_infer.py', '-round=1', '-om_path=' + name, '-batch_size=1', '-threads=1')
        assert ended.status == 1 and ended.err.count('\n') == 1 and 'Traceback' not in ended.err, ended.err
        assert not os.path.exists('result')
