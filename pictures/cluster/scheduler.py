"""Give pictures to the workers of a cluster one by one, large ones in bands, and retry them if a worker dies.

The driver keeps only the pictures in progress in memory, however many pictures there are.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import time
from typing import Any, Iterator, Sequence

from pictures import processing
from pictures.cluster import fleet, progress, stores, worker
from pictures.report import report
from rdn import files, stopping

CLEANING_SECONDS = 1.5  # to remove half-written files of workers that are ending
MAX_DEATHS = 2  # a picture fails after this many deaths of its workers
MAX_LOSSES = 5  # it fails after this many losses of machines; also replaces MAX_DEATHS once a retry has succeeded


@dataclasses.dataclass
class Piece:
    """A picture, or a part of one, to give to a worker.

    Attributes:
        task: the picture.
        call: name of the method of Worker to call.
        arguments: the arguments of the call, after the task.
        returns: number of values that the call returns; the first is an Outcome.
        cut: the picture that this is a part of; None for a whole picture.
        number: position of a band.
        deaths: how many workers died during the picture.
        losses: how many machines were lost, or could not work, during the picture.
        reason: the reason of the last loss; empty if unknown.
    """

    task: worker.PictureTask
    call: str = 'upscale'
    arguments: Sequence[Any] = ()
    returns: int = 1
    cut: Cut | None = None
    number: int = 0
    deaths: int = 0
    losses: int = 0
    reason: str = ''


@dataclasses.dataclass
class Cut:
    """A picture whose bands are enlarged by several workers.

    Attributes:
        whole: the piece to retry if a worker dies.
        head: Ray's reference to the Head of the picture.
        bands: Ray's references to the bands.
        parts: number of a band -> Ray's reference to its result.
        is_over: whether the picture is finished, has failed, or is retried as a whole.
    """

    whole: Piece
    head: Any = None
    bands: list[Any] = dataclasses.field(default_factory=list)
    parts: dict[int, Any] = dataclasses.field(default_factory=dict)
    is_over: bool = False


@contextlib.contextmanager
def token_in(output: stores.Store) -> Iterator[str | None]:
    """Make a subfolder with a random name for the time of the block, by which machines recognize a shared folder.

    Args:
        output: the store of the results.

    Yields:
        The name of the subfolder; None if the store is a URL.
    """
    if not isinstance(output, stores.Folder):
        yield None
        return
    with files.scratch_folder(os.path.join(output.absolute(), 'rdn-cluster')) as token:
        yield os.path.basename(token)


@contextlib.contextmanager
def unfinished(output: stores.Store) -> Iterator[set[str]]:
    """Remove the half-written files of workers when the block ends, or when the process is ended.

    Args:
        output: the store of the results.

    Yields:
        A set for the places that workers may be writing; the caller keeps it up to date.
    """
    places: set[str] = set()

    def clean_up() -> None:
        deadline = time.monotonic() + CLEANING_SECONDS
        for place in sorted(places):
            while not output.clean_up(place) and time.monotonic() < deadline:  # its worker has not ended yet
                time.sleep(0.05)

    with stopping.before_exit(clean_up):
        try:
            yield places
        finally:
            clean_up()


class Scheduler:
    """Gives the pictures of a run to the workers of a fleet, one by one."""

    def __init__(
        self,
        workers: fleet.Fleet,
        source: stores.Store,
        output: stores.Store,
        shown: progress.Progress,
        page: report.Report | None,
        under_way: set[str],
    ):
        """Prepare a run; `upscale` runs it.

        Args:
            workers: the fleet.
            source: the store of the pictures.
            output: the store of the results.
            shown: the progress on the console; its summary counts the pictures.
            page: the report, which shows some of the results; None: no report.
            under_way: kept up to date with the places in `output` that workers may be writing.
        """
        self._under_way = under_way
        self._ray, self._fleet, self._source, self._output, self._page = workers.ray, workers, source, output, page
        self._summary, self._progress = shown.summary, shown
        self._busy: dict[Any, tuple[fleet.Member, Piece, list[Any]]] = {}  # by Ray's reference to a call's first value
        self._waiting: collections.deque[Piece] = collections.deque()  # pieces that come before new pictures
        self._later: collections.deque[Piece] = collections.deque()  # pieces that come after all pictures
        self._most_deaths = MAX_DEATHS

    def wait_for_workers(self) -> worker.Ready:
        """Wait until the first worker is ready, and return its answer."""
        while self._fleet.kind is None:
            self._step()
        return self._fleet.kind

    def upscale(self, tasks: Iterator[worker.PictureTask | str]) -> None:
        """Give all pictures to the workers, and collect the results.

        Args:
            tasks: the pictures. A text in place of a task says why a picture fails.

        Raises:
            OSError: an error that every other picture would meet too, such as a full disk.
            ValueError: there has been no worker for fleet.NO_WORKER_SECONDS, or no machine can work.
        """
        piece = self._next(tasks)
        while piece or self._busy:
            if piece and self._fleet.idle:
                self._hand_out(piece)
                piece = None
            else:
                self._step()
            piece = piece or self._next(tasks)

    def _step(self) -> None:
        """Start missing workers, wait up to fleet.NODES_SECONDS for answers of workers, and handle them."""
        self._fleet.look()
        expected = [*self._busy, *self._fleet.starting]
        stopping.check()
        happened = self._ray.wait(expected, timeout=fleet.NODES_SECONDS)[0] if expected else []
        if not expected:
            time.sleep(1)
        for value in happened:
            if value in self._fleet.starting:
                line = self._fleet.welcome(value)
                if line:
                    self._progress.write(line)
            else:
                self._collect(value)
        self._progress.update(len(self._fleet.members) - len(self._fleet.starting))

    def _next(self, tasks: Iterator[worker.PictureTask | str]) -> Piece | None:
        while self._waiting:
            piece = self._waiting.popleft()
            if piece.cut is None or not piece.cut.is_over:
                return piece
        for task in tasks:
            if isinstance(task, worker.PictureTask):
                return Piece(task._replace(splits=True))
            self._fail(None, task)
        return self._later.popleft() if self._later else None

    def _hand_out(self, piece: Piece) -> None:
        member = self._fleet.idle.popleft()
        if len(self._fleet.members) == 1 and piece.call == 'upscale':
            piece.task = piece.task._replace(splits=False)  # there is no other worker to share the bands with
        task = [] if piece.call == 'upscale_band' else [piece.task]
        call = getattr(member.actor, piece.call).options(num_returns=piece.returns)
        values = call.remote(*task, *piece.arguments)
        values = [values] if piece.returns == 1 else values
        self._busy[values[0]] = member, piece, values
        self._under_way.add(piece.task.target)

    def _collect(self, value: Any) -> None:
        """Handle a call that has returned or failed."""
        member, piece, values = self._busy.pop(value)
        self._under_way.discard(piece.task.target)
        try:
            outcome = self._ray.get(value)
        except self._ray.exceptions.RayTaskError:
            if not piece.cut:
                raise  # a bug of ours
            self._fleet.idle.append(member)
            self._again(piece, is_lost=True)  # an argument, another part, was lost with its machine or did not fit
            return
        except self._ray.exceptions.OutOfMemoryError:  # Ray killed the worker because of this picture
            self._fleet.bury(member)
            self._again(piece, is_lost=False, most_deaths=MAX_DEATHS)
            return
        except self._ray.exceptions.RayError:
            self._again(piece, self._fleet.bury(member))
            return
        if outcome.kind == 'unfit':
            self._fleet.bury(member)
            self._again(piece, is_lost=True, reason=outcome.line)
            return
        self._fleet.idle.append(member)
        if piece.cut and piece.cut.is_over:
            return
        if outcome.kind == 'fatal':
            raise OSError(outcome.line)
        if outcome.kind == 'large':
            count = len(self._fleet.members)
            self._waiting.appendleft(Piece(piece.task, 'cut', (count,), 2 + count, Cut(piece)))
        elif outcome.kind == 'part':
            self._go_on(piece, values)
        else:
            self._end(piece, outcome)

    def _go_on(self, piece: Piece, values: list[Any]) -> None:
        """Queue the next step of a picture that was cut: its bands, or the join once all bands are enlarged."""
        cut = piece.cut
        assert cut
        if piece.call == 'cut':
            cut.head, cut.bands = values[1], values[2:]
            for number, band in enumerate(cut.bands):
                self._waiting.append(Piece(piece.task, 'upscale_band', (band,), 2, cut, number))
            return
        cut.parts[piece.number] = values[1]
        if len(cut.parts) == len(cut.bands):
            parts = [cut.parts[number] for number in range(len(cut.bands))]
            self._waiting.append(Piece(piece.task, 'join', (cut.head, *parts), 1, cut))

    def _again(self, piece: Piece, is_lost: bool, most_deaths: int | None = None, reason: str | None = None) -> None:
        """Queue a picture again, as a whole, after its worker died; fail it if that happened too often.

        Args:
            piece: the picture, or a part of it.
            is_lost: whether the machine is at fault. If not, the picture is retried after all others, because other
                pictures on the machine may have taken the memory.
            most_deaths: the number of deaths after which the picture fails; None: the number for the run.
            reason: the reason of the loss; None: unknown.
        """
        whole = piece
        if piece.cut:
            if piece.cut.is_over:
                return
            piece.cut.is_over, whole = True, piece.cut.whole
        whole.losses += is_lost
        whole.deaths += not is_lost
        whole.reason = reason or whole.reason
        if whole.deaths >= (most_deaths or self._most_deaths) or whole.losses >= MAX_LOSSES:
            times = whole.deaths + whole.losses
            guess = f'its worker died {times} times: too little memory?'
            self._fail(whole.task, f'given up after {times} times: {whole.reason}' if whole.reason else guess)
            self._output.clean_up(whole.task.target)
            return
        whole.task = whole.task._replace(is_retry=True, splits=True)
        (self._waiting if is_lost else self._later).append(whole)

    def _end(self, piece: Piece, outcome: worker.Outcome) -> None:
        """Count a picture that is done, skipped or failed, and add it to the report."""
        whole = piece
        if piece.cut:
            piece.cut.is_over, whole = True, piece.cut.whole
        if outcome.kind == 'failed':
            self._fail(piece.task, outcome.line)
            return
        if whole.deaths:  # the picture succeeded now, so it did not cause the deaths
            self._most_deaths = MAX_LOSSES
        if self._page and outcome.views:
            try:
                path = self._output.path(piece.task.target)
                is_here = isinstance(self._output, stores.Folder)
                self._page.add(piece.task.place, outcome.views, result=path if is_here else None)
            except ValueError as error:
                self._fail(piece.task, str(error))
                return
        self._summary.megapixels += outcome.megapixels
        if outcome.kind == 'done':
            self._summary.done += 1
            self._progress.write(outcome.line)
        else:
            self._summary.skipped += 1

    def _fail(self, task: worker.PictureTask | None, line: str) -> None:
        """Count a picture that failed, and print the reason; `task` is None if the line names the picture already."""
        if task:
            job = processing.PictureJob(self._source.path(task.place), task.place, self._output.path(task.target))
            line = processing.failure_line(job, line)
        self._summary.fail(line)
        self._progress.write(f'failed: {line}')
