"""Checkpoints: reads them without running code from the file, checks them, and loads them into their network."""

from __future__ import annotations

import collections
import os
import pickle
import warnings
import zipfile
from typing import Any

from rdn import escaping, files
from rdn.network import architectures, base

import torch
from torch import nn

MAX_CHECKPOINT_BYTES = 1 << 33


def load(path: str, **expected: int | None) -> nn.Module:
    """Load the network of a checkpoint, in evaluation mode, float32, on the CPU. Never run code from the file.

    Args:
        path: the checkpoint, a plain state dict of an architecture that architectures.py lists.
        **expected: values that the network's configuration must have, by name; None accepts any value.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not a plain state dict; a key is unknown, missing, or has a wrong shape or values that
            are not finite; or the configuration is not the expected one. Names the file and the key.
    """
    state_dict, architecture, config = _read(path)
    with files.errors_naming(path):
        for name, value in expected.items():
            if value is not None and name not in config:
                raise ValueError(f'{architecture.title} has no {name}')
            if value is not None and value != config[name]:
                raise ValueError(f'{name} is {config[name]} in this file, not {value}')
        learned = ordered(state_dict)
    return _build(learned, architecture, config)


def build(state_dict: base.StateDict) -> nn.Module:
    """Build the network of a state dict, in evaluation mode, float32, on the CPU.

    Args:
        state_dict: of an architecture that architectures.py lists.

    Raises:
        ValueError: a key is unknown, missing, or has a wrong shape or values that are not finite; names the key.
    """
    learned = ordered(state_dict)
    architecture = architectures.find(learned)
    return _build(learned, architecture, architecture.infer_config(learned))


def _build(learned: base.StateDict, architecture: base.Architecture, config: base.Config) -> nn.Module:
    model = architecture.build(config)  # after the checks: a corrupt file's network may not fit into memory
    computed = {key: tensor for key, tensor in model.state_dict().items() if architecture.is_computed(key)}
    model.load_state_dict({**computed, **learned})
    return model.eval()


def ordered(state_dict: base.StateDict) -> base.StateDict:
    """Check the parameters of a state dict, and return them in the network's order.

    Args:
        state_dict: of an architecture that architectures.py lists.

    Returns:
        All parameters, without the buffers that the network computes itself.

    Raises:
        ValueError: a key is unknown, missing, or has a wrong shape or values that are not finite; names the key.
    """
    architecture = architectures.find(state_dict)
    wanted = architecture.parameter_shapes(architecture.infer_config(state_dict))
    learned = {key: tensor for key, tensor in state_dict.items() if not architecture.is_computed(key)}
    _check_parameters(learned, wanted)
    return {key: learned[key] for key in wanted}


def identify(path: str) -> tuple[int, str]:
    """Read the scale of a checkpoint's network, and its architecture's name.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not a plain state dict of an architecture that architectures.py lists; names the file.
    """
    _, architecture, config = _read(path)
    return config['scale_factor'], architecture.name


def _read(path: str) -> tuple[base.StateDict, base.Architecture, base.Config]:
    """Read a state dict, its architecture and its configuration. Raises ValueError with the file's name."""
    state_dict = load_plain(path)
    with files.errors_naming(path):
        _check_names_and_tensors(state_dict)
        architecture = architectures.find(state_dict)
        return state_dict, architecture, architecture.infer_config(state_dict)


def load_plain(path: str) -> Any:
    """Load a file of torch.save that contains only tensors, numbers, strings and containers. Never run code from it.

    Raises:
        OSError: there is no such file.
        ValueError: the file contains anything else, or is corrupt; names the file.
    """
    files.check_plain(path, MAX_CHECKPOINT_BYTES)
    if zipfile.is_zipfile(path):
        _check_archive(path)
    has_weights_only = 'weights_only' in torch.load.__code__.co_varnames
    safe: dict[str, Any] = {'weights_only': True} if has_weights_only else {'pickle_module': _TensorsOnly}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch warns about files that the next lines refuse anyway
            return torch.load(path, map_location='cpu', **safe)
    except Exception as error:  # for a corrupt file torch raises about ten kinds, mostly with many lines
        reason = escaping.first_line(error, 120)
        raise ValueError(
            f'{path}: not a state dict of plain tensors that torch {torch.__version__} can load ({reason})'
        )


def _check_names_and_tensors(state_dict: Any) -> None:
    if (
        not isinstance(state_dict, dict)
        or not state_dict
        or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items())
    ):
        raise ValueError('not a state dict: expected a tensor for each name')


def _check_parameters(state_dict: base.StateDict, wanted: base.Shapes) -> None:
    for key in wanted:
        if key not in state_dict:
            raise ValueError(f'no key {key}')
    for key, tensor in state_dict.items():
        if key not in wanted:
            raise ValueError(f'unknown key {key}')
        if tuple(tensor.shape) != wanted[key]:
            raise ValueError(f'{key} has shape {list(tensor.shape)}, expected {list(wanted[key])}')
        if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape)):
            raise ValueError(f'{key} is an expanded tensor, which contains only one value: save it as a normal tensor')
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor.float()).all()):
            raise ValueError(f'{key} contains values that are not finite numbers')


def _check_archive(path: str) -> None:
    """Raise ValueError, with the file's name, if a zip archive is corrupt or would unpack to over twice its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ValueError(f'{path}: a truncated or corrupt checkpoint ({escaping.one_line(error)})')
    if unpacked > 2 * os.path.getsize(path) + (1 << 20):  # torch.save compresses nothing
        raise ValueError(f'{path}: would unpack to {unpacked} bytes, so torch.save did not write it')


class _TensorsOnly:
    """A `pickle_module` for torch < 1.13 that builds only tensors and containers, and calls nothing else."""

    ALLOWED = {
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
        ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
    }
    STORAGES = ('FloatStorage', 'HalfStorage', 'DoubleStorage', 'LongStorage')  # LongStorage: buffers with indices
    ALLOWED.update((('torch', name), getattr(torch, name)) for name in STORAGES)

    class Unpickler(pickle.Unpickler):
        """An unpickler that finds only the classes in ALLOWED."""

        def find_class(self, module: str, name: str) -> Any:
            """Return a class of ALLOWED; raise UnpicklingError for any other."""
            try:
                return _TensorsOnly.ALLOWED[module, name]
            except KeyError:
                raise pickle.UnpicklingError(f'the file contains {module}.{name}, which is not a tensor')

    @classmethod
    def load(cls, file: Any, **kwargs: Any) -> Any:
        """Load an object, like `pickle.load`."""
        return cls.Unpickler(file, **kwargs).load()
