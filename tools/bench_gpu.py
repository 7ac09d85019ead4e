"""For tools.bench: a GPU, through the engine and through a bare PyTorch loop, and with a photograph."""

from __future__ import annotations

import functools
import statistics
import time

from pictures import processing, upscaler
from rdn import cli, engines, images, tiles
from rdn.engines import pytorch, torch_device
from rdn.network import checkpoint

import numpy as np
import torch
from torch import nn

import sample_images
from tools import timing

BATCHES = (1, 4, 16, 64)
SIDE = 114  # pixels, the guide's
PHOTOGRAPH = (4000, 3000)  # pixels, 12 megapixels
PRECISIONS = ('fp16', 'bf16', 'fp32')


def bench(weights: str, name: str | None, rounds: int) -> None:
    """Print the tables, or one line if no GPU works.

    Args:
        weights: path of the network's weights.
        name: the device's name; None for the first that works.
        rounds: how often each way is timed; the median counts.
    """
    device, notes = (torch_device.find(name), []) if name else torch_device.find_accelerator()
    if device is None:
        print('; '.join(['PyTorch finds no GPU that it can use', *notes]))
    else:
        bench_on(weights, device, rounds)


def bench_on(weights: str, device: torch_device.TorchDevice, rounds: int) -> None:
    """Print the tables of a device.

    Args:
        weights: path of the network's weights.
        device: the GPU.
        rounds: how often each way is timed.
    """
    print(f'{device.card}, torch {torch.__version__}, {weights}')
    print(f'\nimages of 3 x {SIDE} x {SIDE} per second, with the copies to and from the GPU')
    print(cli.format_table(batch_rows(weights, device, rounds)))
    print('\na photograph of 12 megapixels, without reading and writing its file')
    print(cli.format_table(photograph_rows(weights, device, rounds)))


def batch_rows(weights: str, device: torch_device.TorchDevice, rounds: int) -> list[tuple[str, ...]]:
    """Measure each precision and batch size.

    Args:
        weights: path of the network's weights.
        device: the GPU.
        rounds: how often each way is timed.

    Returns:
        A table: images per second of a bare loop and of the engine, and the engine's speed relative to the loop's.
    """
    rows: list[tuple[str, ...]] = [('precision', 'batch', 'bare loop', 'engine', 'ratio')]
    for precision in PRECISIONS:
        if torch_device.failure(device.name, precision):
            continue
        network = checkpoint.load(weights).to(device.name, torch_device.DTYPES[precision])
        network = network.to(memory_format=torch.channels_last)
        with pytorch.PyTorch(weights, precision, device=device) as model:
            for size in BATCHES:
                batch = np.random.RandomState(0).rand(size, 3, SIDE, SIDE).astype(np.float32)
                ways = functools.partial(bare_run, network, device, batch), functools.partial(model, batch)
                bare, ours = timing.alternate(dict(enumerate(ways)), rounds).values()
                rows.append((precision, str(size), f'{size / bare:.4g}', f'{size / ours:.4g}', f'{bare / ours:.2f}'))
    return rows


def bare_run(network: nn.Module, device: torch_device.TorchDevice, batch: np.ndarray) -> np.ndarray:
    """Run a network as in a simple script: copy the batch to the device, compute, copy the result back.

    Args:
        network: on the device.
        device: the GPU.
        batch: (N, 3, H, W), float32.

    Returns:
        (N, 3, scale*H, scale*W), float32.
    """
    parameter = next(network.parameters())
    with torch.no_grad():
        x = torch.from_numpy(batch).to(device.name, parameter.dtype).contiguous(memory_format=torch.channels_last)
        return network(x).float().cpu().numpy()


def photograph_rows(weights: str, device: torch_device.TorchDevice, rounds: int) -> list[tuple[str, ...]]:
    """Measure a photograph in each precision, in the tiles of RDN_upscale.py.

    Args:
        weights: path of the network's weights.
        device: the GPU.
        rounds: how often each precision is timed.

    Returns:
        A table: megapixels of source per second, and seconds.
    """
    pixels = np.asarray(images.read_rgb(sample_images.sample_paths()[0]).resize(PHOTOGRAPH))
    rows: list[tuple[str, ...]] = [('precision', 'megapixels/s', 'seconds')]
    for precision in PRECISIONS:
        if torch_device.failure(device.name, precision):
            continue
        with pytorch.PyTorch(weights, precision, device=device) as model:
            scale = engines.scale_of(model, weights)
            layout = upscaler.layout_for(model, pixels.shape[:2], processing.TILE_SIZE, tiles.OVERLAP, scale)
            times = []
            for _ in range(rounds + 1):
                start = time.perf_counter()
                for _ in upscaler.upscale_pixels(pixels, model, layout):
                    pass
                times.append(time.perf_counter() - start)
            median = statistics.median(times[1:])
            rows.append((precision, f'{pixels.shape[0] * pixels.shape[1] / 1e6 / median:.4g}', f'{median:.3g}'))
    return rows
