"""Whether a picture can be what a network made of another: a wrong file would give a plausible wrong PSNR."""

from __future__ import annotations

import numpy as np

BLOCK = 12  # pixels of a side; enlargement leaves the means of such blocks as they are, whatever the network
CONTENT = 0.05  # standard deviation of the blocks from which a picture shows something
ALIKE = 0.8  # correlation of the blocks; of enlargements, bicubic or any network's, it is above 0.99
COLOURS = 0.02  # root mean square difference of the blocks from which swapped channels would show
REGIONS = 3  # along each side, in which a displacement is looked for
SCALES = (1, 4)  # pixels that become one: large displacements show on small pictures only
DISPLACED = 0.85  # pixels; of a network that shifts by half a pixel it is less
DARK, BRIGHT = 0.03, 0.97
EXPLAINED = 0.5  # part of the difference that a displacement has to explain; noise and blur are not explained by one


def mismatch_reason(sr: np.ndarray, hr: np.ndarray) -> str | None:
    """Why `sr` cannot be an enlargement that shows what `hr` shows, in words; None where it can be.

    sr, hr: (3, H, W), RGB, 0...1. Neither of them says much where `hr` has no content, noise or one colour; then None.
    """
    ours, theirs = block_means(sr, BLOCK), block_means(hr, BLOCK)
    if theirs.std() < CONTENT:
        return None
    if ours.std() < CONTENT / 10:
        return f'it is of one value all over, {ours.mean():.3g}: the device computed nothing'
    difference, swapped = (np.sqrt(np.mean(np.square(x - theirs))) for x in (ours, ours[::-1]))
    if difference > COLOURS and swapped < difference / 2:
        return 'its red and blue are swapped: BGR?'
    if np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] < ALIKE:
        return 'it shows another picture than its label: of an earlier run or another image?'
    if largest_displacement(sr, hr) > DISPLACED:
        return 'it shows its label displaced or at another size: of another preparation?'
    return None


def largest_displacement(sr: np.ndarray, hr: np.ndarray) -> float:
    """By how many pixels `sr` lies beside `hr`, in the region of the picture where that is most.

    Least squares of brightness: sr(x) = a hr(x) + b + d . grad hr(x), Lucas and Kanade, IJCAI 1981. A region counts
    only where such a displacement explains EXPLAINED of what differs. sr, hr: (3, H, W).
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
    """Pixels by which `a` lies beside `b`, (H, W); 0 where no displacement explains what differs."""
    seen = ((a > DARK) & (a < BRIGHT) & (b > DARK) & (b < BRIGHT))[1:-1, 1:-1]  # what is clipped tells nothing
    if np.count_nonzero(seen) < BLOCK**2:
        return 0.0
    gradient = [np.gradient(b, axis=axis)[1:-1, 1:-1][seen] for axis in (0, 1)]
    inner, target = b[1:-1, 1:-1][seen], a[1:-1, 1:-1][seen]
    plain = np.stack([inner, np.ones_like(inner)], 1)
    moved = np.concatenate([plain, np.stack(gradient, 1)], 1)
    without = np.square(target - plain @ np.linalg.lstsq(plain, target, rcond=None)[0]).sum()
    solution, _, rank, _ = np.linalg.lstsq(moved, target, rcond=None)
    if rank < moved.shape[1]:  # edges of one direction, or none
        return 0.0
    remaining = np.square(target - moved @ solution).sum()
    if not solution[0] > 0 or remaining > (1 - EXPLAINED) * without:
        return 0.0
    return float(np.hypot(*solution[2:]) / solution[0])


def _smoothed(picture: np.ndarray) -> np.ndarray:
    """Means over 3 x 3 pixels, (H, W): finer than that a network may differ."""
    padded = np.pad(picture, 1, mode='edge')
    rows, columns = picture.shape
    return sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9


def block_means(chw: np.ndarray, side: int) -> np.ndarray:
    """Means of side x side pixels, of clipped values: (3, H, W) -> (3, H // side, W // side), float64."""
    size = [max(1, min(side, axis)) for axis in chw.shape[1:]]
    rows, columns = (axis // each for axis, each in zip(chw.shape[1:], size))
    part = np.clip(chw[:, : rows * size[0], : columns * size[1]], 0, 1).astype(np.float64)
    return part.reshape(3, rows, size[0], columns, size[1]).mean((2, 4))
