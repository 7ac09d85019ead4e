"""PSNR and SSIM of weights on folders of images, through PyTorch, next to bicubic's.

    python3 test/evaluate.py --weights weights/rdn_x2_lite.pth ../shared/data/set5 ../shared/data/set14

Whole images, as papers report them, and the guide's centre crops of 228 x 228. The rows of a Markdown table.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import console  # noqa: E402

import evaluation  # noqa: E402
import images  # noqa: E402
import models  # noqa: E402


def main(argv=None):
    args = parse_args(argv)
    model = models.load_rdn(args.weights)
    scale = model.config['scale_factor']
    folders = [(os.path.basename(os.path.normpath(folder)), images.list_images(folder)) for folder in args.folders]
    print('| images | protocol | PSNR | bicubic | SSIM | bicubic |\n| --- | --- | --- | --- | --- | --- |')
    for name, paths in folders:
        for protocol in evaluation.PROTOCOLS:
            mean = evaluation.evaluate(model, console.progress(paths, 'image'), scale, protocol, with_ssim=True)
            row = name, protocol, mean.psnr, mean.bicubic_psnr, mean.ssim, mean.bicubic_ssim
            print('| %s | %s | %.2f | %.2f | %.4f | %.4f |' % row, flush=True)


def parse_args(argv):
    parser = console.Parser(__doc__)
    parser.add_argument('--weights', required=True)
    parser.add_argument('folders', nargs='+', metavar='FOLDER', help='of images, and of nothing else')
    return parser.parse_args(argv)


if __name__ == '__main__':
    console.run(main)
