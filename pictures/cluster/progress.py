"""The progress of a cluster's run on the console."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TextIO

from pictures import processing
from pictures.cluster import stores
from pictures.formats import reader
from rdn import cli

LINE_SECONDS = 60  # between progress lines if there is no terminal
BAR_FORMAT = '{n}/{total_fmt} pictures [{elapsed}<{remaining}{postfix}]'


class Progress:
    """A line for each picture, and a progress bar; without a terminal, a progress line each minute.

    Attributes:
        summary: counts the pictures of the run.
    """

    def __init__(self, summary: processing.Summary, console: TextIO | None = None):
        """Start the clock and the bar.

        Args:
            summary: counts the pictures of the run.
            console: the stream to draw the bar on; None: stderr.
        """
        self.summary = summary
        self._started = self._said = time.monotonic()
        self._total: int | None = None
        self._bar = cli.Bar(file=console, disable=None, leave=False, bar_format=BAR_FORMAT)

    def count(self, source: stores.Store, output: stores.Store) -> None:
        """Count all pictures in a thread, so that the progress can say how many are left.

        Args:
            source: the store of the pictures.
            output: the store of the results, which is not counted.
        """

        def count_all() -> None:
            with contextlib.suppress(OSError):  # the error appears again when the pictures are listed for the workers
                self._total = sum(reader.is_picture_name(place) for place in source.list(output))

        threading.Thread(target=count_all, daemon=True).start()

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line)

    def update(self, workers: int) -> None:
        """Update the bar, or print a progress line if a minute has passed since the last one.

        Args:
            workers: number of workers that are ready.
        """
        if not self._bar.disable:
            self._bar.total, self._bar.n = self._total, self.summary.count
            self._bar.set_postfix_str(self._rate(workers))
        elif time.monotonic() > self._said + LINE_SECONDS:
            self._said = time.monotonic()
            left = '' if self._total is None else f', {max(0, self._total - self.summary.count)} left'
            print(f'{cli.count(self.summary.count, "picture")}{left}, {self._rate(workers)}', flush=True)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def _rate(self, workers: int) -> str:
        speed = self.summary.megapixels / (time.monotonic() - self._started)
        return f'{speed:.2f} MP/s, {self.summary.failed} failed, {workers} worker{"s" * (workers != 1)}'
