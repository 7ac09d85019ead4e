"""Compute steps of training: the forward pass, the loss, Adam, and the moving average of the weights.

`Steps` is the base class. `PlainSteps` runs on any device, and graph.py has steps that keep a GPU busy; ways.py chooses
one of them.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from rdn import guides_stack
from rdn.accuracy import metrics
from rdn.training import patches

import torch

import models

MAX_GRADIENT_NORM = 0.5
BETAS = (0.9, 0.99)  # of Adam
LOSS_SHARE = 0.02  # share of the newest step in the smoothed loss, which therefore covers about 50 steps
TRIAL_SECONDS = 5  # a first trial step that takes longer is not repeated


class State(NamedTuple):
    """Everything that a step changes.

    Attributes:
        weights: weights of the network.
        average: their moving average.
        adam: Adam's state for each weight.
        loss: smoothed loss.
    """

    weights: list[torch.Tensor]
    average: list[torch.Tensor]
    adam: list[dict[str, Any]]
    loss: float


class Loss(torch.nn.Module):
    """L1 of the colours plus L1 of the luma, because PSNR is measured on luma."""

    def __init__(self):
        super().__init__()
        self.register_buffer('luma', torch.tensor(metrics.BT601, dtype=torch.float32).reshape(1, 3, 1, 1))

    def forward(self, sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        """Compute the loss of sr against hr, both (N, 3, H, W), RGB, 0...1."""
        difference = sr.float() - hr
        return difference.abs().mean() + (difference * self.luma).sum(1).abs().mean()


def average_share(step: int) -> float:
    """Compute the share of the newest weights in the moving average after `step` steps: 9 / (step + 9).

    The average covers about the last ninth of all steps, in short runs and in long ones. So the first weights of a run
    soon lose their influence.
    """
    return 9 / (step + 9)


def loss_share(step: int) -> float:
    """Compute the share of the newest loss in the smoothed loss after `step` steps, at first that of a plain mean."""
    return max(LOSS_SHARE, 1 / step)


class Steps(ABC):
    """A network in training.

    Attributes:
        model: network that learns.
        average: network with the moving average of the weights, which is measured and written.
        loss: smoothed loss, a tensor of one number on the device.
        precision: precision of the computation, unless it is `exact`: 'fp32', 'bf16' or 'fp16'.
        at_once: number of steps for which one call of `run` is most efficient.
    """

    precision = 'fp32'
    at_once = 1

    def __init__(self, model: models.RDN, device: torch.device, channels_last: bool, **adam: Any):
        """Copy a network to the device.

        Args:
            model: the network, on the CPU.
            device: the device.
            channels_last: whether the weights are stored with the channels as the last axis.
            **adam: arguments of torch.optim.Adam.
        """
        self.device = device
        layout = {'memory_format': torch.channels_last} if channels_last else {}
        # On a GPU, the average has the weights' layout, so that one kernel can update all of it.
        self.average = copy.deepcopy(model).to(device, **(layout if device.type == 'cuda' else {})).eval()
        self.model = model.to(device, **layout).train()
        self.weights = list(self.model.parameters())
        self.average_weights = [tensor.data for tensor in self.average.parameters()]
        self.criterion = Loss().to(device)
        self.loss = torch.zeros((), device=device)
        self.optimizer = torch.optim.Adam(self.weights, betas=BETAS, **adam)

    @abstractmethod
    def run(self, first: int, count: int, rate: float, exact: bool = False) -> None:
        """Do some steps.

        Args:
            first: number of steps that were done before.
            count: number of steps to do.
            rate: the learning rate.
            exact: whether to compute in fp32 if the usual precision costs accuracy.
        """

    def is_failing(self) -> bool:
        """Return whether training has failed: the loss is not a finite number."""
        return not math.isfinite(float(self.loss))

    def wait(self) -> None:
        """Wait until the device has done all steps."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def keep(self) -> State:
        """Copy the state."""
        return State(
            [tensor.detach().clone() for tensor in self.weights],
            [tensor.clone() for tensor in self.average_weights],
            [{name: copy.deepcopy(value) for name, value in self.optimizer.state[p].items()} for p in self.weights],
            float(self.loss),
        )

    def put(self, state: State) -> None:
        """Restore a state that `keep` copied, on this or another device. The tensors keep their place in memory.

        Raises:
            ValueError: the state is of another network. Depending on the difference, it is a KeyError, RuntimeError or
                TypeError instead.
        """
        if len(state.adam) != len(self.weights):
            raise ValueError(f'{len(state.adam)} weights, not {len(self.weights)}')
        with torch.no_grad():
            for own, kept in ((self.weights, state.weights), (self.average_weights, state.average)):
                for tensor, value in zip(own, kept):
                    if tensor.shape != value.shape:
                        raise ValueError(f'a weight of shape {list(value.shape)}, not {list(tensor.shape)}')
                    tensor.copy_(value)
            for tensor, values in zip(self.weights, state.adam):
                slots = self.optimizer.state[tensor]
                for name, slot in slots.items():
                    if torch.is_tensor(slot):
                        slot.copy_(torch.as_tensor(values[name]))
                    else:
                        guides_stack.set_counter(slots, name, values[name])
            self.loss.fill_(state.loss)

    def trial_seconds(self) -> float:
        """Measure the seconds of a step, then restore the state."""
        kept, seconds = self.keep(), float('inf')
        for _ in range(2):  # the first step of a process also sets up kernels and memory
            started = time.monotonic()
            self.run(0, self.at_once, 0.0)
            self.wait()
            seconds = min(seconds, (time.monotonic() - started) / self.at_once)
            if seconds * self.at_once > TRIAL_SECONDS:
                break
        self.put(kept)
        return seconds

    def _begin_adam(self) -> None:
        """Create Adam's slots with zeros, because `put` needs them."""
        for tensor in self.weights:
            tensor.grad = torch.zeros_like(tensor)
        self.optimizer.step()  # does not change the weights, because gradients and moments are zero
        self._clear_adam()

    def _clear_adam(self) -> None:
        for slots in self.optimizer.state.values():
            for name, slot in slots.items():
                if torch.is_tensor(slot):
                    slot.zero_()
                else:
                    guides_stack.set_counter(slots, name, 0)


