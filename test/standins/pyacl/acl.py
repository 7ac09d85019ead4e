"""A stand-in for pyACL, the module `acl` of a CANN toolkit, in the test suite.

It runs the model that test/standins/atc wrote. It refuses calls that the real module refuses or crashes on: with wrong
sizes, freed pointers or unknown devices, in a wrong order, or from a thread without a context. The report contains a
complaint for each refusal, except for failures that STANDIN_ACL_FAIL requests.

STANDIN_ACL_REPORT=FILE: at the end, write a JSON report there: the number of each call, memory not freed, complaints.
STANDIN_ACL_FAIL=rt.malloc:2: the second call with this name fails; without a number, every call.
STANDIN_ACL_INTERRUPT=mdl.execute: Ctrl-C arrives in the middle of the first call with this name.
STANDIN_ACL_SLEEP=rt.memcpy:0.02: each call with this name takes this many seconds longer.
STANDIN_ACL_OLD=1: behave like a toolkit of 2021, without bytes_to_ptr, ptr_to_bytes, get_recent_err_msg, get_soc_name.
STANDIN_ACL_DEVICES: the number of devices (2). STANDIN_ACL_CHIP, else STANDIN_CHIP: their chip (310P3)."""

import atexit
import collections
import ctypes
import functools
import itertools
import json
import os
import re
import signal
import sys
import threading
import time
import types
import weakref

import numpy as np
import onnxruntime

NOT_INITIALISED, REPEATED, INVALID, TOLD = 100001, 100002, 107000, 507899
TYPES = {'tensor(float)': 0, 'tensor(float16)': 1, 'tensor(int8)': 2, 'tensor(int32)': 3, 'tensor(uint8)': 4}
ARRAY_TYPES = {0: np.float32, 1: np.float16, 2: np.int8, 3: np.int32, 4: np.uint8}
FREEING = re.compile(r'.*(free|free_host|destroy_\w+|unload|reset_device|finalize)$')

CHIP = os.environ.get('STANDIN_ACL_CHIP') or os.environ.get('STANDIN_CHIP', '310P3')
DEVICES = int(os.environ.get('STANDIN_ACL_DEVICES', 2))
LOCK, THREAD = threading.RLock(), threading.local()  # THREAD.context: the context of the calling thread
counts, complaints, threads = collections.Counter(), [], set()
live = collections.defaultdict(dict)  # kind -> pointer -> object
lent = {}  # address of the caller's bytes or array -> the bytes, or a weak reference to the array
handles = itertools.count(0x1000, 16)
state = {'initialised': 0, 'finalized': 0, 'message': ''}
functions = {}


class CallError(Exception):
    """A call that the real module refuses."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def setting(name):
    """Return (call's name, text after the colon or None) of a variable."""
    call, _, rest = os.environ.get(f'STANDIN_ACL_{name}', '').partition(':')
    return call, rest or None


def function(name, form='ret', context=True):
    """Make a function of the module that returns `form`: `ret`, `value, ret` or `value`, which is 0 for a failure."""

    def decorate(body):
        @functools.wraps(body)
        def call(*arguments):
            with LOCK:
                counts[name] += 1
                threads.add(threading.get_ident())
                told = setting('FAIL')
                told = told[0] == name and told[1] in (None, str(counts[name]))
                if setting('SLEEP')[0] == name:
                    time.sleep(float(setting('SLEEP')[1]))
                if setting('INTERRUPT')[0] == name and counts[name] == 1:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.3)
                value, code = 0, 0
                try:
                    if told and not FREEING.match(name):
                        raise CallError(TOLD, 'failed on request')
                    check_order(name, context)
                    value = body(*arguments)
                    if told:  # the memory is freed, but the call still fails
                        raise CallError(TOLD, 'failed on request')
                except CallError as error:
                    code = error.code
                    state['message'] = f'EZ9999: Inner Error!\n        TraceBack (most recent call last):\n  {error}\n'
                    if not told:
                        complaints.append(f'{name}: {error}')
                return {'ret': code, 'value, ret': (value, code), 'value': value}[form]

        functions[name] = call
        return call

    return decorate


