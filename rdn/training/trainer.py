"""How an RDN learns: its first weights, a step, the moving average, and going on after an interruption."""

from __future__ import annotations

import collections
import copy
import json
import math
import signal
import time
from typing import Any, Sequence

from rdn import checkpoint, files
from rdn.training import patches

import torch

import models

WARM_UP = 0.02  # fraction of the run
LAST_RATE = 0.01  # fraction of the highest learning rate
MAX_GRADIENT_NORM = 0.5
AVERAGE_DECAY = 0.999  # what a step leaves of the moving average
FP32_SHARE = 0.1  # of a run in bf16, its end


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
    """A network with its optimizer, the moving average of its weights, and how far it has come.

    settings: what a resumed run must share with the one it goes on with, names with plain values.
    bf16: compute in bfloat16, but for the last FP32_SHARE of the run: its roundings cost some hundredths of a decibel,
    which a short last stage in fp32 gives back.
    """

    def __init__(self, model: models.RDN, settings: dict[str, Any], device: torch.device, bf16: bool, compiled: bool):
        self.settings, self.device, self.bf16 = settings, device, bf16
        layout = {'memory_format': torch.channels_last} if bf16 else {}  # in fp32 on a CPU it is slower
        self.model = model.to(device, **layout).train()
        self.average = copy.deepcopy(self.model).eval()
        self.optimizer = torch.optim.Adam(self.model.parameters(), betas=(0.9, 0.99))
        self.forward = torch.compile(self.model) if compiled else self.model
        self.step, self.seconds = 0, 0.0

    def progress(self) -> float:
        """0...1, by time or by steps, whichever the run was given."""
        if self.settings['steps']:
            return self.step / self.settings['steps']
        return self.seconds / (60 * self.settings['minutes'])

    def rate(self) -> float:
        """The learning rate of the step to come."""
        return learning_rate(self.progress(), self.settings['learning_rate'])

    def precision(self) -> str:
        """bf16 or fp32: what the step to come computes in."""
        return 'bf16' if self.bf16 and self.progress() < 1 - FP32_SHARE else 'fp32'

    def learn(self, pairs: Sequence[patches.Pair]) -> torch.Tensor:
        """One step on one batch; returns the L1 loss, a tensor still on its way."""
        size, count = self.settings['patch'], self.settings['batch_size']
        batch = patches.random_batch(
            pairs, self.settings['scale_factor'], size, count, [self.settings['seed'], self.step]
        )
        lr, hr = (torch.from_numpy(part).to(self.device).float() / 255 for part in batch)
        for group in self.optimizer.param_groups:
            group['lr'] = self.rate()
        self.optimizer.zero_grad()
        if self.precision() == 'bf16':
            with torch.autocast(self.device.type, torch.bfloat16):
                sr = self.forward(lr)
        else:
            sr = self.forward(lr)
        loss = torch.nn.functional.l1_loss(sr.float(), hr)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.step += 1
        keep = min(AVERAGE_DECAY, self.step / (self.step + 9.0))  # the first steps are soon forgotten
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.model.parameters()):
                mean.lerp_(new, 1 - keep)
        if self.device.type == 'cuda' and self.step % 10 == 0:
            torch.cuda.synchronize()  # the clock must not run ahead of the work
        return loss.detach()

    def save(self, path: str) -> None:
        """Write all that `load` needs, whole or not at all."""
        state = {
            'settings': json.dumps(self.settings),
            'step': self.step,
            'seconds': self.seconds,
            'model': self.model.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self.optimizer.state_dict(),
        }
        with files.atomic_file(path) as file:
            torch.save(state, file)

    def load(self, path: str) -> None:
        """Go on from a checkpoint. Raises ValueError for one of another run, with what differs, or for no checkpoint."""
        state = checkpoint.load_plain(path)
        try:
            theirs = json.loads(state['settings'])
            for name, ours in self.settings.items():
                if theirs.get(name) != ours:
                    raise ValueError(
                        f'{path}: of a run with {name} {theirs.get(name)}, not {ours}: '
                        'use the same flags, or remove it to begin anew'
                    )
            self.model.load_state_dict(state['model'])
            self.average.load_state_dict(state['average'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.step, self.seconds = int(state['step']), float(state['seconds'])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            reason = str(error).split('\n')[0]
            raise ValueError(f'{path}: not a checkpoint of RDN_train.py ({reason})')

    def write_weights(self, path: str, half: bool) -> None:
        """The moving average as a checkpoint with the contract's keys."""
        kind = torch.float16 if half else torch.float32
        weights = collections.OrderedDict(
            (key, value.cpu().to(kind).contiguous()) for key, value in self.average.state_dict().items()
        )
        with files.atomic_file(path) as file:  # by its name, the bytes would hold it
            torch.save(weights, file)


class Every:
    """A clock that is due when so many seconds have passed since it was made or started again."""

    def __init__(self, seconds: float):
        self.seconds, self.since = seconds, time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self.since >= self.seconds

    def restart(self) -> None:
        self.since = time.monotonic()


class Signals:
    """Ctrl-C and SIGTERM, remembered until the step under way is done; the second one acts at once."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.former = {number: signal.signal(number, self._remember) for number in (signal.SIGINT, signal.SIGTERM)}

    def _remember(self, number: int, _: Any) -> None:
        self.status = 128 + number
        self.restore()

    def restore(self) -> None:
        """Let the former handlers answer again."""
        for number, handler in self.former.items():
            signal.signal(number, handler)