class PlainSteps(Steps):
    """Steps for any device and any version of torch, with patches from numpy. On a CPU, every run is the same."""

    def __init__(
        self,
        model: models.RDN,
        source: patches.HostPatches,
        batch_size: int,
        seed: int,
        device: torch.device,
        bf16: bool,
    ):
        """Copy the network to the device.

        Args:
            model: the network, on the CPU.
            source: the patches.
            batch_size: number of patches in a batch.
            seed: seed of the patches.
            device: the device.
            bf16: whether to compute in bfloat16, unless a step is `exact`.
        """
        super().__init__(model, device, channels_last=bf16)  # in fp32, channels_last is slower on a CPU
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.precision = 'bf16' if bf16 else 'fp32'
        self._begin_adam()

    def run(self, first: int, count: int, rate: float, exact: bool = False) -> None:
        """Do some steps. The seed and the number of a step determine its patches."""
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        for step in range(first, first + count):
            batch = self.source.draw(self.batch_size, [self.seed, step])
            lr, hr = (torch.from_numpy(part).to(self.device).float() / 255 for part in batch)
            self.optimizer.zero_grad()
            bf16 = self.precision == 'bf16' and not exact
            with torch.autocast(self.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext():
                sr = self.model(lr)
            loss = self.criterion(sr, hr)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.weights, MAX_GRADIENT_NORM)
            self.optimizer.step()
            with torch.no_grad():
                share = average_share(step + 1)
                for mean, new in zip(self.average_weights, self.weights):
                    mean.lerp_(new, share)
                self.loss.lerp_(loss.detach(), loss_share(step + 1))
