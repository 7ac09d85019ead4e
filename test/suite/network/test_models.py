"""models.py: the network of the paper with the checkpoints' names, and the weights that it refuses to load."""

import collections
import os
import pickle
import zipfile

from rdn.network import checkpoint, rdn_architecture

import pytest
import torch
from torch.nn import functional

from helpers import FULL, LITE, tiny_rdn
from models import RDN, PixelShuffle


def paper_rdn(weights, x, blocks, layers, factors):
    """Compute the paper's equations from a state dict alone."""

    def conv(name, x):
        weight = weights[name + '.weight']
        return functional.conv2d(x, weight, weights[name + '.bias'], padding=weight.shape[-1] // 2)

    shallow = conv('sfe1', x)
    feature, local = conv('sfe2', shallow), []
    for d in range(blocks):
        known = [feature]
        for c in range(layers):
            known.append(conv(f'rdbs.{d}.layers.{c}.conv', torch.cat(known, 1)).clamp(min=0))
        feature = feature + conv(f'rdbs.{d}.lff', torch.cat(known, 1))
        local.append(feature)
    feature = shallow + conv('gff.1', conv('gff.0', torch.cat(local, 1)))
    for step, factor in enumerate(factors):
        feature = functional.pixel_shuffle(conv(f'upscale.{2 * step}', feature), factor)
    return conv('output', feature)


@pytest.mark.parametrize('scale, factors', [(2, [2]), (3, [3]), (4, [2, 2])])
def test_network_computes_the_equations_of_the_paper(scale, factors):
    model = tiny_rdn(scale)
    x = torch.rand(2, 3, 9, 11)
    with torch.no_grad():
        y = model(x)
        assert y.shape == (2, 3, 9 * scale, 11 * scale)
        assert torch.allclose(y, paper_rdn(model.state_dict(), x, 3, 2, factors), atol=1e-6)


@pytest.mark.parametrize('factor', [2, 3])
def test_pixel_shuffle_equals_torchs(factor):
    x = torch.rand(2, 5 * factor**2, 4, 6)
    assert torch.equal(PixelShuffle(factor)(x), functional.pixel_shuffle(x, factor))


def test_default_network_has_the_parameters_of_the_public_checkpoint():
    model = RDN(scale_factor=2, num_channels=3, num_features=64, growth_rate=64, num_blocks=16, num_layers=8)
    assert sum(p.numel() for p in model.parameters()) == 22123395
    shipped = checkpoint.load(FULL).state_dict()
    assert {key: x.shape for key, x in model.state_dict().items()} == {key: x.shape for key, x in shipped.items()}
    keys = {key.rsplit('.', 1)[0] for key in model.state_dict()}
    assert keys == {'sfe1', 'sfe2', 'gff.0', 'gff.1', 'upscale.0', 'output'} | {
        f'rdbs.{d}.{part}' for d in range(16) for part in ['lff'] + [f'layers.{c}.conv' for c in range(8)]
    }


@pytest.mark.parametrize(
    'config',
    [
        dict(scale_factor=2, num_channels=3, num_features=16, growth_rate=16, num_blocks=2, num_layers=3),
        dict(scale_factor=3, num_channels=1, num_features=16, growth_rate=8, num_blocks=11, num_layers=1),
        dict(scale_factor=4, num_channels=3, num_features=8, growth_rate=24, num_blocks=1, num_layers=12),
    ],
)
def test_configuration_follows_from_the_shapes(config):
    assert rdn_architecture.Rdn().infer_config(RDN(**config).state_dict()) == config


def test_scale_5_is_refused():
    with pytest.raises(ValueError, match='2, 3 or 4'):
        RDN(5, 3, 16, 16, 1, 1)


def save(tmp_path, state_dict):
    path = str(tmp_path / 'weights.pth')
    torch.save(state_dict, path)
    return path


def test_shipped_weights_load_with_their_configuration():
    model = checkpoint.load(LITE, scale_factor=2, num_blocks=None)
    assert model.config == dict(
        scale_factor=2, num_channels=3, num_features=32, growth_rate=32, num_blocks=6, num_layers=4
    )


def test_half_precision_weights_load_as_float32(tmp_path):
    weights = {key: value.half() for key, value in tiny_rdn().state_dict().items()}
    model = checkpoint.load(save(tmp_path, weights))
    assert all(p.dtype == torch.float32 for p in model.parameters())


def without(key):
    return lambda weights: weights.pop(key)


@pytest.mark.parametrize(
    'change, named',
    [
        (without('rdbs.1.lff.bias'), 'no key rdbs.1.lff.bias'),
        (without('sfe1.weight'), 'no key sfe1.weight'),
        (without('upscale.0.weight'), 'no key upscale.0.weight'),
        (lambda weights: weights.update({'extra.weight': torch.zeros(1)}), 'unknown key extra.weight'),
        (lambda weights: weights.update({'gff.0.weight': torch.zeros(16, 16, 1, 1)}), 'gff.0.weight has shape'),
        (lambda weights: weights.update({'sfe1.weight': torch.zeros(3)}), 'sfe1.weight has shape'),
        (lambda weights: weights.update({'upscale.0.weight': torch.zeros(16 * 25, 16, 3, 3)}), 'upscale.0.weight'),
        (lambda weights: weights['output.bias'].fill_(float('nan')), 'output.bias contains values'),
        (lambda weights: weights.update({'rdbs.999999999.lff.bias': torch.zeros(1)}), 'no key rdbs.'),
    ],
)
def test_wrong_key_is_named_with_its_file(tmp_path, change, named):
    weights = tiny_rdn().state_dict()
    change(weights)
    path = save(tmp_path, weights)
    with pytest.raises(ValueError) as raised:
        checkpoint.load(path)
    assert path in str(raised.value) and named in str(raised.value)


def test_weights_for_another_scale_are_refused(tmp_path):
    path = save(tmp_path, tiny_rdn(3).state_dict())
    with pytest.raises(ValueError, match='scale_factor is 3 in this file, not 2'):
        checkpoint.load(path, scale_factor=2)


class Payload:
    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (self.witness,)


@pytest.mark.parametrize('form', ['pickle', 'torch', 'nested'])
def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, form):
    witness, path = str(tmp_path / 'ran'), str(tmp_path / 'evil.pth')
    if form == 'pickle':
        with open(path, 'wb') as file:
            pickle.dump(Payload(witness), file)
    else:
        torch.save(
            Payload(witness)
            if form == 'torch'
            else collections.OrderedDict(tiny_rdn().state_dict(), evil=Payload(witness)),
            path,
        )
    with pytest.raises(ValueError, match='evil.pth: not a state dict'):
        checkpoint.load(path)
    assert not os.path.exists(witness)


@pytest.mark.parametrize('content', [b'', b'hello', b'PK\x03\x04broken', b'\x80\x02}q\x00.'])
def test_file_without_weights_is_refused(tmp_path, content):
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='weights.pth: not a state dict'):
        checkpoint.load(str(path))


def test_truncated_weights_are_refused(tmp_path):
    path = tmp_path / 'weights.pth'
    with open(LITE, 'rb') as file:
        path.write_bytes(file.read()[:1000000])
    assert not zipfile.is_zipfile(str(path))
    with pytest.raises(ValueError, match='weights.pth: not a state dict'):
        checkpoint.load(str(path))


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_shapes_are_known_without_building_the_network(scale):
    arguments = dict(scale_factor=scale, num_channels=3, num_features=12, growth_rate=5, num_blocks=3, num_layers=2)
    built = {key: tuple(tensor.shape) for key, tensor in RDN(**arguments).state_dict().items()}
    assert list(rdn_architecture.Rdn().parameter_shapes(arguments).items()) == list(built.items())
