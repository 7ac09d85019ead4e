"""All pictures that were given, one after the other, on this machine."""

from __future__ import annotations

from typing import Sequence

from pictures import processing
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
    """Do all Jobs, with a line for each; one that fails does not stop the others, but for a full disk.

    page: to put the results on, those of earlier runs, too; None for none. summary: is kept up to date.
    """
    sources: dict[str, str] = {}  # target -> source
    total = sum(processing.megapixels(job.source) for job in jobs)
    with tqdm(total=total, unit='MP', disable=None, leave=False, bar_format=BAR_FORMAT) as bar:

        def advance(amount: float) -> None:
            bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

        for job in jobs:
            try:
                processing.check_job(job, sources)
                if processing.is_done(job.target, options):
                    bar.total -= processing.megapixels(job.source)
                    if page:
                        page.add(job.place, processing.views_of(job, None, scale))
                    summary.skipped += 1
                    continue
                upscaled = processing.upscale_picture(job, model, scale, options, advance)
                bar.write(processing.line_of(job.target, upscaled.notes))
                if page:
                    page.add(job.place, processing.views_of(job, upscaled, scale))
                del upscaled  # before the next one is read
                summary.done += 1
            except (ValueError, OSError, MemoryError) as error:
                if isinstance(error, OSError) and error.errno in processing.HOPELESS:
                    raise
                line = processing.failure_line(job, cli.describe_error(error))
                summary.fail(line)
                bar.write(f'failed: {line}')
