"""The choice of an engine for a model and a precision on this machine.

`auto` takes the fastest installed engine that loses at most 0.05 dB on Set14 and Urban100. The rules come from the
measurements in docs/performance.md. Opening a model measures nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
from typing import Any, Callable, Iterator, NamedTuple

from rdn import cpu, escaping, guides_stack, run_record
from rdn.engines import base, device_files, om, onnx_runtime, openvino, pyacl
from rdn.network import onnx_graph

OPSET = 9  # for weights, which are exported to ONNX for an engine
DENSE = 'split'  # the form of dense blocks that runs fastest on a CPU: docs/performance.md
LOSSY = {'int8': 'an eight-bit model', 'fp16': 'an fp16 model'}  # kinds of models whose own values are not fp32


class Request(NamedTuple):
    """A model to open: the arguments of `open_model`, and in `own` the precision of the file's values."""

    path: str
    engine: str
    precision: str
    place: base.Place
    trace_folder: str | None
    own: str = 'fp32'


def open_model(
    path: str,
    engine: str = base.AUTO,
    precision: str = base.AUTO,
    place: base.Place = base.Place(),  # noqa: B008 - cannot change
    trace_folder: str | None = None,
) -> base.Engine:
    """Open a model.

    Args:
        path: an ONNX file, an offline model (.om) or weights (.pth).
        engine: one of base.ENGINES, or AUTO for the fastest one.
        precision: one of base.PRECISIONS, or AUTO. AUTO is the model's own precision if an engine is named, else the
            fastest that loses little.
        place: the hardware to use.
        trace_folder: the folder for the profile that `end_trace` returns; None for no profile.

    Returns:
        The engine. Its `notes` describe fallbacks.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not such a model; or the named engine, provider, device or precision is not available.
            The message says what to install, or what to name instead.
    """
    if engine not in (base.AUTO, *base.ENGINES) or precision not in (base.AUTO, *base.PRECISIONS):
        raise ValueError(f'{engine}, {precision}: an engine is one of {base.ENGINES}, a precision of {base.PRECISIONS}')
    request = Request(path, engine, precision, place, trace_folder)
    if path.endswith(om.ENDING):
        return _open_offline_model(request)
    if engine == 'om':
        raise ValueError(f'{path}: the engine om runs offline models (.om) only: leave the engine out')
    request = request._replace(own=_own_precision(path))
    if request.own in LOSSY and precision not in (base.AUTO, request.own):
        raise ValueError(f'{path}: is {LOSSY[request.own]}, not {precision}: give the model that it was made from')
    if precision == 'int8' and request.own != 'int8':
        raise ValueError(f'{path}: is not an eight-bit model: make one from it with RDN_quantize.py')
    return OPENERS[engine](request)


def _own_precision(path: str) -> str:
    return 'fp32' if base.is_weights(path) else onnx_graph.precision_of(path)


def _open_offline_model(request: Request) -> base.Engine:
    """Open an offline model. Raises ValueError if the request has options that only other models support."""
    path = request.path
    if request.engine not in (base.AUTO, 'om'):
        raise ValueError(f'{path}: offline models run through pyACL: leave out the engine {request.engine}')
    if request.precision != base.AUTO:
        raise ValueError(
            f'{path}: an offline model has the precision that atc gave it: leave the precision {request.precision} out'
        )
    if request.place.provider:
        raise ValueError(
            f'{path}: offline models run through pyACL, not ONNX Runtime: leave out the provider {request.place.provider}'
        )
    if request.place.device:
        raise ValueError(f'{path}: offline models run through pyACL: leave out the device {request.place.device}')
    if request.trace_folder:
        raise ValueError(f'{path}: msprof makes the profile of an offline model: leave profiling out')
    return om.Om(path, request.place.device_id)


def _open_fastest(request: Request) -> base.Engine:
    """Open a model by the fastest engine, if the user named none."""
    place = request.place
    if place.provider or request.trace_folder:
        if request.precision == 'bf16':
            raise ValueError('bf16 needs OpenVINO or PyTorch: leave the provider and profiling out')
        return _open_onnx_runtime(request)
    if request.own == 'int8':
        found, notes = _try_openvino(request) if cpu.has_int8() and openvino.is_installed() else (None, [])
        found = found or _open_onnx_runtime(request)
        found.notes.extend(notes)
        return found
    if place.device not in (None, base.CPU):
        return _open_pytorch(request)
    found, notes = (_open_lossy if request.precision == base.AUTO else _open_on_accelerator)(request)
    if found is None:
        opener = {'bf16': _open_openvino, 'fp16': _open_half}.get(request.precision, _open_onnx_runtime)
        found = opener(request)
    found.notes.extend(notes)
    return found


