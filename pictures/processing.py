"""Enlarge one picture and write the result: the steps that runs on one machine and on a cluster share."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from typing import BinaryIO, Callable, ContextManager, Iterator, NamedTuple, Sequence

from pictures import channel_roles, history, in_place, passes, spill, target_size, upscaler
from pictures.formats import base, frames, pixels, reader, registry, writer
from pictures.metadata import metadata, print_size
from rdn import cli, engines, escaping, files, tiles

import numpy as np

NAMED_FAILURES = 3  # failures that the last line of a run names
NAMED_PASSED = 5  # names in the line on files that are skipped
MAX_DPI = metadata.MAX_DPI
TILE_SIZE = 256  # pixels; measured: docs/measurements.md
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # errors that would fail every other picture too
MAX_STREAMS = 8  # batches that a model runs at a time; each one takes memory


class PictureJob(NamedTuple):
    """A picture to enlarge.

    Attributes:
        source: the path of the picture.
        place: its path below the input folder, or the name of an input file.
        target: the path of the result.
    """

    source: str
    place: str
    target: str


class Upscaled(NamedTuple):
    """A picture as it was read, and the canvas with its result."""

    picture: reader.Picture
    canvas: writer.Canvas


class Summary:
    """The results of a run.

    Attributes:
        done: number of pictures that were enlarged.
        skipped: number of pictures whose results existed.
        failed: number of pictures that failed.
        megapixels: millions of pixels of the sources that were enlarged; counted only in a cluster.
        passed: number of files whose names do not end like a picture's.
        passed_names: the first of these files.
        links: number of links to folders, which are not followed.
        link_names: the first of these links.
        first_failures: the first lines that `fail` was called with, escaped.
    """

    def __init__(self) -> None:
        self.done = self.skipped = self.failed = self.passed = 0
        self.megapixels = 0.0
        self.passed_names: list[str] = []
        self.links = 0
        self.link_names: list[str] = []
        self.first_failures: list[str] = []
        self._failures = tempfile.SpooledTemporaryFile(1 << 20)  # a line each; on disk, as there may be a million

    @property
    def count(self) -> int:
        """Number of pictures that are done, skipped or failed."""
        return self.done + self.skipped + self.failed

    def fail(self, line: str) -> None:
        """Count a picture that failed.

        Args:
            line: the reason; escaped here, so that it stays one line of the log.
        """
        line = escaping.escape(line)
        self.failed += 1
        with files.full_disk_naming(tempfile.gettempdir()):
            self._failures.write(line.encode() + b'\n')
        if len(self.first_failures) < NAMED_FAILURES:
            self.first_failures.append(line)

    def pass_over(self, path: str) -> None:
        """Count a file whose name does not end like a picture's."""
        self.passed += 1
        if len(self.passed_names) < NAMED_PASSED:
            self.passed_names.append(escaping.escape(path))

    def pass_link(self, path: str) -> None:
        """Count a link to a folder, which is not followed."""
        self.links += 1
        if len(self.link_names) < NAMED_PASSED:
            self.link_names.append(escaping.escape(path))

    def describe_others(self) -> str:
        """Return a line on files that are not pictures: '2 files skipped: not pictures (notes.txt, data.csv)'."""
        rest = ', …' if self.passed > len(self.passed_names) else ''
        names = ', '.join(self.passed_names)
        kind = 'not a picture' if self.passed == 1 else 'not pictures'
        return f'{cli.count(self.passed, "file")} skipped: {kind} ({names}{rest})'

    def failure_lines(self, most: int) -> list[str]:
        """Return the lines of the first failures, at most `most`."""
        self._failures.seek(0)
        lines = [line.decode().rstrip('\n') for line in itertools.islice(self._failures, most)]
        self._failures.seek(0, os.SEEK_END)
        return lines

    def write_failures(self, path: str) -> None:
        """Write a file with a line for each failure, atomically."""
        self._failures.seek(0)
        with files.atomic_file(path) as file:
            shutil.copyfileobj(self._failures, file)


