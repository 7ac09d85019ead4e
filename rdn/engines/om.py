"""An offline model (.om) on an Ascend device, by pyACL: the toolkit's own way, without ais_bench.

The model runs in this process, in batches of the size that atc fixed.
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
GEARS_INPUT = 'ascend_mbatch_shape_data'  # the input that tells a model of several sizes which one is meant
# Calls that count the sizes that a model was converted for, where it was converted for several; old toolkits lack some.
GEAR_COUNTS = (('mdl.get_dynamic_batch', (), 'batchCount'), ('mdl.get_dynamic_hw', (-1,), 'hwCount'))
PATIENCE_SECONDS = 5  # for a run that goes on when the process ends


class Tensor(NamedTuple):
    """The input or an output of a model.

    Attributes:
        name: the model's own name for it.
        shape: N, C, H, W.
        dtype: of the values.
        size: bytes that the model wants for it, which may be more than the values need.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    size: int

    @property
    def bytes(self) -> int:
        """Bytes of the values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Buffers(NamedTuple):
    """Memory on the device for each input or each output, and the dataset that a run finds it by: pointers."""

    memory: Sequence[int]
    dataset: int


class Om(base.Engine):
    """An offline model on an Ascend device, in the precision that atc converted it to.

    The device's memory is freed by `close`, or where the object is collected as garbage, or at the end of the process.
    """

    def __init__(self, path: str, device_id: int = 0):
        """Load a model onto a device.

        Args:
            path: of the .om file.
            device_id: number of the device.

        Raises:
            OSError: there is no such file.
            ValueError: pyACL is not here or a call fails; or the model is of another kind: with dynamic sizes, of other
                types than float32 and float16, not of one picture input.
        """
        with open(path, 'rb'):  # so a missing file is called that
            pass
        try:
            module = pyacl.load_module()
        except ValueError as error:
            raise ValueError(f'{path}: an offline model, which runs on an Ascend device: {error}; or give the .onnx')
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
        """Seconds of all runs so far."""
        return self._session.spent

    def close(self) -> None:
        """Free what the model has on the device. Raises ValueError where a call fails; the others are made all the same."""
        self._session.close()

    def __del__(self) -> None:
        """Free the device's memory, which nobody else knows of."""
        session = self.__dict__.get('_session')
        if session:
            with contextlib.suppress(ValueError):
                session.close()

    def _run(self, batch: np.ndarray) -> np.ndarray:
        return self._run_parts(batch, 1)[0]

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._run_parts(batch, len(self.outputs))

    def _run_parts(self, batch: np.ndarray, count: int) -> list[np.ndarray]:
        """The first `count` outputs for any number of images."""
        size, *shape = self._session.input.shape
        if batch.ndim != 4 or list(batch.shape[1:]) != shape:
            raise ValueError(f'the model takes (N, {", ".join(map(str, shape))})')
        if not len(batch):
            return [np.zeros((0, *output.shape[1:]), np.float32) for output in self._session.outputs[:count]]
        parts = [self._run_part(batch[start : start + size], count) for start in range(0, len(batch), size)]
        return parts[0] if len(parts) == 1 else [np.concatenate(output) for output in zip(*parts)]

    def _run_part(self, part: np.ndarray, count: int) -> list[np.ndarray]:
        """Run a batch, or the short last one: the model computes the missing images too, on black."""
        full = np.zeros(self._session.input.shape, self._session.input.dtype)
        full[: len(part)] = part
        return [output[: len(part)] for output in self._session.run(full, count)]


class _Session:
    """A loaded model and all that it needs on the device. Its own thread makes the calls, and so has the context."""

    def __init__(self, calls: pyacl.Calls, device_id: int):
        self._calls, self._device_id = calls, device_id
        self._held = pyacl.Held(calls)
        self._process = pyacl.process_of(calls.module)
        self._thread = own_thread.OwnThread(NAME)
        self._is_closed = False
        self.spent = base.Spent(0, 0, 0)

    def open(self) -> None:
        """Load the model. Raises ValueError where a call fails, or for a model of another kind; nothing is held then."""
        self._process.add(self.close)
        try:
            self._thread.do(self._open)
        except BaseException:
            with contextlib.suppress(ValueError):  # the first error counts
                self.close()
            raise

    def close(self) -> None:
        """Free everything, once. Raises ValueError where a call fails, after all were made."""
        if self._is_closed:
            self._thread.wait(PATIENCE_SECONDS)
            return
        self._is_closed = True
        try:
            self._thread.do(self._close)
        finally:  # Ctrl-C may have cut the waiting short
            self._thread.end()

    def _close(self) -> None:
        try:
            self._held.free()
        finally:
            self._process.remove(self.close)

    def run(self, batch: np.ndarray, count: int) -> list[np.ndarray]:
        """Return the model's first `count` outputs, float32, for a full batch of its own type."""
        if self._is_closed:
            raise ValueError(f'{self._calls.path}: is closed')
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
        """The model's input and its outputs. Raises ValueError for a model of another kind."""
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
        """Whether a model was converted for several sizes, of which each run names one."""
        calls = self._calls
        if any(each.get('name') == GEARS_INPUT for each in dims):
            return True
        counts = [calls.call(name, desc, *rest).get(key) for name, rest, key in GEAR_COUNTS if calls.has(name)]
        return any(counts)

    def _tensor(self, desc: int, side: str, index: int, dims: dict[str, Any]) -> Tensor:
        """An input or output of a desc. Raises ValueError for another type than float32 and float16."""
        calls = self._calls
        number = calls.ask(f'mdl.get_{side}_data_type', desc, index)
        if number not in DTYPES:
            kind = OTHER_TYPES.get(number, f'of number {number}')
            raise ValueError(f'{calls.path}: its {side} is {kind}: float32 and float16 are supported')
        size = calls.make(f'mdl.get_{side}_size_by_index', desc, index)
        found = Tensor(str(dims.get('name') or f'{side} {index}'), _shape_of(dims), DTYPES[number], size)
        if found.bytes > size:
            raise ValueError(f'{calls.path}: its {side} {found.shape} needs {found.bytes} bytes, the model says {size}')
        return found

    def _allocate(self, tensors: Sequence[Tensor]) -> Buffers:
        """Memory on the device for these inputs or outputs, in a dataset of their own."""
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
        del source  # which had to live until here
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
        """An object that holds a batch, and the address of its bytes, which is good as long as the object lives."""
        calls = self._calls
        if calls.has('util.bytes_to_ptr'):
            content = batch.tobytes()
            return content, calls.make('util.bytes_to_ptr', content)
        return batch, calls.make('util.numpy_to_ptr', batch)

    def _fetch(self, output: Tensor) -> np.ndarray:
        """The output that was copied to the host; it may be a view of memory that the next copy overwrites."""
        calls, shape, dtype = self._calls, output.shape, output.dtype
        if calls.has('util.ptr_to_bytes'):
            content = calls.make('util.ptr_to_bytes', self._host, output.size)
            return np.frombuffer(content, dtype, int(np.prod(shape))).reshape(shape)
        return calls.ask('util.ptr_to_numpy', self._host, shape, dtype.num)


def _shape_of(dims: dict[str, Any]) -> tuple[int, ...]:
    """The sizes in pyACL's description of an input or output; the array may be longer than what counts."""
    return tuple(int(size) for size in dims.get('dims', ()))[: dims.get('dimCount')]
