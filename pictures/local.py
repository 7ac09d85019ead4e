"""Enlarge all pictures of a run on this machine, with a line for each and a progress bar."""

from __future__ import annotations

from pictures import batch_bar, history, pipeline, processing, workload
from pictures.formats import stderr_capture
from pictures.report import report
from rdn import cli


def upscale_all(
    load: workload.Workload,
    expected: float | None,
    page: report.Report | None,
    summary: processing.Summary,
    past: history.History,
) -> None:
    """Enlarge all pictures and print a line for each, in their order; if one fails, the others continue.

    Args:
        load: the pictures, the model, and the options.
        expected: estimated duration in seconds, for the bar; None if unknown.
        page: the report that shows the results, including those of earlier runs; None: no report.
        summary: counts the pictures that are done, skipped and failed.
        past: the records of earlier runs; this run adds its results.

    Raises:
        OSError: the disk is full or read-only, so all other pictures would fail too.
    """
    with stderr_capture.console() as console, batch_bar.BatchBar(load, expected, console) as bar:

        def finish(job: processing.PictureJob, outcome: pipeline.PictureResult) -> None:
            error = outcome.error
            if outcome.line:
                bar.say(outcome.line)
            if isinstance(error, OSError) and error.errno in processing.FATAL:
                raise error
            bar.finish(job, is_done=not error and not outcome.is_skipped)
            if outcome.is_skipped:
                summary.skipped += 1
            elif error:
                line = processing.failure_line(job, cli.describe_error(error))
                summary.fail(line)
                bar.say(f'failed: {line}')
            else:
                summary.done += 1

        recipe = pipeline.Recipe(load.model, load.scale, load.options, page, past)
        pipeline.Pipeline(recipe, bar.advance, finish).run(load.jobs, lambda job: load.load(job).held)
