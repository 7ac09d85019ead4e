"""All pictures that were given, on this machine, with a line for each and a bar."""

from __future__ import annotations

import os
from typing import Sequence

from pictures import discovery, pipeline, processing
from pictures.formats import stderr_capture
from pictures.report import report
from rdn import cli, engines

from tqdm import tqdm

BAR_FORMAT = '{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]'


def plan(inputs: Sequence[str], naming: processing.Naming, summary: processing.Summary) -> list[processing.PictureJob]:
    """The Jobs for files and folders, sorted. Files whose names are not those of pictures are counted in the summary.

    Raises FileNotFoundError for what is not there, ValueError where there is no picture, or several for one file.
    """
    found = list(discovery.find_pictures(inputs, naming.output))
    jobs = [
        processing.PictureJob(path, place, processing.target_of(place, naming))
        for path, place, is_picture in found
        if is_picture
    ]
    for path in (path for path, _, is_picture in found if not is_picture):
        summary.pass_over(path)
    results = {os.path.abspath(job.target) for job in jobs}
    if not naming.suffix or naming.file:  # of which a source may itself be another's result
        results = set()
    jobs = [job for job in jobs if os.path.abspath(job.source) not in results]
    if not jobs:
        raise ValueError(f'{", ".join(inputs)}: no pictures in it')
    if naming.file and len(jobs) > 1:
        raise ValueError(f'{naming.file}: --output names a file, and there are {len(jobs)} pictures: name a folder')
    return jobs


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
    megapixels = [processing.megapixels(job.source) for job in jobs]
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
                raise OSError(error.errno, error.strerror, error.filename or job.target)
            if outcome.is_skipped:
                bar.total -= processing.megapixels(job.source)
                summary.skipped += 1
            elif error:
                line = processing.failure_line(job, cli.describe_error(error))
                summary.fail(line)
                say(f'failed: {line}')
            else:
                summary.done += 1

        pipeline.Pipeline(pipeline.Recipe(model, scale, options, page), advance, finish).run(jobs, megapixels)
