"""Your own pictures, of any size and kind, through the model on this machine.

    python3 RDN_upscale.py --input photos --output enlarged --model rdn_x2.onnx
    python3 RDN_upscale.py --input photo.jpg --output large.png --model rdn_x2.onnx

Writes enlarged/NAME_x2.png for each picture: files, or whole folders with their structure. The pictures
go through the model in overlapping tiles that join without seams (rdn/tiles.py).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import os
import warnings
from typing import Callable, Iterator, NamedTuple, Sequence

from rdn import cli, cpu, engine, files, tiles
from rdn.evaluation import report
from rdn.imaging import images, metadata, reader, upscaler, writer

from tqdm import tqdm

MAX_STREAMS = 8  # tiles at a time: more would cost memory for each
TILE_SIZE = 256  # pixels; measured: docs/upscaling.md
NAMED_FAILURES = 3  # in the last line
# Failures that every other picture would meet, too.
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
BAR_FORMAT = '{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]'


class Job(NamedTuple):
    """A picture to upscale, where it lies below what was given, and the file that it becomes."""

    source: str
    place: str
    target: str


class Upscaled(NamedTuple):
    """A picture as it was read, the upscaled one, and what a person should know of both."""

    picture: reader.Picture
    canvas: writer.Canvas
    notes: list[str]


@dataclasses.dataclass
class Summary:
    """What came of all Jobs: how many were done, how many skipped, one line for each failure."""

    done: int = 0
    skipped: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)


class Options(NamedTuple):
    """How pictures are upscaled and written. tile_size, overlap: pixels; batch_size: tiles a run.

    resume: skip results that are there; quality, lossless: as of writer.Settings.
    """

    tile_size: int = TILE_SIZE
    overlap: int = tiles.OVERLAP
    batch_size: int = 1
    self_ensemble: bool = False
    overwrite: bool = False
    resume: bool = False
    quality: int = writer.QUALITY
    lossless: bool = False


class Naming(NamedTuple):
    """How results are named. ending: of all, or None: the source's own where it can be written; file: of a single one."""

    output: str
    suffix: str
    ending: str | None
    lossless: bool
    file: str | None = None


