"""Measure the PSNR and SSIM of a PyTorch network on images, by the measured protocols of rdn/data/protocols.py."""

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
    """The PSNR and SSIM of an image, or their means over a folder.

    Attributes:
        psnr: PSNR of the network's output, in dB.
        bicubic_psnr: PSNR of bicubic upsampling, in dB.
        ssim: SSIM of the network's output; nan if it was not measured.
        bicubic_ssim: SSIM of bicubic upsampling; nan if it was not measured.
    """

    psnr: float
    bicubic_psnr: float
    ssim: float
    bicubic_ssim: float


def fit_image(path: str, scale: int, protocol: protocols.Protocol) -> Image.Image:
    """Read an image file, and make a protocol's label from it.

    Args:
        path: the image file.
        scale: scale of the network.
        protocol: the protocol.

    Raises:
        ValueError: the file is not a picture, or is too small for the protocol; the message names it.
    """
    image = images.read_rgb(path)
    side = configuration.LABEL_SIDE // scale * scale
    with files.errors_naming(path):
        return protocol.fit(image, side, side, scale)


def score_image(
    model: torch.nn.Module, image: Image.Image, scale: int, protocol: protocols.Protocol, with_ssim: bool = False
) -> Quality:
    """Reduce an image with Pillow's BICUBIC, enlarge it with the network, and compare.

    Args:
        model: network from (1, 3, H, W) to (1, 3, scale*H, scale*W), RGB, 0...1. It runs on the device of its weights.
        image: the label.
        scale: scale of the network.
        protocol: the protocol.
        with_ssim: whether to measure SSIM too.
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
    """Return the mean Quality over image files.

    Args:
        model: network from (1, 3, H, W) to (1, 3, scale*H, scale*W), RGB, 0...1.
        paths: the image files.
        scale: scale of the network.
        protocol: the protocol.
        with_ssim: whether to measure SSIM too.

    Raises:
        ValueError: a file is not a picture, or is too small for the protocol; the message names it.
    """
    scores = [score_image(model, fit_image(path, scale, protocol), scale, protocol, with_ssim) for path in paths]
    return Quality(*(float(mean) for mean in np.mean(scores, 0)))


class Evaluation:
    """Folders of images on which a network is measured during training.

    Attributes:
        scale: scale of the network.
        folders: name of each folder -> paths of its images.
        pixels: number of pixels of all labels.
        smallest: (pixels, path) of the smallest image; None without images.
    """

    def __init__(self, folders: Sequence[str], scale: int):
        """List the images.

        Args:
            folders: paths of the folders.
            scale: scale of the network.

        Raises:
            ValueError: a file is not a picture, or is too small for one of the protocols; the message names it.
        """
        self.scale = scale
        self.folders: dict[str, list[str]] = {}
        self.pixels = 0
        self.smallest: tuple[int, str] | None = None
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
        """Measure a network by a protocol; return name of each folder -> mean Quality."""
        return {name: evaluate(model, paths, self.scale, protocol) for name, paths in self.folders.items()}

    def estimate_seconds(self, model: torch.nn.Module) -> float:
        """Estimate, from the smallest image, the seconds that measuring by all protocols takes; 0 without folders."""
        if not self.smallest:
            return 0.0
        pixels, path = self.smallest
        seconds = float('inf')
        for _ in range(2):  # the first run also sets up kernels and memory
            started = time.monotonic()
            for protocol in protocols.measured():
                evaluate(model, [path], self.scale, protocol)
            seconds = min(seconds, time.monotonic() - started)
        return seconds * self.pixels / pixels
