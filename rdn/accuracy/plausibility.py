"""Detect outputs that cannot belong to their labels: a wrong file would have a plausible but wrong PSNR."""

from __future__ import annotations

import numpy as np

BLOCK = 12  # side of a block in pixels: no network's enlargement changes the mean of such a block
CONTENT = 0.05  # a picture has content if the standard deviation of its blocks is at least this
ALIKE = 0.8  # lowest correlation of the blocks; bicubic's and all networks' enlargements are above 0.99
COLOURS = 0.02  # swapped channels show only if the root mean square difference of the blocks is larger
REGIONS = 3  # a displacement is measured in 3 x 3 regions
SCALES = (1, 4)  # reductions in which it is measured: large displacements show only in a reduced picture
DISPLACED = 0.85  # largest displacement in pixels; a network that shifts by half a pixel stays below it
DARK, BRIGHT = 0.03, 0.97  # values beyond these may be clipped
EXPLAINED = 0.5  # fraction of the squared difference that a displacement must explain; noise and blur stay below it


def mismatch_reason(sr: np.ndarray, hr: np.ndarray) -> str | None:
    """Return why `sr` cannot show the same picture as `hr`; None if it can.

    If `hr` shows too little, such as noise or a single colour, the answer is None too.

    Args:
        sr: output (3, H, W), RGB, 0...1.
        hr: its label, of the same shape.

    Returns:
        A clause with the probable cause, for a message; or None.
    """
    ours, theirs = block_means(sr, BLOCK), block_means(hr, BLOCK)
    if theirs.std() < CONTENT:
        return None
    if ours.std() < CONTENT / 10:
        return f'all its values are about {ours.mean():.3g}: the device computed nothing'
    difference, swapped = (np.sqrt(np.mean(np.square(x - theirs))) for x in (ours, ours[::-1]))
    if difference > COLOURS and swapped < difference / 2:
        return 'its red and blue are swapped: is it BGR?'
    if np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] < ALIKE:
        return 'it shows another picture than its label: is it from an earlier run, or of another image?'
    if largest_displacement(sr, hr) > DISPLACED:
        return 'it shows its label displaced or at another size: is it from another preparation?'
    return None


def largest_displacement(sr: np.ndarray, hr: np.ndarray) -> float:
    """Return by how many pixels `sr` is displaced against `hr`: the largest displacement d of any region.

    Least squares of brightness: sr(x) = a hr(x) + b + d . grad hr(x), Lucas and Kanade, IJCAI 1981. A region counts
    only if d explains at least the fraction EXPLAINED of the squared difference.

    Args:
        sr: output (3, H, W), RGB, 0...1.
        hr: its label, of the same shape.
    """
    largest = 0.0
    for scale in SCALES:
        a, b = (_smoothed(block_means(x, scale).mean(0)) for x in (sr, hr))
        for rows in np.array_split(np.arange(2, b.shape[0] - 2), REGIONS):
            for columns in np.array_split(np.arange(2, b.shape[1] - 2), REGIONS):
                if len(rows) >= BLOCK and len(columns) >= BLOCK:
                    region = slice(rows[0] - 1, rows[-1] + 2), slice(columns[0] - 1, columns[-1] + 2)
                    largest = max(largest, scale * _displacement(a[region], b[region]))
    return largest


def _displacement(a: np.ndarray, b: np.ndarray) -> float:
    """Return by how many pixels `a` is displaced against `b`, both (H, W); 0 if no displacement explains enough."""
    seen = ((a > DARK) & (a < BRIGHT) & (b > DARK) & (b < BRIGHT))[1:-1, 1:-1]
    if np.count_nonzero(seen) < BLOCK**2:
        return 0.0
    gradient = [np.gradient(b, axis=axis)[1:-1, 1:-1][seen] for axis in (0, 1)]
    inner, target = b[1:-1, 1:-1][seen], a[1:-1, 1:-1][seen]
    plain = np.stack([inner, np.ones_like(inner)], 1)
    moved = np.concatenate([plain, np.stack(gradient, 1)], 1)
    without = np.square(target - plain @ np.linalg.lstsq(plain, target, rcond=None)[0]).sum()
    solution, _, rank, _ = np.linalg.lstsq(moved, target, rcond=None)
    if rank < moved.shape[1]:  # all edges have one direction, or there are none
        return 0.0
    remaining = np.square(target - moved @ solution).sum()
    if not solution[0] > 0 or remaining > (1 - EXPLAINED) * without:
        return 0.0
    return float(np.hypot(*solution[2:]) / solution[0])


def _smoothed(picture: np.ndarray) -> np.ndarray:
    """Return the means over 3 x 3 pixels, (H, W): correct networks differ in finer details."""
    padded = np.pad(picture, 1, mode='edge')
    rows, columns = picture.shape
    return sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9


def block_means(chw: np.ndarray, side: int) -> np.ndarray:
    """Return the means of blocks of side x side pixels, with values clipped to 0...1.

    Args:
        chw: picture (3, H, W).
        side: side of a block in pixels. Blocks are never larger than the picture.

    Returns:
        float64 (3, H // side, W // side); at least (3, 1, 1).
    """
    size = [max(1, min(side, axis)) for axis in chw.shape[1:]]
    rows, columns = (axis // each for axis, each in zip(chw.shape[1:], size))
    part = np.clip(chw[:, : rows * size[0], : columns * size[1]], 0, 1).astype(np.float64)
    return part.reshape(3, rows, size[0], columns, size[1]).mean((2, 4))
