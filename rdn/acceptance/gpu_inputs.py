"""What test/perf_gpu.sh needs to know of a model: trtexec's shape of its input, and the weights that it was made from.

    python3 -m rdn.acceptance.gpu_inputs rdn_x2.onnx

prints a line each, `image:1x3x114x114` and `rdn_x2.pth`.
"""

from __future__ import annotations

import os
import sys

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, configuration, run_record
from rdn.network import onnx_graph


def shape_of(path: str) -> str:
    """The input's name and its shape for one image, as trtexec takes it.

    Height and width that the model leaves free are the guide's.

    Raises:
        ValueError: the file is not an ONNX model.
    """
    image = onnx_graph.load(path).graph.input[0]
    sizes = [axis.dim_value for axis in image.type.tensor_type.shape.dim][1:]
    usual = 3, configuration.GUIDE_SIDE, configuration.GUIDE_SIDE
    return f'{image.name}:' + 'x'.join(str(size or other) for size, other in zip((1, *sizes), (1, *usual)))


def weights_of(path: str) -> str:
    """The path of the weights that the model was made from, by its record; else the path beside it that ends in .pth."""
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
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # the shell script whose errors these are
    cli.run(main)
