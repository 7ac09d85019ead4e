"""PyTorch's devices. A device counts as available only after it has run a convolution."""

from __future__ import annotations

import importlib.util
import shutil
import warnings
from typing import Any, NamedTuple

from rdn import escaping
from rdn.engines import base

import torch
from torch import nn

CPU = base.CPU
# Kinds of accelerators in order of preference, and how to make each of them available.
INSTALL = {
    'cuda': "install the card's driver and a PyTorch built for it (pytorch.org/get-started/locally)",
    'npu': "pip install the torch-npu version that matches PyTorch's, and source the toolkit's set_env.sh",
    'xpu': "install the card's driver and a PyTorch built for XPU (pytorch.org/get-started/locally)",
    'mps': 'it needs an Apple processor, macOS 12.3 or later, and PyTorch 1.12 or later',
}
DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
# Parts of the errors if a run is too large. The last one appears if a kernel cannot count the values.
MEMORY_SIGNS = (
    'out of memory',
    'not enough memory',
    "can't allocate memory",
    'ALLOC_FAILED',
    'OUT_OF_DEVICE_MEMORY',
    '32-bit index math',
)
TRIAL_SIDE = 16  # pixels; the input's size for the convolution that tests a device


class TorchDevice(NamedTuple):
    """A device that works.

    Attributes:
        name: PyTorch's name: 'cuda:1', 'mps', 'cpu'.
        card: the hardware's name, for users: 'NVIDIA H200', 'CPU'.
    """

    name: str
    card: str

    @property
    def kind(self) -> str:
        """The name without the number, for example 'cuda'."""
        return self.name.split(':')[0]


def find(name: str) -> TorchDevice:
    """Return the device of this name after testing it.

    Args:
        name: PyTorch's name, for example 'cuda:1'.

    Raises:
        ValueError: the device does not work on this machine; says which card or driver failed, and what to install.
    """
    kind = name.split(':')[0]
    if kind != CPU and kind not in INSTALL:
        raise ValueError(f'{name}: not a device: give {", ".join(INSTALL)} or {CPU}, with a number as in cuda:1')
    reason = _load(kind) or _absence(kind) or failure(name, 'fp32')
    if reason:
        raise ValueError(f'{_describe(name)} does not work here ({reason}): {INSTALL.get(kind, "take cpu")}')
    return TorchDevice(name, _card(name))


def find_accelerator() -> tuple[TorchDevice | None, list[str]]:
    """Find the first accelerator that works.

    Returns:
        The accelerator, or None; and a note on each accelerator that is present but does not work.
    """
    notes = []
    for kind in INSTALL:
        reason = _load(kind) or (failure(kind, 'fp32') if _is_present(kind) else None)
        if reason is None and _is_present(kind):
            return TorchDevice(kind, _card(kind)), notes
        if reason:
            notes.append(f'{_describe(kind)} is not used, because it does not work here ({reason}): {INSTALL[kind]}')
    missed = _why_not_cuda()
    return None, notes + ([missed] if missed else [])


def failure(name: str, precision: str) -> str | None:
    """Test a device with a convolution and a ReLU.

    Args:
        name: PyTorch's name, for example 'cuda:1'.
        precision: a key of DTYPES.

    Returns:
        Why the device fails, in one line; None if it works.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            layer = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).to(name, DTYPES[precision])
            output = layer(torch.ones(1, 3, TRIAL_SIDE, TRIAL_SIDE).to(name, DTYPES[precision])).float().cpu()
    except Exception as error:  # drivers raise exceptions of any kind
        return escaping.first_line(error)
    return None if bool(torch.isfinite(output).all()) else 'a convolution returns values that are not finite'


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device's memory is too small for a run."""
    return (
        isinstance(error, MemoryError) or isinstance(error, RuntimeError) and any(s in str(error) for s in MEMORY_SIGNS)
    )


def free_memory(kind: str) -> None:
    """Return unused memory of an accelerator to the system.

    Args:
        kind: PyTorch's name without a number, for example 'cuda'.
    """
    empty_cache = getattr(getattr(torch, kind, None), 'empty_cache', None)
    if empty_cache:
        empty_cache()


def compute_exactly(kind: str) -> None:
    """Turn off the less exact formats that replace fp32: NVIDIA's TF32, Ascend's HF32.

    Args:
        kind: PyTorch's name without a number, for example 'cuda'.
    """
    if kind == 'cuda':
        torch.backends.cudnn.allow_tf32 = False
        if hasattr(torch.backends.cuda, 'matmul'):
            torch.backends.cuda.matmul.allow_tf32 = False
    if kind == 'npu':
        npu: Any = getattr(torch, 'npu')  # noqa: B009 - torch_npu adds it
        npu.conv.allow_hf32 = npu.matmul.allow_hf32 = False


def _load(kind: str) -> str | None:
    """Import the package that a kind of device needs, if any; return why that fails, or None if it succeeds."""
    if kind != 'npu' or importlib.util.find_spec('torch_npu') is None:
        return None
    try:
        importlib.import_module('torch_npu')
    except Exception as error:  # it loads the toolkit's libraries
        return escaping.first_line(error)
    return None


def _absence(kind: str) -> str | None:
    """Say that PyTorch does not support a kind of device; return None if a test of the device will say more."""
    if kind == 'npu' and not hasattr(torch, kind):
        return 'torch_npu is not installed'
    if kind in ('xpu', 'mps') and not _is_present(kind):
        return f'PyTorch {torch.__version__} finds none'
    return None


def _is_present(kind: str) -> bool:
    """Return whether PyTorch finds such a device."""
    module = getattr(torch.backends if kind == 'mps' else torch, kind, None)
    if module is None:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # a driver that is too old
        return bool(module.is_available())


def _why_not_cuda() -> str | None:
    """Say why PyTorch cannot use an NVIDIA card although its driver is installed; return None in all other cases."""
    if _is_present('cuda') or not shutil.which('nvidia-smi'):
        return None
    if torch.version.cuda is None:
        return f'an NVIDIA driver is installed, but PyTorch {torch.__version__} is built for the CPU: {INSTALL["cuda"]}'
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        torch.cuda.is_available()
    reason = said[0].message if said else failure('cuda', 'fp32')
    return (
        f'an NVIDIA driver is installed, but PyTorch finds no card ({str(reason).splitlines()[0]}): {INSTALL["cuda"]}'
    )


def _card(name: str) -> str:
    kind, _, number = name.partition(':')
    if kind == CPU:
        return 'CPU'
    if kind == 'mps':
        return 'Apple GPU'
    return str(getattr(torch, kind).get_device_name(int(number or 0)))


def _describe(name: str) -> str:
    """Return a device's name with its card's name, if the driver says it: 'cuda:1 (GeForce GTX 780)'."""
    try:
        return f'{name} ({_card(name)})'
    except Exception:  # drivers raise exceptions of any kind
        return name
