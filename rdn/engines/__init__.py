"""Load a model and run arrays through it.

    from rdn import engines
    model = engines.open_model('rdn_x2.onnx')  # or .om, or weights, .pth
    outputs = model(inputs)  # float32 (N, 3, H, W), RGB, 0...1 -> (N, 3, scale*H, scale*W)

base.py contains the type of all engines; onnx_runtime.py, openvino.py, pytorch.py and om.py contain one engine each.
choice.py chooses the engine.
"""

from rdn.engines.base import AUTO, ENGINES, PRECISIONS, Engine, Place, Spent, is_weights
from rdn.engines.choice import check_model, describe, faster_way, guides_engine, open_model, opened, resolve_model
from rdn.engines.om import Om
from rdn.engines.onnx_runtime import PROVIDERS, OnnxRuntime
from rdn.engines.openvino import OpenVino
from rdn.engines.scale import scale_of
from rdn.network.architectures import title_of_model as title_of_network

__all__ = [
    'AUTO',
    'ENGINES',
    'PRECISIONS',
    'PROVIDERS',
    'Engine',
    'Om',
    'OnnxRuntime',
    'OpenVino',
    'Place',
    'Spent',
    'check_model',
    'describe',
    'faster_way',
    'guides_engine',
    'is_weights',
    'open_model',
    'opened',
    'resolve_model',
    'scale_of',
    'title_of_network',
]
