"""The ONNX model at work: in onnxruntime on the best device that the installed build has, or in bf16 in OpenVINO."""

import json
import os
import re
import threading

from rdn import files
from rdn.ascend.msprof import Task
from rdn.hardware import has_bf16

import onnxruntime

# Execution providers in the order of preference; those that take the number of a device.
PROVIDERS = {
    'CANN': 'CANNExecutionProvider',
    'TensorRT': 'TensorrtExecutionProvider',
    'CUDA': 'CUDAExecutionProvider',
    'CPU': 'CPUExecutionProvider',
}
LARGEST = 1 << 31  # bytes of a model file, protobuf's own limit
PRECISIONS = ('fp32', 'bf16')
NOT_OF_PICTURES = '%s: expected one float32 input (N, C, H, W) and one output'
ON_DEVICE = {name for key, name in PROVIDERS.items() if key != 'CPU'}


class Model:
    """An ONNX model of one picture input and one output, in an onnxruntime session.

    shape: the input's (C, H, W); an axis that the model leaves free is None.
    batch: the number of images in a run, None where the model leaves it free.
    streams: how many runs at a time, from threads of the caller's, use the device best.
    """

    def __init__(self, path, provider=None, device_id=0, threads=0, streams=1, trace=None):
        """Raises ValueError for what onnxruntime cannot load, or another kind of model.

        provider: a key of PROVIDERS; None takes the first that the installed onnxruntime has.
        threads: of a CPU; 0 leaves it to onnxruntime (one a core). Several streams share them.
        trace: a folder for what `tasks` reads; None measures nothing.
        """
        _check_file(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised, too
        options.intra_op_num_threads = max(1, threads // streams) if streams > 1 else threads
        if trace:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(trace, 'onnxruntime')
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=choose_providers(provider, device_id))
        except Exception as error:  # onnxruntime's own kinds have no common base
            raise ValueError('%s: onnxruntime cannot load it: %s' % (path, error))
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != 'tensor(float)':
            raise ValueError(NOT_OF_PICTURES % path)
        self.name = inputs[0].name
        self.batch, *self.shape = [axis if isinstance(axis, int) else None for axis in inputs[0].shape]
        self.provider = self.session.get_providers()[0]
        self.streams = streams if self.provider not in ON_DEVICE else 1

    def __call__(self, batch):
        """float32 (N, C, H, W) -> (N, C, scale*H, scale*W)."""
        try:
            return self.session.run(None, {self.name: batch})[0]
        except Exception as error:
            raise ValueError('the model failed on an input %s: %s' % (batch.shape, error))

    def tasks(self, name):
        """The operators that ran since a session with a trace began, under a model's name: msprof Tasks and the
        times at which they started, in microseconds. Ends the trace.
        """
        with open(self.session.end_profiling(), encoding='utf-8', errors='replace') as file:
            events = json.load(file)
        ending = '_kernel_time'
        nodes = [event for event in events if event.get('cat') == 'Node' and event['name'].endswith(ending)]
        nodes.sort(key=lambda event: event['ts'])
        tasks = [
            Task(
                name,
                node['name'][: -len(ending)],
                node['args']['op_name'],
                node['args']['provider'].replace('ExecutionProvider', ''),
                node['dur'],
                [shape for each in node['args'].get('input_type_shape', []) for shape in each.values()] or None,
            )
            for node in nodes
        ]
        return tasks, [node['ts'] for node in nodes]


class Bf16Model:
    """The same in bfloat16, on a CPU that has it: in OpenVINO, the fastest there (README, "Your own pictures")."""

    def __init__(self, path, threads=0, streams=1):
        """Raises ValueError where the processor or OpenVINO is missing, or for what OpenVINO cannot load."""
        _check_file(path)
        if not has_bf16():
            raise ValueError('this processor does not compute in bf16 (no avx512_bf16, amx_bf16 or bf16): take fp32')
        try:
            from openvino import Core
        except ImportError:
            raise ValueError('bf16 runs in OpenVINO 2023.1 or later, which is not here: pip install openvino')
        core = Core()
        try:
            self.model = core.read_model(path)
        except Exception as error:
            raise ValueError('%s: OpenVINO cannot load it: %s' % (path, error))
        inputs, outputs = self.model.inputs, self.model.outputs
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].partial_shape.rank != 4:
            raise ValueError(NOT_OF_PICTURES % path)
        axes = [axis.get_length() if axis.is_static else None for axis in inputs[0].partial_shape]
        self.batch, *self.shape = axes
        self.provider, self.streams = 'OpenVINO in bf16', streams
        hints = {'INFERENCE_PRECISION_HINT': 'bf16', 'NUM_STREAMS': streams}
        if threads:
            hints['INFERENCE_NUM_THREADS'] = threads
        self._compile = lambda: core.compile_model(self.model, 'CPU', hints)
        self._compiled, self._lock, self._local = {}, threading.Lock(), threading.local()

    def __call__(self, batch):
        """float32 (N, C, H, W) -> (N, C, scale*H, scale*W)."""
        try:
            with self._lock:  # compiled for each size once: OpenVINO is slower on free axes
                if batch.shape not in self._compiled:
                    self.model.reshape(list(batch.shape))
                    self._compiled[batch.shape] = self._compile()
            requests = self._local.__dict__.setdefault('requests', {})
            if batch.shape not in requests:
                requests[batch.shape] = self._compiled[batch.shape].create_infer_request()
            return requests[batch.shape].infer([batch])[0].copy()
        except Exception as error:
            raise ValueError('the model failed on an input %s: %s' % (batch.shape, error))


