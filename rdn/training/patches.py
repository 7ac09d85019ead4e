"""Training pictures, and the random patches that a network learns from."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from rdn.imaging import images

import numpy as np
from PIL import Image


class Pair(NamedTuple):
    """A picture, uint8: low-resolution (h, w, 3), high-resolution (scale*h, scale*w, 3)."""

    lr: np.ndarray
    hr: np.ndarray


def find_images(folder: str) -> list[str]:
    """Paths of all files below a folder, sorted; hidden ones are passed over. Raises ValueError for none."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths += [os.path.join(parent, name) for name in sorted(names) if not name.startswith('.')]
    if not paths:
        raise ValueError(f'{folder}: no images in it' if os.path.isdir(folder) else f'{folder}: no such folder')
    return paths


def load_pair(path: str, scale: int, size: int, factor: float = 1) -> Pair:
    """The Pair of an image file: the whole picture is reduced, and patches are cut from it afterwards.

    size: of a low-resolution patch, pixels. factor: the picture itself is reduced by this first (a camera's
    picture is sharper so). Raises ValueError, with the file's name, where no patch fits.
    """
    hr = images.read_rgb(path)
    if factor != 1:
        hr = hr.resize((round(hr.width * factor), round(hr.height * factor)), Image.BICUBIC)
    needed = size * scale
    if min(hr.size) < needed:
        raise ValueError(
            f'{path}: {hr.width} x {hr.height} pixels, a patch needs {needed} x {needed}: '
            'remove it, or choose a smaller --patch'
        )
    hr = images.modcrop(hr, scale)
    return Pair(np.asarray(images.bicubic_downsample(hr, scale)), np.asarray(hr))


def random_batch(
    pairs: Sequence[Pair], scale: int, size: int, count: int, seed: int | Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """`count` random patches: uint8 (count, 3, size, size) and (count, 3, scale*size, scale*size).

    Each comes from a random picture, place, flip and quarter turn. The same seed gives the same patches.
    """
    random = np.random.RandomState(seed)
    lr: list[np.ndarray] = []
    hr: list[np.ndarray] = []
    for _ in range(count):
        pair = pairs[random.randint(len(pairs))]
        top, left = (random.randint(axis - size + 1) for axis in pair.lr.shape[:2])
        symmetry = random.randint(8)
        for batch, picture, factor in ((lr, pair.lr, 1), (hr, pair.hr, scale)):
            patch = picture[top * factor : (top + size) * factor, left * factor : (left + size) * factor]
            patch = np.rot90(patch[:, ::-1] if symmetry & 4 else patch, symmetry & 3)
            batch.append(patch.transpose(2, 0, 1))
    return np.stack(lr), np.stack(hr)


def cut_middle(pairs: Sequence[Pair], height: int, width: int) -> list[np.ndarray]:
    """The middle of each Pair's low-resolution picture, float32 (1, 3, height, width), 0...1.

    Raises ValueError for a picture that is smaller.
    """
    images = []
    for pair in pairs:
        top, left = (pair.lr.shape[0] - height) // 2, (pair.lr.shape[1] - width) // 2
        if min(top, left) < 0:
            raise ValueError(f'a picture reduced to {pair.lr.shape[1]} x {pair.lr.shape[0]} has no {width} x {height}')
        part = pair.lr[top : top + height, left : left + width]
        images.append(part.transpose(2, 0, 1)[None] / np.float32(255))
    return images
