"""The ONNX model in onnxruntime, on the best device that the installed build has."""

import json
import os
import re

import onnxruntime

from msprof import Task

# Execution providers in the order of preference; those that take the number of a device.
PROVIDERS = {
    'CANN': 'CANNExecutionProvider',
    'TensorRT': 'TensorrtExecutionProvider',
    'CUDA': 'CUDAExecutionProvider',
    'CPU': 'CPUExecutionProvider',
}
ON_DEVICE = {name for key, name in PROVIDERS.items() if key != 'CPU'}


class Model:
    """An ONNX model of one picture input and one output, in an onnxruntime session.

    shape: the input's (C, H, W); an axis that the model leaves free is None.
    batch: the number of images in a run, None where the model leaves it free.
    """

    def __init__(self, path, provider=None, device_id=0, threads=0, trace=None):
        """Raises ValueError for what onnxruntime cannot load, or another kind of model.

        provider: a key of PROVIDERS; None takes the first that the installed onnxruntime has.
        threads: of a CPU run; 0 leaves it to onnxruntime (one a core).
        trace: a folder for what `tasks` reads; None measures nothing.
        """
        if not os.path.exists(path):
            raise FileNotFoundError(2, 'no such model: RDN_pth2onnx.py writes it', path)
        with open(path, 'rb'):  # its own message for an unreadable file
            pass
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        if trace:
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(trace, 'onnxruntime')
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=choose_providers(provider, device_id))
        except Exception as error:  # onnxruntime's own kinds have no common base
            raise ValueError('%s: onnxruntime cannot load it: %s' % (path, error))
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != 'tensor(float)':
            raise ValueError('%s: expected one float32 input (N, C, H, W) and one output' % path)
        self.name = inputs[0].name
        self.batch, *self.shape = [axis if isinstance(axis, int) else None for axis in inputs[0].shape]
        self.provider = self.session.get_providers()[0]

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
