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
from typing import Sequence

from rdn import cli, cpu, engine, files, tiles
from rdn.evaluation import report
from rdn.imaging import reader, upscaler, work, writer

from tqdm import tqdm

NAMED_FAILURES = 3  # in the last line
# Failures that every other picture would meet, too.
HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
BAR_FORMAT = '{percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP [{elapsed}<{remaining}, {rate_noinv_fmt}]'


@dataclasses.dataclass
class Summary:
    """What came of all Jobs: how many were done, how many skipped, one line for each failure."""

    done: int = 0
    skipped: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)


def plan(inputs: Sequence[str], naming: work.Naming) -> tuple[list[work.Job], list[str]]:
    """The Jobs for files and folders, sorted; and the files passed over, whose names are not those of pictures.

    Raises FileNotFoundError for what is not there, ValueError where there is no picture, or several for one file.
    """
    found = list(work.find_pictures(inputs, naming.output))
    jobs = [work.Job(path, place, work.target_of(place, naming)) for path, place, is_picture in found if is_picture]
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


def upscale_all(
    jobs: Sequence[work.Job],
    model: engine.Engine,
    scale: int,
    options: work.Options,
    page: report.Report | None,
    summary: Summary,
) -> None:
    """Do all Jobs, with a line for each; one that fails does not stop the others, but for a full disk.

    page: to put the results on, those of earlier runs, too; None for none. summary: is kept up to date.
    """
    sources: dict[str, str] = {}  # target -> source
    total = sum(work.megapixels(job.source) for job in jobs)
    with tqdm(total=total, unit='MP', disable=None, leave=False, bar_format=BAR_FORMAT) as bar:

        def advance(amount: float) -> None:
            bar.update(min(amount, bar.total - bar.n))  # the sum of parts may be a rounding more than the whole

        for job in jobs:
            try:
                work.check_job(job, sources)
                if work.is_done(job.target, options):
                    bar.total -= work.megapixels(job.source)
                    if page:
                        add_to_report(page, job, None, scale)
                    summary.skipped += 1
                    continue
                upscaled = work.upscale_picture(job, model, scale, options, advance)
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


def add_to_report(page: report.Report, job: work.Job, upscaled: work.Upscaled | None, scale: int) -> None:
    """Put a picture onto the page. upscaled: None for a result of an earlier run."""
    views = work.views_of(job, upscaled, scale)
    page.add(job.place, views.bicubic, views.rdn, size=views.size)


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
    streams = min(threads, work.MAX_STREAMS)
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
    options = work.Options(
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


def make_naming(args: argparse.Namespace, scale: int) -> work.Naming:
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
        return work.Naming(folder, suffix, ending, args.lossless, args.output)
    return work.Naming(args.output, suffix, ending, args.lossless)


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
        default=work.TILE_SIZE,
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
