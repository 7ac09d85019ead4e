"""How an RDN learns: its first weights, the schedule, spikes of the loss, and checkpoints."""

from __future__ import annotations

import collections
import io
import json
import math
import signal
import time
from typing import Any

from rdn import files, stopping
from rdn.network import checkpoint
from rdn.training import steps

import torch

import models

WARM_UP = 0.02  # fraction of the run
LAST_RATE = 0.01  # fraction of the highest learning rate
FP32_SHARE = 0.1  # of a run in bf16, its end: bf16's roundings cost some hundredths of a decibel, which this gives back
CHECK_STEPS = 100  # between two checks of the loss
KEEP_STEPS = 500  # between two states to go back to
SPIKE_FACTOR, SPIKE_MARGIN = 3, 0.02  # a spike: loss > factor * last good loss + margin
SMALLEST_FACTOR = 1 / 64  # of the learning rate: after six spikes a run has failed


def learning_rate(progress: float, highest: float) -> float:
    """The learning rate at `progress`, 0...1: linear warm-up, then a cosine down to LAST_RATE of the highest."""
    if progress < WARM_UP:
        return highest * max(progress, WARM_UP / 100) / WARM_UP
    cosine = (1 + math.cos(math.pi * min(1, (progress - WARM_UP) / (1 - WARM_UP)))) / 2
    return highest * (LAST_RATE + (1 - LAST_RATE) * cosine)


def begin_as_interpolation(model: models.RDN) -> None:
    """Set a new RDN's weights so that it computes about Pillow's bicubic upsampling; the rest stays random.

    Three features carry the colours past the blocks (the global residual), and the convolutions before the pixel
    shuffle interpolate them, by Keys's cubic (a = -1/2), its outermost fourth tap left out. Training starts at bicubic's
    PSNR instead of a grey picture's, which is half of what a run of some minutes would reach.
    """

    def cubic(x: float) -> float:
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2

    with torch.no_grad():
        for conv, colours in [(model.sfe1, 3), (model.gff[1], 3), (model.output, 3)]:
            conv.weight[:colours] = 0
            conv.bias[:colours] = 0
        for colour in range(3):
            model.sfe1.weight[colour, colour, 1, 1] = 1
            model.output.weight[colour, colour, 1, 1] = 1
        for conv in model.upscale[::2]:
            factor = int(round((conv.out_channels / conv.in_channels) ** 0.5))
            conv.weight[: 3 * factor**2] = 0
            conv.bias[: 3 * factor**2] = 0
            taps = []  # of each of the new pixels between two old ones, on the old ones -1, 0, 1
            for phase in range(factor):
                centre = (phase + 0.5) / factor - 0.5
                tap = torch.tensor([cubic(centre - place) for place in (-1, 0, 1)])
                taps.append(tap / tap.sum())
            for channel in range(3 * factor**2):
                colour, row, column = channel // factor**2, channel % factor**2 // factor, channel % factor
                conv.weight[channel, colour] = taps[row][:, None] * taps[column][None]


