"""Measure how much accuracy an exported model loses: its PSNR and that of its weights in PyTorch, on whole images.

    python3 RDN_pth2onnx.py --input-file=weights/rdn_x2_lite.pth --output-file=free.onnx --upsample=deconv --height 0 --width 0
    python3 -m tools.loss --weights weights/rdn_x2_lite.pth --model free.onnx --precision bf16 SET5 SET14

It makes the tables of docs/performance.md. The model needs free height and width.
"""

from __future__ import annotations

import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, engines, images
from rdn.accuracy import metrics
from rdn.data import protocols
from rdn.network import checkpoint
from rdn.training import validation

import numpy as np
import torch


def main(argv=None):
    args = parse_args(argv)
    network = checkpoint.load(args.weights)
    scale = network.config['scale_factor']
    model = engines.open_model(args.model, args.engine, args.precision)
    engine = ', '.join(filter(None, (model.version, model.precision)))
    rows = [('images', 'PyTorch, fp32', engine, 'loss', 'largest of an image')]
    for folder in args.folders:
        psnrs = []
        for path in cli.progress(images.list_images(folder), 'image'):
            image = validation.fit_image(path, scale, protocols.WHOLE)
            lr, hr = images.to_chw(images.bicubic_downsample(image, scale))[None], images.to_chw(image)
            with torch.no_grad():
                outputs = network(torch.from_numpy(lr)).numpy(), model(lr)
            psnrs.append([metrics.sr_psnr(output[0], hr, scale) for output in outputs])
        exact, lost = np.transpose(psnrs)
        losses = exact - lost
        figures = [*np.mean(psnrs, 0), losses.mean(), losses.max()]
        rows.append((os.path.basename(os.path.normpath(folder)), *(f'{figure:.3f}' for figure in figures)))
    print(cli.format_markdown(rows))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--weights', required=True)
    parser.add_argument('--model', required=True, help='the same network as ONNX, with free height and width')
    parser.add_argument('--engine', choices=[engines.AUTO, *engines.ENGINES], default=engines.AUTO)
    parser.add_argument('--precision', choices=[engines.AUTO, *engines.PRECISIONS], default=engines.AUTO)
    parser.add_argument('folders', nargs='+', metavar='FOLDER', help='a folder that contains only images')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
