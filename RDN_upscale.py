"""Your own pictures, of any size and kind, through the model on this machine.

    python3 RDN_upscale.py --input photos --output enlarged --model rdn_x2.onnx

Writes enlarged/NAME_x2.png for each picture: files, or whole folders with their structure. The pictures
go through the model in overlapping tiles that join without seams (rdn/tiles.py).
"""

from __future__ import annotations

import dataclasses
import errno
import os
from typing import Callable, Iterator, NamedTuple, Sequence

from rdn import cli, cpu, engine, files, tiles
from rdn.evaluation import report
from rdn.imaging import images, reader, upscaler, writer

from tqdm import tqdm

MAX_STREAMS = 8  # tiles at a time: more would cost memory for each
BAR_FORMAT = '{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]'


class Job(NamedTuple):
    """A picture to upscale, and the file that it becomes."""

    source: str
    target: str


class Upscaled(NamedTuple):
    """A picture as it was read, the upscaled one, and what a person should know of both."""

    picture: reader.Picture
    canvas: writer.Canvas
    notes: list[str]


@dataclasses.dataclass
class Summary:
    """What came of all Jobs: how many were done, how many skipped, one line for each failure, the report's entries."""

    done: int = 0
    skipped: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    entries: list[report.Entry] = dataclasses.field(default_factory=list)


class Options(NamedTuple):
    """How pictures are upscaled. overlap: of tiles, pixels; batch_size: tiles a run; resume: skip results that are there."""

    overlap: int = tiles.OVERLAP
    batch_size: int = 1
    self_ensemble: bool = False
    overwrite: bool = False
    resume: bool = False
    with_report: bool = False