def check_order(name, context):
    if name != 'init' and (not state['initialised'] or state['finalized']):
        raise CallError(NOT_INITIALISED, 'called before init or after finalize')
    if context and getattr(THREAD, 'context', None) not in live['context']:
        raise CallError(INVALID, 'the thread has no context')


def keep(kind, thing, pointer=None):
    pointer = next(handles) if pointer is None else pointer
    live[kind][pointer] = thing
    return pointer


def at(kind, pointer):
    if pointer not in live[kind]:
        raise CallError(INVALID, f'no {kind} at {pointer!r}: never there, or freed before')
    return live[kind][pointer]


def drop(kind, pointer):
    at(kind, pointer)
    del live[kind][pointer]


def write_report():
    left = {kind: len(things) for kind, things in live.items() if things}
    report = dict(calls=counts, left=left, complaints=complaints, threads=len(threads))
    if os.environ.get('STANDIN_ACL_REPORT'):
        with open(os.environ['STANDIN_ACL_REPORT'], 'w') as file:
            json.dump(report, file)


atexit.register(write_report)


@function('init', context=False)
def init():
    if state['initialised']:
        raise CallError(REPEATED, 'init is for once a process')
    state['initialised'] = 1


@function('finalize', context=False)
def finalize():
    state['finalized'] = 1
    left = [kind for kind, things in live.items() if things]
    if left:
        raise CallError(INVALID, f'not freed: {", ".join(left)}')


@function('get_soc_name', 'value', context=False)
def get_soc_name():
    return f'Ascend{CHIP}'


@function('rt.set_device', context=False)
def set_device(number):
    if not isinstance(number, int) or not 0 <= number < DEVICES:
        raise CallError(107001, f'no device {number}')
    live['device'][number] = live['device'].get(number, 0) + 1


@function('rt.reset_device', context=False)
def reset_device(number):
    at('device', number)
    if number in live['context'].values():
        raise CallError(INVALID, 'the device has contexts')
    live['device'][number] -= 1
    if not live['device'][number]:
        drop('device', number)


@function('rt.create_context', 'value, ret', context=False)
def create_context(number):
    at('device', number)
    THREAD.context = keep('context', number)
    return THREAD.context


@function('rt.destroy_context', context=False)
def destroy_context(context):
    for kind, things in live.items():
        if any(getattr(thing, 'context', None) == context for thing in things.values()):
            raise CallError(INVALID, f'the context has a {kind}')
    drop('context', context)


@function('rt.set_context', context=False)
def set_context(context):
    at('context', context)
    THREAD.context = context


class Memory:
    """Memory of a device or the host: `content` is a view of the bytes of `owner`."""

    def __init__(self, owner):
        self.owner, self.content, self.context = owner, memoryview(owner).cast('B'), THREAD.context


@function('rt.malloc', 'value, ret')
def malloc(size, policy):
    if size < 1 or policy not in (0, 1, 2):
        raise CallError(INVALID, f'{size} bytes by the policy {policy}')
    return keep('device memory', Memory(bytearray(size)))


@function('rt.free')
def free(pointer):
    drop('device memory', pointer)


@function('rt.malloc_host', 'value, ret')
def malloc_host(size):
    if size < 1:
        raise CallError(INVALID, f'{size} bytes')
    buffer = ctypes.create_string_buffer(size)
    return keep('host memory', Memory(buffer), ctypes.addressof(buffer))


@function('rt.free_host')
def free_host(pointer):
    drop('host memory', pointer)


def on_host(pointer):
    """Return the bytes at an address of the host."""
    if pointer in live['host memory']:
        return at('host memory', pointer).content
    thing = lent.get(pointer)
    if isinstance(thing, weakref.ref):
        thing = thing()
    elif sys.getrefcount(thing) < 4:  # only `lent`, `thing` and the argument refer to it, so the caller does not
        thing = None
    if thing is None:
        raise CallError(INVALID, f'{pointer!r} is not an address, or its bytes no longer exist')
    return memoryview(thing).cast('B')