def open_model(path, precision='fp32', provider=None, device_id=0, threads=0, streams=1, trace=None):
    """A Model, or with precision 'bf16' a Bf16Model. Raises ValueError as they do, and for bf16 with what it lacks."""
    if precision == 'fp32':
        return Model(path, provider, device_id, threads, streams, trace)
    if trace or provider not in (None, 'CPU'):
        raise ValueError('bf16 is for the CPU and without a profile: leave the provider and profiling out')
    return Bf16Model(path, threads, streams)


def _check_file(path):
    """Raises OSError or ValueError, with the file's name, for what must not come to the engine."""
    if not os.path.exists(path):
        raise FileNotFoundError(2, 'no such model: RDN_pth2onnx.py writes it', path)
    files.check_size(path, LARGEST)
    with open(path, 'rb') as file:
        if b'location' not in file.read():
            return
    import onnx  # half a second that only such a file costs

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise ValueError('%s: not an ONNX model: %s' % (path, error))
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model.graph)):
        # Older onnxruntimes follow it anywhere, ../../etc/passwd say.
        raise ValueError('%s: keeps weights in other files, which are not read: save it as one file' % path)


def _tensors(graph):
    """All tensors of an ONNX graph and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        for sparse in [attribute.sparse_tensor] + list(attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for inner in [attribute.g] + list(attribute.graphs):
            if inner.node or inner.initializer:
                yield from _tensors(inner)


def choose_providers(name, device_id):
    """onnxruntime's provider list for a key of PROVIDERS, or for the best that is installed if None.

    Raises ValueError for one that the installed onnxruntime does not have.
    """
    available = onnxruntime.get_available_providers()
    if name and PROVIDERS[name] not in available:
        raise ValueError('this onnxruntime has no %s: it has %s' % (name, ', '.join(available)))
    wanted = [PROVIDERS[name]] if name else [p for p in PROVIDERS.values() if p in available]
    return [(p, {'device_id': str(device_id)}) if p in ON_DEVICE else p for p in wanted]


def resolve_model(path):
    """The model's path: X_bs1.onnx stands for X.onnx where only that is there.

    The guide's offline models carry their batch size in the name; an ONNX file takes any.
    """
    general = re.sub(r'_bs\d+\.onnx$', '.onnx', path)
    return general if not os.path.exists(path) and os.path.exists(general) else path
