"""Checkpoints of RDN: read without running code from them, checked, their configuration read off the shapes."""

from __future__ import annotations

import collections
import os
import pickle
import re
import warnings
import zipfile
from typing import Any, Dict

from rdn import files

import torch

import models

StateDict = Dict[str, torch.Tensor]

MAX_CHECKPOINT_BYTES = 1 << 33


def load_rdn(path: str, **expected: int | None) -> models.RDN:
    """The RDN of a checkpoint, in evaluation mode, float32, on the CPU.

    expected: any of RDN's arguments; None means whatever the file holds.
    Raises ValueError, with the file's name, for a file that is not a plain state dict, for a missing,
    extra, wrongly shaped or non-finite entry (the key is named), and for a configuration that is not
    the expected one. Never runs code from the file.
    """
    state_dict = load_plain(path)
    with files.errors_naming(path):
        _check_names_and_tensors(state_dict)
        config = infer_config(state_dict)
        for name, value in expected.items():
            if value is not None and value != config[name]:
                raise ValueError(f'{name} is {config[name]} in this file, not {value}')
        _check_parameters(state_dict, parameter_shapes(**config))
    model = models.RDN(**config)  # only now: a broken file's may not fit into memory
    model.load_state_dict(state_dict)
    return model.eval()


def read_scale(path: str) -> int:
    """Read the scale of a checkpoint's network: 2, 3 or 4. Raises ValueError as `load_rdn` does."""
    state_dict = load_plain(path)
    with files.errors_naming(path):
        _check_names_and_tensors(state_dict)
        return infer_config(state_dict)['scale_factor']


def infer_config(state_dict: StateDict) -> dict[str, int]:
    """RDN's keyword arguments, read off the shapes of a state dict.

    Raises ValueError that names the key when one that the configuration hangs on is missing.
    """

    def shape(key: str) -> torch.Size:
        if key not in state_dict:
            raise ValueError(f'no key {key}')
        if state_dict[key].dim() != 4:
            raise ValueError(f'{key} has shape {list(state_dict[key].shape)}, not that of a convolution')
        return state_dict[key].shape

    def count(pattern: str) -> int:
        matches = [re.match(pattern, key) for key in state_dict]
        last = max([int(match.group(1)) for match in matches if match] or [-1])
        return min(last, len(state_dict)) + 1  # a wild index must not build a wild network

    num_features, num_channels = shape('sfe1.weight')[:2]
    growth_rate = shape('rdbs.0.layers.0.conv.weight')[0]
    factor2 = shape('upscale.0.weight')[0] / num_features
    scale = {4: 4 if 'upscale.2.weight' in state_dict else 2, 9: 3}.get(factor2)
    if scale is None:
        raise ValueError(
            f'upscale.0.weight has shape {list(shape("upscale.0.weight"))}: '
            f'of no scale among 2, 3, 4 for {num_features} features'
        )
    return dict(
        scale_factor=scale,
        num_channels=num_channels,
        num_features=num_features,
        growth_rate=growth_rate,
        num_blocks=count(r'rdbs\.(\d+)\.'),
        num_layers=count(r'rdbs\.0\.layers\.(\d+)\.'),
    )


def parameter_shapes(
    scale_factor: int, num_channels: int, num_features: int, growth_rate: int, num_blocks: int, num_layers: int
) -> dict[str, tuple[int, ...]]:
    """Key -> shape of each parameter of the RDN with these arguments, in its order, without building it."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, in_channels: int, out_channels: int, size: int) -> None:
        shapes[f'{name}.weight'] = out_channels, in_channels, size, size
        shapes[f'{name}.bias'] = (out_channels,)

    conv('sfe1', num_channels, num_features, 3)
    conv('sfe2', num_features, num_features, 3)
    for block in range(num_blocks):
        for layer in range(num_layers):
            conv(f'rdbs.{block}.layers.{layer}.conv', num_features + growth_rate * layer, growth_rate, 3)
        conv(f'rdbs.{block}.lff', num_features + growth_rate * num_layers, num_features, 1)
    conv('gff.0', num_features * num_blocks, num_features, 1)
    conv('gff.1', num_features, num_features, 3)
    for step, factor in enumerate([2, 2] if scale_factor == 4 else [scale_factor]):
        conv(f'upscale.{2 * step}', num_features, num_features * factor**2, 3)
    conv('output', num_features, num_channels, 3)
    return shapes


def load_plain(path: str) -> Any:
    """What torch.save wrote of tensors, numbers, strings and containers. Never runs code from the file.

    Raises ValueError, with the file's name, for anything else.
    """
    files.check_plain(path, MAX_CHECKPOINT_BYTES)
    if zipfile.is_zipfile(path):
        _check_archive(path)
    has_weights_only = 'weights_only' in torch.load.__code__.co_varnames
    safe: dict[str, Any] = {'weights_only': True} if has_weights_only else {'pickle_module': _TensorsOnly}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what is about to be refused anyway
            return torch.load(path, map_location='cpu', **safe)
    except Exception as error:  # torch raises about ten kinds for a bad file, most of many lines
        raise ValueError(
            f'{path}: not a state dict of plain tensors that torch {torch.__version__} can load ({_first_line(error)})'
        )


def _check_names_and_tensors(state_dict: Any) -> None:
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items())
    ):
        raise ValueError('not a state dict: expected names with a tensor each')


def _check_parameters(state_dict: StateDict, wanted: dict[str, tuple[int, ...]]) -> None:
    for key in wanted:
        if key not in state_dict:
            raise ValueError(f'no key {key}')
    for key, tensor in state_dict.items():
        if key not in wanted:
            raise ValueError(f'unknown key {key}')
        if tuple(tensor.shape) != wanted[key]:
            raise ValueError(f'{key} has shape {list(tensor.shape)}, expected {list(wanted[key])}')
        if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape)):
            raise ValueError(f'{key} repeats one value without holding it: save the weights as they are')
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            raise ValueError(f'{key} holds values that are not finite numbers')


def _check_archive(path: str) -> None:
    """Raises ValueError, with the file's name, for a zip archive that unpacks to more than it holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ValueError(f'{path}: not a whole checkpoint ({error})')
    if unpacked > 2 * os.path.getsize(path) + (1 << 20):  # torch.save compresses nothing
        raise ValueError(f'{path}: would unpack to {unpacked} bytes: torch.save wrote no such file')


def _first_line(error: Exception) -> str:
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
        def find_class(self, module: str, name: str) -> Any:
            try:
                return _TensorsOnly.ALLOWED[module, name]
            except KeyError:
                raise pickle.UnpicklingError(f'the file wants {module}.{name}, which is not a tensor')

    @classmethod
    def load(cls, file: Any, **kwargs: Any) -> Any:
        return cls.Unpickler(file, **kwargs).load()
