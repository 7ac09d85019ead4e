"""A step of training: the forward pass, the loss, Adam, the moving average of the weights.

`Steps` has what all ways of computing a step share, PlainSteps is the way that runs anywhere; graph.py has the way
that keeps a GPU busy, and ways.py chooses.
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
LOSS_SHARE = 0.02  # of the newest step in the smoothed loss: it covers about 50 steps
TRIAL_SECONDS = 5  # a first trial step that takes longer is not repeated


class State(NamedTuple):
    """All that a step changes: the weights, their moving average, Adam's state of each weight, the smoothed loss."""

    weights: list[torch.Tensor]
    average: list[torch.Tensor]
    adam: list[dict[str, Any]]
    loss: float


class Loss(torch.nn.Module):
    """L1 of the colours plus L1 of the luma, as PSNR is measured on luma."""

    def __init__(self):
        super().__init__()
        self.register_buffer('luma', torch.tensor(metrics.BT601, dtype=torch.float32).reshape(1, 3, 1, 1))

    def forward(self, sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
        """Compute the loss of sr against hr, both (N, 3, H, W), RGB, 0...1."""
        difference = sr.float() - hr
        return difference.abs().mean() + (difference * self.luma).sum(1).abs().mean()


def average_share(step: int) -> float:
    """Compute the share of the newest weights in the moving average after `step` steps: 9 / (step + 9).

    So the average covers about the last ninth of all steps, however many they are: a run's first weights are
    forgotten soon, and its end counts.
    """
    return 9 / (step + 9)


def loss_share(step: int) -> float:
    """Compute the share of the newest loss in the smoothed one after `step` steps: a plain mean at first."""
    return max(LOSS_SHARE, 1 / step)


class Steps(ABC):
    """A network in training.

    Attributes:
        model: the network that learns.
        average: the same with the moving average of the weights; this one is measured and written.
        loss: the smoothed loss, a tensor of one number on the device.
        precision: 'fp32', 'bf16' or 'fp16': what it computes in, unless `exact`.
        at_once: the number of steps that one call of `run` does best.
    """

    precision = 'fp32'
    at_once = 1

    def __init__(self, model: models.RDN, device: torch.device, channels_last: bool, **adam: Any):
        self.device = device
        layout = {'memory_format': torch.channels_last} if channels_last else {}
        # On a GPU in the weights' layout, which lets one kernel update all of it.
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
            first: how many steps were done before.
            count: how many to do.
            rate: the learning rate.
            exact: compute in fp32, where the way has a lower precision that costs accuracy.
        """

    def is_failing(self) -> bool:
        """Return whether training has failed: the loss is not a finite number."""
        return not math.isfinite(float(self.loss))

    def wait(self) -> None:
        """Return when the device has done all steps."""
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
        """Go to a state that `keep` copied, here or on another device; tensors stay where they are.

        Raises KeyError, RuntimeError, ValueError or TypeError for the state of another network.
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
        """Measure the seconds of a step, and leave no trace of it in the state."""
        kept, seconds = self.keep(), float('inf')
        for _ in range(2):  # the first one of a process also sets up kernels and memory
            started = time.monotonic()
            self.run(0, self.at_once, 0.0)
            self.wait()
            seconds = min(seconds, (time.monotonic() - started) / self.at_once)
            if seconds * self.at_once > TRIAL_SECONDS:
                break
        self.put(kept)
        return seconds

    def _begin_adam(self) -> None:
        """Make Adam's slots, zero, so that `put` finds them."""
        for tensor in self.weights:
            tensor.grad = torch.zeros_like(tensor)
        self.optimizer.step()  # zero gradients and moments: the weights stay
        self._clear_adam()

    def _clear_adam(self) -> None:
        for slots in self.optimizer.state.values():
            for name, slot in slots.items():
                if torch.is_tensor(slot):
                    slot.zero_()
                else:
                    guides_stack.set_counter(slots, name, 0)


class PlainSteps(Steps):
    """One step after the other, with patches that numpy draws: any device and any torch, the same on every run on a CPU."""

    def __init__(
        self,
        model: models.RDN,
        source: patches.HostPatches,
        batch_size: int,
        seed: int,
        device: torch.device,
        bf16: bool,
    ):
        """Take the network, its patches, how many make a batch, and whether to compute in bfloat16 unless `exact`."""
        super().__init__(model, device, channels_last=bf16)  # slower in fp32 on a CPU
        self.source, self.batch_size, self.seed = source, batch_size, seed
        self.precision = 'bf16' if bf16 else 'fp32'
        self._begin_adam()

    def run(self, first: int, count: int, rate: float, exact: bool = False) -> None:
        """Do some steps; the numbers of `first` and `seed` choose the patches."""
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
