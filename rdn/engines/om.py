"""Runs an offline model (.om) on an Ascend device by pyACL, the toolkit's own module, without ais_bench.

The model runs in this process. atc fixed its batch size.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, NamedTuple, Sequence

from rdn import run_record, toolkit
from rdn.engines import base, own_thread, pyacl

import numpy as np

ENDING = '.om'
NAME = 'pyACL'
DTYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float16)}  # pyACL's number of a type -> numpy's
OTHER_TYPES = {2: 'int8', 3: 'int32', 4: 'uint8', 6: 'int16', 9: 'int64', 12: 'bool', 27: 'bfloat16'}
HUGE_PAGES_FIRST = 0
TO_DEVICE, TO_HOST = 1, 2
GEARS_INPUT = 'ascend_mbatch_shape_data'  # the input that selects one of the sizes of a model with several
# Calls that return the number of sizes for which a model was converted; 0 for a single size. Old toolkits lack some.
GEAR_COUNTS = (('mdl.get_dynamic_batch', (), 'batchCount'), ('mdl.get_dynamic_hw', (-1,), 'hwCount'))
PATIENCE_SECONDS = 5  # the longest wait for a run that has not ended when the process ends


class Tensor(NamedTuple):
    """The input or an output of a model.

    Attributes:
        name: its name in the model.
        shape: N, C, H, W.
        dtype: the type of its values.
        size: the bytes that the model requires, which may be more than the values need.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    size: int

    @property
    def bytes(self) -> int:
        """Number of bytes of the values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Buffers(NamedTuple):
    """Memory on the device for all inputs or for all outputs.

    Attributes:
        memory: a pointer for each input or output.
        dataset: a pointer to pyACL's dataset, which passes the memory to a run.
    """

    memory: Sequence[int]
    dataset: int


class Om(base.Engine):
    """An offline model on an Ascend device, in the precision that atc chose.

    The device's memory is freed by `close`, by garbage collection, or at the end of the process.
    """

    def __init__(self, path: str, device_id: int = 0):
        """Load a model onto a device.

        Args:
            path: the .om file.
            device_id: number of the device.

        Raises:
            OSError: there is no such file.
            ValueError: pyACL is missing or a call fails; or the model is unsupported: it has dynamic sizes, types other
                than float32 and float16, or not exactly one picture input.
        """
        with open(path, 'rb'):  # a missing file raises its own error, not pyACL's
            pass
        try:
            module = pyacl.load_module()
        except ValueError as error:
            raise ValueError(f'{path}: an offline model runs on an Ascend device: {error}; or give the .onnx file')
        super().__init__()
        self._session = _Session(pyacl.Calls(module, path), device_id)
        self._session.open()
        self._set_input(path, list(self._session.input.shape), [output.name for output in self._session.outputs])
        self.name, self.kind, self.version = NAME, NAME, toolkit.find_version()
        self.precision = None
        self.streams = 1
        self.chip = self._session.chip

    @property
    def spent(self) -> base.Spent:
        """The total time of all runs, in seconds."""
        return self._session.spent

    def close(self) -> None:
        """Free the model's memory on the device. If a call fails, the others follow before ValueError is raised."""
        self._session.close()

    def __del__(self) -> None:
        """Free the device's memory, which Python cannot free itself."""
        session = self.__dict__.get('_session')
        if session:
            with contextlib.suppress(ValueError):
                session.close()

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._run_parts(batch, 1)[0]

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._run_parts(batch, len(self.outputs))

    def _run_parts(self, batch: np.ndarray, count: int) -> list[np.ndarray]:
        """Return the first `count` outputs for any number of images."""
        size, *shape = self._session.input.shape
        if batch.ndim != 4 or list(batch.shape[1:]) != shape:
            raise ValueError(f'the model accepts only (N, {", ".join(map(str, shape))})')
        if not len(batch):
            return [np.zeros((0, *output.shape[1:]), np.float32) for output in self._session.outputs[:count]]
        parts = [self._run_part(batch[start : start + size], count) for start in range(0, len(batch), size)]
        return parts[0] if len(parts) == 1 else [np.concatenate(output) for output in zip(*parts)]

    def _run_part(self, part: np.ndarray, count: int) -> list[np.ndarray]:
        """Run one batch. An incomplete last batch is padded with black images, whose outputs are discarded."""
        full = np.zeros(self._session.input.shape, self._session.input.dtype)
        full[: len(part)] = part
        return [output[: len(part)] for output in self._session.run(full, count)]


