"""Show the progress of a run: a bar on a terminal, lines with the PSNR, and a table at the end."""

from __future__ import annotations

import time

from rdn import cli
from rdn.data import protocols
from rdn.training import trainer, validation

BAR_FORMAT = '{percentage:3.0f}%|{bar}| {postfix}'
BAR_SECONDS = 0.1  # between two updates of the bar: to read the loss, the host waits for the device


class Reporter:
    """The progress display of a run: a bar on a terminal, and at intervals a line with the PSNR on each folder.

    Attributes:
        closing_seconds: estimated time of the measurement at the end.
    """

    def __init__(
        self, run: trainer.Trainer, evaluation: validation.Evaluation, closing_seconds: float, every_seconds: float
    ):
        """Start the bar and the clocks.

        Args:
            run: the run.
            evaluation: the images to measure.
            closing_seconds: estimated time of the measurement at the end.
            every_seconds: interval between lines.
        """
        self.run, self.evaluation = run, evaluation
        self.closing_seconds = closing_seconds
        self.line_is_due, self.bar_is_due = trainer.Every(every_seconds), trainer.Every(BAR_SECONDS)
        self.since = (run.step, time.monotonic())  # of the last line
        self.bar = cli.bar(1, BAR_FORMAT)

    def show(self) -> None:
        """Update the bar, and print a line if it is due."""
        if not self.bar.disable and self.bar_is_due.is_due():
            self.bar.set_postfix_str(self._describe(), refresh=False)
            self.bar.update(min(1, self.run.progress()) - self.bar.n)
            self.bar_is_due.restart()
        if self.line_is_due.is_due():
            self.print_line()
            self.line_is_due.restart()  # after the measurement, which can take long

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        self.bar.clear()
        print(text, flush=True)

    def print_line(self) -> None:
        """Print the time, the step, and the PSNR of the averaged weights on each folder, on whole images."""
        line = f'{self.run.seconds / 60:5.1f} min  step {self.run.step}  {self._describe()}'
        for name, score in self.evaluation.measure(self.run.steps.average, protocols.WHOLE).items():
            line += f'  {name} {score.psnr:.2f} dB (bicubic {score.bicubic_psnr:.2f})'
        self.print(line)
        self.since = (self.run.step, time.monotonic())

    def print_end(self) -> None:
        """Print a table with the PSNR of the averaged weights on each folder by each protocol."""
        rows = [('images', 'protocol', 'PSNR dB', 'bicubic')]
        scores = {
            protocol: self.evaluation.measure(self.run.steps.average, protocol) for protocol in protocols.measured()
        }
        for name in self.evaluation.folders:
            for protocol, by_name in scores.items():
                score = by_name[name]
                rows.append((name, protocol.title, f'{score.psnr:.2f}', f'{score.bicubic_psnr:.2f}'))
        if len(rows) > 1:
            print(cli.format_table(rows))

    def _describe(self) -> str:
        run, (step, since) = self.run, self.since
        speed = (run.step - step) * run.settings['batch_size'] / max(1e-9, time.monotonic() - since)
        left = run.seconds / max(1e-9, run.progress()) - run.seconds + self.closing_seconds
        return (
            f'loss {float(run.steps.loss):.5f}  lr {run.rate():.1e}  {run.precision()}  '
            f'{speed:.1f} images/s  {format_time(left)} left'
        )


def format_time(seconds: float) -> str:
    """Format seconds as minutes and seconds, such as '4:05'."""
    whole = max(0, round(seconds))
    return f'{whole // 60}:{whole % 60:02}'
