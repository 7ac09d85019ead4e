"""The engine for a model and a precision on this machine."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Iterator

from rdn import cpu, guides_stack
from rdn.engines import base, om, onnx_runtime, openvino, pyacl
from rdn.network import onnx_graph

LOSSY = {'int8': 'of eight bits', 'fp16': 'in fp16'}  # precisions of a model's own, in words


def open_model(
    path: str,
    precision: str | None = None,
    place: base.Place = base.Place(),  # noqa: B008 - cannot change
    trace_folder: str | None = None,
) -> base.Engine:
    """The Engine for a precision; None: the model's own.

    Raises ValueError as the engines do, for bf16 with what it lacks, and for a precision that is not the model's.
    """
    if path.endswith(om.ENDING):
        return _open_offline_model(path, precision, place, trace_folder)
    own = onnx_graph.precision_of(path)
    if own in LOSSY and precision not in (None, own):
        raise ValueError(f'{path}: is {LOSSY[own]}, not {precision}: give the model that it was made from')
    if precision == 'int8' and own != 'int8':
        raise ValueError(f'{path}: is not of eight bits: RDN_quantize.py makes such a model of it')
    on_cpu = place.provider in (None, 'CPU') and not trace_folder
    if precision == 'bf16':
        if not on_cpu:
            raise ValueError('bf16 is for the CPU and without a profile: leave the provider and profiling out')
        return openvino.OpenVino(path, 'bf16', place.threads, place.streams)
    if own == 'int8' and on_cpu and cpu.has_int8() and openvino.is_installed():
        return openvino.OpenVino(path, 'int8', place.threads, place.streams)
    return onnx_runtime.OnnxRuntime(path, place, trace_folder)


def _open_offline_model(path: str, precision: str | None, place: base.Place, trace_folder: str | None) -> base.Engine:
    """The Engine of an offline model. Raises ValueError for what only other models can be asked for."""
    if precision:
        raise ValueError(
            f'{path}: an offline model has the precision that atc gave it: leave the precision {precision} out'
        )
    if place.provider:
        raise ValueError(
            f'{path}: an offline model runs by pyACL, not ONNX Runtime: leave the provider {place.provider} out'
        )
    if trace_folder:
        raise ValueError(f'{path}: msprof makes the profile of an offline model: leave profiling out')
    return om.Om(path, place.device_id)


@contextlib.contextmanager
def opened(
    path: str,
    precision: str | None = None,
    place: base.Place = base.Place(),  # noqa: B008 - cannot change
    trace_folder: str | None = None,
) -> Iterator[base.Engine]:
    """As open_model, for the script of a process: at the end the model is closed, and with it the use of devices.

    Raises ValueError as open_model does, and where closing fails.
    """
    try:
        with open_model(path, precision, place, trace_folder) as model:
            yield model
    except BaseException:
        with contextlib.suppress(ValueError):  # the first error counts
            pyacl.finalize()
        raise
    pyacl.finalize()


def check_model(path: str) -> None:
    """Raises OSError or ValueError, with the file's name, for a file that no engine of any machine runs; loads nothing.

    An offline model is such a file: it needs a device of the chip that it was converted for.
    """
    onnx_graph.check_whole(path)


def faster_way(model: base.Engine, flag: str) -> str | None:
    """A line on what would be faster here for a model that runs with no precision asked for; None where nothing would.

    flag: how the script spells its flag. Where the figures come from: docs/performance.md.
    """
    if model.name != onnx_runtime.PROVIDERS['CPU'] or not guides_stack.HAS_OPENVINO:
        return None
    install = '' if openvino.is_installed() else ', after pip install openvino'
    if model.precision == 'int8':
        return f'eight bits are several times as fast in OpenVINO{install}' if install and cpu.has_int8() else None
    if model.precision != 'fp32' or not cpu.has_bf16():
        return None
    times = 'about 4 times' if 'amx_bf16' in cpu.instruction_sets() else 'about twice'
    return f'this processor has bf16: {flag}=bf16 would be {times} as fast, at 0.02 to 0.08 dB less{install}'


def resolve_model(path: str) -> str:
    """The model's path: X_bs1.onnx stands for X.onnx where only that is there.

    The guide's offline models carry their batch size in the name; an ONNX file takes any.
    """
    general = re.sub(r'_bs\d+\.onnx$', '.onnx', path)
    return general if not os.path.exists(path) and os.path.exists(general) else path
