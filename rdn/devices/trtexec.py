"""The log of trtexec (TensorRT 7 to 11), which measures the GPU that the device is compared with."""

from __future__ import annotations

import re

from rdn.devices import base, speed

# The start of a log's line, which may have a time and a level first.
LINE = r'(?:^|\[I\] )'
# The mean time of a batch on the GPU: one line in TensorRT 8 and later, a block of lines in TensorRT 7.
MEAN = (
    rf'GPU Compute Time: .{{0,200}}?\bmean = {speed.NUMBER} ms\b|'
    rf'GPU Compute[ \t]*\n(?:.*\n){{0,4}}?.*\bmean: {speed.NUMBER} ms\b'
)
QUERIES = rf'[Tt]hroughput: {speed.NUMBER} qps'
# Only trtexec prints these: its first and last line, the headings of its options and of its figures.
SIGNS = re.compile(
    r'TensorRT\.trtexec|=== (?:Build|Inference|Reporting) Options ===|GPU Compute Time|GPU Compute[ \t]*\n.*\bmin: '
)
T4_CAPABILITY = '7.5'  # https://developer.nvidia.com/cuda-gpus
PRECISION_FLAGS = ('fp16', 'bf16', 'int8', 'fp8', 'int4', 'best')


class Trtexec(base.SpeedSource):
    """A GPU with TensorRT. The guide's GPU is a T4."""

    name = 'trtexec'
    assumed_chip = 'T4'
    is_of_card = True
    is_reference = True

    @classmethod
    def is_log(cls, text: str) -> bool:
        """Return whether a text is a log of trtexec, including one of a run that failed or measured nothing."""
        return bool(SIGNS.search(text))

    @classmethod
    def read_speed(cls, text: str) -> speed.Speed:
        """Read the Speed from the mean GPU compute time of a batch, or from the queries per second of several streams.

        With several streams the mean time is that of one stream, so the speed of all is computed from the queries.
        """
        run = _measured_run(text)
        counted = _counted_images(run)
        batch = _batch_of(run, counted)
        if _has_several_streams(run):
            queries = speed.find_number(QUERIES, run, 'Throughput in qps, of several streams,')
            rate = queries * (batch or 1) / (counted or 1)
        else:
            rate = 1000 * (batch or 1) / speed.find_number(MEAN, run, 'the mean of GPU Compute')
        found = speed.Speed('trtexec', batch, rate, device=_device_of(run), precision=_precision_of(run))
        return found if found.device else found._replace(unnamed_device=_describe_unnamed(run))

    @classmethod
    def with_named_batch(cls, found: speed.Speed, named: int | None) -> speed.Speed:
        """Take a missing batch size from the file's name, and multiply the rate, which then counts batches, by it."""
        if named and not found.batch:
            found = found._replace(rate=found.rate * named)
        return super().with_named_batch(found, named)


def _measured_run(text: str) -> str:
    """Return the part of a log with the figures; the runs that built the engine may come first.

    Raises:
        ValueError: no run has figures, or the run with figures failed.
    """
    runs = re.split(r'(?m)^(?=.*&&&& RUNNING )', text)
    measured = [run for run in runs if re.search(MEAN, run) or re.search(QUERIES, run)]
    if not measured:
        raise ValueError(f'a log of trtexec without a summary: {_why_no_summary(text)}')
    if any('&&&& FAILED' in run for run in measured):
        raise ValueError(f'a log of trtexec, but the run failed{_first_error(text)}')
    return ''.join(measured)


def _why_no_summary(text: str) -> str:
    if '&&&& FAILED' in text:
        return f'the run failed{_first_error(text)}'
    command = _command(text)
    if re.search(r'--skipInference\b|--buildOnly\b', command) or 'Skip inference: Enabled' in text:
        return 'the run only built an engine (--skipInference): measure it with trtexec --loadEngine=FILE'
    if re.search(r'--(?:dump|export)Profile\b', command) or 'e2e network timing is not reported' in text:
        return (
            'the run only profiled the layers: leave out --dumpProfile and --exportProfile, or add --separateProfileRun'
        )
    return f'it is truncated, or the run has not ended{_first_error(text)}'


def _command(text: str) -> str:
    """Return the lines of a log that repeat trtexec's command."""
    return '\n'.join(line for line in text.split('\n') if 'trtexec' in line and ' --' in line)


def _first_error(text: str) -> str:
    error = re.search(r'\[E\] (.{1,200})', text)
    return f': {error.group(1).strip()}' if error else ''


def _has_several_streams(run: str) -> bool:
    counts = re.findall(rf'(?m)--(?:inf)?[sS]treams=(\d+)|{LINE}(?:Inference )?Streams: (\d+)', run)
    return 'Multiple inference streams are used' in run or any(int(a or b) > 1 for a, b in counts)


