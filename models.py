"""RDN, the Residual Dense Network of arXiv 1802.08797, and its checkpoints.

The attribute names are the paper's (SFE, RDB, LFF, GFF) and those of the public RDN-pytorch
checkpoints, so that their state dicts load here as they are.
"""

import collections
import os
import pickle
import re
import warnings
import zipfile

from rdn import files
from rdn.imaging.images import SCALES

import torch
from torch import nn

LARGEST = 1 << 33  # bytes of a checkpoint


class DenseLayer(nn.Module):
    """Conv 3x3 and ReLU, whose output is appended to the input's channels (paper, eq. 3)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)

    def forward(self, x):
        return torch.cat([x, torch.relu(self.conv(x))], 1)  # (N, in + out, H, W)


class RDB(nn.Module):
    """Residual dense block: `num_layers` dense layers, local feature fusion, local residual."""

    def __init__(self, num_features, growth_rate, num_layers):
        super().__init__()
        self.layers = nn.Sequential(
            *[DenseLayer(num_features + growth_rate * i, growth_rate) for i in range(num_layers)]
        )
        self.lff = nn.Conv2d(num_features + growth_rate * num_layers, num_features, kernel_size=1)

    def forward(self, x):
        return x + self.lff(self.layers(x))  # (N, G0, H, W)


class PixelShuffle(nn.Module):
    """(N, C*f*f, H, W) -> (N, C, f*H, f*W), as torch's own does (arXiv 1609.05158).

    Spelled out, with every size but N fixed, since torch's own brings Squeeze and Unsqueeze into the
    exported graph where it stands twice, for x4.
    """

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        f, (c, h, w) = self.factor, [int(size) for size in x.shape[1:]]
        x = x.reshape(-1, c // (f * f), f, f, h, w)
        x = x.permute(0, 1, 4, 2, 5, 3)  # (N, C, H, f, W, f)
        return x.reshape(-1, c // (f * f), h * f, w * f)


class RDN(nn.Module):
    """The network: (N, num_channels, H, W) -> (N, num_channels, scale*H, scale*W), values 0...1.

    Arguments are those of the public class. In the paper's letters: num_features is G0,
    growth_rate G, num_blocks D, num_layers C. The paper's network is (64, 64, 16, 8).
    Raises ValueError for a scale other than 2, 3 or 4.
    """

    def __init__(self, scale_factor, num_channels, num_features, growth_rate, num_blocks, num_layers):
        super().__init__()
        if scale_factor not in SCALES:
            raise ValueError('scale %s: RDN is made for 2, 3 or 4' % scale_factor)
        self.sfe1 = nn.Conv2d(num_channels, num_features, kernel_size=3, padding=1)
        self.sfe2 = nn.Conv2d(num_features, num_features, kernel_size=3, padding=1)
        self.rdbs = nn.ModuleList([RDB(num_features, growth_rate, num_layers) for _ in range(num_blocks)])
        self.gff = nn.Sequential(
            nn.Conv2d(num_features * num_blocks, num_features, kernel_size=1),
            nn.Conv2d(num_features, num_features, kernel_size=3, padding=1),
        )
        steps = []
        for factor in [2, 2] if scale_factor == 4 else [scale_factor]:
            steps.append(nn.Conv2d(num_features, num_features * factor**2, kernel_size=3, padding=1))
            steps.append(PixelShuffle(factor))
        self.upscale = nn.Sequential(*steps)
        self.output = nn.Conv2d(num_features, num_channels, kernel_size=3, padding=1)

    def forward(self, x):
        sfe1 = self.sfe1(x)  # (N, G0, H, W)
        x = self.sfe2(sfe1)
        blocks = []
        for rdb in self.rdbs:
            x = rdb(x)
            blocks.append(x)
        x = self.gff(torch.cat(blocks, 1)) + sfe1  # global feature fusion and residual
        return self.output(self.upscale(x))  # (N, channels, scale*H, scale*W)


def infer_config(state_dict):
    """RDN's keyword arguments, read off the shapes of a state dict.

    Raises ValueError that names the key when one that the configuration hangs on is missing.
    """

    def shape(key):
        if key not in state_dict:
            raise ValueError('no key %s' % key)
        if state_dict[key].dim() != 4:
            raise ValueError('%s has shape %s, not that of a convolution' % (key, list(state_dict[key].shape)))
        return state_dict[key].shape

    def count(pattern):
        matches = [re.match(pattern, key) for key in state_dict]
        last = max([int(match.group(1)) for match in matches if match] or [-1])
        return min(last, len(state_dict)) + 1  # a wild index must not build a wild network

    num_features, num_channels = shape('sfe1.weight')[:2]
    growth_rate = shape('rdbs.0.layers.0.conv.weight')[0]
    factor2 = shape('upscale.0.weight')[0] / num_features
    scale = {4: 4 if 'upscale.2.weight' in state_dict else 2, 9: 3}.get(factor2)
    if scale is None:
        raise ValueError(
            'upscale.0.weight has shape %s: of no scale among 2, 3, 4 for %d features'
            % (list(shape('upscale.0.weight')), num_features)
        )
    return dict(
        scale_factor=scale,
        num_channels=num_channels,
        num_features=num_features,
        growth_rate=growth_rate,
        num_blocks=count(r'rdbs\.(\d+)\.'),
        num_layers=count(r'rdbs\.0\.layers\.(\d+)\.'),
    )


def load_rdn(path, **expected):
    """The RDN of a checkpoint, in evaluation mode, float32, on the CPU.

    expected: any of RDN's arguments; None means whatever the file holds.
    Raises ValueError, with the file's name, for a file that is not a plain state dict, for a missing,
    extra, wrongly shaped or non-finite entry (the key is named), and for a configuration that is not
    the expected one. Never runs code from the file.
    """
    state_dict = _read_state_dict(path)
    try:
        config = infer_config(state_dict)
        for name, value in expected.items():
            if value is not None and value != config[name]:
                raise ValueError('%s is %d in this file, not %d' % (name, config[name], value))
        _check_state_dict(state_dict, parameter_shapes(**config))
    except ValueError as error:
        raise ValueError('%s: %s' % (path, error))
    model = RDN(**config)  # only now: a broken file's may not fit into memory
    model.load_state_dict(state_dict)
    model.config = config
    return model.eval()


def parameter_shapes(scale_factor, num_channels, num_features, growth_rate, num_blocks, num_layers):
    """Key -> shape of each parameter of the RDN with these arguments, in its order, without building it."""
    shapes = collections.OrderedDict()

    def conv(name, in_channels, out_channels, size):
        shapes.update({name + '.weight': (out_channels, in_channels, size, size), name + '.bias': (out_channels,)})

    conv('sfe1', num_channels, num_features, 3)
    conv('sfe2', num_features, num_features, 3)
    for block in range(num_blocks):
        for layer in range(num_layers):
            name = 'rdbs.%d.layers.%d.conv' % (block, layer)
            conv(name, num_features + growth_rate * layer, growth_rate, 3)
        conv('rdbs.%d.lff' % block, num_features + growth_rate * num_layers, num_features, 1)
    conv('gff.0', num_features * num_blocks, num_features, 1)
    conv('gff.1', num_features, num_features, 3)
    for step, factor in enumerate([2, 2] if scale_factor == 4 else [scale_factor]):
        conv('upscale.%d' % (2 * step), num_features, num_features * factor**2, 3)
    conv('output', num_features, num_channels, 3)
    return shapes


def _check_state_dict(state_dict, wanted):
    for key in wanted:
        if key not in state_dict:
            raise ValueError('no key %s' % key)
    for key, tensor in state_dict.items():
        if key not in wanted:
            raise ValueError('unknown key %s' % key)
        if tuple(tensor.shape) != wanted[key]:
            raise ValueError('%s has shape %s, expected %s' % (key, list(tensor.shape), list(wanted[key])))
        if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape)):
            raise ValueError('%s repeats one value without holding it: save the weights as they are' % key)
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            raise ValueError('%s holds values that are not finite numbers' % key)


def _read_state_dict(path):
    state_dict = load_plain(path)
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items())
    ):
        raise ValueError('%s: not a state dict: expected names with a tensor each' % path)
    return state_dict


def load_plain(path):
    """What torch.save wrote of tensors, numbers, strings and containers. Never runs code from the file.

    Raises ValueError, with the file's name, for anything else.
    """
    files.check_size(path, LARGEST)
    if zipfile.is_zipfile(path):
        _check_archive(path)
    safe = {'weights_only': True} if _has_weights_only() else {'pickle_module': _TensorsOnly}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what is about to be refused anyway
            return torch.load(path, map_location='cpu', **safe)
    except Exception as error:  # torch raises about ten kinds for a bad file, most of many lines
        raise ValueError(
            '%s: not a state dict of plain tensors that torch %s can load (%s)'
            % (path, torch.__version__, _first_line(error))
        )


def _check_archive(path):
    """Raises ValueError, with the file's name, for a zip archive that unpacks to more than it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ValueError('%s: not a whole checkpoint (%s)' % (path, error))
    if unpacked > 2 * os.path.getsize(path) + (1 << 20):  # torch.save compresses nothing
        raise ValueError('%s: would unpack to %d bytes: torch.save wrote no such file' % (path, unpacked))


def _has_weights_only():
    return 'weights_only' in torch.load.__code__.co_varnames


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(error).__name__


class _TensorsOnly:
    """A `pickle_module` for torch < 1.13 that builds tensors and containers and calls nothing else."""

    ALLOWED = {
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
        ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
    }
    ALLOWED.update({('torch', name): getattr(torch, name) for name in ('FloatStorage', 'HalfStorage', 'DoubleStorage')})

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            try:
                return _TensorsOnly.ALLOWED[module, name]
            except KeyError:
                raise pickle.UnpicklingError('the file wants %s.%s, which is no tensor' % (module, name))

    @classmethod
    def load(cls, file, **kwargs):
        return cls.Unpickler(file, **kwargs).load()
