"""Enlarge the pictures of a run in a pipeline: threads read and write, while the model enlarges one picture at a time.

Results are reported in the order of the pictures. The number of pictures and megapixels in progress is limited, so memory
does not grow with the number of pictures. A picture above the limit is processed alone.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
from typing import Callable, NamedTuple, Sequence

from pictures import earlier_results, history, passes, processing, sequences, views
from pictures.formats import decoders, frames, reader, writer
from pictures.report import report
from rdn import cpu, engines

import numpy as np

MOST_MEGAPIXELS = 48  # in progress at a time, as held_megapixels counts them
UNKNOWN_MEGAPIXELS = 12  # assumed for a picture whose header does not say its size, until it is read
AHEAD = 2  # pictures in progress, in addition to one per thread
FAILURES = (ValueError, OSError, MemoryError)  # fail one picture; the others continue


class Recipe(NamedTuple):
    """The settings for all pictures of a run.

    Attributes:
        model: the engine.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged and written.
        page: the report; None: no report.
        past: the records of earlier runs; None: no records.
    """

    model: engines.Engine
    scale: int
    options: processing.Options
    page: report.Report | None = None
    past: history.History | None = None


class PictureResult(NamedTuple):
    """The result of a picture.

    Attributes:
        line: the console's line on the result; None if it was not written.
        error: why the picture failed; None if it did not. If `line` is set too, the result was written, and the report
            failed.
        is_skipped: whether the picture was skipped, because an earlier run made the result.
    """

    line: str | None = None
    error: Exception | None = None
    is_skipped: bool = False


@dataclasses.dataclass
class _Underway:
    """A picture in progress.

    Attributes:
        number: its position among the jobs.
        job: the picture and its result.
        megapixels: its share of MOST_MEGAPIXELS, from held_megapixels.
        work: reads the picture, or writes it once `is_upscaled` is true.
        is_upscaled: whether the model's work is over; also true for pictures that are skipped or have failed.
    """

    number: int
    job: processing.PictureJob
    megapixels: float
    work: concurrent.futures.Future
    is_upscaled: bool = False


class _RunError(Exception):
    """An error that ends the run, not only the picture that is being enlarged."""


class Pipeline:
    """Reads pictures, runs them through the model, and writes the results.

    `advance` and `finish` are called only in the thread that calls `run`.
    """

    def __init__(
        self,
        recipe: Recipe,
        advance: Callable[[processing.PictureJob, float], None],
        finish: Callable[[processing.PictureJob, PictureResult], None],
    ):
        """Prepare a run.

        Args:
            recipe: the settings for all pictures.
            advance: called with a job and the share of its work that was done since the last call.
            finish: called with each job and its result, in the order of the jobs; an error in it ends the run.
        """
        self._recipe, self._advance, self._finish = recipe, advance, finish
        self._workers = cpu.available_cores()
        self._waiting: collections.deque[tuple[int, processing.PictureJob]] = collections.deque()
        self._underway: collections.deque[_Underway] = collections.deque()  # in the order of the jobs
        self._sources: dict[str, str] = {}  # target -> source

    def run(self, jobs: Sequence[processing.PictureJob], megapixels: Callable[[processing.PictureJob], float]) -> None:
        """Enlarge all pictures.

        Args:
            jobs: the pictures.
            megapixels: returns the megapixels that a picture takes, as held_megapixels counts them; 0 if its header does
                not say its size.
        """
        self._waiting.extend(enumerate(jobs))
        self._megapixels = megapixels
        with concurrent.futures.ThreadPoolExecutor(self._workers) as self._pool:
            try:
                while self._waiting or self._underway:
                    self._move_on()
                    following = next((each for each in self._underway if not each.is_upscaled), None)
                    if following:
                        self._upscale(following)
                    elif self._underway:
                        concurrent.futures.wait([self._underway[0].work])
            except _RunError as end:
                assert end.__cause__
                raise end.__cause__.with_traceback(None) from None
            except (KeyboardInterrupt, SystemExit):
                decoders.end_all()  # instead of waiting until they have read their pictures
                raise
            finally:  # results that are being written are completed; other work is cancelled
                for each in self._underway:
                    each.work.cancel()

    def _move_on(self) -> None:
        """Report the pictures that are ready, and start as many new ones as the limits allow."""
        try:
            while self._underway and self._underway[0].is_upscaled and self._underway[0].work.done():
                first = self._underway.popleft()
                self._finish(first.job, _outcome_of(first.work))
            while self._waiting:
                megapixels = self._megapixels(self._waiting[0][1])
                if not self._has_room(megapixels or UNKNOWN_MEGAPIXELS):
                    break
                self._underway.append(self._begin(*self._waiting.popleft(), megapixels))
        except Exception as error:
            raise _RunError from error

    def _has_room(self, megapixels: float) -> bool:
        if not self._underway:
            return True
        total = megapixels + sum(each.megapixels for each in self._underway)
        return len(self._underway) < self._workers + AHEAD and total <= MOST_MEGAPIXELS

    def _begin(self, number: int, job: processing.PictureJob, megapixels: float) -> _Underway:
        try:
            if earlier_results.is_job_done(job, self._recipe.options, self._sources, self._recipe.past):
                return _Underway(number, job, megapixels, self._pool.submit(self._skip, number, job), True)
        except FAILURES as error:
            return _Underway(number, job, 0, _failed(error), True)
        reading = self._pool.submit(self._read, job)
        return _Underway(number, job, megapixels or UNKNOWN_MEGAPIXELS, reading)

    def _read(self, job: processing.PictureJob) -> reader.Picture | frames.Sequence:
        return sequences.find(job, self._recipe.options) or reader.read_picture(job.source)

    def _upscale(self, underway: _Underway) -> None:
        """Run a picture through the model, and let a thread write it."""
        recipe, job = self._recipe, underway.job
        try:
            picture = underway.work.result()
            if isinstance(picture, frames.Sequence):
                self._upscale_sequence(underway, picture)
                return
            height, width = picture.pixels.shape[:2]
            underway.megapixels = held_megapixels(passes.make_plan(height, width, recipe.scale, recipe.options.size))
            go_on = functools.partial(self._go_on, job)
            canvas = processing.upscale_picture(job, picture, recipe.model, recipe.scale, recipe.options, go_on)
        except FAILURES as error:
            underway.work = _failed(error)
        else:
            # The source's pixels are still needed for the report, and for the notes on writing 16 bits.
            if not recipe.page and picture.pixels.dtype == np.uint8:
                picture = picture._replace(pixels=picture.pixels[:0].copy())
            underway.work = self._pool.submit(self._write, underway.number, job, picture, canvas)
        underway.is_upscaled = True

    def _upscale_sequence(self, underway: _Underway, sequence: frames.Sequence) -> None:
        """Run all frames of a file through the model; write each one before the next is read."""
        recipe, job = self._recipe, underway.job
        go_on = functools.partial(self._go_on, job)
        enlarged = sequences.upscale(job, sequence, recipe.model, recipe.scale, recipe.options, go_on)
        line = processing.line_of(job.target, sequences.save(job, enlarged, recipe.options, recipe.past))
        underway.work = self._pool.submit(self._finish_writing, underway.number, job, line, enlarged.first[0])
        underway.is_upscaled = True

    def _go_on(self, job: processing.PictureJob, share: float) -> None:
        self._advance(job, share)
        self._move_on()

    def _write(
        self, number: int, job: processing.PictureJob, picture: reader.Picture, canvas: writer.Canvas
    ) -> PictureResult:
        notes = processing.save(job, picture, canvas, self._recipe.options, self._recipe.past)
        line = processing.line_of(job.target, notes)
        return self._finish_writing(number, job, line, processing.Upscaled(picture, canvas))

    def _finish_writing(
        self, number: int, job: processing.PictureJob, line: str, upscaled: processing.Upscaled
    ) -> PictureResult:
        try:
            self._show(number, job, upscaled)
        except FAILURES as error:
            return PictureResult(line, error)
        return PictureResult(line)

    def _skip(self, number: int, job: processing.PictureJob) -> PictureResult:
        shown = earlier_results.shown_job(job, self._recipe.options)
        if shown:
            views.check_done(shown, self._recipe.scale, self._recipe.options)
            self._show(number, shown, None)
        return PictureResult(is_skipped=True)

    def _show(self, number: int, job: processing.PictureJob, upscaled: processing.Upscaled | None) -> None:
        if self._recipe.page:
            shown = views.views_of(job, upscaled, self._recipe.scale, self._recipe.options)
            self._recipe.page.add(job.place, shown, position=number, result=job.target)


def held_megapixels(plan: passes.PassPlan) -> float:
    """Return the megapixels that a picture counts for in the limit of the pipeline.

    They are those of its source, or a quarter of its result's, the larger of the two. Both are equal if the scale is 2.

    Args:
        plan: the passes of the picture.
    """
    height, width = plan.steps[0]
    return max(height * width, plan.size[0] * plan.size[1] / 4) / 1e6


def _failed(error: BaseException) -> concurrent.futures.Future:
    work: concurrent.futures.Future = concurrent.futures.Future()
    work.set_exception(error)
    return work


def _outcome_of(work: concurrent.futures.Future) -> PictureResult:
    try:
        return work.result()
    except FAILURES as error:
        return PictureResult(error=error)