class Trainer:
    """A run: steps by a schedule, checks of the loss, checkpoints.

    Attributes:
        steps: what computes.
        settings: what a resumed run must share with the one it continues, names with plain values.
        step: how many steps were done.
        seconds: how long the run has taken, measuring included.
        total_seconds: how long the run may take before its last measurement; None if --steps sets its length.
        rate_factor: factor on the learning rate; each spike of the loss halves it.
    """

    def __init__(self, steps_of_run: steps.Steps, settings: dict[str, Any], total_seconds: float | None = None):
        """Begin a run; settings: with 'steps' (or None), 'learning_rate', 'seed'."""
        self.steps, self.settings, self.total_seconds = steps_of_run, settings, total_seconds
        self.step, self.seconds, self.rate_factor = 0, 0.0, 1.0
        self.good: steps.State | None = None  # the last one whose loss was in order, and its step
        self.good_step = 0

    def progress(self) -> float:
        """Return 0...1, by steps or by time, whichever the run was given."""
        if self.settings['steps']:
            return self.step / self.settings['steps']
        return self.seconds / self.total_seconds if self.total_seconds else 1.0

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.rate_factor * learning_rate(self.progress(), self.settings['learning_rate'])

    def precision(self) -> str:
        """Return the precision of the next step: 'fp32', 'bf16' or 'fp16'."""
        return 'fp32' if self._is_exact() else self.steps.precision

    def _is_exact(self) -> bool:
        return self.steps.precision == 'bf16' and self.progress() >= 1 - FP32_SHARE

    def learn(self) -> str:
        """Do the next steps, and check the loss now and then.

        Returns:
            A line for the console if the loss had a spike, else ''.

        Raises:
            ValueError: the network learns nothing at this learning rate.
        """
        count = self.steps.at_once
        if self.settings['steps']:
            count = min(count, self.settings['steps'] - self.step)
        self.steps.run(self.step, count, self.rate(), self._is_exact())
        before, self.step = self.step, self.step + count
        if self.step // CHECK_STEPS > before // CHECK_STEPS or self.progress() >= 1:
            return self.check()
        return ''

    def check(self) -> str:
        """Go back to the last good state where the loss had a spike, with half the learning rate; as `learn`."""
        loss, good = float(self.steps.loss), self.good
        failing = self.steps.is_failing()
        if not failing and (good is None or loss <= SPIKE_FACTOR * good.loss + SPIKE_MARGIN):
            if good is None or self.step - self.good_step >= KEEP_STEPS:
                self.good, self.good_step = self.steps.keep(), self.step
            return ''
        self.rate_factor /= 2
        if good is None or self.rate_factor < SMALLEST_FACTOR:
            raise ValueError(
                f'training failed at step {self.step}: the loss keeps rising or is not a number; choose a lower --learning-rate'
            )
        self.steps.put(good)
        return (
            f'step {self.step}: the loss rose from {good.loss:.5f} to {loss:.5f}: '
            f'back to the last good weights, with {self.rate_factor:g} of the learning rate'
        )

    def save(self, path: str) -> None:
        """Write a checkpoint for `load`, atomically. If the steps are failing, keep the previous checkpoint."""
        if self.steps.is_failing():
            return
        state = self.steps.keep()
        content = {
            'settings': json.dumps(self.settings),
            'step': self.step,
            'seconds': self.seconds,
            'rate_factor': self.rate_factor,
            'weights': [tensor.cpu().contiguous() for tensor in state.weights],
            'average': [tensor.cpu().contiguous() for tensor in state.average],
            'adam': [{name: _plain(value) for name, value in slots.items()} for slots in state.adam],
            'loss': state.loss,
        }
        _write(content, path)

    def load(self, path: str) -> None:
        """Continue from a checkpoint, which may be of another device.

        Raises:
            ValueError: the file is not a checkpoint, or belongs to another run; the message names what differs.
        """
        saved = checkpoint.load_plain(path)
        try:
            theirs = json.loads(saved['settings'])
            for name, ours in self.settings.items():
                if theirs.get(name) != ours:
                    raise ValueError(
                        f'{path}: written by a run with {name} = {theirs.get(name)}, but this run has {ours}; '
                        'use the same flags, or remove it to begin anew'
                    )
            self.good = steps.State(saved['weights'], saved['average'], saved['adam'], float(saved['loss']))
            self.steps.put(self.good)
            self.step = self.good_step = int(saved['step'])
            self.seconds = float(saved['seconds'])
            self.rate_factor = float(saved['rate_factor'])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            reason = str(error).split('\n')[0]
            raise ValueError(f'{path}: not a checkpoint of this RDN_train.py ({reason}); remove it to begin anew')
        torch.manual_seed(self.settings['seed'] + self.step)  # a GPU draws other patches than at its beginning

    def write_weights(self, path: str, half: bool) -> None:
        """Write the moving average as a checkpoint with the contract's keys."""
        kind = torch.float16 if half else torch.float32
        weights = collections.OrderedDict(
            (key, value.cpu().to(kind).contiguous()) for key, value in self.steps.average.state_dict().items()
        )
        _write(weights, path)


def _write(content: Any, path: str) -> None:
    """Write what torch.save makes, atomically.

    It makes it in memory: on a full disk torch fails with an error of its own, and it stores the name of a file.
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    with files.atomic_file(path) as file:
        file.write(memory.getbuffer())


def _plain(value: Any) -> Any:
    return value.cpu().contiguous() if torch.is_tensor(value) else value


class Every:
    """A clock that is due when so many seconds have passed since it was made or started again."""

    def __init__(self, seconds: float):
        self.seconds, self.since = seconds, time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self.since >= self.seconds

    def restart(self) -> None:
        self.since = time.monotonic()


class Signals:
    """SIGINT, SIGTERM and SIGHUP, remembered until the step under way is done; the second one acts at once."""

    def __init__(self) -> None:
        self.status: int | None = None
        asked = [
            number for number in stopping.NUMBERS if signal.getsignal(number) != signal.SIG_IGN
        ]  # nohup ignores one
        self.former = {number: signal.signal(number, self._remember) for number in asked}

    def _remember(self, number: int, _: Any) -> None:
        self.status = 128 + number
        self.restore()

    def restore(self) -> None:
        """Let the former handlers answer again."""
        for number, handler in self.former.items():
            signal.signal(number, handler)