def find_pictures(inputs: Sequence[str], output: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (path, place below the output, whether its name is a picture's) for files and folders, sorted.

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
            folders.sort()
            if os.path.realpath(folder) == os.path.realpath(output) != os.path.realpath(given):
                folders[:] = []
                continue
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.startswith('.'):
                    yield path, os.path.relpath(path, given), reader.is_picture_name(name)


def target_of(place: str, output: str, scale: int, ending: str | None) -> str:
    """The result's path. ending: of all results, or None: the source's own where it can be written, .png elsewhere."""
    stem, own = os.path.splitext(place)
    chosen = ending or (own.lower() if own.lower() in writer.FORMATS else '.png')
    return os.path.join(output, f'{stem}_x{scale}{chosen}')


def plan(inputs: Sequence[str], output: str, scale: int, ending: str | None) -> tuple[list[Job], list[str]]:
    """The Jobs for files and folders, sorted; and the files passed over, whose names are not those of pictures.

    Raises FileNotFoundError for what is not there, ValueError where there is no picture.
    """
    found = list(find_pictures(inputs, output))
    jobs = [Job(path, target_of(place, output, scale, ending)) for path, place, is_picture in found if is_picture]
    passed = [path for path, _, is_picture in found if not is_picture]
    results = {os.path.abspath(job.target) for job in jobs}
    jobs = [job for job in jobs if os.path.abspath(job.source) not in results]
    if not jobs:
        raise ValueError(f'{", ".join(inputs)}: no pictures in it')
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
    parts = upscaler.upscale_pixels(
        picture.pixels, model, scale, options.overlap, options.batch_size, options.self_ensemble
    )
    for tile, part in parts:
        canvas.put(*tiles.target_slices(tile, scale), part)
        advance(tiles.core_pixels(tile) / 1e6)
    with files.atomic_file(job.target) as file:
        notes = canvas.save(file, ending, picture.info)
    return Upscaled(picture, canvas, picture.notes + notes)


def upscale_all(jobs: Sequence[Job], model: engine.Engine, scale: int, options: Options) -> Summary:
    """Do all Jobs, with a line for each; one that fails does not stop the others."""
    summary = Summary()
    sources: dict[str, str] = {}  # target -> source
    total = sum(megapixels(job.source) for job in jobs)
    with tqdm(total=total, unit='MP', disable=None, leave=False, bar_format=BAR_FORMAT) as bar:

        def advance(amount: float) -> None:
            bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

        for job in jobs:
            try:
                if job.target in sources:
                    raise ValueError(f'{job.target}: would be the result of {sources[job.target]} too: rename one')
                sources[job.target] = job.source
                if is_done(job.target, options):
                    summary.skipped += 1
                    bar.total -= megapixels(job.source)
                    continue
                upscaled = upscale_picture(job, model, scale, options, advance)
                bar.write(': '.join([job.target, '; '.join(upscaled.notes)]) if upscaled.notes else job.target)
                if options.with_report:
                    summary.entries.append(make_entry(os.path.basename(job.source), upscaled, scale))
                del upscaled  # before the next one is read
                summary.done += 1
            except (ValueError, OSError, MemoryError) as error:
                summary.failures.append(cli.describe_error(error))
                bar.write(f'failed: {summary.failures[-1]}')
    return summary


def is_done(target: str, options: Options) -> bool:
    """Whether a result is there and to be skipped. Raises ValueError where it is there and no flag says what to do."""
    if not os.path.exists(target) or options.overwrite:
        return False
    if not options.resume:
        raise ValueError(f'{target}: is there already: --overwrite replaces, --resume skips it')
    return True


def make_entry(name: str, upscaled: Upscaled, scale: int) -> report.Entry:
    """The report's entry: the picture's middle, upscaled by Pillow's bicubic and as it is on the canvas."""
    pixels = upscaled.picture.pixels
    height, width = pixels.shape[:2]
    side = report.SHOWN_SIDE_PIXELS // scale
    left, top = max(0, width - side) // 2, max(0, height - side) // 2
    right, bottom = min(width, left + side), min(height, top + side)
    small = writer.on_white(pixels[top:bottom, left:right])
    large = upscaled.canvas.crop((scale * left, scale * top, scale * right, scale * bottom))
    return report.make_entry(name, images.bicubic_upsample(small, scale), large, size=(width * scale, height * scale))


def megapixels(path: str) -> float:
    """Of a picture by its header; 0 where it has none, which its reading will say."""
    width, height = reader.read_size(path)
    return width * height / 1e6


def main(argv=None):
    args = parse_args(argv)
    threads = args.threads or cpu.available_cores()
    streams = min(threads, MAX_STREAMS)
    model = engine.open_model(args.model, args.precision, args.provider, args.device_id, threads, streams)
    scale = upscaler.scale_of(model, args.model)
    jobs, passed = plan(args.input, args.output, scale, args.ext and f'.{args.ext}')
    print(f'{len(jobs)} picture{"" if len(jobs) == 1 else "s"}, x{scale} on {model.name}')
    options = Options(args.overlap, args.batch_size, args.self_ensemble, args.overwrite, args.resume, bool(args.report))
    summary = upscale_all(jobs, model, scale, options)
    if summary.entries:
        print(f'report: {report.write_report(args.report, summary.entries)}')
    if summary.skipped:
        print(f'{summary.skipped} skipped: done before')
    if passed:
        print(f'{len(passed)} passed over, not pictures by their names: {", ".join(passed[:5])}')
    print(f'{summary.done} done, in {args.output}')
    if summary.failures:
        raise ValueError(f'{len(summary.failures)} of {len(jobs)} failed: {" | ".join(summary.failures)}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--input', nargs='+', required=True, metavar='PATH', help='pictures, or folders of them')
    parser.add_argument('--output', required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--model', default='rdn_x2.onnx', help='of RDN_pth2onnx.py; default %(default)s')
    parser.add_argument('--ext', choices=sorted(e[1:] for e in writer.FORMATS), help="default: the source's own")
    parser.add_argument('--overwrite', action='store_true', help='replace results that are there')
    parser.add_argument('--resume', action='store_true', help='skip results that are there')
    parser.add_argument(
        '--self-ensemble', action='store_true', help='average the eight flips and turns: slower, better'
    )
    parser.add_argument('--report', metavar='DIR', help='write there index.html, a page with before/after sliders')
    parser.add_argument('--overlap', type=int, default=tiles.OVERLAP, help='of tiles, pixels; default %(default)s')
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='tiles a run; default 1')
    parser.add_argument('--provider', choices=list(engine.PROVIDERS), help='default: the first that onnxruntime has')
    parser.add_argument('--device-id', type=int, default=0)
    parser.add_argument(
        '--precision',
        choices=engine.PRECISIONS,
        default='fp32',
        help='bf16: faster, on a CPU that has it; default fp32, exact',
    )
    parser.add_argument('--threads', type=int, default=0, help='of a CPU run; default: one a core')
    args = parser.parse_args(argv)
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


if __name__ == '__main__':
    cli.run(main)
