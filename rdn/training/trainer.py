"""Train an RDN: initial weights, the schedule, recovery from spikes of the loss, and checkpoints."""

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
FP32_SHARE = 0.1  # last part of a run in bf16: regains the hundredths of a decibel that bf16's rounding costs
CHECK_STEPS = 100  # between two checks of the loss
KEEP_STEPS = 500  # between two states that are kept for recovery
SPIKE_FACTOR, SPIKE_MARGIN = 3, 0.02  # a spike is a loss above factor * last good loss + margin
SMALLEST_FACTOR = 1 / 64  # smallest factor on the learning rate: six spikes reach it, and the seventh ends the run


def learning_rate(progress: float, highest: float) -> float:
    """Compute the learning rate: a linear warm-up, then a cosine down to LAST_RATE times the highest rate.

    Args:
        progress: progress of the run, 0...1.
        highest: the highest rate.
    """
    if progress < WARM_UP:
        return highest * max(progress, WARM_UP / 100) / WARM_UP
    cosine = (1 + math.cos(math.pi * min(1, (progress - WARM_UP) / (1 - WARM_UP)))) / 2
    return highest * (LAST_RATE + (1 - LAST_RATE) * cosine)


def begin_as_interpolation(model: models.RDN) -> None:
    """Set a new RDN's weights so that it computes nearly Pillow's bicubic upsampling. The other weights stay random.

    Three features carry the colours past the blocks, on the global residual. The convolutions before the pixel shuffle
    interpolate them with Keys's cubic (a = -1/2), without its outermost fourth tap. So training starts at the PSNR of
    bicubic. Otherwise it would start at that of a grey picture, half of the PSNR that a run of some minutes reaches.
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
            taps = []  # for each of the `factor` new pixels in place of an old one: weights of the old pixels -1, 0, 1
            for phase in range(factor):
                centre = (phase + 0.5) / factor - 0.5
                tap = torch.tensor([cubic(centre - place) for place in (-1, 0, 1)])
                taps.append(tap / tap.sum())
            for channel in range(3 * factor**2):
                colour, row, column = channel // factor**2, channel % factor**2 // factor, channel % factor
                conv.weight[channel, colour] = taps[row][:, None] * taps[column][None]


class Trainer:
    """A run: steps by a schedule, checks of the loss, and checkpoints.

    Attributes:
        steps: the Steps that compute.
        settings: settings that a resumed run must share with the interrupted one: name -> plain value.
        step: number of steps that were done.
        seconds: time that the run has taken, including measurements.
        total_seconds: time that the run may take before its last measurement; None if --steps sets its length.
        rate_factor: factor on the learning rate; each spike of the loss halves it.
    """

    def __init__(self, steps_of_run: steps.Steps, settings: dict[str, Any], total_seconds: float | None = None):
        """Begin a run.

        Args:
            steps_of_run: the Steps that compute.
            settings: settings of the run, with at least 'steps' (or None), 'learning_rate' and 'seed'.
            total_seconds: time that the run may take before its last measurement; None if 'steps' sets its length.
        """
        self.steps, self.settings, self.total_seconds = steps_of_run, settings, total_seconds
        self.step, self.seconds, self.rate_factor = 0, 0.0, 1.0
        self.good: steps.State | None = None  # the last kept state without a spike; the next line has its step
        self.good_step = 0

    def progress(self) -> float:
        """Return the progress of the run, 0...1, by steps if --steps sets its length, else by time."""
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
        """Do the next steps, and check the loss every CHECK_STEPS steps and at the end.

        Returns:
            A line for the console if the loss had a spike, else ''.

        Raises:
            ValueError: the loss had too many spikes; a lower learning rate is needed.
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
        """Check the loss. If it had a spike, go back to the last good state and halve the learning rate.

        Returns:
            A line for the console if the loss had a spike, else ''.

        Raises:
            ValueError: the loss had too many spikes; a lower learning rate is needed.
        """
        loss, good = float(self.steps.loss), self.good
        failing = self.steps.is_failing()
        if not failing and (good is None or loss <= SPIKE_FACTOR * good.loss + SPIKE_MARGIN):
            if good is None or self.step - self.good_step >= KEEP_STEPS:
                self.good, self.good_step = self.steps.keep(), self.step
            return ''
        self.rate_factor /= 2
        if good is None or self.rate_factor < SMALLEST_FACTOR:
            raise ValueError(
                f'training failed at step {self.step}: the loss keeps rising or is not a number; '
                'choose a lower --learning-rate'
            )
        self.steps.put(good)
        return (
            f'step {self.step}: the loss rose from {good.loss:.5f} to {loss:.5f}: '
            f'back to the last good weights, with {self.rate_factor:g} of the learning rate'
        )

    def save(self, path: str) -> None:
        """Write a checkpoint for `load`, atomically. If training is failing, keep the previous checkpoint."""
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
        """Continue from a checkpoint, which may be from another device.

        Raises:
            ValueError: the file is not a checkpoint, or is from a run with other settings; the message names the file
                and the setting.
        """
        saved = checkpoint.load_plain(path)
        try:
            theirs = json.loads(saved['settings'])
            for name, ours in self.settings.items():
                if theirs.get(name) != ours:
                    raise ValueError(
                        f'{path}: written by a run with {name} = {theirs.get(name)}, but this run has {ours}; '
                        'use the same flags, or remove the file to start again'
                    )
            self.good = steps.State(saved['weights'], saved['average'], saved['adam'], float(saved['loss']))
            self.steps.put(self.good)
            self.step = self.good_step = int(saved['step'])
            self.seconds = float(saved['seconds'])
            self.rate_factor = float(saved['rate_factor'])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            reason = str(error).split('\n')[0]
            raise ValueError(f'{path}: not a checkpoint of this RDN_train.py ({reason}); remove it to start again')
        torch.manual_seed(self.settings['seed'] + self.step)  # so a GPU does not draw the first patches again

    def write_weights(self, path: str, half: bool) -> None:
        """Write the moving average of the weights as a plain state dict.

        Args:
            path: the file to write.
            half: whether to store float16; else float32.
        """
        kind = torch.float16 if half else torch.float32
        weights = collections.OrderedDict(
            (key, value.cpu().to(kind).contiguous()) for key, value in self.steps.average.state_dict().items()
        )
        _write(weights, path)


