"""The progress bar of a run: megapixels done, speed, and time left.

Progress is measured by the network's work in all passes. The megapixels shown are those of the sources, as in the estimate
that is printed before the run.
"""

from __future__ import annotations

import time
from typing import Any, Callable, TextIO

from pictures import processing, workload
from rdn import cli

from tqdm import tqdm

FORM = '{percentage:3.0f}% {bar} {desc}'
# This share of all work counts as done at the expected speed before the run starts, which steadies the first figures.
TRUST = 0.05


class BatchBar:
    """A progress bar on a terminal; draws nothing elsewhere."""

    def __init__(
        self,
        load: workload.Workload,
        expected: float | None,
        console: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Start the clock and draw the bar.

        Args:
            load: the work of the run.
            expected: estimated duration of the run in seconds; None if unknown.
            console: the stream to draw the bar on; None: stderr.
            clock: returns the time in seconds.
        """
        self._load, self._expected, self._clock, self._start = load, expected, clock, clock()
        self._shares: dict[processing.PictureJob, float] = {}  # how much of each picture in progress is done, 0...1
        self._done = self._dropped = 0.0  # in units of Load.weight
        self._bar = cli.bar(1.0, FORM, console)
        self._show()
        self._bar.refresh()

    def __enter__(self) -> BatchBar:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.clear()
        print(line)
        self._bar.refresh()

    def advance(self, job: processing.PictureJob, share: float) -> None:
        """Add progress on a picture.

        Args:
            job: the picture.
            share: the share of its work that was done since the last call, 0...1.
        """
        self._shares[job] = self._shares.get(job, 0.0) + share
        self._done += share * self._load.weight(job)
        self._show()

    def finish(self, job: processing.PictureJob, is_done: bool) -> None:
        """Record that a picture needs no more work.

        Args:
            job: the picture.
            is_done: whether the rest of its work counts as done; otherwise it is subtracted from the total.
        """
        rest = 1 - self._shares.pop(job, 0.0)
        if not self._load.is_left(job):
            return
        if is_done:
            self._done += rest * self._load.weight(job)
        else:
            self._dropped += rest * self._load.weight(job)
        self._show()

    def text(self) -> str:
        """Return the text of the bar, for example '1.20 of 3.80 MP, 25 s/MP, 01:05 left'."""
        all_work, total = self._load.total(), self._total()
        if not total:
            return ''
        megapixels = all_work.megapixels * total / all_work.weight()  # without failed and skipped pictures
        said = f'{megapixels * self._done / total:.2f} of {megapixels:.2f} MP'
        trust = TRUST * total if self._expected is not None else 0.0
        trusted = TRUST * (self._expected or 0.0)
        spent = self._clock() - self._start + trusted
        if not self._done + trust or not spent:
            return said
        seconds = spent / (self._done + trust)  # per unit of weight
        left = max(0.0, total - self._done) * seconds
        return f'{said}, {_speed(seconds * total / megapixels)}, {tqdm.format_interval(left)} left'

    def _total(self) -> float:
        return max(0.0, self._load.total().weight() - self._dropped)

    def _show(self) -> None:
        if self._bar.disable:
            return
        total = self._total()
        self._bar.set_description_str(self.text(), refresh=False)
        self._bar.update(min(1.0, self._done / total if total else 0.0) - self._bar.n)


def _speed(seconds_a_megapixel: float) -> str:
    if seconds_a_megapixel <= 1:
        return f'{1 / seconds_a_megapixel:.1f} MP/s'
    return f'{seconds_a_megapixel:.{0 if seconds_a_megapixel >= 10 else 1}f} s/MP'