def _open_lossy(request: Request) -> tuple[base.Engine | None, list[str]]:
    """Open a model in a faster precision that loses at most 0.05 dB.

    Returns:
        The engine, or None if there is no such precision here; and notes on devices that do not work.
    """
    engine, notes = _open_on_accelerator(request)
    if request.own != 'fp32' or engine:
        return engine, notes
    if request.place.device != base.CPU and onnx_runtime.has_accelerator():
        engine = _open_onnx_runtime(request)
        if engine.chip != run_record.HOST:
            return engine, notes
    if not (cpu.has_bf16() and openvino.is_installed() and _is_ours(request.path)):
        return None, notes
    engine, more = _try_openvino(request._replace(precision='bf16'))
    if engine:
        engine.set_exact(functools.partial(_open_fastest, request._replace(precision='fp32')))
    return engine, [*notes, *more]


def _try_openvino(request: Request) -> tuple[base.Engine | None, list[str]]:
    """Open a model in OpenVINO, which the user did not name.

    Returns:
        The engine and no notes; or None and a note, for example that the installed version is too old.
    """
    try:
        return _open_openvino(request), []
    except ValueError as error:
        if request.place.device not in (None, base.CPU):
            raise
        return None, [f'OpenVINO is not used: {escaping.one_line(error)}']


def _open_on_accelerator(request: Request) -> tuple[base.Engine | None, list[str]]:
    """Open a network in PyTorch on the first accelerator that works.

    Returns:
        The engine, or None if no accelerator works; and notes on those that do not work.
    """
    if request.place.device == base.CPU or request.own != 'fp32' or not device_files.are_present():
        return None, []
    from rdn.engines import torch_device  # imports torch, which takes seconds and is not needed on most machines

    device, notes = torch_device.find_accelerator()
    if device is None:
        return None, notes
    try:
        return _open_pytorch(request, device), notes
    except ValueError as error:  # a network of another project, for example
        return None, [*notes, f'{device.card} is not used: {escaping.one_line(error)}']


def _is_ours(path: str) -> bool:
    """Return whether a file is weights or comes from RDN_pth2onnx.py: only their loss in lower precisions is known."""
    if base.is_weights(path):
        return True
    from rdn.network import onnx_weights  # imports torch

    try:
        onnx_weights.state_dict_of(path)
    except ValueError:
        return False
    return True


def _open_half(request: Request) -> base.Engine:
    """Open a model in fp16 if PyTorch has no accelerator: only a model with fp16 values can run."""
    if request.own == 'fp16':
        return _open_onnx_runtime(request)
    raise ValueError(
        f'{request.path}: fp16 needs a GPU that PyTorch can use, and none works here: take bf16 or fp32, '
        'or name the engine pytorch, which computes fp16 slowly on a CPU'
    )


def _open_onnx_runtime(request: Request) -> base.Engine:
    """Open a model in ONNX Runtime, in the precision of its values."""
    if request.precision not in (base.AUTO, request.own):
        raise ValueError(
            f'{request.path}: ONNX Runtime computes in the precision of the file, {request.own}, not '
            f'{request.precision}: leave the engine and the provider out'
        )
    _check_no_device(request)
    is_named, place = request.precision != base.AUTO, request.place
    if place.device == base.CPU and not place.provider:
        place = place._replace(provider='CPU')
    return _with_onnx(request, lambda path: onnx_runtime.OnnxRuntime(path, place, request.trace_folder, is_named))


def _open_openvino(request: Request) -> base.Engine:
    """Open a model in OpenVINO."""
    if request.place.provider or request.trace_folder:
        raise ValueError(f'{request.path}: OpenVINO has no providers and no profile here: leave them out')
    _check_no_device(request)
    precision = request.own if request.precision == base.AUTO else request.precision
    if precision == 'fp16':
        raise ValueError(
            f'{request.path}: OpenVINO does not compute in fp16 on a CPU: take bf16 or fp32, or PyTorch on a GPU'
        )
    place = request.place
    return _with_onnx(request, lambda path: openvino.OpenVino(path, precision, place.threads, place.streams))


def _open_pytorch(request: Request, device: Any = None) -> base.Engine:
    """Open a model's weights in PyTorch, on the given torch_device.TorchDevice or on the request's device."""
    from rdn.engines import pytorch  # imports torch

    if request.place.provider or request.trace_folder:
        raise ValueError(f'{request.path}: PyTorch has no providers and no profile here: leave them out')
    if request.own != 'fp32':
        raise ValueError(f'{request.path}: is {LOSSY[request.own]}: PyTorch needs the weights that it was made from')
    engine = pytorch.PyTorch(request.path, request.precision, request.place, device)
    if request.precision == base.AUTO and engine.precision != 'fp32':
        engine.set_exact(functools.partial(_open_pytorch, request._replace(precision='fp32'), device))
    return engine


def _check_no_device(request: Request) -> None:
    if request.place.device not in (None, base.CPU):
        raise ValueError(
            f'{request.path}: the device {request.place.device} is only for PyTorch, and another engine computes: '
            'leave it out'
        )


