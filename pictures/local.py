"""All pictures that were given, on this machine, with a line for each and a bar."""

from __future__ import annotations

from typing import Sequence

from pictures import pipeline, processing, sequences
from pictures.formats import stderr_capture
from pictures.report import report
from rdn import cli, engines

from tqdm import tqdm

BAR_FORMAT = '{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]'


def upscale_all(
    jobs: Sequence[processing.PictureJob],
    model: engines.Engine,
    scale: int,
    options: processing.Options,
    page: report.Report | None,
    summary: processing.Summary,
) -> None:
    """Do all Jobs, with a line for each, in their order; one that fails does not stop the others, but for a full disk.

    page: to put the results on, those of earlier runs, too; None for none. summary: is kept up to date.
    """
    megapixels = [sequences.megapixels(job, options) for job in jobs]
    with stderr_capture.console() as console, tqdm(
        total=sum(megapixels), unit='MP', file=console, disable=None, leave=False, bar_format=BAR_FORMAT
    ) as bar:

        def advance(amount: float) -> None:
            bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

        def say(line: str) -> None:
            bar.clear()
            print(line)
            bar.refresh()

        def finish(job: processing.PictureJob, outcome: pipeline.PictureResult) -> None:
            error = outcome.error
            if outcome.line:
                say(outcome.line)
            if isinstance(error, OSError) and error.errno in processing.HOPELESS:
                raise error
            if outcome.is_skipped:
                bar.total -= sequences.megapixels(job, options)
                summary.skipped += 1
            elif error:
                line = processing.failure_line(job, cli.describe_error(error))
                summary.fail(line)
                say(f'failed: {line}')
            else:
                summary.done += 1

        pipeline.Pipeline(pipeline.Recipe(model, scale, options, page), advance, finish).run(jobs, megapixels)