class Options(NamedTuple):
    """How pictures are enlarged and written.

    Attributes:
        tile_size: largest side of a tile in pixels, for a model that takes any size.
        overlap: overlap of tiles in pixels.
        batch_size: tiles per run of the model; 0: the engine's own choice.
        self_ensemble: whether to average over the eight flips and turns.
        wrap: whether opposite edges meet.
        alpha: the meaning of an alpha channel, one of channel_roles.ALPHAS.
        size: the size of the results; None: run the model once.
        overwrite: whether to replace results that exist.
        resume: whether to skip results that exist.
        on_clash: how to treat pictures that would have the same result, one of clashes.WAYS.
        keep_dates: whether results have the dates of their sources.
        in_place: whether results replace their sources.
        no_backup: whether `in_place` keeps no backups.
        all_frames: whether to enlarge all frames or pages of a file, not only the first one.
        quality: as in base.Settings.
        lossless: as in base.Settings.
        compression: as in base.Settings.
        dpi: as in print_size.PrintSize.
        keep_print_size: as `is_kept` in print_size.PrintSize.
    """

    tile_size: int = TILE_SIZE
    overlap: int = tiles.OVERLAP
    batch_size: int = 0
    self_ensemble: bool = False
    wrap: bool = False
    alpha: str = channel_roles.OPACITY
    size: target_size.TargetSize | None = None
    overwrite: bool = False
    resume: bool = False
    on_clash: str = 'refuse'
    keep_dates: bool = False
    in_place: bool = False
    no_backup: bool = False
    all_frames: bool = False
    quality: int = base.QUALITY
    lossless: bool = False
    compression: str = 'fast'
    dpi: float | None = None
    keep_print_size: bool = False

    def cutting(self) -> upscaler.Cutting:
        """Return how pictures are cut into tiles and run through the model."""
        return upscaler.Cutting(
            self.tile_size, self.overlap, self.batch_size, self.self_ensemble, self.wrap, self.alpha
        )


def describe_model(model: engines.Engine, precision: str) -> list[str]:
    """Return lines for the user on a model: the engine's notes, and a faster way to run the model if there is one.

    Args:
        model: the engine.
        precision: the precision that the user chose.
    """
    hint = engines.faster_way(model, '--precision') if precision == engines.AUTO else None
    return [line for line in (*model.notes, hint) if line]


def describe_tiles(model: engines.Engine, options: Options) -> list[str]:
    """Return a line on tiles and their overlap if the model takes any size, else an empty list.

    Args:
        model: the engine.
        options: how pictures are enlarged.
    """
    if None not in model.shape[1:]:
        return []
    return [
        f'tiles of {options.tile_size} pixels that overlap by {options.overlap}; '
        f'{tiles.OVERLAP} is enough for the compact weights of this project, another network may need more (docs/pictures.md)'
    ]


def upscale_picture(
    job: PictureJob,
    picture: reader.Picture,
    model: engines.Engine,
    scale: int,
    options: Options,
    advance: Callable[[float], None],
) -> writer.Canvas:
    """Enlarge a picture, and extend its notes if the size may surprise the user.

    Args:
        job: the picture and its result.
        picture: the picture as it was read.
        model: the engine.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.
        advance: called with the share of the picture's work that was done since the last call.

    Returns:
        The canvas with the whole result.

    Raises:
        ValueError: the result is too large for its format, memory or disk, or the model fails; the error names a file.
    """
    height, width, channels = picture.pixels.shape
    check_alpha(job.target, channels, options)
    plan = passes.make_plan(height, width, scale, options.size)
    with files.errors_naming(job.target):
        spill.check_memory(plan.size, channels, picture.pixels.dtype)
    canvas = new_canvas(job, plan.size, channels, picture.pixels.dtype)
    folder = os.path.dirname(os.path.abspath(job.target))
    for rows, columns, part in passes.upscale(picture.pixels, model, plan, options.cutting(), folder, advance):
        canvas.put(rows, columns, part)
    if options.size:
        picture.notes.extend(plan.notes())
    return canvas


def new_canvas(job: PictureJob, size: tuple[int, int], channels: int, dtype: np.dtype) -> writer.Canvas:
    """Return an empty canvas for a result.

    Args:
        job: the picture and its result.
        size: (width, height) of the result in pixels.
        channels: number of channels.
        dtype: uint8 or uint16.

    Raises:
        ValueError: the result's format does not allow so many pixels a side.
    """
    check_size(job.target, *size)
    return writer.Canvas(*size, channels, dtype, registry.ending_of(job.target))


