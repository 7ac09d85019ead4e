"""What runs on each machine of a cluster: a process with the model, for one picture or a part of one at a time.

It needs nothing of Ray, which makes an actor of the Worker: pictures/cluster/fleet.py.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from pictures import channel_roles, passes, processing, sequences, upscaler, views
from pictures.cluster import stores
from pictures.formats import frames, reader
from pictures.report import report
from rdn import cli, engines, escaping, files, tiles

import numpy as np

CLEANING_SECONDS = 1.5
LARGE_MEGAPIXELS = 16  # from here on a picture's tiles are spread; measured: docs/measurements.md


class Setup(NamedTuple):
    """What all workers are told once. model: the model file's content; model_path: what the user calls it.

    engine, precision, place: as of engines.open_model, but for threads and streams; source, output: stores, each as the user named it and as other
    machines open it; first: places of some pictures in the source, of which a machine has to see one; token: a place in
    the output where the driver has put something, which shows that a machine sees the same folder; None for a URL.
    """

    model: bytes
    model_path: str
    engine: str
    precision: str
    place: engines.Place
    source: tuple[str, str]
    output: tuple[str, str]
    first: Sequence[str]
    token: str | None
    options: processing.Options


class Ready(NamedTuple):
    """What a worker says once the model is loaded. lines: on the model; refusal: why it cannot work; else None."""

    scale: int
    name: str
    lines: list[str]
    refusal: str | None = None


class PictureTask(NamedTuple):
    """A picture to upscale: its place in the source, the result's place in the output.

    is_shown: whether the report wants its views. is_retry: after a worker that died, which may have written the result.
    splits: whether a large picture is to be handed back, to be cut.
    """

    place: str
    target: str
    is_shown: bool = False
    is_retry: bool = False
    splits: bool = False


class Outcome(NamedTuple):
    """What came of a PictureTask: done, skipped, failed, hopeless (as all others would be), large (to be cut) or a part of one;
    unfit where the machine's own disk is full.

    line: for the person at the terminal; megapixels: of the source; views: for the report.
    """

    kind: str
    line: str
    megapixels: float = 0
    views: report.Views | None = None


class Band(NamedTuple):
    """Rows of tiles of a picture: their pixels (H, W, C), and the tiles as they lie in them."""

    pixels: np.ndarray
    tiles: list[tiles.Tile]


class Head(NamedTuple):
    """Of a picture that was cut: all but its pixels, and their (H, W, C)."""

    picture: reader.Picture
    shape: tuple[int, int, int]


class Worker:
    """A loaded model, the stores, and a folder for local copies."""

    def __init__(self, setup: Setup, threads: int):
        """threads: of a CPU. What is wrong is told by `ready`."""
        cli.silence_libraries()
        warnings.simplefilter('ignore')  # of the libraries: what matters is raised, or a note
        self._setup, self._options = setup, setup.options
        self._names: dict[str, str] = {}  # of a local copy -> what the user calls it
        self._stack = contextlib.ExitStack()
        opened = self._told(lambda: self._open(setup, threads))
        self._ready = opened if isinstance(opened, Ready) else Ready(0, '', [], opened.line)

    def _open(self, setup: Setup, threads: int) -> Ready:
        self._input, self._output = stores.open_store(*setup.source), stores.open_store(*setup.output)
        for store in (self._input, self._output):
            if isinstance(store, stores.Folder) and not store.is_there():
                raise ValueError(f'{store.url}: this machine does not see the folder')
        if setup.first and not any(self._input.exists(place) for place in setup.first):
            raise ValueError(f'{self._input.path(setup.first[0])}: this machine does not see the file')
        if setup.token and not self._output.exists(setup.token):
            raise ValueError(f'{self._output.url}: this machine has another folder of that name')
        self._output.check_writable()  # by this machine's user, with its credentials
        self._scratch = self._stack.enter_context(files.scratch_folder(_scratch()))  # what a killed worker left goes
        path = os.path.join(self._scratch, f'model{os.path.splitext(setup.model_path)[1]}')
        self._names[path] = setup.model_path
        with files.full_disk_naming(self._scratch), open(path, 'wb') as file:
            file.write(setup.model)
        streams = min(threads, processing.MAX_STREAMS)
        where = setup.place._replace(threads=threads, streams=streams)
        self._model = engines.open_model(path, setup.engine, setup.precision, where)
        self._scale = engines.scale_of(self._model, path)
        upscaler.check_tiles(self._model, self._options.tile_size, self._options.overlap)
        passes.check(self._scale, self._options.size)
        lines = processing.describe_model(self._model, setup.precision)
        lines += processing.describe_tiles(self._model, self._options)
        return Ready(self._scale, engines.describe(self._model, '--precision'), lines)

    def ready(self) -> Ready:
        """What this worker is, once it is there."""
        return self._ready

    def close(self) -> None:
        """Remove what is in the machine's temporary folder."""
        self._stack.close()

    def upscale(self, task: PictureTask) -> Outcome:
        """Do a PictureTask from beginning to end, or say that it is large."""
        return self._told(lambda: self._upscale(task))

    def cut(self, task: PictureTask, count: int) -> list:
        """[Outcome, Head, Band, …]: a large picture cut into `count` Bands, None for those that do not come."""
        cut = self._told(lambda: self._cut(task, count))
        return cut if isinstance(cut, list) else [cut] + [None] * (1 + count)

    def upscale_band(self, band: Band | None) -> list:
        """[Outcome, the upscaled cores of a Band's tiles (scale*h, scale*W, C)], None for none."""
        result = self._told(lambda: None if band is None else self._upscale_band(band))
        return [result, None] if isinstance(result, Outcome) else [Outcome('part', ''), result]

    def join(self, task: PictureTask, head: Head, *parts: np.ndarray | None) -> Outcome:
        """Put a cut picture together, and write it."""
        return self._told(lambda: self._join(task, head, [part for part in parts if part is not None]))

    def _told(self, do: Callable[[], Any]) -> Any:
        """What a call returns; an Outcome where it fails as a picture may."""
        try:
            return do()
        except (ValueError, OSError, MemoryError) as error:
            line = cli.describe_error(error)
            for local, name in self._names.items():
                line = line.replace(escaping.escape(local), escaping.escape(name))
            if not isinstance(error, OSError) or error.errno not in processing.HOPELESS:
                return Outcome('failed', line)
            # A URL's local copies fill one machine only.
            is_read = isinstance(self._input, stores.Bucket) and str(error.filename).startswith(self._input.url)
            is_shared = isinstance(self._output, stores.Folder) and not is_read
            if is_shared:
                return Outcome('hopeless', line)
            return Outcome('unfit', f'{line}: local copies of it need room in {escaping.escape(tempfile.gettempdir())}')

    def _upscale(self, task: PictureTask) -> Outcome:
        if task.is_retry:
            self._output.clean_up(task.target)  # after a worker that died in the middle of it
        if self._is_done(task):
            shown = None
            if task.is_shown:
                with self._source(task) as source, self._output.reading(task.target, self._scratch) as target:
                    self._names[target] = self._output.path(task.target)
                    shown = self._views(processing.PictureJob(source, task.place, target), None)
            return Outcome('done' if task.is_retry else 'skipped', self._output.path(task.target), 0, shown)
        with self._source(task) as source:
            whole = processing.PictureJob(source, task.place, self._output.path(task.target))
            sequence = sequences.find(whole, self._options)
            if sequence:
                return self._upscale_sequence(task, source, sequence)
            megapixels = processing.megapixels(source)
            if (
                task.splits and megapixels >= LARGE_MEGAPIXELS and not self._options.size
            ):  # several passes stay together
                return Outcome('large', '', megapixels)
            with self._target(task) as target:
                job = processing.PictureJob(source, task.place, target)
                processing.check_not_itself(job)
                picture = reader.read_picture(source)
                canvas = processing.upscale_picture(
                    job, picture, self._model, self._scale, self._options, lambda _: None
                )
                notes = processing.save(job, picture, canvas, self._options)
            height, width = picture.pixels.shape[:2]
            upscaled = processing.Upscaled(picture, canvas)
            shown = self._views(job, upscaled) if task.is_shown else None
        return Outcome('done', self._line(task, notes), height * width / 1e6, shown)

    def _upscale_sequence(self, task: PictureTask, source: str, sequence: frames.Sequence) -> Outcome:
        """Do all frames of a file, which stay together."""
        with self._target(task) as target:
            job = processing.PictureJob(source, task.place, target)
            processing.check_not_itself(job)
            enlarged = sequences.upscale(job, sequence, self._model, self._scale, self._options, lambda _: None)
            notes = sequences.save(job, enlarged, self._options)
        shown = self._views(job, enlarged.first[0]) if task.is_shown else None
        return Outcome('done', self._line(task, notes), sequence.megapixels, shown)

    def _cut(self, task: PictureTask, count: int) -> list:
        with self._source(task) as source:
            picture = reader.read_picture(source)
        height, width = picture.pixels.shape[:2]
        processing.check_size(self._output.path(task.target), width * self._scale, height * self._scale)
        options = self._options
        processing.check_alpha(self._output.path(task.target), picture.pixels.shape[2], options)
        layout = upscaler.layout_for(
            self._model, (height, width), options.tile_size, options.overlap, self._scale, options.wrap
        )
        rows, pixels = tiles.tile_rows(layout), channel_roles.narrowed(picture.pixels)
        bands = [
            _band(pixels, [tile for index in group for tile in rows[index]], options.wrap)
            for group in np.array_split(range(len(rows)), count)
            if len(group)
        ]
        head = Head(picture._replace(pixels=picture.pixels[:0].copy()), picture.pixels.shape)
        return [Outcome('part', ''), head, *bands, *[None] * (count - len(bands))]

    def _upscale_band(self, band: Band) -> np.ndarray:
        first, last = band.tiles[0].rows.core_start * self._scale, band.tiles[-1].rows.core_stop * self._scale
        result = np.empty((last - first, band.pixels.shape[1] * self._scale, band.pixels.shape[2]), band.pixels.dtype)
        cutting = self._options.cutting()
        for tile, part in upscaler.upscale_tiles(band.pixels, band.tiles, self._model, self._scale, cutting):
            rows, columns = tiles.target_slices(tile, self._scale)
            result[rows.start - first : rows.stop - first, columns] = part
        return result

    def _join(self, task: PictureTask, head: Head, parts: Sequence[np.ndarray]) -> Outcome:
        with self._target(task) as target:
            job = processing.PictureJob(self._input.path(task.place), task.place, target)
            height, width, channels = head.shape
            size = width * self._scale, height * self._scale
            canvas = processing.new_canvas(job, size, channels, head.picture.pixels.dtype)
            start = 0
            for part in parts:
                part = channel_roles.widened(part, head.shape[2])
                canvas.put(slice(start, start + len(part)), slice(0, canvas.width), part)
                start += len(part)
            notes = processing.save(job, head.picture, canvas, self._options)
        shown = None
        if task.is_shown:
            with self._source(task) as source:
                upscaled = processing.Upscaled(reader.read_picture(source), canvas)
            shown = self._views(job, upscaled)
        return Outcome('done', self._line(task, notes), height * width / 1e6, shown)

    def _views(self, job: processing.PictureJob, upscaled: processing.Upscaled | None) -> report.Views:
        return views.views_of(job, upscaled, self._scale, self._options)

    def _is_done(self, task: PictureTask) -> bool:
        """As processing.is_done; what a worker that died had written is done."""
        options = self._options._replace(resume=True) if task.is_retry else self._options
        return processing.is_done(
            self._output.path(task.target), options, lambda _: self._output.is_filled(task.target)
        )

    @contextlib.contextmanager
    def _source(self, task: PictureTask) -> Iterator[str]:
        with self._input.reading(task.place, self._scratch) as local:
            self._names = {local: self._input.path(task.place)}
            yield local

    @contextlib.contextmanager
    def _target(self, task: PictureTask) -> Iterator[str]:
        with self._output.writing(task.target, self._scratch) as local:
            self._names[local] = self._output.path(task.target)
            yield local

    def _line(self, task: PictureTask, notes: list[str]) -> str:
        return processing.line_of(self._output.path(task.target), notes)


def clean_up() -> None:
    """Remove what killed workers left in this machine's temporary folder, such as the model.

    A process that was just killed may hold its files for a moment.
    """
    deadline = time.monotonic() + CLEANING_SECONDS
    while not files.clean_up(_scratch()) and time.monotonic() < deadline:
        time.sleep(0.05)


def _scratch() -> str:
    return os.path.join(tempfile.gettempdir(), 'rdn-cluster')


def _band(picture: np.ndarray, those: list[tiles.Tile], wraps: bool) -> Band:
    """The Band of some rows of tiles of a picture (H, W, C). Of one that wraps they may begin before it or end beyond."""
    start, stop = those[0].rows.start, those[-1].rows.stop
    moved = [tile._replace(rows=tiles.Span(*(row - start for row in tile.rows))) for tile in those]
    rows = np.take(picture, range(start, stop), 0, mode='wrap') if wraps else picture[start:stop]
    return Band(np.ascontiguousarray(rows), moved)
