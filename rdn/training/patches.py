"""Training pictures, and the random patches that a network learns from."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from rdn import cli, cpu, images

import numpy as np
import torch
from PIL import Image

DETAIL = (2.0, 12.0)  # bounds of a picture's mean step between neighbours: neither sky nor noise shall dominate


class Pair(NamedTuple):
    """A picture, uint8: low-resolution (h, w, 3), high-resolution (scale*h, scale*w, 3)."""

    lr: np.ndarray
    hr: np.ndarray


class Loaded(NamedTuple):
    """The pairs of a training set, and the paths of the pictures that are smaller than a patch."""

    pairs: list[Pair]
    too_small: list[str]


def find_images(folder: str) -> list[str]:
    """List the paths of all files below a folder, sorted, without hidden ones. Raises ValueError if there are none."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths += [os.path.join(parent, name) for name in sorted(names) if not name.startswith('.')]
    if not paths:
        raise ValueError(f'{folder}: no images in it' if os.path.isdir(folder) else f'{folder}: no such folder')
    return paths


def read_picture(path: str, factor: float = 1) -> Image.Image:
    """Read an RGB picture, reduced by `factor` (0...1) with BICUBIC: a camera's picture is sharper at a smaller size.

    Raises ValueError, with the file's name, for a file that is not a picture.
    """
    picture = images.read_rgb(path)
    if factor == 1:
        return picture
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.BICUBIC)


def make_pair(picture: Image.Image, scale: int) -> Pair:
    """Make the Pair of a picture.

    The whole picture is reduced before patches are cut, so a patch's border pixels depend on their neighbours too.
    """
    hr = images.modcrop(picture, scale)
    return Pair(np.asarray(images.bicubic_downsample(hr, scale)), np.asarray(hr))


def load_pair(path: str, scale: int, size: int, factor: float = 1) -> Pair:
    """Read the Pair of an image file.

    Args:
        path: the image file.
        scale: of the network.
        size: of a low-resolution patch, pixels.
        factor: as in `read_picture`.

    Raises:
        ValueError: the file is not a picture, or is smaller than a patch; with the file's name.
    """
    picture, needed = read_picture(path, factor), size * scale
    if min(picture.size) < needed:
        raise ValueError(
            f'{path}: {picture.width} x {picture.height} pixels, a patch needs {needed} x {needed}: '
            'remove it, or choose a smaller --patch'
        )
    return make_pair(picture, scale)


def load_pairs(jobs: Sequence[tuple[str, float]], scale: int, size: int) -> Loaded:
    """Read the pictures that are large enough, on all cores, in their order.

    Args:
        jobs: (path, factor) of each picture, as for `load_pair`.
        scale: of the network.
        size: of a low-resolution patch, pixels.

    Raises:
        ValueError: a file is not a picture; with the file's name.
    """

    def load(job: tuple[str, float]) -> Pair | None:
        picture = read_picture(*job)
        return make_pair(picture, scale) if min(picture.size) >= size * scale else None

    loaded = Loaded([], [])
    done = cli.progress(cpu.map_in_order(load, jobs), 'picture', len(jobs))
    for (path, _), pair in zip(jobs, done):
        if pair is None:
            loaded.too_small.append(path)
        else:
            loaded.pairs.append(pair)
    return loaded


def cumulative_weights(pairs: Sequence[Pair]) -> np.ndarray:
    """Compute the chance of each picture, summed up: float64 (len(pairs),), rising to 1.

    A picture's chance is proportional to its area and its detail, the mean absolute difference between
    neighbouring pixels of green, within DETAIL: patches of sky teach little.
    """

    def weigh(pair: Pair) -> float:
        green = pair.hr[..., 1].astype(np.int16)
        detail = np.abs(np.diff(green, axis=1)).mean() + np.abs(np.diff(green, axis=0)).mean()
        return pair.lr.shape[0] * pair.lr.shape[1] * float(np.clip(detail, *DETAIL))

    weights = list(cpu.map_in_order(weigh, pairs))
    return np.cumsum(weights) / np.sum(weights)


