"""A picture and what it becomes: upscaled, written, shown. For one machine and for many."""

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

NAMED_FAILURES = 3  # in the last line
NAMED_PASSED = 5
MAX_DPI = metadata.MAX_DPI
TILE_SIZE = 256  # pixels; measured: docs/measurements.md
# Failures that every other picture would meet, too.
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
MAX_STREAMS = 8  # tiles at a time: more would cost memory for each


class PictureJob(NamedTuple):
    """A picture to upscale, where it lies below what was given, and the file that it becomes."""

    source: str
    place: str
    target: str


class Upscaled(NamedTuple):
    """A picture as it was read, and the upscaled one."""

    picture: reader.Picture
    canvas: writer.Canvas


class Summary:
    """What came of all pictures. done, skipped, failed: how many; megapixels: of the sources that were done.

    passed: files whose names are no pictures', passed_names: of the first of them; first_failures: lines; links: folders
    that are linked, which are not entered, link_names: of the first of them.
    """

    def __init__(self) -> None:
        self.done = self.skipped = self.failed = self.passed = 0
        self.megapixels = 0.0
        self.passed_names: list[str] = []
        self.links = 0
        self.link_names: list[str] = []
        self.first_failures: list[str] = []
        self._failures = tempfile.SpooledTemporaryFile(1 << 20)  # a line each: a million of them are not held

    @property
    def count(self) -> int:
        """Of the pictures that are through."""
        return self.done + self.skipped + self.failed

    def fail(self, line: str) -> None:
        """Count a picture that failed. line: why; it is escaped here, so that it is one line of the log."""
        line = escaping.escape(line)
        self.failed += 1
        with files.full_disk_naming(tempfile.gettempdir()):
            self._failures.write(line.encode() + b'\n')
        if len(self.first_failures) < NAMED_FAILURES:
            self.first_failures.append(line)

    def pass_over(self, path: str) -> None:
        """Count a file whose name does not end like that of a picture."""
        self.passed += 1
        if len(self.passed_names) < NAMED_PASSED:
            self.passed_names.append(escaping.escape(path))

    def pass_link(self, path: str) -> None:
        """Count a link to a folder."""
        self.links += 1
        if len(self.link_names) < NAMED_PASSED:
            self.link_names.append(escaping.escape(path))

    def describe_others(self) -> str:
        """Return a line on the files that are not pictures: '2 files skipped: not pictures (notes.txt, data.csv)'."""
        rest = ', …' if self.passed > len(self.passed_names) else ''
        names = ', '.join(self.passed_names)
        return f'{cli.count(self.passed, "file")} skipped: not pictures ({names}{rest})'

    def failure_lines(self, most: int) -> list[str]:
        """Return the lines of the first failures. most: how many lines are returned at most."""
        self._failures.seek(0)
        lines = [line.decode().rstrip('\n') for line in itertools.islice(self._failures, most)]
        self._failures.seek(0, os.SEEK_END)
        return lines

    def write_failures(self, path: str) -> None:
        """Put a file with a line for each failure at the path."""
        self._failures.seek(0)
        with files.atomic_file(path) as file:
            shutil.copyfileobj(self._failures, file)


class Options(NamedTuple):
    """How pictures are upscaled and written. tile_size, overlap: pixels; batch_size: tiles a run, 0 for the engine's own.

    size: of the results, None for as much as the model enlarges; wrap: whether opposite edges meet; alpha: as of
    upscaler.Cutting; overwrite, resume: replace or skip results that are there; on_clash: one of clashes.WAYS;
    keep_dates: of the sources' files; in_place: results replace their sources; no_backup: without keeping these;
    all_frames: of animations and files with pages, not the first alone; quality, lossless, compression: as of
    base.Settings; dpi, keep_print_size: as of print_size.PrintSize.
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
        """How pictures go through the model."""
        return upscaler.Cutting(
            self.tile_size, self.overlap, self.batch_size, self.self_ensemble, self.wrap, self.alpha
        )


def describe_model(model: engines.Engine, precision: str) -> list[str]:
    """Lines on how a model will work: its notes, what would be faster. precision: as asked for."""
    hint = engines.faster_way(model, '--precision') if precision == engines.AUTO else None
    return [line for line in (*model.notes, hint) if line]


def describe_tiles(model: engines.Engine, options: Options) -> list[str]:
    """A line on how pictures are cut for a model that takes any size, whose overlap may want to be measured."""
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
    """Bring a picture that was read to its size, and add to its notes what a person may not expect of that.

    advance: called with the share of the picture's work that was done since the last call.

    Raises ValueError, with a file's name, where it cannot be done.
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
    """For a result of a size (width, height). Raises ValueError, with its name, where its format is too small."""
    check_size(job.target, *size)
    return writer.Canvas(*size, channels, dtype, registry.ending_of(job.target))


def check_size(target: str, width: int, height: int) -> None:
    """Raises ValueError, with the result's name, where its format does not hold so many pixels a side."""
    with files.errors_naming(target):
        writer.check_size(width, height, registry.ending_of(target))