def find_pictures(inputs: Sequence[str], output: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (path, place below what was given, whether its name is a picture's) for files and folders, sorted.

    A picture in a folder keeps its place. An earlier run's results in `output` are passed over.
    Raises FileNotFoundError for what is not there.
    """
    for given in inputs:
        if not os.path.exists(given):
            raise FileNotFoundError(errno.ENOENT, 'no such file or folder', given)
        if not os.path.isdir(given):
            yield given, os.path.basename(given), True
            continue
        for folder, folders, names in os.walk(given):
            folders[:] = sorted(name for name in folders if name != report.VIEWS_NAME)
            if os.path.realpath(folder) == os.path.realpath(output) != os.path.realpath(given):
                folders[:] = []
                continue
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.startswith('.'):
                    yield path, os.path.relpath(path, given), reader.is_picture_name(name)


def target_of(place: str, naming: Naming) -> str:
    """The result's path. What cannot be written, or not without loss where that is asked for, becomes PNG."""
    if naming.file:
        return naming.file
    stem, own = os.path.splitext(place)
    chosen = naming.ending or (own.lower() if own.lower() in writer.FORMATS else '.png')
    if naming.lossless and writer.FORMATS[chosen] in writer.FORMATS_WITH_LOSS:
        chosen = '.png'
    return os.path.join(naming.output, f'{stem}{naming.suffix}{chosen}')


def plan(inputs: Sequence[str], naming: Naming) -> tuple[list[Job], list[str]]:
    """The Jobs for files and folders, sorted; and the files passed over, whose names are not those of pictures.

    Raises FileNotFoundError for what is not there, ValueError where there is no picture, or several for one file.
    """
    found = list(find_pictures(inputs, naming.output))
    jobs = [Job(path, place, target_of(place, naming)) for path, place, is_picture in found if is_picture]
    passed = [path for path, _, is_picture in found if not is_picture]
    results = {os.path.abspath(job.target) for job in jobs}
    if not naming.suffix or naming.file:  # of which a source may itself be another's result
        results = set()
    jobs = [job for job in jobs if os.path.abspath(job.source) not in results]
    if not jobs:
        raise ValueError(f'{", ".join(inputs)}: no pictures in it')
    if naming.file and len(jobs) > 1:
        raise ValueError(f'{naming.file}: --output names a file, and there are {len(jobs)} pictures: name a folder')
    return jobs, passed


def upscale_picture(
    job: Job, model: engine.Engine, scale: int, options: Options, advance: Callable[[float], None]
) -> Upscaled:
    """Read, run, write. advance: called with the megapixels of the source that are done.

    Raises ValueError or OSError, with a file's name, where it cannot be done.
    """
    picture = reader.read_picture(job.source)
    height, width, channels = picture.pixels.shape
    ending = os.path.splitext(job.target)[1].lower()
    with files.errors_naming(job.target):
        writer.check_size(width * scale, height * scale, ending)
    canvas = writer.Canvas(width * scale, height * scale, channels, picture.pixels.dtype)
    layout = upscaler.layout_for(model, (height, width), options.tile_size, options.overlap, scale)
    parts = upscaler.upscale_pixels(picture.pixels, model, layout, options.batch_size, options.self_ensemble)
    for tile, part in parts:
        canvas.put(*tiles.target_slices(tile, scale), part)
        advance(tiles.core_pixels(tile) / 1e6)
    said = metadata.of_upright(picture.said, width * scale, height * scale)
    settings = writer.Settings(options.quality, options.lossless or picture.is_lossless)
    with files.atomic_file(job.target) as file:
        try:
            notes = canvas.save(file, ending, said, settings)
        except (ValueError, OSError, MemoryError):
            raise
        except Exception as error:  # the libraries raise anything for what they cannot write
            raise ValueError(f'{job.target}: cannot be written: {error}')
    own = os.path.splitext(job.source)[1].lower()
    if ending == '.png' and own not in writer.FORMATS:
        notes.append(f'PNG: {own[1:].upper() or "its format"} is not written')
    return Upscaled(picture, canvas, picture.notes + notes)


def upscale_all(
    jobs: Sequence[Job],
    model: engine.Engine,
    scale: int,
    options: Options,
    page: report.Report | None,
    summary: Summary,
) -> None:
    """Do all Jobs, with a line for each; one that fails does not stop the others, but for a full disk.

    page: to put the results on, those of earlier runs, too; None for none. summary: is kept up to date.
    """
    sources: dict[str, str] = {}  # target -> source
    total = sum(megapixels(job.source) for job in jobs)
    with tqdm(total=total, unit='MP', disable=None, leave=False, bar_format=BAR_FORMAT) as bar:

        def advance(amount: float) -> None:
            bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

        for job in jobs:
            try:
                check_job(job, sources)
                if is_done(job.target, options):
                    bar.total -= megapixels(job.source)
                    if page:
                        add_to_report(page, job, None, scale)
                    summary.skipped += 1
                    continue
                upscaled = upscale_picture(job, model, scale, options, advance)
                bar.write(': '.join([job.target, '; '.join(upscaled.notes)]) if upscaled.notes else job.target)
                if page:
                    add_to_report(page, job, upscaled, scale)
                del upscaled  # before the next one is read
                summary.done += 1
            except (ValueError, OSError, MemoryError) as error:
                if isinstance(error, OSError) and error.errno in HOPELESS:
                    raise OSError(error.errno, error.strerror, error.filename or job.target)
                summary.failures.append(cli.describe_error(error))
                bar.write(f'failed: {summary.failures[-1]}')


def check_job(job: Job, sources: dict[str, str]) -> None:
    """Raises ValueError for a picture whose result would be another's too, or itself. sources: target -> source."""
    if job.target in sources:
        raise ValueError(f'{job.target}: would be the result of {sources[job.target]} too: rename one')
    sources[job.target] = job.source
    if os.path.exists(job.target) and os.path.samefile(job.source, job.target):
        raise ValueError(f'{job.source}: would be replaced by its result: name another --output or --suffix')


def is_done(target: str, options: Options) -> bool:
    """Whether a result is there and to be skipped. Raises ValueError where it is there and no flag says what to do."""
    if not os.path.exists(target) or options.overwrite:
        return False
    if not options.resume:
        raise ValueError(f'{target}: is there already: --overwrite replaces, --resume skips it')
    return True


def add_to_report(page: report.Report, job: Job, upscaled: Upscaled | None, scale: int) -> None:
    """Put a picture's middle onto the page, upscaled by Pillow's bicubic and as it is in the result.

    upscaled: None for a result of an earlier run, which is then read.
    """
    picture = upscaled.picture if upscaled else reader.read_picture(job.source)
    height, width = picture.pixels.shape[:2]
    side = report.SHOWN_SIDE_PIXELS // scale
    left, top = max(0, width - side) // 2, max(0, height - side) // 2
    right, bottom = min(width, left + side), min(height, top + side)
    small = writer.for_screen(picture.pixels[top:bottom, left:right], picture.said)
    box = scale * left, scale * top, scale * right, scale * bottom
    if upscaled:
        large = writer.for_screen(upscaled.canvas.crop(box), picture.said)
    else:
        result = reader.read_picture(job.target)
        large = writer.for_screen(result.pixels[box[1] : box[3], box[0] : box[2]], result.said)
    page.add(job.place, images.bicubic_upsample(small, scale), large, size=(width * scale, height * scale))


def megapixels(path: str) -> float:
    """Of a picture by its header; 0 where it has none, or is no plain file, which its reading will say."""
    if not os.path.isfile(path):
        return 0
    width, height = reader.read_size(path)
    return width * height / 1e6


def check_failures(summary: Summary, count: int, log: str | None) -> None:
    """Raises ValueError where pictures failed, naming the first. log: the file that holds all of them; None for none."""
    if not summary.failures:
        return
    named = ' | '.join(summary.failures[:NAMED_FAILURES])
    more = len(summary.failures) - NAMED_FAILURES
    rest = f' | and {more} more, {f"in {log}" if log else "above, and with --log FILE in a file"}' if more > 0 else ''
    raise ValueError(f'{len(summary.failures)} of {count} failed: {named}{rest}')


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of the libraries: what matters is raised, or a note
    threads = args.threads or cpu.available_cores()
    streams = min(threads, MAX_STREAMS)
    model = engine.open_model(args.model, args.precision, args.provider, args.device_id, threads, streams)
    scale = upscaler.scale_of(model, args.model)
    upscaler.check_tiles(model, args.tile_size, args.overlap)
    naming = make_naming(args, scale)
    jobs, passed = plan(args.input, naming)
    for folder in {naming.output, args.report, args.log and os.path.dirname(os.path.abspath(args.log))} - {None}:
        files.check_writable(folder)
    print(f'{len(jobs)} picture{"" if len(jobs) == 1 else "s"}, x{scale} on {model.name}')
    hint = None if args.precision else engine.faster_way(model, '--precision')
    if hint:
        print(hint)
    if None in model.shape[1:]:
        print(
            f'tiles of {args.tile_size} pixels; {args.overlap} of overlap were measured on the compact weights of this project'
        )
    options = Options(
        args.tile_size,
        args.overlap,
        args.batch_size,
        args.self_ensemble,
        args.overwrite,
        args.resume,
        args.quality,
        args.lossless,
    )
    summary = Summary()
    try:
        with report.writing(args.report) if args.report else contextlib.nullcontext() as page:
            upscale_all(jobs, model, scale, options, page, summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted: what is done stays; the same command with --resume goes on')
    finally:
        if args.log:
            files.write_text(args.log, ''.join(f'{failure}\n' for failure in summary.failures))
    if page and page.entries:
        print(f'report: {page.path}')
    if summary.skipped:
        print(f'{summary.skipped} skipped: done before')
    if passed:
        print(f'{len(passed)} passed over, not pictures by their names: {", ".join(passed[:5])}')
    print(f'{summary.done} done, in {naming.file or naming.output}')
    check_failures(summary, len(jobs), args.log)


def make_naming(args: argparse.Namespace, scale: int) -> Naming:
    """--output is a file where its ending is that of a format and there is no such folder, else a folder.

    Raises ValueError for a file with flags that name or choose otherwise, or of a format that is not written.
    """
    suffix = f'_x{scale}' if args.suffix is None else args.suffix
    ending = args.ext and f'.{args.ext}'
    own = os.path.splitext(args.output)[1].lower()
    if reader.is_picture_name(args.output) and not os.path.isdir(args.output):
        if own not in writer.FORMATS:
            raise ValueError(f'{args.output}: {own[1:].upper()} is not written: name a file .png, say')
        if args.suffix is not None or ending not in (None, own):
            raise ValueError(f'{args.output}: --output names a file, which --ext and --suffix do not change')
        if args.lossless and writer.FORMATS[own] in writer.FORMATS_WITH_LOSS:
            raise ValueError(f'{args.output}: {writer.FORMATS[own]} is never without loss: name a file .png, say')
        folder = os.path.dirname(os.path.abspath(args.output))
        return Naming(folder, suffix, ending, args.lossless, args.output)
    return Naming(args.output, suffix, ending, args.lossless)


def parse_args(argv):
    def quality(text):
        number = cli.positive(text)
        if number > 100:
            raise argparse.ArgumentTypeError(f'{text}: from 1 to 100')
        return number

    def suffix(text):
        if os.sep in text or '\0' in text:
            raise argparse.ArgumentTypeError(f'{text}: a part of a file name, without {os.sep}')
        return text

    parser = cli.Parser(__doc__)
    parser.add_argument('--input', nargs='+', required=True, metavar='PATH', help='pictures, or folders of them')
    parser.add_argument(
        '--output', required=True, metavar='PATH', help='folder for the results; of one picture also FILE.png'
    )
    parser.add_argument(
        '--model', default='rdn_x2.onnx', help='of RDN_pth2onnx.py, or another RGB model; default %(default)s'
    )
    parser.add_argument('--ext', choices=sorted(e[1:] for e in writer.FORMATS), help="default: the source's own")
    parser.add_argument(
        '--suffix', type=suffix, help='behind the names of results; default _x2 for a model that doubles'
    )
    parser.add_argument(
        '--quality', type=quality, default=writer.QUALITY, help='of JPEG, WebP, AVIF; default %(default)s'
    )
    parser.add_argument('--lossless', action='store_true', help='WebP without loss, PNG in place of JPEG and AVIF')
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    parser.add_argument('--resume', action='store_true', help='skip results that are there')
    parser.add_argument(
        '--self-ensemble', action='store_true', help='average the eight flips and turns: slower, better'
    )
    parser.add_argument('--report', metavar='DIR', help='write there index.html, a page with before/after sliders')
    parser.add_argument('--log', metavar='FILE', help='write there a line for each picture that failed')
    parser.add_argument(
        '--tile-size',
        type=cli.positive,
        default=TILE_SIZE,
        metavar='N',
        help='pixels, for a model of free height and width; default %(default)s',
    )
    parser.add_argument(
        '--overlap', type=cli.not_negative, default=tiles.OVERLAP, help='of tiles, pixels; default %(default)s'
    )
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='tiles a run; default 1')
    parser.add_argument('--provider', choices=list(engine.PROVIDERS), help='default: the first that onnxruntime has')
    parser.add_argument('--device-id', type=cli.not_negative, default=0)
    parser.add_argument(
        '--precision',
        choices=engine.PRECISIONS,
        help='bf16: faster, on a CPU that has it; default: as the model is, fp32 or int8',
    )
    parser.add_argument('--threads', type=cli.not_negative, default=0, help='of a CPU run; default: one a core')
    args = parser.parse_args(argv)
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


if __name__ == '__main__':
    cli.run(main)