def _with_onnx(request: Request, open_engine: Callable[[str], base.Engine]) -> base.Engine:
    """Open a model by an engine for ONNX files. Weights are first exported to a temporary file.

    Args:
        request: the model to open.
        open_engine: opens the engine from the path of an ONNX file, and reads the whole file.
    """
    if not base.is_weights(request.path):
        return open_engine(request.path)
    from rdn.network import checkpoint, exporter  # these import torch

    network = checkpoint.load(request.path)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'network.onnx')
        shape, variant = exporter.Shape(None, None, None), exporter.Variant('deconv', DENSE)
        exporter.export_onnx(network, shape, OPSET, variant, path)
        engine = open_engine(path)
    engine.path = request.path
    return engine


OPENERS: dict[str, Callable[[Request], base.Engine]] = {
    base.AUTO: _open_fastest,
    'onnxruntime': _open_onnx_runtime,
    'openvino': _open_openvino,
    'pytorch': _open_pytorch,
}


@contextlib.contextmanager
def opened(
    path: str,
    engine: str = base.AUTO,
    precision: str = base.AUTO,
    place: base.Place = base.Place(),  # noqa: B008 - cannot change
    trace_folder: str | None = None,
) -> Iterator[base.Engine]:
    """Open a model for a with block, like `open_model`.

    At the end of the block the model is closed, and devices that no other model uses are released. Scripts use it
    once per process.

    Args:
        path: an ONNX file, an offline model (.om) or weights (.pth).
        engine: one of base.ENGINES, or AUTO.
        precision: one of base.PRECISIONS, or AUTO.
        place: the hardware to use.
        trace_folder: the folder for the profile that `end_trace` returns; None for no profile.

    Yields:
        The engine.

    Raises:
        OSError: there is no such file.
        ValueError: the model cannot be opened or closed.
    """
    try:
        with open_model(path, engine, precision, place, trace_folder) as model:
            yield model
    except BaseException:
        with contextlib.suppress(ValueError):  # the first error counts
            pyacl.finalize()
        raise
    pyacl.finalize()


def guides_engine(path: str, precision: str, place: base.Place) -> str:
    """Return the engine of the guide's steps, for users who name none.

    Usually it is ONNX Runtime, which computes fp32 like PyTorch. It is AUTO for an offline model, an eight-bit model or
    a named precision, which may need another engine; and PyTorch if a device is named.

    Args:
        path: the model.
        precision: one of base.PRECISIONS, or AUTO.
        place: the hardware to use.
    """
    if path.endswith(om.ENDING) or precision != base.AUTO:
        return base.AUTO
    if place.device:
        return 'pytorch'
    return base.AUTO if onnx_graph.precision_of(path) == 'int8' else 'onnxruntime'


def check_model(path: str) -> None:
    """Check that a file is a model that can run on any machine, without running it.

    Args:
        path: an ONNX file or weights.

    Raises:
        OSError: there is no such file.
        ValueError: no engine can run the file; or it is an offline model, which runs only on the chip that it was
            converted for. Names the file.
    """
    if base.is_weights(path):
        from rdn.network import checkpoint  # imports torch

        checkpoint.load(path)
    else:
        onnx_graph.check_whole(path)


def describe(model: base.Engine, flag: str) -> str:
    """Describe the engine and its precision; if `auto` chose a lossy one, add the flag for exact fp32.

    Args:
        model: the opened engine.
        flag: the script's flag for the precision.

    Returns:
        For example 'OpenVINO, bf16 (exact: --precision=fp32)'.
    """
    return f'{model.name} (exact: {flag}=fp32)' if model.is_lossy else model.name


def faster_way(model: base.Engine, flag: str) -> str | None:
    """Suggest a faster engine or precision for a model, if the user asked for no precision.

    The figures are from docs/performance.md.

    Args:
        model: the opened engine.
        flag: the script's flag for the precision.

    Returns:
        One line; None if nothing is faster on this machine.
    """
    if model.kind != onnx_runtime.PROVIDERS['CPU'] or not guides_stack.HAS_OPENVINO:
        return None
    install = '' if openvino.is_installed() else ', after pip install openvino'
    if model.precision == 'int8':
        return f'eight bits are several times as fast in OpenVINO{install}' if install and cpu.has_int8() else None
    if model.precision != 'fp32' or not cpu.has_bf16():
        return None
    times = 'about 4 times' if 'amx_bf16' in cpu.instruction_sets() else 'about twice'
    return f'this processor has bf16: {flag}=bf16 would be {times} as fast, at 0.02 to 0.08 dB less{install}'


def resolve_model(path: str) -> str:
    """Return the model's path; X_bs1.onnx becomes X.onnx if only that file exists.

    The guide's offline models have their batch size in the name. An ONNX file accepts any batch size.
    """
    general = re.sub(r'_bs\d+\.onnx$', '.onnx', path)
    return general if not os.path.exists(path) and os.path.exists(general) else path
