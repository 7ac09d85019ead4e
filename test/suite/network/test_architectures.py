"""Another network than RDN: everything that the project does with weights works after registering its architecture."""

import re

from rdn import configuration, walk
from rdn.accuracy import agreement
from rdn.network import architectures, base, checkpoint, exporter, onnx_graph, upsampling

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

import models
from helpers import INFER, LITE, assert_refused, judge, listing, prepare, save, tiny_rdn


class TinyNetwork(nn.Module):
    """Two convolutions, an activation that RDN lacks, and a buffer that the network computes itself."""

    def __init__(self, scale_factor, num_channels, width):
        super().__init__()
        self.config = dict(scale_factor=scale_factor, num_channels=num_channels, width=width)
        self.head = nn.Conv2d(num_channels, width, 3, padding=1)
        convolution = nn.Conv2d(width, num_channels * scale_factor**2, 3, padding=1)
        self.tail = nn.ModuleDict(
            {'up': nn.Sequential(convolution, nn.LeakyReLU(0.5), models.PixelShuffle(scale_factor))}
        )
        self.register_buffer('steps', torch.arange(3))

    def forward(self, x):
        return self.tail['up'](functional.leaky_relu(self.head(x), 0.25))


class Tiny(base.Architecture):
    name = 'tiny'
    title = 'TinyNet'
    operators = frozenset({'Conv', 'LeakyRelu', 'Constant'})

    def owns(self, state_dict):
        return any(key.startswith('tail.up.') for key in state_dict)

    def infer_config(self, state_dict):
        if 'head.weight' not in state_dict:
            raise ValueError('no key head.weight')
        width, channels = state_dict['head.weight'].shape[:2]
        scale = round((len(state_dict['tail.up.0.bias']) / channels) ** 0.5)
        return dict(scale_factor=scale, num_channels=channels, width=width)

    def parameter_shapes(self, config):
        channels, width, outputs = config['num_channels'], config['width'], 3 * config['scale_factor'] ** 2
        shapes = {'head.weight': (width, channels, 3, 3), 'head.bias': (width,)}
        return {**shapes, 'tail.up.0.weight': (outputs, width, 3, 3), 'tail.up.0.bias': (outputs,)}

    def build(self, config):
        return TinyNetwork(**config)

    def is_computed(self, key):
        return key == 'steps'


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(architectures, 'ARCHITECTURES', (*architectures.ARCHITECTURES, Tiny()))


def tiny(scale=2):
    """A network that repeats each pixel, with small random changes to its weights."""
    torch.manual_seed(0)
    network = TinyNetwork(scale, 3, 8).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.mul_(0.03)
        for channel in range(3):
            network.head.weight[channel, channel, 1, 1] += 1
            first = channel * scale**2
            network.tail['up'][0].weight[first : first + scale**2, channel, 1, 1] += 1
    return network


def computed_by_hand(network, x):
    """Compute (N, 3, H, W) -> (N, 3, scale*H, scale*W) from the state dict, with only torch's functions."""
    weights, scale = network.state_dict(), network.config['scale_factor']
    with torch.no_grad():
        x = functional.conv2d(torch.from_numpy(x), weights['head.weight'], weights['head.bias'], padding=1)
        x = torch.max(x, 0.25 * x)
        x = functional.conv2d(x, weights['tail.up.0.weight'], weights['tail.up.0.bias'], padding=1)
        return functional.pixel_shuffle(torch.max(x, 0.5 * x), scale).numpy()


@pytest.mark.parametrize(
    'flags, enlarging',
    [
        ([], {'Reshape', 'Transpose'}),
        (['--upsample=deconv'], {'ConvTranspose'}),
        (['--opset=11'], {'DepthToSpace'}),
    ],
)
@pytest.mark.parametrize('scale', [2, 3])
def test_another_network_is_exported_in_every_way(script, tmp_path, registered, scale, flags, enlarging):
    network = tiny(scale)
    weights, target = save(tmp_path / 'tiny.pth', network), str(tmp_path / 'tiny.onnx')
    ended = script('RDN_pth2onnx', '--input-file', weights, '--output-file', target, *flags)
    assert ended.status == 0 and f'network     scale_factor={scale}, num_channels=3, width=8' in ended.out, ended.err
    assert set(onnx_graph.count_operators(target)) - {'Constant'} == {'Conv', 'LeakyRelu'} | enlarging
    x = np.random.RandomState(0).rand(2, 3, 114, 114).astype(np.float32)
    actual = onnxruntime.InferenceSession(target, providers=['CPUExecutionProvider']).run(None, {'image': x})[0]
    assert np.abs(actual - computed_by_hand(network, x)).max() < 1e-5


def test_parameters_are_counted_with_every_kind_of_upsampling(tmp_path, registered):
    expected = 3 * 8 * 9 + 8 + 8 * 12 * 9 + 12
    for how in ('shuffle', 'deconv'):
        path = str(tmp_path / f'{how}.onnx')
        exporter.export_onnx(tiny(), exporter.Shape(None, 20, 20), 9, exporter.Variant(how), path)
        assert onnx_graph.count_parameters(path) == expected


def test_an_operator_that_the_architecture_does_not_name_is_refused(script, tmp_path, registered, monkeypatch):
    monkeypatch.setattr(Tiny, 'operators', frozenset({'Conv', 'Constant'}))
    weights, target = save(tmp_path / 'tiny.pth', tiny()), tmp_path / 'tiny.onnx'
    assert_refused(script('RDN_pth2onnx', '--input-file', weights, '--output-file', target), 'LeakyRelu')
    assert not target.exists()