class HostPatches:
    """Random patches, cut by numpy: the same seed draws the same ones on every machine."""

    def __init__(self, pairs: Sequence[Pair], scale: int, size: int):
        """Take the pictures to draw from, the network's scale, and the size of a low-resolution patch in pixels."""
        self.pairs, self.scale, self.size = pairs, scale, size
        self.chances = cumulative_weights(pairs)

    def draw(self, count: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw `count` patches: uint8 (count, 3, size, size) and (count, 3, scale*size, scale*size).

        Each has a random picture, place, flip and quarter turn.
        """
        random, size = np.random.RandomState(seed), self.size
        lr: list[np.ndarray] = []
        hr: list[np.ndarray] = []
        for _ in range(count):
            chosen = np.searchsorted(self.chances, random.random_sample(), side='right')
            pair = self.pairs[min(int(chosen), len(self.pairs) - 1)]
            top, left = (random.randint(axis - size + 1) for axis in pair.lr.shape[:2])
            symmetry = random.randint(8)
            for batch, picture, factor in ((lr, pair.lr, 1), (hr, pair.hr, self.scale)):
                patch = picture[top * factor : (top + size) * factor, left * factor : (left + size) * factor]
                patch = np.rot90(patch[:, ::-1] if symmetry & 4 else patch, symmetry & 3)
                batch.append(patch.transpose(2, 0, 1))
        return np.stack(lr), np.stack(hr)


class DevicePatches:
    """Random patches of pictures that lie on a device as uint8; drawing does not wait for the device.

    All pictures are one list of pixels, so that one index finds a pixel of any of them; `draw` can therefore be
    recorded in a CUDA graph. Needs torch 1.6 or later.
    """

    def __init__(self, pairs: Sequence[Pair], scale: int, size: int, device: torch.device):
        """Copy the pictures to the device; arguments as of HostPatches."""
        self.scale, self.size, self.device = scale, size, device
        shapes = torch.tensor([pair.lr.shape[:2] for pair in pairs])
        areas = shapes.prod(1)
        self.chances = torch.from_numpy(cumulative_weights(pairs)).float().to(device)
        self.heights, self.widths = shapes.to(device).unbind(1)
        self.starts = (torch.cumsum(areas, 0) - areas).to(device)  # of each picture, in low-resolution pixels
        self.lr = _on_device([pair.lr for pair in pairs], device)
        self.hr = _on_device([pair.hr for pair in pairs], device)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw `count` patches, float32, 0...1: (count, 3, size, size) and (count, 3, scale*size, scale*size).

        Each has a random picture, place, flip and quarter turn, from torch's generator of the device.
        """
        chosen = torch.searchsorted(self.chances, torch.rand(count, device=self.device), right=True)
        chosen = chosen.clamp_(max=len(self.heights) - 1)
        height, width, start = self.heights[chosen], self.widths[chosen], self.starts[chosen]
        top, left = self._place(height), self._place(width)
        flips = torch.rand(3, count, device=self.device) < 0.5  # upside down, left to right, rows for columns
        parts = []
        for pixels, factor in ((self.lr, 1), (self.hr, self.scale)):
            row, column = self._grid(flips, self.size * factor)
            row = row + (top * factor)[:, None, None]
            column = column + (left * factor)[:, None, None]
            index = (start * factor**2)[:, None, None] + row * (width * factor)[:, None, None] + column
            parts.append(pixels[index].float().div_(255).permute(0, 3, 1, 2))
        return parts[0], parts[1]

    def _place(self, extent: torch.Tensor) -> torch.Tensor:
        """Random first rows or columns of patches in pictures of this extent."""
        last = extent - self.size
        return torch.minimum((torch.rand(len(extent), device=self.device) * (last + 1)).long(), last)

    def _grid(self, flips: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The row and the column in the picture of each pixel of the patches: (count, size, size)."""
        steps = torch.arange(size, device=self.device)[None]
        row = torch.where(flips[0][:, None], size - 1 - steps, steps)
        column = torch.where(flips[1][:, None], size - 1 - steps, steps)
        transposed = flips[2][:, None, None]
        return (
            torch.where(transposed, row[:, None, :], row[:, :, None]),
            torch.where(transposed, column[:, :, None], column[:, None, :]),
        )


def _on_device(pictures: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """The pixels of all pictures, uint8 (sum of h*w, 3), copied one by one: the host never holds them twice."""
    pixels = torch.empty(
        sum(picture.shape[0] * picture.shape[1] for picture in pictures), 3, dtype=torch.uint8, device=device
    )
    start = 0
    for picture in pictures:
        count = picture.shape[0] * picture.shape[1]
        pixels[start : start + count].copy_(torch.from_numpy(np.array(picture).reshape(-1, 3)))
        start += count
    return pixels


def cut_middle(pairs: Sequence[Pair], height: int, width: int) -> list[np.ndarray]:
    """Cut the middle of each Pair's low-resolution picture: float32 (1, 3, height, width), 0...1.

    Raises ValueError for a picture that is smaller.
    """
    middles = []
    for pair in pairs:
        top, left = (pair.lr.shape[0] - height) // 2, (pair.lr.shape[1] - width) // 2
        if min(top, left) < 0:
            raise ValueError(
                f'a picture has {pair.lr.shape[1]} x {pair.lr.shape[0]} low-resolution pixels, '
                f'but {width} x {height} are needed: remove it'
            )
        part = pair.lr[top : top + height, left : left + width]
        middles.append(part.transpose(2, 0, 1)[None] / np.float32(255))
    return middles
