"""The network in PyTorch: on a GPU, an NPU or the CPU, in fp32, fp16 or bf16."""

from __future__ import annotations

import contextlib
import copy
import threading
from typing import NamedTuple

from rdn import run_record, tiles, toolkit
from rdn.engines import base, torch_device, weights
from rdn.network import exporter, taps

import numpy as np
import torch
from torch import nn

# Pixels of one run on an accelerator, from the measurements in docs/performance.md.
RUN_PIXELS = 32 * 114 * 114
# If a tile is too large for the memory, its parts overlap by this number of pixels. It is larger than tiles.OVERLAP,
# because no flag can increase it.
PART_OVERLAP = 24
LEAST_SIDE = 64  # pixels; a tile of this size or less is not divided
STREAMS = 2  # simultaneous runs on an accelerator: one computes while the other's data are copied


class _Loaded(NamedTuple):
    """The network on its device in one precision."""

    network: nn.Module
    precision: str


class PyTorch(base.Engine):
    """A network in PyTorch.

    If a run does not fit into the device's memory, it is divided into smaller batches, then into smaller tiles. Later
    runs start with a size that fits.
    """

    def __init__(
        self,
        path: str,
        precision: str = base.AUTO,
        place: base.Place = base.Place(),  # noqa: B008 - cannot change
        device: torch_device.TorchDevice | None = None,
    ):
        """Load a network.

        Args:
            path: weights (.pth), or an ONNX file that RDN_pth2onnx.py exported.
            precision: 'fp32', 'fp16', 'bf16' or AUTO. AUTO is fp32 on a CPU. On an accelerator it is the first of fp16,
                bf16 and fp32 that the device supports; if the network overflows in it, the next one, with a note.
            place: `device` is the device's name, `threads` the number of threads of a CPU.
            device: a device that is known to work; None takes the one of `place`, else the first accelerator, else the
                CPU.

        Raises:
            OSError: there is no such file.
            ValueError: the file does not contain a network of this project, or the device or the precision is not
                available.
        """
        super().__init__()
        self._device = device or self._find_device(place.device)
        network = weights.network_of(path)
        self._set_input(path, [None, network.config['num_channels'], None, None], [taps.RESULT])
        self._scale = network.config['scale_factor']
        self._source, self._may_change = network, precision == base.AUTO
        self._lock, self._turn, self._most_pixels = threading.Lock(), threading.Lock(), float('inf')
        on_cpu = self._device.kind == torch_device.CPU
        self.kind, self.version = 'PyTorch', f'PyTorch {torch.__version__}'
        self.chip = _chip(self._device)
        self.streams = 1 if on_cpu else STREAMS
        if on_cpu and place.threads not in (0, torch.get_num_threads()):
            torch.set_num_threads(place.threads)
        preferred = ('fp32',) if on_cpu else ('fp16', 'bf16', 'fp32')
        self._load(preferred if precision == base.AUTO else (precision,))

    def _find_device(self, name: str | None) -> torch_device.TorchDevice:
        if name:
            return torch_device.find(name)
        found, notes = torch_device.find_accelerator()
        self.notes.extend(notes)
        return found or torch_device.find(torch_device.CPU)

    def _load(self, precisions: tuple[str, ...]) -> None:
        """Put the network on the device in the first of these precisions that the device supports.

        Raises:
            ValueError: the device supports none of them.
        """
        reasons = []
        for precision in precisions:
            reason = torch_device.failure(self._device.name, precision)
            if reason is None:
                break
            reasons.append(f'{precision}: {reason}')
        else:
            raise ValueError(f'PyTorch does not compute in {"; ".join(reasons)} on {self._device.card}: take fp32')
        network = copy.deepcopy(self._source).to(self._device.name, torch_device.DTYPES[precision])
        self._loaded = _Loaded(network.to(memory_format=torch.channels_last), precision)
        self.precision = precision
        self.name = f'PyTorch, {precision} ({self._device.card})'

    def tiles_a_run(self, height: int, width: int) -> int:
        """Return the number of tiles that fill an accelerator; 1 on a CPU, where larger batches are not faster."""
        return 1 if self.streams == 1 else max(1, RUN_PIXELS // (height * width))

    def close(self) -> None:
        """Free the device's memory."""
        super().close()
        self._loaded = self._loaded._replace(network=nn.Identity())
        torch_device.free_memory(self._device.kind)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        count, channels, height, width = batch.shape
        if not count:
            return np.zeros((0, channels, height * self._scale, width * self._scale), np.float32)
        if count * height * width <= self._most_pixels:
            output = self._try(batch)
            if output is not None:
                return output
        return self._run_halves(batch) if count > 1 else self._run_parts(batch)

    def show_taps(self) -> None:
        """Make `run_all` return the network's taps, too."""
        self.outputs = taps.output_names(exporter.stages_of(self._source))

    def _run_all(self, batch: np.ndarray) -> list[np.ndarray]:
        """Compute all outputs in one run of any size, and accept values that are not finite."""
        if len(self.outputs) == 1:
            return [self._run(batch)]
        loaded = self._loaded
        tapped = loaded._replace(network=exporter.with_taps(loaded.network))
        with torch.no_grad():
            outputs = self._forward(tapped, torch.from_numpy(np.require(batch, np.float32, ['C', 'W'])))
            return [output.float().contiguous().cpu().numpy() for output in outputs]

    def _try(self, batch: np.ndarray) -> np.ndarray | None:
        """Return the output of one run; None if it does not fit into the memory. Runs take turns if memory is short."""
        is_short = self._most_pixels < float('inf')
        try:
            with self._turn if is_short else contextlib.nullcontext():
                return self._compute(batch)
        except Exception as error:
            if not torch_device.is_out_of_memory(error):
                raise
        # Not inside `except`, where the error still refers to the run's values.
        torch_device.free_memory(self._device.kind)
        pixels = batch.shape[0] * batch.shape[2] * batch.shape[3]
        with self._lock:
            if self._most_pixels == float('inf'):
                self.notes.append(
                    f'{self._device.card}: not enough memory for {pixels / 1e6:.3g} megapixels in one run: '
                    'smaller runs are used'
                )
            self._most_pixels = min(self._most_pixels, pixels - 1)
        return None

    def _run_halves(self, batch: np.ndarray) -> np.ndarray:
        half = len(batch) // 2
        return np.concatenate([self._run(batch[:half]), self._run(batch[half:])])

    def _run_parts(self, batch: np.ndarray) -> np.ndarray:
        """Run a batch of one tile in two overlapping parts. Raises ValueError if the tile is already tiny."""
        size = batch.shape[2:]
        if max(size) <= LEAST_SIDE:
            raise ValueError(
                f'{self._device.card}: not enough memory even for {size[0]} x {size[1]} pixels: '
                'end other programs that use it, or take the device cpu'
            )
        part = [-(-(side + PART_OVERLAP) // 2) if side == max(size) else side for side in size]
        layout = tiles.Layout(size[0], size[1], part, PART_OVERLAP, self._scale)
        those = [tile for row in tiles.tile_rows(layout) for tile in row]
        outputs = [(tile, self._run(tiles.cut(batch[0], tile)[np.newaxis])[0]) for tile in those]
        return tiles.join(outputs, layout)[np.newaxis]

    def _compute(self, batch: np.ndarray) -> np.ndarray:
        """Return the output of one run. Raises ValueError if it is not finite and no other precision can be tried."""
        while True:
            loaded = self._loaded
            with torch.no_grad():
                output = self._forward(loaded, torch.from_numpy(np.require(batch, np.float32, ['C', 'W'])))
                if bool(torch.isfinite(output).all()):
                    return output.float().contiguous().cpu().numpy()
            del output
            self._widen(loaded)

    def _forward(self, loaded: _Loaded, x: torch.Tensor) -> torch.Tensor:
        if loaded.precision == 'fp32':
            torch_device.compute_exactly(self._device.kind)
        x = x.to(self._device.name, torch_device.DTYPES[loaded.precision])
        return loaded.network(x.contiguous(memory_format=torch.channels_last))

    def _widen(self, loaded: _Loaded) -> None:
        """Load the network again, in a precision with a larger range, because it overflowed.

        Raises:
            ValueError: no precision has a larger range, or the user named the precision.
        """
        if loaded.precision == 'fp32':
            raise ValueError('it computes values that are not finite: the weights or the input are wrong')
        if not self._may_change:
            raise ValueError(f'{loaded.precision} overflows in this network: take fp32')
        with self._lock:
            if self._loaded is loaded:  # otherwise another run has already loaded it
                self._load(('bf16', 'fp32') if loaded.precision == 'fp16' else ('fp32',))
                self.notes.append(
                    f'{loaded.precision} overflows in this network, so it is computed in {self.precision}'
                )


def _chip(device: torch_device.TorchDevice) -> str:
    """Return the device's name for a record."""
    if device.kind == torch_device.CPU:
        return run_record.HOST
    return toolkit.chip_name(device.card) if device.kind == 'npu' else device.card