def test_a_shuffle_without_a_convolution_before_it_cannot_become_a_transposed_convolution():
    alone = nn.Sequential(models.PixelShuffle(2))
    assert isinstance(upsampling.with_upsampling(alone, 'depth-to-space')[0], nn.PixelShuffle)
    with pytest.raises(ValueError, match='--upsample=shuffle'):
        upsampling.with_upsampling(alone, 'deconv')


def test_a_devices_outputs_are_compared_with_the_other_network(script, image_folder, tmp_path, registered, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = save(tmp_path / 'tiny_x2.pth', tiny())
    assert script('RDN_pth2onnx', '--input-file', weights, '--output-file=tiny_x2.onnx').status == 0
    assert prepare(script).status == listing(script).status == 0
    assert script('RDN_infer', '-om_path=tiny_x2.onnx', *INFER).status == 0
    ended = judge(script, f'--reference={weights}', '--network=tiny', '--report=page', '--save-images=page')
    assert ended.status == 0 and re.search(r'PSNR dB +bicubic +TinyNet +gain', ended.out), ended
    page = (tmp_path / 'page' / 'index.html').read_text(encoding='utf-8')
    assert '<title>TinyNet: before and after</title>' in page and 'RDN' not in page
    other = tiny()
    with torch.no_grad():
        other.head.bias += 0.05
    ended = judge(script, f'--reference={save(tmp_path / "other.pth", other)}')
    assert ended.status == agreement.NOT_KEPT and 'accuracy not kept' in ended.err


def test_the_walks_names_are_those_of_the_other_network(tmp_path, registered):
    config = walk.configure(save(tmp_path / 'any.pth', tiny(3)))
    assert (config.onnx, config.model(4), config.shape(1)) == ('tiny_x3.onnx', 'tiny_x3_bs4', 'image:1,3,76,76')
    assert config.caption_flags == ['--network=tiny']
    usual = walk.configure(LITE)
    assert usual == configuration.Configuration(LITE, 2) and usual.onnx == 'rdn_x2.onnx' and not usual.caption_flags


def test_a_models_file_name_says_which_network_a_page_shows(registered):
    titles = [architectures.title_of_model(path) for path in ('a/tiny_x2_bs4.onnx', 'rdn_x2.onnx', 'tiny/photo.onnx')]
    assert titles == ['TinyNet', 'RDN', 'RDN']


@pytest.mark.parametrize(
    'change, named',
    [
        (lambda weights: weights.pop('head.weight'), 'no key head.weight'),
        (lambda weights: weights.pop('head.bias'), 'no key head.bias'),
        (lambda weights: weights.update({'sfe.weight': torch.zeros(1)}), 'unknown key sfe.weight'),
        (lambda weights: weights.update({'head.bias': torch.zeros(9)}), 'head.bias has shape [9], expected [8]'),
        (lambda weights: weights['head.bias'].fill_(float('inf')), 'head.bias contains values'),
    ],
)
def test_a_broken_file_of_the_other_network_is_named_with_its_key(tmp_path, registered, change, named):
    weights = tiny().state_dict()
    path = str(tmp_path / 'tiny.pth')
    torch.save(weights, path)
    assert isinstance(checkpoint.load(path), TinyNetwork)
    change(weights)
    torch.save(weights, path)
    with pytest.raises(ValueError) as raised:
        checkpoint.load(path)
    assert path in str(raised.value) and named in str(raised.value)


def test_buffers_that_the_network_computes_are_not_taken_from_the_file(tmp_path, registered):
    for steps in (torch.tensor([7, 1 << 40, -1]), torch.zeros(5)):
        network = checkpoint.load(save_with(tmp_path, steps))
        assert network.steps.tolist() == [0, 1, 2]
        assert torch.equal(network.head.weight, tiny().head.weight)


def save_with(folder, steps):
    path = str(folder / 'tiny.pth')
    torch.save(dict(tiny().state_dict(), steps=steps), path)
    return path


def test_flags_of_rdn_are_refused_for_weights_that_have_no_such_number(script, tmp_path, registered):
    weights, target = save(tmp_path / 'tiny.pth', tiny()), tmp_path / 'tiny.onnx'
    flags = ['--input-file', weights, '--output-file', target]
    assert_refused(script('RDN_pth2onnx', *flags, '--num-blocks=6'), 'tiny.pth', 'TinyNet has no num_blocks')
    assert_refused(script('RDN_pth2onnx', *flags, '--scale=3'), 'scale_factor is 2 in this file, not 3')
    assert not target.exists()


def test_the_error_for_a_broken_rdn_file_does_not_depend_on_other_networks(tmp_path, registered):
    weights = tiny_rdn().state_dict()
    del weights['sfe1.weight']
    path = str(tmp_path / 'rdn.pth')
    torch.save(weights, path)
    with pytest.raises(ValueError, match='rdn.pth: no key sfe1.weight'):
        checkpoint.load(path)


def test_weights_of_an_unknown_network_name_those_that_are_known(tmp_path):
    path = save(tmp_path / 'tiny.pth', tiny())
    with pytest.raises(ValueError, match='tiny.pth: not weights of RDN: the first key is '):
        checkpoint.load(path)