def check_size(target: str, width: int, height: int) -> None:
    """Check that a result fits its format.

    Args:
        target: the result's path.
        width: width of the result in pixels.
        height: height of the result in pixels.

    Raises:
        ValueError: the format does not allow so many pixels a side; the error names the result.
    """
    with files.errors_naming(target):
        writer.check_size(width, height, registry.ending_of(target))


def check_alpha(target: str, count: int, options: Options) -> None:
    """Check that a result's format keeps an alpha channel that is data.

    Args:
        target: the result's path.
        count: number of channels of the picture.
        options: how pictures are enlarged and written.

    Raises:
        ValueError: the format has no alpha channel; the error names the result.
    """
    wanted = registry.BY_ENDING[registry.ending_of(target)]
    if options.alpha == channel_roles.DATA and count in pixels.ALPHA and not wanted.has_alpha:
        raise ValueError(f'{target}: {wanted.name} cannot store the alpha that --alpha=data keeps: choose --ext=png')


def said_of_result(
    said: metadata.Metadata, size: tuple[int, int], options: Options, notes: list[str]
) -> metadata.Metadata:
    """Return the metadata of a result.

    Args:
        said: the metadata of the picture.
        size: (width, height) of the upright result in pixels.
        options: how pictures are written.
        notes: extended with notes on metadata that cannot be kept.
    """
    asked = print_size.PrintSize(options.dpi, options.keep_print_size)
    return print_size.apply(metadata.of_upright(said, *size, notes), asked, said.change_to(*size), notes)


def save(
    job: PictureJob,
    picture: reader.Picture,
    canvas: writer.Canvas,
    options: Options,
    past: history.History | None = None,
) -> list[str]:
    """Write a result, with the metadata of its picture.

    Args:
        job: the picture and its result.
        picture: the picture as it was read.
        canvas: the whole result.
        options: how pictures are written.
        past: adds the result to the record of its folder; None: no record.

    Returns:
        Notes on reading and writing, for the user.

    Raises:
        ValueError: the result cannot be written; the error names it.
        OSError: the result cannot be written; the error names it.
    """
    ending = registry.ending_of(job.target)
    lost: list[str] = []
    said = said_of_result(picture.said, (canvas.width, canvas.height), options, lost)
    settings = base.Settings(options.quality, options.lossless or picture.is_lossless, options.compression)
    with result_file(job, options) as file:
        with errors_of_writing(job.target):
            notes = canvas.save(file, said, settings, picture.pixels)
        own = registry.ending_of(job.source)
        if ending == '.png' and own not in registry.WRITABLE:
            notes.append(_note_of_png(own, options.lossless))
        notes = [*_notes_on_frames(picture.notes, registry.BY_ENDING[ending], options), *lost, *notes]
        notes = list(dict.fromkeys(notes))
        finish_file(job, file, options, notes, past)
    return notes


@contextlib.contextmanager
def errors_of_writing(target: str) -> Iterator[None]:
    """Turn the errors of a library, which may be of any type, into ValueErrors that name the result.

    Args:
        target: the result's path.

    Raises:
        ValueError: the library failed in the block; ValueError, OSError and MemoryError are raised unchanged.
    """
    try:
        yield
    except (ValueError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f'{target}: cannot be written: {escaping.one_line(error)}')


def result_file(job: PictureJob, options: Options) -> ContextManager[BinaryIO]:
    """Open a file for a result, which is renamed to the result's path when the block ends, or removed if it fails."""
    return in_place.replacing(job.target) if options.in_place else files.atomic_file(job.target)


def _notes_on_frames(notes: list[str], target: base.Format, options: Options) -> list[str]:
    """Return the notes on reading; with --all-frames, they say why only the first frame is enlarged."""
    if not options.all_frames:
        return notes
    reasons = [(frames.ANIMATION, 'without animation'), (frames.PAGES, 'with one page')]
    reason = next((words for kind, words in reasons if any(f' {kind}s:' in note for note in notes)), '')
    return [note.replace(base.ALL_FRAMES, f': {target.name} is written {reason}') for note in notes]


