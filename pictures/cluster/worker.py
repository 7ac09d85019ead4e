"""The worker on a machine of a cluster: a process with the model, for one picture or a part of one at a time.

This module does not use Ray; pictures/cluster/fleet.py turns Worker into a Ray actor.
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

CLEANING_SECONDS = 1.5  # to remove the files of workers that are ending
LARGE_MEGAPIXELS = (
    16  # pictures of this size or larger are cut into bands for several workers; measured: docs/measurements.md
)


class Setup(NamedTuple):
    """The settings of all workers.

    Attributes:
        model: the content of the model file.
        model_path: its path as the user wrote it.
        engine: as in engines.open_model.
        precision: as in engines.open_model.
        place: as in engines.open_model; each worker sets threads and streams.
        source: the store of the pictures: its path or URL as the user wrote it, and as other machines open it.
        output: the store of the results, in the same form.
        first: places of some pictures in the source; a machine has to see at least one.
        token: a subfolder that the driver made in the output, by which a machine recognizes that folder; None for a URL.
        options: how pictures are enlarged and written.
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
    """The answer of a worker once the model is loaded.

    Attributes:
        scale: how many times the model enlarges each side.
        name: the engine, as engines.describe names it.
        lines: notes on the model, for the user.
        refusal: why the worker cannot work; None if it can.
    """

    scale: int
    name: str
    lines: list[str]
    refusal: str | None = None


class PictureTask(NamedTuple):
    """A picture to enlarge.

    Attributes:
        place: the picture's place in the source.
        target: the result's place in the output.
        is_shown: whether the report shows the picture.
        is_retry: whether a worker died during the picture, and may have written the result.
        splits: whether to return a large picture to the scheduler, which cuts it.
    """

    place: str
    target: str
    is_shown: bool = False
    is_retry: bool = False
    splits: bool = False


class Outcome(NamedTuple):
    """The result of a task.

    Attributes:
        kind: 'done'; 'skipped'; 'failed'; 'fatal': every other picture would fail too; 'large': the picture has to be
            cut; 'part': a step of a picture that was cut is done; 'unfit': the disk of the worker's machine is full.
        line: the line for the user.
        megapixels: millions of pixels of the source.
        views: the views for the report; None if it does not show the picture.
    """

    kind: str
    line: str
    megapixels: float = 0
    views: report.Views | None = None


class Band(NamedTuple):
    """Some rows of tiles of a picture.

    Attributes:
        pixels: the pixels of these rows, (H, W, C).
        tiles: the tiles, with positions in `pixels`.
    """

    pixels: np.ndarray
    tiles: list[tiles.Tile]


class Head(NamedTuple):
    """The rest of a picture whose pixels were cut into bands.

    Attributes:
        picture: the picture, without its pixels.
        shape: (H, W, C) of the pixels.
    """

    picture: reader.Picture
    shape: tuple[int, int, int]


class Worker:
    """Enlarges pictures with a loaded model, from one store to another, with a folder for local copies."""

    def __init__(self, setup: Setup, threads: int):
        """Load the model and check the stores; errors are reported by `ready`.

        Args:
            setup: the settings of all workers.
            threads: number of threads on the CPU.
        """
        cli.silence_libraries()
        warnings.simplefilter('ignore')  # warnings of the libraries; errors are raised, and notes are printed
        self._setup, self._options = setup, setup.options
        self._names: dict[str, str] = {}  # path of a local copy -> path or URL that the user knows
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
        self._output.check_writable()  # with this machine's user and credentials
        self._scratch = self._stack.enter_context(files.scratch_folder(_scratch()))
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
        """Return whether this worker can work, and notes on the model."""
        return self._ready

    def close(self) -> None:
        """Remove the worker's files from the machine's temporary folder."""
        self._stack.close()

    def upscale(self, task: PictureTask) -> Outcome:
        """Enlarge a picture and write the result; if it is large and `task.splits` is set, only return 'large'.

        Args:
            task: the picture.
        """
        return self._told(lambda: self._upscale(task))

    def cut(self, task: PictureTask, count: int) -> list:
        """Read a large picture and cut it into bands.

        Args:
            task: the picture.
            count: number of bands.

        Returns:
            [Outcome, Head, Band, …] with `count` bands. If the picture has too few rows of tiles, the last bands are None;
            if it fails, all values but the Outcome are None.
        """
        cut = self._told(lambda: self._cut(task, count))
        return cut if isinstance(cut, list) else [cut] + [None] * (1 + count)

    def upscale_band(self, band: Band | None) -> list:
        """Enlarge a band.

        Args:
            band: from `cut`; may be None.

        Returns:
            [Outcome, pixels (scale*h, scale*W, C)] for a band whose tiles have cores of h rows together. The pixels are None
            if the band is None or has failed.
        """
        result = self._told(lambda: None if band is None else self._upscale_band(band))
        return [result, None] if isinstance(result, Outcome) else [Outcome('part', ''), result]

    def join(self, task: PictureTask, head: Head, *parts: np.ndarray | None) -> Outcome:
        """Join the enlarged bands of a picture that was cut, and write the result.

        Args:
            task: the picture.
            head: from `cut`.
            parts: from `upscale_band`, in order; None is skipped.
        """
        return self._told(lambda: self._join(task, head, [part for part in parts if part is not None]))

    def _told(self, do: Callable[[], Any]) -> Any:
        """Return the value of `do`; if it fails with an error that a picture may cause, return an Outcome."""
        try:
            return do()
        except (ValueError, OSError, MemoryError) as error:
            line = cli.describe_error(error)
            for local, name in self._names.items():
                line = line.replace(escaping.escape(local), escaping.escape(name))
            if not isinstance(error, OSError) or error.errno not in processing.FATAL:
                return Outcome('failed', line)
            # A full disk ends the run only if all machines share it, so not if it holds local copies of a URL.
            is_read = isinstance(self._input, stores.Bucket) and str(error.filename).startswith(self._input.url)
            is_shared = isinstance(self._output, stores.Folder) and not is_read
            if is_shared:
                return Outcome('fatal', line)
            return Outcome('unfit', f'{line}: local copies need space in {escaping.escape(tempfile.gettempdir())}')

    def _upscale(self, task: PictureTask) -> Outcome:
        if task.is_retry:
            self._output.clean_up(task.target)  # the worker that died may have left a half-written file
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
            # Pictures with a size are not cut, because they may take several passes.
            if task.splits and megapixels >= LARGE_MEGAPIXELS and not self._options.size:
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
        """Enlarge all frames of a file, which is never cut, and write the result."""
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
        """Return processing.is_done for a task; in a retry, skip a result that the worker wrote before it died."""
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
    """Remove the files of killed workers, such as the model, from this machine's temporary folder.

    Try for up to CLEANING_SECONDS, because a process that was just killed may still hold its files.
    """
    deadline = time.monotonic() + CLEANING_SECONDS
    while not files.clean_up(_scratch()) and time.monotonic() < deadline:
        time.sleep(0.05)


def _scratch() -> str:
    return os.path.join(tempfile.gettempdir(), 'rdn-cluster')


def _band(picture: np.ndarray, those: list[tiles.Tile], wraps: bool) -> Band:
    """Return the Band of some rows of tiles of a picture (H, W, C); if it wraps, the rows may extend beyond its edges."""
    start, stop = those[0].rows.start, those[-1].rows.stop
    moved = [tile._replace(rows=tiles.Span(*(row - start for row in tile.rows))) for tile in those]
    rows = np.take(picture, range(start, stop), 0, mode='wrap') if wraps else picture[start:stop]
    return Band(np.ascontiguousarray(rows), moved)