def check_alpha(target: str, count: int, options: Options) -> None:
    """Raise ValueError, with the result's name, where its format would lose an alpha that is data.

    Args:
        target: the result's path.
        count: of the picture's channels.
        options: of the run.
    """
    wanted = registry.BY_ENDING[registry.ending_of(target)]
    if options.alpha == channel_roles.DATA and count in pixels.ALPHA and not wanted.has_alpha:
        raise ValueError(f'{target}: {wanted.name} holds no alpha, which --alpha=data keeps: choose --ext=png')


def said_of_result(
    said: metadata.Metadata, size: tuple[int, int], options: Options, notes: list[str]
) -> metadata.Metadata:
    """Return what the file of a result says beside its pixels.

    Args:
        said: by the picture's file.
        size: (width, height) of the result, upright, pixels.
        options: of the run.
        notes: is extended by what cannot be kept.
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
    """Write a full canvas with what the picture's file said; returns notes on reading and writing.

    past: notes the result in the record of its folder; None for no record.

    Raises ValueError or OSError, with the result's name, where it cannot be written.
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
    """Raise what libraries raise for what they cannot write, which may be of any kind, as a ValueError with the name."""
    try:
        yield
    except (ValueError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f'{target}: cannot be written: {escaping.one_line(error)}')


def result_file(job: PictureJob, options: Options) -> ContextManager[BinaryIO]:
    """Open a result's file, which takes its name when the block ends well."""
    return in_place.replacing(job.target) if options.in_place else files.atomic_file(job.target)


def _notes_on_frames(notes: list[str], target: base.Format, options: Options) -> list[str]:
    """Notes on reading; where --all-frames was given, they say why only the first one is enlarged."""
    if not options.all_frames:
        return notes
    reasons = [(frames.ANIMATION, 'without animation'), (frames.PAGES, 'with one page')]
    reason = next((words for kind, words in reasons if any(f' {kind}s:' in note for note in notes)), '')
    return [note.replace(base.ALL_FRAMES, f': {target.name} is written {reason}') for note in notes]


def finish_file(
    job: PictureJob, file: BinaryIO, options: Options, notes: list[str], past: history.History | None
) -> None:
    """Do what is left before a complete result takes its name: dates, the backup of the picture, the record."""
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
            notes.append(f'{source} is kept, since the result has less')
    if past:
        past.add(source, job.target, file.fileno())


def _note_of_png(own: str, is_lossless: bool) -> str:
    """Why a result is PNG. own: the source's ending, of a format that is not written."""
    source = registry.BY_ENDING.get(own)
    if source and source.save_frames:
        return f'saved as PNG ({source.name} is only written with --all-frames)'
    hint = '; --ext jpg makes a smaller file' if source and source.has_loss and not is_lossless else ''
    return f'saved as PNG ({own[1:].upper() or "its format"} cannot be written{hint})'


def failure_line(job: PictureJob, line: str) -> str:
    """Why a picture failed, escaped, with its name, or its result's, in front where the line has neither."""
    line = escaping.escape(line)
    names = escaping.escape(job.source), escaping.escape(job.target)
    return line if any(name in line for name in names) else f'{names[0]}: {line}'


def line_of(target: str, notes: Sequence[str]) -> str:
    """What the console says of a result, escaped."""
    return escaping.escape(f'{target}: {"; ".join(notes)}' if notes else target)


def check_job(job: PictureJob, sources: dict[str, str], may_be_itself: bool = False) -> None:
    """Raises ValueError for a picture whose result would be another's too, or itself. sources: target -> source."""
    if job.target in sources:
        remedy = 'name it once' if may_be_itself else 'rename one, or add --on-clash=number'
        raise ValueError(f'{job.target}: would be the result of {sources[job.target]} too: {remedy}')
    sources[job.target] = job.source
    if not may_be_itself:
        check_not_itself(job)


def check_not_itself(job: PictureJob) -> None:
    """Raises ValueError for a picture whose result would be itself."""
    if os.path.exists(job.target) and os.path.samefile(job.source, job.target):
        raise ValueError(f'{job.source}: would be replaced by its result: name another --output or --suffix')


def is_done(target: str, options: Options, is_filled: Callable[[str], bool | None] = files.is_filled) -> bool:
    """Whether a result is there and to be skipped; an empty file is no result.

    Args:
        target: the result's path.
        options: what the flags say.
        is_filled: as of files.is_filled, for results elsewhere.

    Raises:
        ValueError: a file is there and no flag says what to do.
        OSError: a folder or a device is there.
    """
    filled = is_filled(target)
    if options.overwrite or filled is None:
        return False
    if not options.resume:
        raise ValueError(f'{target}: is there already: --overwrite replaces, --resume skips it')
    return filled


def megapixels(path: str) -> float:
    """Of a picture by its header; 0 where it has none, or is no plain file, which its reading will say."""
    if not os.path.isfile(path):
        return 0
    width, height = reader.read_size(path)
    return width * height / 1e6
