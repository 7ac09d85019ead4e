"""Read training pictures, and draw the random patches from which a network learns."""

from __future__ import annotations

import os
from typing import NamedTuple, Sequence

from rdn import cli, cpu, images

import numpy as np
import torch
from PIL import Image

# A picture's mean difference of neighbouring pixels is clipped to this range: neither noise nor sky may dominate.
DETAIL = (2.0, 12.0)


class Pair(NamedTuple):
    """A picture in two resolutions.

    Attributes:
        lr: low-resolution picture, uint8 (h, w, 3), RGB.
        hr: high-resolution picture, uint8 (scale*h, scale*w, 3), RGB.
    """

    lr: np.ndarray
    hr: np.ndarray


class Loaded(NamedTuple):
    """The pictures of a training set.

    Attributes:
        pairs: the pairs of all pictures that are large enough.
        too_small: paths of the pictures that are smaller than a patch.
    """

    pairs: list[Pair]
    too_small: list[str]


def find_images(folder: str) -> list[str]:
    """List the paths of all files below a folder, sorted, without hidden files and folders.

    Raises:
        ValueError: the folder does not exist or contains no files.
    """
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths += [os.path.join(parent, name) for name in sorted(names) if not name.startswith('.')]
    if not paths:
        raise ValueError(f'{folder}: no images in it' if os.path.isdir(folder) else f'{folder}: no such folder')
    return paths


def read_picture(path: str, factor: float = 1) -> Image.Image:
    """Read an RGB picture, and reduce it with BICUBIC by a factor.

    Camera pictures are sharper at a smaller size.

    Args:
        path: the image file.
        factor: factor on width and height, above 0, at most 1.

    Raises:
        ValueError: the file is not a picture; the message names it.
    """
    picture = images.read_rgb(path)
    if factor == 1:
        return picture
    return picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.BICUBIC)


def make_pair(picture: Image.Image, scale: int) -> Pair:
    """Make the Pair of a picture. Its sides are first cropped to multiples of `scale`.

    The whole picture is reduced before patches are cut. So the pixels at a patch's border depend on pixels outside the
    patch, as in a real low-resolution picture.
    """
    hr = images.modcrop(picture, scale)
    return Pair(np.asarray(images.bicubic_downsample(hr, scale)), np.asarray(hr))


def load_pair(path: str, scale: int, size: int, factor: float = 1) -> Pair:
    """Read the Pair of an image file.

    Args:
        path: the image file.
        scale: scale of the network.
        size: side of a low-resolution patch, in pixels.
        factor: factor on width and height, above 0, at most 1.

    Raises:
        ValueError: the file is not a picture, or the picture is smaller than a patch; the message names the file.
    """
    picture, needed = read_picture(path, factor), size * scale
    if min(picture.size) < needed:
        raise ValueError(
            f'{path}: {picture.width} x {picture.height} pixels, but a patch needs {needed} x {needed}: '
            'remove it, or choose a smaller --patch'
        )
    return make_pair(picture, scale)


def load_pairs(jobs: Sequence[tuple[str, float]], scale: int, size: int) -> Loaded:
    """Read all pictures, on all cores, and keep those that are at least as large as a patch, in their order.

    Args:
        jobs: (path, factor) of each picture; see `read_picture`.
        scale: scale of the network.
        size: side of a low-resolution patch, in pixels.

    Raises:
        ValueError: a file is not a picture; the message names it.
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
    """Compute the cumulative probabilities of the pictures.

    A picture's probability is proportional to its area and its detail, because a network learns little from sky. The
    detail is the mean absolute difference of neighbouring pixels in green, clipped to DETAIL.

    Returns:
        float64 (len(pairs),), increasing to 1.
    """

    def weigh(pair: Pair) -> float:
        green = pair.hr[..., 1].astype(np.int16)
        detail = np.abs(np.diff(green, axis=1)).mean() + np.abs(np.diff(green, axis=0)).mean()
        return pair.lr.shape[0] * pair.lr.shape[1] * float(np.clip(detail, *DETAIL))

    weights = list(cpu.map_in_order(weigh, pairs))
    return np.cumsum(weights) / np.sum(weights)


class HostPatches:
    """Random patches, drawn by numpy. The same seed draws the same patches on every machine."""

    def __init__(self, pairs: Sequence[Pair], scale: int, size: int):
        """Take the pictures.

        Args:
            pairs: the pictures, each at least as large as a patch.
            scale: scale of the network.
            size: side of a low-resolution patch, in pixels.
        """
        self.pairs, self.scale, self.size = pairs, scale, size
        self.chances = cumulative_weights(pairs)

    def draw(self, count: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw patches, each from a random picture and place, randomly flipped and turned by quarter turns.

        Args:
            count: number of patches.
            seed: seed of all random choices.

        Returns:
            (low-resolution patches, high-resolution patches): uint8 (count, 3, size, size) and
            (count, 3, scale*size, scale*size).
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
    """Random patches of pictures that are stored on a device. Drawing does not wait for the device.

    All pictures are in one array of pixels, so that one index selects a pixel of any picture. Therefore `draw` can be
    recorded in a CUDA graph. Needs torch 1.6 or later.
    """

    def __init__(self, pairs: Sequence[Pair], scale: int, size: int, device: torch.device):
        """Copy the pictures to the device, as uint8.

        Args:
            pairs: the pictures, each at least as large as a patch.
            scale: scale of the network.
            size: side of a low-resolution patch, in pixels.
            device: the device.
        """
        self.scale, self.size, self.device = scale, size, device
        shapes = torch.tensor([pair.lr.shape[:2] for pair in pairs])
        areas = shapes.prod(1)
        self.chances = torch.from_numpy(cumulative_weights(pairs)).float().to(device)
        self.heights, self.widths = shapes.to(device).unbind(1)
        self.starts = (torch.cumsum(areas, 0) - areas).to(device)  # of each picture, in low-resolution pixels
        self.lr = _on_device([pair.lr for pair in pairs], device)
        self.hr = _on_device([pair.hr for pair in pairs], device)

    def draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw patches, each from a random picture and place, randomly flipped and turned by quarter turns.

        The random numbers are from torch's generator for the device.

        Args:
            count: number of patches.

        Returns:
            (low-resolution patches, high-resolution patches): float32, 0...1, (count, 3, size, size) and
            (count, 3, scale*size, scale*size), on the device.
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
        """Return random first rows of patches, for pictures of these heights; or first columns, for widths."""
        last = extent - self.size
        return torch.minimum((torch.rand(len(extent), device=self.device) * (last + 1)).long(), last)

    def _grid(self, flips: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the row and the column of each pixel inside its patch, after flips and turns: (count, size, size)."""
        steps = torch.arange(size, device=self.device)[None]
        row = torch.where(flips[0][:, None], size - 1 - steps, steps)
        column = torch.where(flips[1][:, None], size - 1 - steps, steps)
        transposed = flips[2][:, None, None]
        return (
            torch.where(transposed, row[:, None, :], row[:, :, None]),
            torch.where(transposed, column[:, :, None], column[:, None, :]),
        )


def _on_device(pictures: Sequence[np.ndarray], device: torch.device) -> torch.Tensor:
    """Return the pixels of all pictures, uint8 (sum of h*w, 3). Pictures are copied singly to save the host's memory."""
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
    """Cut the middle of each low-resolution picture.

    Args:
        pairs: the pictures.
        height: height of the middle, in pixels.
        width: width of the middle, in pixels.

    Returns:
        For each picture float32 (1, 3, height, width), RGB, 0...1.

    Raises:
        ValueError: a picture is smaller.
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
