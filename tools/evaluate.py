"""Measure PSNR and SSIM of weights on folders of images, in PyTorch, and those of bicubic interpolation.

    python3 -m tools.evaluate --weights weights/rdn_x2_lite.pth SET5 SET14

It prints a Markdown table. Each folder has a row for whole images, as in papers, and one for the guide's centre crops
of 228 x 228.
"""

import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, images
from rdn.data import protocols
from rdn.network import checkpoint
from rdn.training import validation


def main(argv=None):
    args = parse_args(argv)
    model = checkpoint.load(args.weights)
    scale = model.config['scale_factor']
    folders = [(os.path.basename(os.path.normpath(folder)), images.list_images(folder)) for folder in args.folders]
    rows = [('images', 'protocol', 'PSNR', 'bicubic', 'SSIM', 'bicubic')]
    for name, paths in folders:
        for protocol in protocols.measured():
            mean = validation.evaluate(model, cli.progress(paths, 'image'), scale, protocol, with_ssim=True)
            psnr, ssim = (f'{x:.2f}' for x in mean[:2]), (f'{x:.4f}' for x in mean[2:])
            rows.append((name, protocol.title, *psnr, *ssim))
    print(cli.format_markdown(rows))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--weights', required=True)
    parser.add_argument('folders', nargs='+', metavar='FOLDER', help='a folder that contains only images')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