def _write(content: Any, path: str) -> None:
    """Write a file with torch.save, atomically.

    torch.save writes to memory first. If it wrote to the file, it would store the file's name in it, and on a full disk
    it would raise an error of its own instead of an OSError.
    """
    memory = io.BytesIO()
    torch.save(content, memory)
    with files.atomic_file(path) as file:
        file.write(memory.getbuffer())


def _plain(value: Any) -> Any:
    return value.cpu().contiguous() if torch.is_tensor(value) else value


class Every:
    """A clock that is due once its seconds have passed."""

    def __init__(self, seconds: float):
        """Start the clock."""
        self.seconds, self.since = seconds, time.monotonic()

    def is_due(self) -> bool:
        """Return whether the seconds have passed since the last start."""
        return time.monotonic() - self.since >= self.seconds

    def restart(self) -> None:
        """Start the clock again."""
        self.since = time.monotonic()


class Signals:
    """A handler that remembers SIGINT, SIGTERM or SIGHUP until the current step is done. A second signal acts at once.

    Attributes:
        status: exit status for the signal, 128 + its number; None if there was no signal.
        former: the previous handlers.
    """

    def __init__(self) -> None:
        """Replace the handlers of the signals that are not ignored."""
        self.status: int | None = None
        # nohup ignores SIGHUP.
        asked = [number for number in stopping.NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
        self.former = {number: signal.signal(number, self._remember) for number in asked}

    def _remember(self, number: int, _: Any) -> None:
        self.status = 128 + number
        self.restore()

    def restore(self) -> None:
        """Restore the previous handlers."""
        for number, handler in self.former.items():
            signal.signal(number, handler)
