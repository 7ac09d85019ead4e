"""The ONNX model in onnxruntime, on the best device that the installed build has."""

import os
import re

import onnxruntime

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

    def __init__(self, path, provider=None, device_id=0, threads=0):
        """Raises ValueError for what onnxruntime cannot load, or another kind of model.

        provider: a key of PROVIDERS; None takes the first that the installed onnxruntime has.
        threads: of a CPU run; 0 leaves it to onnxruntime (one a core).
        """
        if not os.path.exists(path):
            raise FileNotFoundError(2, 'no such model: RDN_pth2onnx.py writes it', path)
        with open(path, 'rb'):  # its own message for an unreadable file
            pass
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
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
