"""Measure how much tiles must overlap: the difference to the whole image, for the table in docs/measurements.md.

    python3 -m tools.overlap SET14 --weights weights/rdn_x2_lite.pth

Tiles overlap by exactly the given number of pixels, except the last one, which ends at the edge. So the figures hold
for pictures of all sizes. rdn/tiles.py spreads tiles evenly, so they overlap more.
"""

from __future__ import annotations

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, images, tiles
from rdn.accuracy import metrics
from rdn.network import checkpoint

import numpy as np
import torch

SIZE = 114


def tight_spans(length: int, overlap: int) -> list[tiles.Span]:
    """Divide a length into tiles that overlap by exactly `overlap` pixels, except the last one."""
    starts = list(range(0, length - SIZE, SIZE - overlap)) + [length - SIZE] if length > SIZE else [0]
    return tiles.spans_at(starts, length, SIZE)


def run(model: torch.nn.Module, picture: np.ndarray) -> np.ndarray:
    """Run a network on a picture.

    Args:
        model: the network.
        picture: (3, H, W), float32, 0 to 1.

    Returns:
        (3, scale*H, scale*W), float32, 0 to 1.
    """
    with torch.no_grad():
        return np.clip(model(torch.from_numpy(np.ascontiguousarray(picture))[None])[0].numpy(), 0, 1)


def run_tiled(model: torch.nn.Module, lr: np.ndarray, overlap: int, scale: int) -> tuple[np.ndarray, int]:
    """Run a network on a picture in tiles.

    Args:
        model: the network.
        lr: (3, H, W), float32, 0 to 1.
        overlap: of the tiles, in pixels.
        scale: of the network.

    Returns:
        ((3, scale*H, scale*W), float32, 0 to 1; the number of tiles).
    """
    rows, columns = (tight_spans(length, overlap) for length in lr.shape[1:])
    grid = [tiles.Tile(row, column) for row in rows for column in columns]
    layout = tiles.Layout(lr.shape[1], lr.shape[2], [SIZE, SIZE], overlap, scale)
    return tiles.join(((tile, run(model, tiles.cut(lr, tile))) for tile in grid), layout), len(grid)


def main(argv=None):
    parser = cli.Parser(__doc__)
    parser.add_argument('folder', help='a folder of images')
    parser.add_argument('--weights', default='weights/rdn_x2_lite.pth')
    parser.add_argument(
        '--overlaps', type=int, nargs='+', default=[0, 4, 8, 12, 14, 16, 20, 24], help='overlaps to measure, in pixels'
    )
    args = parser.parse_args(argv)
    model = checkpoint.load(args.weights)
    scale = model.config['scale_factor']
    data = []
    for path in images.list_images(args.folder):
        hr = images.modcrop(images.read_rgb(path), scale)
        lr = images.to_chw(images.bicubic_downsample(hr, scale))
        data.append((images.to_chw(hr), lr, run(model, lr)))
    whole = np.mean([metrics.sr_psnr(sr, hr, scale) for hr, _, sr in data])
    pixels = sum(lr[0].size for _, lr, _ in data)
    print(f'{cli.count(len(data), "image")}, whole: {whole:.4f} dB')
    rows = [('overlap', 'PSNR dB', 'largest difference/255', 'work: these images', 'work: large pictures')]
    for overlap in cli.progress(args.overlaps, 'overlap'):
        psnrs, largest, count = [], 0.0, 0
        for hr, lr, sr in data:
            joined, number = run_tiled(model, lr, overlap, scale)
            psnrs.append(metrics.sr_psnr(joined, hr, scale))
            largest, count = max(largest, float(np.abs(joined - sr).max() * 255)), count + number
        work, large = count * SIZE**2 / pixels, (SIZE / (SIZE - overlap)) ** 2
        change = np.mean(psnrs) - whole
        rows.append((str(overlap), f'{change:+.4f}', f'{largest:.3f}', f'{work:.2f}', f'{large:.2f}'))
    print(cli.format_table(rows))


if __name__ == '__main__':
    cli.run(main)
