"""How much the tiles must overlap: difference to the whole image, for the README's table.

    python3 -m tools.overlap ../shared/data/set14 --weights weights/rdn_x2_lite.pth

The tiles lie at just the given overlap, the last one flush with the edge, so that the figures hold for
every size of picture; tiles.py spreads them evenly and overlaps more.
"""

from rdn import cli, tiles
from rdn.evaluation import metrics
from rdn.imaging import images

import numpy as np
import torch

from models import load_rdn

SIZE = 114


def tight_spans(length, overlap):
    """As tiles.spans, but at just this overlap as far as the length allows."""
    starts = list(range(0, length - SIZE, SIZE - overlap)) + [length - SIZE] if length > SIZE else [0]
    return tiles.spans_at(starts, length, SIZE)


def run(model, picture):
    """(3, H, W) -> (3, scale*H, scale*W), 0...1."""
    with torch.no_grad():
        return np.clip(model(torch.from_numpy(np.ascontiguousarray(picture))[None])[0].numpy(), 0, 1)


def tiled(model, lr, overlap, scale):
    """The same through tiles; and how many."""
    rows, columns = (tight_spans(length, overlap) for length in lr.shape[1:])
    grid = [tiles.Tile(row, column) for row in rows for column in columns]
    layout = tiles.Layout(lr.shape[1], lr.shape[2], [SIZE, SIZE], overlap, scale, None, True)
    return tiles.join(((tile, run(model, tiles.cut(lr, tile))) for tile in grid), layout), len(grid)


def main(argv=None):
    parser = cli.Parser(__doc__)
    parser.add_argument('folder', help='images')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth')
    parser.add_argument('--overlaps', type=int, nargs='+', default=[0, 4, 8, 12, 14, 16, 20, 24])
    args = parser.parse_args(argv)
    model = load_rdn(args.weights)
    scale = model.config['scale_factor']
    data = []
    for path in images.list_images(args.folder):
        hr = images.crop_to_multiples(images.read_rgb(path), scale)
        lr = images.to_chw(images.reduce(hr, scale))
        data.append((images.to_chw(hr), lr, run(model, lr)))
    whole = np.mean([metrics.sr_psnr(sr, hr, scale) for hr, _, sr in data])
    pixels = sum(lr[0].size for _, lr, _ in data)
    print('%d images, whole: %.4f dB' % (len(data), whole))
    print('overlap  PSNR dB  largest difference/255  work: tiles, large pictures')
    for overlap in args.overlaps:
        psnrs, worst, count = [], 0, 0
        for hr, lr, sr in data:
            joined, number = tiled(model, lr, overlap, scale)
            psnrs.append(metrics.sr_psnr(joined, hr, scale))
            worst, count = max(worst, np.abs(joined - sr).max() * 255), count + number
        large = (SIZE / (SIZE - overlap)) ** 2
        print('%7d  %+.4f  %22.3f  %.2f, %.2f' % (
            overlap, np.mean(psnrs) - whole, worst, count * SIZE**2 / pixels, large), flush=True)  # fmt: skip


if __name__ == '__main__':
    cli.run(main)