def finish_file(
    job: PictureJob, file: BinaryIO, options: Options, notes: list[str], past: history.History | None
) -> None:
    """Set the dates of a complete result, back up its picture, and add the record; called before the final renaming.

    Args:
        job: the picture and its result.
        file: the complete result.
        options: how pictures are written.
        notes: notes for the user; extended if the backup is kept although --no-backup is given.
        past: adds the result to the record of its folder; None: no record.
    """
    file.flush()
    source = job.source
    if options.keep_dates:
        dates = os.stat(job.source)
        os.utime(file.fileno(), ns=(dates.st_atime_ns, dates.st_mtime_ns))
    if options.in_place:
        in_place.complete(file, job.target)
        if notes or not options.no_backup:
            source = in_place.keep_original(job.target)
        if notes and options.no_backup:
            notes.append(f'{source} is kept, because the result lost something')
    if past:
        past.add(source, job.target, file.fileno())


def _note_of_png(own: str, is_lossless: bool) -> str:
    """Return the note that says why a result is PNG; `own`: the source's ending, of a format that cannot be written."""
    source = registry.BY_ENDING.get(own)
    if source and source.save_frames:
        return f'saved as PNG ({source.name} is only written with --all-frames)'
    hint = '; --ext jpg makes a smaller file' if source and source.has_loss and not is_lossless else ''
    return f'saved as PNG ({own[1:].upper() or "its format"} cannot be written{hint})'


def failure_line(job: PictureJob, line: str) -> str:
    """Return the reason of a failure, escaped, with the picture's path in front if it names neither the picture nor its result.

    Args:
        job: the picture and its result.
        line: the reason.
    """
    line = escaping.escape(line)
    names = escaping.escape(job.source), escaping.escape(job.target)
    return line if any(name in line for name in names) else f'{names[0]}: {line}'


def line_of(target: str, notes: Sequence[str]) -> str:
    """Return the console's line on a result, escaped.

    Args:
        target: the result's path.
        notes: notes on reading and writing.
    """
    return escaping.escape(f'{target}: {"; ".join(notes)}' if notes else target)


def check_job(job: PictureJob, sources: dict[str, str], may_be_itself: bool = False) -> None:
    """Check that a result belongs to one picture, and does not replace the picture itself.

    Args:
        job: the picture and its result.
        sources: target -> source of the earlier pictures of the run; this picture is added.
        may_be_itself: whether results replace their pictures.

    Raises:
        ValueError: another picture has the same result, or the result would replace the picture.
    """
    if job.target in sources:
        remedy = 'name it once' if may_be_itself else 'rename one, or add --on-clash=number'
        raise ValueError(f'{job.target}: would be the result of {sources[job.target]} too: {remedy}')
    sources[job.target] = job.source
    if not may_be_itself:
        check_not_itself(job)


def check_not_itself(job: PictureJob) -> None:
    """Raise ValueError if a result would replace its own picture."""
    if os.path.exists(job.target) and os.path.samefile(job.source, job.target):
        raise ValueError(f'{job.source}: would be replaced by its result: name another --output or --suffix')


def is_done(target: str, options: Options, is_filled: Callable[[str], bool | None] = files.is_filled) -> bool:
    """Return whether to skip a picture because its result exists; an empty file does not count as a result.

    Args:
        target: the result's path.
        options: how the run treats results that exist.
        is_filled: replaces files.is_filled, for results in a store.

    Raises:
        ValueError: the result exists, and no flag says whether to replace or skip it.
        OSError: the path is a folder or a device.
    """
    filled = is_filled(target)
    if options.overwrite or filled is None:
        return False
    if not options.resume:
        raise ValueError(f'{target}: already exists: --overwrite replaces it, --resume skips it')
    return filled


def megapixels(path: str) -> float:
    """Return the megapixels of a picture by its header.

    Args:
        path: the path of the picture.

    Returns:
        Millions of pixels; 0 if the header does not say the size, or the path is not a plain file.
    """
    if not os.path.isfile(path):
        return 0
    width, height = reader.read_size(path)
    return width * height / 1e6