@function('rt.memcpy')
def memcpy(target, room, source, count, kind):
    if kind not in (1, 2):
        raise CallError(INVALID, f'memcpy of the kind {kind}')
    to = at('device memory', target).content if kind == 1 else on_host(target)
    of = on_host(source) if kind == 1 else at('device memory', source).content
    if not 0 < count <= room <= len(to) or count > len(of):
        raise CallError(INVALID, f'memcpy of {count} bytes of {len(of)} into {room} of {len(to)}')
    to[:count] = of[:count]


@function('util.bytes_to_ptr', 'value', context=False)
def bytes_to_ptr(content):
    if type(content) is not bytes:
        raise ValueError('needs an byte as argument')
    address = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value
    lent[address] = content
    return address


@function('util.ptr_to_bytes', 'value', context=False)
def ptr_to_bytes(pointer, size):
    content = at('host memory', pointer).content
    if size > len(content):
        raise CallError(INVALID, f'{size} bytes of {len(content)}')
    return bytes(content[:size])


@function('util.numpy_to_ptr', 'value', context=False)
def numpy_to_ptr(array):
    if not array.flags['C_CONTIGUOUS']:
        raise CallError(INVALID, 'an array that is not contiguous')
    lent[array.ctypes.data] = weakref.ref(array)
    return array.ctypes.data


@function('util.ptr_to_numpy', 'value', context=False)
def ptr_to_numpy(pointer, shape, number):
    kinds = {np.dtype(kind).num: kind for kind in ARRAY_TYPES.values()}
    content = at('host memory', pointer).content
    if np.prod(shape) * np.dtype(kinds[number]).itemsize > len(content):
        raise CallError(INVALID, f'an array {shape} of {len(content)} bytes')
    return np.frombuffer(content, kinds[number], int(np.prod(shape))).reshape(shape)


class Tensor:
    """An input or output of a model."""

    def __init__(self, value):
        self.name, self.type = value.name, TYPES[value.type]
        self.dims = [axis if isinstance(axis, int) else -1 for axis in value.shape]
        count = 0 if min(self.dims) < 0 else int(np.prod(self.dims))
        self.size = count * np.dtype(ARRAY_TYPES[self.type]).itemsize


class Gears(Tensor):
    """The input that selects one of several sizes of a batch."""

    def __init__(self):
        self.name, self.type, self.dims, self.size = 'ascend_mbatch_shape_data', 3, [1], 4


class Model:
    """A model on a device."""

    def __init__(self, session):
        self.session, self.context = session, THREAD.context
        gears = session.get_modelmeta().custom_metadata_map.get('gears', '')
        self.gears = [int(gear) for gear in gears.split(',') if gear]
        self.inputs = [Tensor(value) for value in session.get_inputs()] + [Gears()] * bool(self.gears)
        self.outputs = [Tensor(value) for value in session.get_outputs()]


@function('mdl.load_from_file', 'value, ret')
def load_from_file(path):
    if not isinstance(path, str) or not os.path.isfile(path):
        raise CallError(500002, f'cannot open {path}')
    with open(path, 'rb') as file:
        mark, content = file.read(4), file.read()
    if mark != b'IMOD':
        raise CallError(500002, 'not an offline model')
    made_for = re.search(rb'Ascend(\w+)', content)
    if made_for and made_for.group(1).decode() != CHIP:
        raise CallError(500002, f'the model is for {made_for.group().decode()}')
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    except Exception as error:
        raise CallError(500002, f'parsing fails: {error}')
    return keep('model', Model(session))


@function('mdl.unload')
def unload(model):
    drop('model', model)


@function('mdl.create_desc', 'value')
def create_desc():
    return keep('desc', [])


@function('mdl.get_desc')
def get_desc(desc, model):
    at('desc', desc)[:] = [at('model', model)]


@function('mdl.destroy_desc')
def destroy_desc(desc):
    drop('desc', desc)


