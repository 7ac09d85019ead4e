"""Pictures handed to the workers of a cluster one by one, large ones in bands, and again where a worker died.

The driver holds what is being worked on and nothing of the rest, however many pictures there are.
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

CLEANING_SECONDS = 1.5
MAX_DEATHS = 2  # of workers in the middle of a picture, which is then named
MAX_LOSSES = 5  # of machines; of workers, too, once it is seen that they die of other things than pictures


@dataclasses.dataclass
class Piece:
    """A picture, or a part of one, to be handed to a worker. call: a method of Worker; deaths, losses: so far.

    returns: how many values the call has; the first is an Outcome; reason: of the last loss, where it is known.
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
    """A picture whose bands are upscaled by several workers. whole: what to do where one of them fails."""

    whole: Piece
    head: Any = None
    bands: list[Any] = dataclasses.field(default_factory=list)
    parts: dict[int, Any] = dataclasses.field(default_factory=dict)
    is_over: bool = False


@contextlib.contextmanager
def token_in(output: stores.Store) -> Iterator[str | None]:
    """Put something into a folder for the time of the block, by which machines know it; its place, None for a URL."""
    if not isinstance(output, stores.Folder):
        yield None
        return
    with files.scratch_folder(os.path.join(output.absolute(), 'rdn-cluster')) as token:
        yield os.path.basename(token)


@contextlib.contextmanager
def unfinished(output: stores.Store) -> Iterator[set[str]]:
    """Yield a set for the places that workers may be writing; what they left of them goes when the block ends."""
    places: set[str] = set()

    def clean_up() -> None:
        deadline = time.monotonic() + CLEANING_SECONDS
        for place in sorted(places):
            while not output.clean_up(place) and time.monotonic() < deadline:  # its worker is not gone yet
                time.sleep(0.05)

    with stopping.before_exit(clean_up):
        try:
            yield places
        finally:
            clean_up()


class Scheduler:
    """Hands the pictures of a run to a fleet, one by one."""

    def __init__(
        self,
        workers: fleet.Fleet,
        source: stores.Store,
        output: stores.Store,
        shown: progress.Progress,
        page: report.Report | None,
        under_way: set[str],
    ):
        """page: to put some of the results on; None for none. shown: its summary is kept up to date.

        under_way: holds the places in the output that workers may be writing.
        """
        self._under_way = under_way
        self._ray, self._fleet, self._source, self._output, self._page = workers.ray, workers, source, output, page
        self._summary, self._progress = shown.summary, shown
        self._busy: dict[Any, tuple[fleet.Member, Piece, list[Any]]] = {}  # by the first value that a call returns
        self._waiting: collections.deque[Piece] = collections.deque()  # to be done before new pictures
        self._later: collections.deque[Piece] = collections.deque()  # and after them
        self._most_deaths = MAX_DEATHS

    def wait_for_workers(self) -> worker.Ready:
        """What the workers are, once the first of them is there."""
        while self._fleet.kind is None:
            self._step()
        return self._fleet.kind

    def upscale(self, tasks: Iterator[worker.PictureTask | str]) -> None:
        """Hand out all Tasks, and collect what comes of them. Raises OSError for what all others would meet, too."""
        piece = self._next(tasks)
        while piece or self._busy:
            if piece and self._fleet.idle:
                self._hand_out(piece)
                piece = None
            else:
                self._step()
            piece = piece or self._next(tasks)

    def _step(self) -> None:
        """Wait for the next thing that happens, for a while, and see to it."""
        self._fleet.look()
        expected = [*self._busy, *self._fleet.starting]
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
            piece.task = piece.task._replace(splits=False)  # among whom?
        task = [] if piece.call == 'upscale_band' else [piece.task]
        call = getattr(member.actor, piece.call).options(num_returns=piece.returns)
        values = call.remote(*task, *piece.arguments)
        values = [values] if piece.returns == 1 else values
        self._busy[values[0]] = member, piece, values
        self._under_way.add(piece.task.target)

    def _collect(self, value: Any) -> None:
        """See to a call that has ended, well or not."""
        member, piece, values = self._busy.pop(value)
        self._under_way.discard(piece.task.target)
        try:
            outcome = self._ray.get(value)
        except self._ray.exceptions.RayTaskError:
            if not piece.cut:
                raise  # a mistake of ours
            self._fleet.idle.append(member)
            self._again(piece, is_lost=True)  # another part went with its machine, or found no room
            return
        except self._ray.exceptions.OutOfMemoryError:  # which is the picture's doing
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
        if outcome.kind == 'hopeless':
            raise OSError(outcome.line)
        if outcome.kind == 'large':
            count = len(self._fleet.members)
            self._waiting.appendleft(Piece(piece.task, 'cut', (count,), 2 + count, Cut(piece)))
        elif outcome.kind == 'part':
            self._go_on(piece, values)
        else:
            self._end(piece, outcome)

    def _go_on(self, piece: Piece, values: list[Any]) -> None:
        """What follows a part of a picture that was cut."""
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
        """Put a picture whose worker died back, whole; one that killed several is named instead.

        is_lost: with its machine. Else it waits to the end, lest it die once more beside what took the memory.
        most_deaths: so many, and it is named.
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
            guess = f'its worker died {times} times: of too little memory?'
            self._fail(whole.task, f'given up after {times} times: {whole.reason}' if whole.reason else guess)
            self._output.clean_up(whole.task.target)
            return
        whole.task = whole.task._replace(is_retry=True, splits=True)
        (self._waiting if is_lost else self._later).append(whole)

    def _end(self, piece: Piece, outcome: worker.Outcome) -> None:
        """Count a picture that is through."""
        whole = piece
        if piece.cut:
            piece.cut.is_over, whole = True, piece.cut.whole
        if outcome.kind == 'failed':
            self._fail(piece.task, outcome.line)
            return
        if whole.deaths:  # so they were not the picture's doing
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
        """Count a picture that failed. task: None where the line names it."""
        if task:
            job = processing.PictureJob(self._source.path(task.place), task.place, self._output.path(task.target))
            line = processing.failure_line(job, line)
        self._summary.fail(line)
        self._progress.write(f'failed: {line}')
