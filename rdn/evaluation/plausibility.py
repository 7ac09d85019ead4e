"""Whether a picture can be what a network made of another: a wrong file would give a plausible wrong PSNR."""

from __future__ import annotations

import numpy as np

BLOCK = 12  # pixels of a side; enlargement leaves the means of such blocks as they are, whatever the network
CONTENT = 0.05  # standard deviation of the blocks from which a picture shows something
ALIKE = 0.8  # correlation of the blocks; of enlargements, bicubic or any network's, it is above 0.99
COLOURS = 0.02  # root mean square difference of the blocks from which swapped channels would show


def mismatch_reason(sr: np.ndarray, hr: np.ndarray) -> str | None:
    """Why `sr` cannot be an enlargement that shows what `hr` shows, in words; None where it can be.

    sr, hr: (3, H, W), RGB, 0...1. Neither of them says much where `hr` has no content, noise or one colour; then None.
    """
    ours, theirs = _blocks(sr), _blocks(hr)
    if theirs.std() < CONTENT:
        return None
    if ours.std() < CONTENT / 10:
        return f'it is of one value all over, {ours.mean():.3g}: the device computed nothing'
    difference, swapped = (np.sqrt(np.mean(np.square(x - theirs))) for x in (ours, ours[::-1]))
    if difference > COLOURS and swapped < difference / 2:
        return 'its red and blue are swapped: BGR?'
    if np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] < ALIKE:
        return 'it shows another picture than its label: of an earlier run or another image?'
    return None


def _blocks(chw: np.ndarray) -> np.ndarray:
    """Means of BLOCK x BLOCK pixels, of clipped values: (3, H, W) -> (3, H // BLOCK, W // BLOCK), float64."""
    size = [max(1, min(BLOCK, axis)) for axis in chw.shape[1:]]
    rows, columns = (axis // each for axis, each in zip(chw.shape[1:], size))
    part = np.clip(chw[:, : rows * size[0], : columns * size[1]], 0, 1).astype(np.float64)
    return part.reshape(3, rows, size[0], columns, size[1]).mean((2, 4))
