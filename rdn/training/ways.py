"""Choose how a run computes its steps on this machine: the fastest way that keeps the accuracy."""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib.util
import os
import shutil
from typing import Iterator, NamedTuple, Sequence

from rdn import cli, cpu, escaping
from rdn.training import graph, patches, steps

import torch

import models


class Way(NamedTuple):
    """A way to compute the steps of a run.

    Attributes:
        device: device that computes.
        precision: 'fp32', 'bf16' (the last part of the run is in fp32) or 'fp16' (with fp32 weights).
        graph: whether GraphSteps computes; else PlainSteps.
        compiled: whether GraphSteps compiles the blocks.
        remark: why it is not the fastest way; '' if it is.
    """

    device: torch.device
    precision: str
    graph: bool = False
    compiled: bool = False
    remark: str = ''


def choose(precision: str | None = None, may_compile: bool = True) -> Way:
    """Choose the fastest way that keeps the accuracy on this machine.

    Args:
        precision: 'fp32', 'bf16' or 'fp16'; None for fp16 on a GPU, bf16 on a processor that has it, else fp32.
        may_compile: whether the blocks may be compiled.

    Raises:
        ValueError: the device does not offer this precision.
    """
    if not torch.cuda.is_available():
        device, offered, remark = torch.device('cpu'), ['fp32'], ''
        if cpu.has_bf16() and hasattr(torch, 'autocast'):
            offered.insert(0, 'bf16')
    else:
        device, remark = torch.device('cuda'), '' if may_compile else 'not compiled: --no-compile'
        if not hasattr(torch, 'compile'):
            offered, remark = (
                ['fp32'],
                f'torch {torch.__version__} cannot record CUDA graphs of training, so the plain loop runs',
            )
        else:
            offered = ['fp16', 'fp32']  # bf16 costs 0.05 dB on a GPU
            missing = _missing_compiler() if may_compile else ''
            if missing:
                may_compile, remark = False, f'not compiled, a third slower: {missing}'
    if precision not in (None, *offered):
        raise ValueError(
            f'--precision={precision}: on this {device}, torch {torch.__version__} trains in '
            f'{" or ".join(offered)} only'
        )
    graphs = 'fp16' in offered
    return Way(device, precision or offered[0], graphs, graphs and may_compile, remark)


def _missing_compiler() -> str:
    """Return which package or program is missing that torch.compile needs on a GPU, in words; '' if none is."""
    if importlib.util.find_spec('triton') is None:
        return 'the package triton is not installed'
    compilers = [os.environ.get('CC', ''), 'cc', 'gcc', 'clang']
    return '' if any(name and shutil.which(name) for name in compilers) else 'no C compiler here (apt install gcc)'


def begin(
    way: Way, model: models.RDN, pairs: Sequence[patches.Pair], patch: int, batch_size: int, seed: int
) -> steps.Steps:
    """Make the Steps of a way. If compiling or recording fails, print the reason and fall back to a slower way.

    Args:
        way: the way that `choose` returned.
        model: the network, on the CPU.
        pairs: the training pictures.
        patch: side of a low-resolution patch, in pixels.
        batch_size: number of patches in a step.
        seed: seed of the patches.

    Raises:
        ValueError: the GPU has too little memory.
    """
    scale = model.config['scale_factor']
    on_gpu = way.device.type == 'cuda'
    advice = (
        f'batches of {batch_size} patches of {patch} x {patch}: '
        'choose a smaller --batch-size or --patch, or fewer pictures'
    )
    with memory_errors(advice):
        if on_gpu:
            torch.backends.cudnn.allow_tf32 = False  # fp32 must be exact, also for measurements
        if way.graph:
            source = patches.DevicePatches(pairs, scale, patch, way.device)
            for compiled in [True, False] if way.compiled else [False]:
                try:
                    return graph.GraphSteps(copy.deepcopy(model), source, batch_size, way.precision == 'fp16', compiled)
                except Exception as error:  # compilers and drivers raise many kinds
                    if is_out_of_memory(error):
                        raise
                    what = 'compiling the blocks' if compiled else 'recording a CUDA graph'
                    reason = escaping.one_line(error)[:200] or type(error).__name__
                    cli.say(f'{what} failed, so training runs in a slower way: {reason}')
                free_memory()  # that the failed attempt used
        host = patches.HostPatches(pairs, scale, patch)
        return steps.PlainSteps(model, host, batch_size, seed, way.device, way.precision == 'bf16')


def free_memory() -> None:
    """Release GPU memory that is no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or an error that caused it, means that the GPU has too little memory."""
    while error is not None:
        if isinstance(error, RuntimeError) and 'out of memory' in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Raise a ValueError instead of a GPU's out-of-memory error.

    Args:
        advice: what needs the memory, and the remedy.

    Raises:
        ValueError: the GPU has too little memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ValueError(f'the GPU has too little memory for {advice}')