def described(desc):
    if not at('desc', desc):
        raise CallError(INVALID, 'a desc without get_desc')
    return at('desc', desc)[0]


def tensors(desc, kind):
    return getattr(described(desc), f'{kind}s')


def tensor(desc, kind, index):
    if not 0 <= index < len(tensors(desc, kind)):
        raise CallError(INVALID, f'no {kind} {index}')
    return tensors(desc, kind)[index]


def dims_of(desc, kind, index):
    found = tensor(desc, kind, index)
    return {'name': found.name, 'dimCount': len(found.dims), 'dims': list(found.dims)}


for side in ('input', 'output'):
    function(f'mdl.get_num_{side}s', 'value')(lambda desc, kind=side: len(tensors(desc, kind)))
    function(f'mdl.get_{side}_size_by_index', 'value')(lambda desc, i, kind=side: tensor(desc, kind, i).size)
    function(f'mdl.get_{side}_data_type', 'value')(lambda desc, i, kind=side: tensor(desc, kind, i).type)
    function(f'mdl.get_{side}_dims', 'value, ret')(lambda desc, i, kind=side: dims_of(desc, kind, i))


@function('mdl.get_dynamic_batch', 'value, ret')
def get_dynamic_batch(desc):
    gears = described(desc).gears
    return {'batchCount': len(gears), 'batch': gears}


@function('create_data_buffer', 'value')
def create_data_buffer(pointer, size):
    if size > len(at('device memory', pointer).content):
        raise CallError(INVALID, f'a buffer of {size} bytes is larger than its memory')
    return keep('data buffer', (pointer, size))


@function('destroy_data_buffer')
def destroy_data_buffer(buffer):
    drop('data buffer', buffer)


@function('mdl.create_dataset', 'value')
def create_dataset():
    return keep('dataset', [])


@function('mdl.add_dataset_buffer', 'value, ret')
def add_dataset_buffer(dataset, buffer):
    at('data buffer', buffer)
    at('dataset', dataset).append(buffer)
    return dataset


@function('mdl.destroy_dataset')
def destroy_dataset(dataset):
    drop('dataset', dataset)


def contents(dataset, wanted):
    """Return the bytes of a dataset's buffers, after checking that they are as large as a model's tensors."""
    buffers = [at('data buffer', buffer) for buffer in at('dataset', dataset)]
    if [size for _, size in buffers] != [found.size for found in wanted]:
        raise CallError(INVALID, f'a dataset of {buffers}, the model has {[found.size for found in wanted]} bytes')
    return [at('device memory', pointer).content for pointer, _ in buffers]


@function('mdl.execute')
def execute(model, inputs, outputs):
    found = at('model', model)
    if found.context != THREAD.context:
        raise CallError(INVALID, 'the model is of another context')
    feeds = {
        wanted.name: np.frombuffer(content, ARRAY_TYPES[wanted.type], int(np.prod(wanted.dims))).reshape(wanted.dims)
        for wanted, content in zip(found.inputs, contents(inputs, found.inputs))
    }
    targets = contents(outputs, found.outputs)
    for target, array in zip(targets, found.session.run(None, feeds)):
        target[: array.nbytes] = array.tobytes()


def get_recent_err_msg():
    message, state['message'] = state['message'], ''
    return message


NEW = {'util.bytes_to_ptr', 'util.ptr_to_bytes', 'get_soc_name'}
OLD_ONLY = {'util.numpy_to_ptr', 'util.ptr_to_numpy'}
if os.environ.get('STANDIN_ACL_OLD'):
    functions = {name: call for name, call in functions.items() if name not in NEW}
    del get_recent_err_msg, get_soc_name
else:
    functions = {name: call for name, call in functions.items() if name not in OLD_ONLY}
parts = {part: {} for part in ('rt', 'mdl', 'util')}
for full_name, made in functions.items():
    part, _, short = full_name.rpartition('.')
    if part:
        parts[part][short] = made
rt, mdl, util = (types.SimpleNamespace(**parts[part]) for part in ('rt', 'mdl', 'util'))
