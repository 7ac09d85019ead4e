"""Your own pictures, of any size and kind, through the model on this machine.

    python3 RDN_upscale.py --input photos --output enlarged --model rdn_x2.onnx
    python3 RDN_upscale.py --input photo.jpg --output large.png --model rdn_x2.onnx
    python3 RDN_upscale.py --cluster --input s3://pictures/in --output s3://pictures/out --model rdn_x2.onnx

Writes enlarged/NAME_x2.png for each picture: files, or whole folders with their structure. The pictures
go through the model in overlapping tiles that join without seams (rdn/tiles.py). With --cluster the machines
of a Ray cluster share the work: docs/cluster.md.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import warnings
from typing import Iterator

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures import discovery, local, processing, upscaler
from pictures.formats import reader, writer
from pictures.report import report
from rdn import cli, cpu, engines, files, tiles
from rdn.network import onnx_graph

FIRST_PICTURES = 3  # of which each machine of a cluster has to see one


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of the libraries: what matters is raised, or a note
    summary = processing.Summary()
    upscale = upscale_here if args.cluster is None else upscale_on_cluster
    try:
        place, page = upscale(args, summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted: what is done stays; the same command with --resume goes on')
    if page and page.entries:
        print(f'report: {page.path}')
    if summary.skipped:
        print(f'{summary.skipped} skipped: done before')
    if summary.passed:
        print(f'{summary.passed} passed over, not pictures by their names: {", ".join(summary.passed_names)}')
    print(f'{summary.done} done, in {place}')
    check_failures(summary, args.log)


@contextlib.contextmanager
def under_way(args: argparse.Namespace, summary: processing.Summary) -> Iterator[report.Report | None]:
    """The report while pictures are upscaled; what failed is written at the end, however that comes."""
    try:
        with report.writing(args.report) if args.report else contextlib.nullcontext() as page:
            yield page
    finally:
        if args.log:
            summary.write_failures(args.log)


def upscale_here(args: argparse.Namespace, summary: processing.Summary) -> tuple[str, report.Report | None]:
    """Upscale on this machine; returns where the results are, and the report."""
    threads = args.threads or cpu.available_cores()
    streams = min(threads, processing.MAX_STREAMS)
    model = engines.open_model(args.model, args.precision, args.provider, args.device_id, threads, streams)
    scale = upscaler.scale_of(model, args.model)
    upscaler.check_tiles(model, args.tile_size, args.overlap)
    discovery.check_no_url(args.output)
    naming = make_naming(args, scale)
    jobs = local.plan(args.input, naming, summary)
    check_places(naming.output, args)
    print(f'{len(jobs)} picture{"" if len(jobs) == 1 else "s"}, x{scale} on {model.name}')
    print(''.join(f'{line}\n' for line in processing.describe_model(model, args.precision, options_of(args))), end='')
    with under_way(args, summary) as page:
        local.upscale_all(jobs, model, scale, options_of(args), page, summary)
    return naming.file or naming.output, page


def upscale_on_cluster(args: argparse.Namespace, summary: processing.Summary) -> tuple[str, report.Report | None]:
    """Upscale on the machines of a cluster; returns where the results are, and the report."""
    from pictures.cluster import (  # which most people need nothing of
        fleet,
        progress,
        scheduler,  # which most people need nothing of
        stores,
        task_source,  # which most people need nothing of
        worker,
    )

    if len(args.input) > 1:
        raise ValueError(f'--cluster takes one --input, a folder or a URL, not {len(args.input)}')
    if os.path.isfile(args.input[0]):
        raise ValueError(f'{args.input[0]}: a file: --cluster takes a folder or a URL')
    if reader.is_picture_name(args.output) and not os.path.isdir(args.output):
        raise ValueError(f'{args.output}: with --cluster, --output is a folder or a URL')
    source, output = stores.open_store(args.input[0]), stores.open_store(args.output)
    if '://' in args.output and output.is_same(source):
        raise ValueError(f'{args.output}: is the input, too: name another --output')
    pictures = filter(reader.is_picture_name, source.list(output))
    first = list(itertools.islice(pictures, FIRST_PICTURES))
    if not first:
        raise ValueError(f'{args.input[0]}: no pictures in it')
    output.check_writable()
    check_places(None, args)
    onnx_graph.check_whole(args.model)
    with open(args.model, 'rb') as file:
        model = file.read()
    with contextlib.ExitStack() as stack:
        token = stack.enter_context(scheduler.token_in(output))
        setup = worker.Setup(
            model,
            args.model,
            args.precision,
            args.provider,
            (source.url, source.absolute()),
            (output.url, output.absolute()),
            list(filter(source.exists, first)),  # a link may lead nowhere
            token,
            options_of(args),
        )
        ray = stack.enter_context(fleet.joined(args.cluster))
        shown = stack.enter_context(contextlib.closing(progress.Progress(summary)))
        page = stack.enter_context(under_way(args, summary))
        workers = fleet.Fleet(ray, setup, args.threads)
        handed = scheduler.Run(ray, workers, source, output, summary, shown, page)
        ready = handed.wait_for_workers()
        naming = make_naming(args, ready.scale)
        shown.write('\n'.join([f'pictures of {source.url}, x{ready.scale} on {ready.name}', *ready.lines]))
        shown.count(source, output)
        handed.upscale(task_source.find_tasks(source, output, naming._replace(output=''), summary))
        workers.close()
    return args.output, page


def options_of(args: argparse.Namespace) -> processing.Options:
    return processing.Options(
        args.tile_size,
        args.overlap,
        args.batch_size,
        args.self_ensemble,
        args.overwrite,
        args.resume,
        args.quality,
        args.lossless,
    )


def check_places(output: str | None, args: argparse.Namespace) -> None:
    """Raises OSError where results, report or log cannot be written."""
    for folder in {output, args.report, args.log and os.path.dirname(os.path.abspath(args.log))} - {None}:
        files.check_writable(folder)


def check_failures(summary: processing.Summary, log: str | None) -> None:
    """Raises ValueError where pictures failed, naming the first. log: the file that holds all of them; None for none."""
    if not summary.failed:
        return
    named = ' | '.join(summary.first_failures)
    more = summary.failed - len(summary.first_failures)
    rest = f' | and {more} more, {f"in {log}" if log else "above, and with --log FILE in a file"}' if more > 0 else ''
    raise ValueError(f'{summary.failed} of {summary.count} failed: {named}{rest}')


def make_naming(args: argparse.Namespace, scale: int) -> processing.Naming:
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
        return processing.Naming(folder, suffix, ending, args.lossless, args.output)
    return processing.Naming(args.output, suffix, ending, args.lossless)


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
    parser.add_argument(
        '--cluster',
        nargs='?',
        const='',
        metavar='HOST:PORT',
        help='work on the machines of a Ray cluster (or auto: the one of this machine), or with a Ray of its own on this one; --input and --output are then '
        'folders that all machines see, or URLs (s3://...): docs/cluster.md',
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
        default=processing.TILE_SIZE,
        metavar='N',
        help='pixels, for a model of free height and width; default %(default)s',
    )
    parser.add_argument(
        '--overlap', type=cli.not_negative, default=tiles.OVERLAP, help='of tiles, pixels; default %(default)s'
    )
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='tiles a run; default 1')
    parser.add_argument('--provider', choices=list(engines.PROVIDERS), help='default: the first that onnxruntime has')
    parser.add_argument('--device-id', type=cli.not_negative, default=0)
    parser.add_argument(
        '--precision',
        choices=engines.PRECISIONS,
        help='bf16: faster, on a CPU that has it; default: as the model is, fp32 or int8',
    )
    parser.add_argument('--threads', type=cli.not_negative, default=0, help='of a CPU run; default: one a core')
    args = parser.parse_args(argv)
    if args.cluster is not None and args.log is None:
        args.log = 'failures.txt'
    if args.cluster is not None and args.device_id:
        parser.error('--device-id: a cluster chooses the devices')
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


if __name__ == '__main__':
    cli.run(main)
