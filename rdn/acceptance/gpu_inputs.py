"""Print a model's input shape, in trtexec's form, and its weights: test/perf_gpu.sh reads these two lines.

    python3 -m rdn.acceptance.gpu_inputs rdn_x2.onnx

prints `image:1x3x114x114` and `rdn_x2.pth`.
"""

from __future__ import annotations

import os
import sys

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, run_record
from rdn.network import onnx_graph


def shape_of(path: str) -> str:
    """Return the input's name and its shape for one image, in trtexec's form: 'image:1x3x114x114'.

    If the model leaves height or width free, the guide's size is used.

    Raises:
        ValueError: the file is not an ONNX model.
    """
    image = onnx_graph.load(path).graph.input[0]
    sizes = [axis.dim_value for axis in image.type.tensor_type.shape.dim][1:]
    usual = 3, configuration.GUIDE_SIDE, configuration.GUIDE_SIDE
    return f'{image.name}:' + 'x'.join(str(size or other) for size, other in zip((1, *sizes), (1, *usual)))


def weights_of(path: str) -> str:
    """Return the path of a model's weights: from its record, else the model's own path with the ending .pth."""
    made = run_record.read(path)
    return made.weights if made and made.weights else f'{os.path.splitext(path)[0]}.pth'


def main(argv=None):
    args = parse_args(argv)
    onnx_graph.check_whole(args.model)
    print(shape_of(args.model))
    print(weights_of(args.model))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('model', help='the exported model, .onnx')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # errors name the shell script, which the user started
    cli.run(main)