class _Session:
    """A loaded model and its memory on the device. All calls run in its own thread, to which the context belongs."""

    def __init__(self, calls: pyacl.Calls, device_id: int):
        self._calls, self._device_id = calls, device_id
        self._held = pyacl.Held(calls)
        self._process = pyacl.process_of(calls.module)
        self._thread = own_thread.OwnThread(NAME)
        self._is_closed = False
        self.spent = base.Spent(0, 0, 0)

    def open(self) -> None:
        """Load the model. If a call fails or the model is unsupported, free everything and raise ValueError."""
        self._process.add(self.close)
        try:
            self._thread.do(self._open)
        except BaseException:
            with contextlib.suppress(ValueError):  # the first error counts
                self.close()
            raise

    def close(self) -> None:
        """Free everything, once. If a call fails, the others follow before ValueError is raised."""
        if self._is_closed:
            self._thread.wait(PATIENCE_SECONDS)
            return
        self._is_closed = True
        try:
            self._thread.do(self._close)
        finally:  # Ctrl-C may have interrupted the wait
            self._thread.end()

    def _close(self) -> None:
        try:
            self._held.free()
        finally:
            self._process.remove(self.close)

    def run(self, batch: np.ndarray, count: int) -> list[np.ndarray]:
        """Return the model's first `count` outputs, float32, for a full batch in the input's type."""
        if self._is_closed:
            raise ValueError(f'{self._calls.path}: the model is closed')
        return self._thread.do(lambda: self._run(batch, count))

    def _open(self) -> None:
        calls, held = self._calls, self._held
        self._process.take_device(calls, self._device_id)
        held.add_function(self._process.give_device, calls, self._device_id)
        context = calls.call('rt.create_context', self._device_id)
        held.add('rt.destroy_context', context)
        calls.call('rt.set_context', context)
        soc_version = calls.ask('get_soc_name') if calls.has('get_soc_name') else None
        self.chip = toolkit.chip_name(soc_version) if soc_version else run_record.UNKNOWN_CHIP
        self._model = calls.call('mdl.load_from_file', calls.path)
        held.add('mdl.unload', self._model)
        self.input, *self.outputs = self._describe()
        self._in, self._out = self._allocate([self.input]), self._allocate(self.outputs)
        self._host = calls.call('rt.malloc_host', max(output.size for output in self.outputs))
        held.add('rt.free_host', self._host)

    def _describe(self) -> list[Tensor]:
        """Return the model's input and its outputs. Raises ValueError if the model is unsupported."""
        calls, held = self._calls, self._held
        desc = calls.make('mdl.create_desc')
        held.add('mdl.destroy_desc', desc)
        calls.call('mdl.get_desc', desc, self._model)
        inputs, outputs = calls.make('mdl.get_num_inputs', desc), calls.make('mdl.get_num_outputs', desc)
        dims = [calls.call('mdl.get_input_dims', desc, i) for i in range(inputs)]
        dims += [calls.call('mdl.get_output_dims', desc, i) for i in range(outputs)]
        shapes = [_shape_of(each) for each in dims]
        if any(size < 1 for shape in shapes for size in shape) or self._has_gears(desc, dims):
            raise ValueError(
                f'{calls.path}: has dynamic sizes: convert the .onnx for one batch size and one image size'
            )
        if inputs != 1 or any(len(shape) != 4 for shape in shapes):
            raise ValueError(f'{calls.path}: expected one input (N, C, H, W) and outputs of that form')
        found = [self._tensor(desc, 'input', 0, dims[0])]
        found += [self._tensor(desc, 'output', index, each) for index, each in enumerate(dims[1:])]
        for output in found[1:]:
            if output.shape[0] != found[0].shape[0]:
                raise ValueError(f'{calls.path}: its output is {output.shape} for an input {found[0].shape}')
        return found

    def _has_gears(self, desc: int, dims: list[dict[str, Any]]) -> bool:
        """Return whether a model was converted for several sizes, so that each run would have to name one."""
        calls = self._calls
        if any(each.get('name') == GEARS_INPUT for each in dims):
            return True
        counts = [calls.call(name, desc, *rest).get(key) for name, rest, key in GEAR_COUNTS if calls.has(name)]
        return any(counts)

    def _tensor(self, desc: int, side: str, index: int, dims: dict[str, Any]) -> Tensor:
        """Return an input or output of a description. Raises ValueError for types other than float32 and float16."""
        calls = self._calls
        number = calls.ask(f'mdl.get_{side}_data_type', desc, index)
        if number not in DTYPES:
            kind = OTHER_TYPES.get(number, f'of type number {number}')
            raise ValueError(f'{calls.path}: its {side} is {kind}: only float32 and float16 are supported')
        size = calls.make(f'mdl.get_{side}_size_by_index', desc, index)
        found = Tensor(str(dims.get('name') or f'{side} {index}'), _shape_of(dims), DTYPES[number], size)
        if found.bytes > size:
            raise ValueError(
                f'{calls.path}: its {side} {found.shape} needs {found.bytes} bytes, but the model says {size}'
            )
        return found

    def _allocate(self, tensors: Sequence[Tensor]) -> Buffers:
        """Allocate memory on the device for these inputs or outputs, and make a dataset of it."""
        calls, held = self._calls, self._held
        dataset = calls.make('mdl.create_dataset')
        held.add('mdl.destroy_dataset', dataset)
        memories = []
        for tensor in tensors:
            memories.append(calls.call('rt.malloc', tensor.size, HUGE_PAGES_FIRST))
            held.add('rt.free', memories[-1])
            buffer = calls.make('create_data_buffer', memories[-1], tensor.size)
            held.add('destroy_data_buffer', buffer)
            calls.call('mdl.add_dataset_buffer', dataset, buffer)
        return Buffers(memories, dataset)

    def _run(self, batch: np.ndarray, count: int) -> list[np.ndarray]:
        calls = self._calls
        source, address = self._lend(batch)
        start = time.perf_counter()
        calls.call('rt.memcpy', self._in.memory[0], self.input.size, address, self.input.bytes, TO_DEVICE)
        copied = time.perf_counter()
        calls.call('mdl.execute', self._model, self._in.dataset, self._out.dataset)
        computed = time.perf_counter()
        del source  # it had to keep the batch's memory until here
        fetched, to_host = [], 0.0
        for output, memory in zip(self.outputs[:count], self._out.memory):
            before = time.perf_counter()
            calls.call('rt.memcpy', self._host, output.size, memory, output.size, TO_HOST)
            to_host += time.perf_counter() - before
            fetched.append(self._fetch(output).astype(np.float32))
        steps = copied - start, computed - copied, to_host
        self.spent = base.Spent(*(so_far + step for so_far, step in zip(self.spent, steps)))
        return fetched

    def _lend(self, batch: np.ndarray) -> tuple[Any, int]:
        """Return an object with a batch's bytes, and their address, which is valid as long as the object lives."""
        calls = self._calls
        if calls.has('util.bytes_to_ptr'):
            content = batch.tobytes()
            return content, calls.make('util.bytes_to_ptr', content)
        return batch, calls.make('util.numpy_to_ptr', batch)

    def _fetch(self, output: Tensor) -> np.ndarray:
        """Return the output that was copied to the host. It may be a view of memory that the next copy overwrites."""
        calls, shape, dtype = self._calls, output.shape, output.dtype
        if calls.has('util.ptr_to_bytes'):
            content = calls.make('util.ptr_to_bytes', self._host, output.size)
            return np.frombuffer(content, dtype, int(np.prod(shape))).reshape(shape)
        return calls.ask('util.ptr_to_numpy', self._host, shape, dtype.num)


def _shape_of(dims: dict[str, Any]) -> tuple[int, ...]:
    """Return the sizes in pyACL's description of an input or output, whose array may be longer than its dimensions."""
    return tuple(int(size) for size in dims.get('dims', ()))[: dims.get('dimCount')]
