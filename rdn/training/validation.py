"""Measure the PSNR and SSIM of a PyTorch network on images, by the protocols that rdn/data/protocols.py names for it."""

from __future__ import annotations

import os
import time
from typing import Iterable, NamedTuple, Sequence

from rdn import configuration, files, images
from rdn.accuracy import metrics
from rdn.data import protocols

import numpy as np
import torch
from PIL import Image


class Quality(NamedTuple):
    """PSNR in dB and SSIM of an image, or means over a folder; SSIM is nan where it was not asked for."""

    psnr: float
    bicubic_psnr: float
    ssim: float
    bicubic_ssim: float


def fit_image(path: str, scale: int, protocol: protocols.Protocol) -> Image.Image:
    """The PIL image that a protocol makes of a file. Raises ValueError, with the file's name."""
    image = images.read_rgb(path)
    side = configuration.LABEL_SIDE // scale * scale
    with files.errors_naming(path):
        return protocol.fit(image, side, side, scale)


def score_image(
    model: torch.nn.Module, image: Image.Image, scale: int, protocol: protocols.Protocol, with_ssim: bool = False
) -> Quality:
    """Reduce a PIL image with Pillow's BICUBIC, enlarge it with the network, and return the Quality.

    model: (1, 3, H, W) -> (1, 3, scale*H, scale*W), RGB, 0...1, on the device of its weights.
    """
    lr, hr = images.bicubic_downsample(image, scale), images.to_chw(image)
    device = next(model.parameters()).device
    with torch.no_grad():
        sr = model(torch.from_numpy(images.to_chw(lr))[None].to(device))[0].float().cpu().numpy()
    bicubic = images.to_chw(images.bicubic_upsample(lr, scale))
    border, planes = protocol.border(scale), metrics.PLANES[protocol.planes or metrics.DEFAULT_LUMA]
    psnr = [metrics.sr_psnr(x, hr, border, planes) for x in (sr, bicubic)]
    ssim = [metrics.sr_ssim(x, hr, border) if with_ssim else float('nan') for x in (sr, bicubic)]
    return Quality(*psnr, *ssim)


def evaluate(
    model: torch.nn.Module,
    paths: Iterable[str],
    scale: int,
    protocol: protocols.Protocol,
    with_ssim: bool = False,
) -> Quality:
    """The mean Quality over image files. Raises ValueError, with the file's name, for one that `fit_image` refuses."""
    scores = [score_image(model, fit_image(path, scale, protocol), scale, protocol, with_ssim) for path in paths]
    return Quality(*(float(mean) for mean in np.mean(scores, 0)))


class Evaluation:
    """Folders of images on which a network is measured while it learns.

    Attributes:
        folders: name -> paths of its images.
    """

    def __init__(self, folders: Sequence[str], scale: int):
        """List the images. Raises ValueError, with the file's name, for one that cannot be measured by each protocol."""
        self.scale = scale
        self.folders: dict[str, list[str]] = {}
        self.pixels = 0
        self.smallest: tuple[int, str] | None = None  # pixels, path
        for folder in folders:
            name = os.path.basename(os.path.abspath(folder))
            paths = images.list_images(folder)
            self.folders[folder if name in self.folders else name] = paths
            for path in paths:
                sizes = [fit_image(path, scale, protocol).size for protocol in protocols.measured()]
                pixels = sum(width * height for width, height in sizes)
                self.pixels += pixels
                self.smallest = min(self.smallest or (pixels, path), (pixels, path))

    def measure(self, model: torch.nn.Module, protocol: protocols.Protocol) -> dict[str, Quality]:
        """Measure a network by a protocol: folder's name -> Quality."""
        return {name: evaluate(model, paths, self.scale, protocol) for name, paths in self.folders.items()}

    def estimate_seconds(self, model: torch.nn.Module) -> float:
        """Estimate how long measuring by all protocols takes, from the smallest image; 0 without folders."""
        if not self.smallest:
            return 0.0
        pixels, path = self.smallest
        seconds = float('inf')
        for _ in range(2):  # the first one also sets up kernels and memory
            started = time.monotonic()
            for protocol in protocols.measured():
                evaluate(model, [path], self.scale, protocol)
            seconds = min(seconds, time.monotonic() - started)
        return seconds * self.pixels / pixels