def _counted_images(run: str) -> int | None:
    """Return the implicit batch size (TensorRT up to 8): then trtexec counts a query for each image.

    None if the batch size is explicit or unknown: then it counts a query for each batch.
    """
    said = re.findall(rf'(?m){LINE}Batch: (\d+|Explicit)', run)
    if not said and not re.search(r'--(?:onnx|shapes|optShapes)=|--explicitBatch\b', run):
        said = re.findall(r'--batch=(\d+)', run)
    return max((int(batch) for batch in said if batch.isdigit()), default=None)


def _batch_of(run: str, counted: int | None) -> int | None:
    """Return the batch size: that of the bound inputs, else that of the flags, in trtexec's order of precedence.

    Args:
        run: the log.
        counted: the implicit batch size; if there is one, inputs of three dimensions do not contain the batch size.
    """
    bound = re.findall(r'[Ii]nput binding for .{1,200}? with dimensions (\d+(?:x\d+)*)', run)
    with_batch = [sizes for sizes in bound if not (counted and sizes.count('x') == 2)]
    found = {int(sizes.split('x')[0]) for sizes in with_batch}
    patterns = (
        r'--shapes=\S+?:(\d+)x',
        r'Input inference shapes? ?: \S+?=(\d+)x',
        r'--optShapes=\S+?:(\d+)x',
        r'Automatically overriding shape to: (\d+)x',
        r'--batch=(\d+)',
    )
    for pattern in patterns:
        found = found or {int(batch) for batch in re.findall(pattern, run)}
    if len(found) > 1:
        sizes = ' and '.join(map(str, sorted(found)))
        raise ValueError(f'inputs with batches of {sizes}; the log may contain several runs')
    if not found and counted and (counted > 1 or bound):  # trtexec prints 1 if it does not know the engine's batch size
        return counted
    return found.pop() if found else None


def _device_of(run: str) -> str | None:
    """Return the GPU's name, and the DLA core's number if that core did the work; None if the log names no GPU.

    Raises:
        ValueError: the log names several GPUs.
    """
    names = sorted({name.strip() for name in re.findall(r'Selected Device: (.+)\n', run)} - {''})
    if len(names) > 1:
        raise ValueError(f'measured on {" and ".join(names)}; the log may contain several runs')
    return names[0] + _dla_core_of(run) if names else None


def _describe_unnamed(run: str) -> str | None:
    """Describe a GPU without a name by its compute capability; None if it may be a T4.

    Raises:
        ValueError: the log has several compute capabilities.
    """
    found = sorted(set(re.findall(rf'(?m){LINE}Compute Capability: (\d+\.\d+)[ \t]*\n', run)))
    if len(found) > 1:
        raise ValueError(
            f'measured on GPUs of compute capability {" and ".join(found)}; the log may contain several runs'
        )
    if not found or found[0] == T4_CAPABILITY:
        return None
    return f'GPU of compute capability {found[0]}{_dla_core_of(run)}'


def _dla_core_of(run: str) -> str:
    """Return ', DLA core 0' for example; empty if the GPU did the work."""
    core = re.search(rf'(?m){LINE}DLACore: (\d+)|--useDLACore=(\d+)', run)
    return f', DLA core {core.group(1) or core.group(2)}' if core else ''


def _precision_of(run: str) -> str | None:
    """Return the precision in the log's words; GUIDES_PRECISION if only the command says --fp16; None if unknown.

    trtexec prints the precision in its flags. A loaded engine has its own precision, which trtexec does not print.

    Raises:
        ValueError: the log names several precisions.
    """
    said = sorted({words.strip() for words in re.findall(rf'(?m){LINE}Precision: (.+)', run)} - {''})
    if len(said) > 1:
        raise ValueError(f'measured in {" and ".join(said)}; the log may contain several runs')
    is_loaded = re.search(rf'(?m)--loadEngine=|{LINE}Load engine: *\S', run)
    if said:
        is_default = speed.plain_precision(said[0]) in ('fp32', 'strongly typed')
        return f'{said[0]} (of a loaded engine, which may differ)' if is_loaded and is_default else said[0]
    command = _command(run)
    flags = [flag for flag in PRECISION_FLAGS if re.search(rf'--{flag}\b', command)]
    if flags == ['fp16']:
        return speed.GUIDES_PRECISION
    if flags:
        return '+'.join(['FP32', *(flag.upper() for flag in flags)])
    is_built = re.search(r'--(?:onnx|deploy|uff|model)=', command)
    return _default_precision(command) if is_built and not is_loaded else None


def _default_precision(command: str) -> str:
    """Return the precision of an engine that was built without a flag for it."""
    version = re.search(r'\[TensorRT v(\d+)\]', command)
    is_typed = '--stronglyTyped' in command or (version and int(version.group(1)) >= 110000)
    return 'Strongly Typed' if is_typed else 'FP32'
