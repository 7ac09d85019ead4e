"""Make the picture of the README, docs/astronaut.png: a detail of scikit-image's astronaut, bicubic | RDN | original.

    python3 -m tools.picture docs/astronaut.png

The photograph is reduced to half its size and enlarged again. The PSNR in the captions is for the whole photograph.
"""

from __future__ import annotations

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures.report import sheet
from rdn import cli, files, images
from rdn.accuracy import metrics
from rdn.network import architectures, checkpoint

import torch

import sample_images

SHOWN = (40, 210, 340, 430)  # left, top, right, bottom in the photograph, pixels
BADGE = (88, 130, 178, 214)  # the enlarged detail: the same in the shown part


def main(argv=None):
    args = parse_args(argv)
    model = checkpoint.load(args.weights)
    scale = model.config['scale_factor']
    photograph = images.modcrop(images.read_rgb(sample_images.sample_paths()[0]), scale)
    lr, hr = images.bicubic_downsample(photograph, scale), images.to_chw(photograph)
    with torch.no_grad():
        sr = model(torch.from_numpy(images.to_chw(lr))[None])[0].numpy()
    bicubic = images.to_chw(images.bicubic_upsample(lr, scale))
    network = architectures.find(model.state_dict()).title
    captions = [f'{name}, {metrics.sr_psnr(x, hr, scale):.2f} dB' for name, x in (('bicubic', bicubic), (network, sr))]
    panels = [images.to_image(x).crop(SHOWN) for x in (bicubic, sr, hr)]
    with files.atomic_file(args.picture) as file:
        sheet.compose(list(zip([*captions, 'original'], panels)), BADGE).save(file, 'PNG', optimize=True)
    print(f'{args.picture}: {"; ".join(captions)}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('picture', help='file to write')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
