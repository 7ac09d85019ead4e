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
from typing import Iterator, NamedTuple

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures import discovery, local, processing, upscaler
from pictures.formats import base, reader, registry
from pictures.report import report
from rdn import cli, cpu, engines, files, tiles

FIRST_PICTURES = 3  # of which each machine of a cluster has to see one


class Places(NamedTuple):
    """What to read and where to write: paths, or with --cluster URLs; report and log may be None."""

    inputs: list[str]
    output: str
    report: str | None
    log: str | None


class ResultNames(NamedTuple):
    """What the user wants results to be called: a suffix and an ending, None for the usual ones."""

    suffix: str | None
    ext: str | None


class Model(NamedTuple):
    """The model to use: its path, the engine and the precision as of engines.open_model, and where it computes."""

    path: str
    engine: str
    precision: str
    place: engines.Place


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of the libraries: what matters is raised, or a note
    summary = processing.Summary()
    places = Places(args.input, args.output, args.report, args.log)
    names = ResultNames(args.suffix, args.ext)
    place = engines.Place(args.provider, args.device_id, args.threads, device=args.device)
    model = Model(args.model, args.engine, args.precision, place)
    options = processing.Options(**{name: getattr(args, name) for name in processing.Options._fields})
    try:
        if args.cluster is None:
            target, page = upscale_here(places, names, model, options, summary)
        else:
            target, page = upscale_on_cluster(args.cluster, places, names, model, options, summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted: what is done stays; the same command with --resume continues')
    if page and page.entries:
        cli.say(f'report: {page.path}')
    if summary.skipped:
        print(f'{summary.skipped} skipped: done before')
    if summary.passed:
        cli.say(f'{summary.passed} passed over, not pictures by their names: {", ".join(summary.passed_names)}')
    cli.say(f'{summary.done} done, in {target}')
    check_failures(summary, args.log)


@contextlib.contextmanager
def under_way(places: Places, model_path: str, summary: processing.Summary) -> Iterator[report.Report | None]:
    """The report while pictures are upscaled; what failed is written at the end, however that comes."""
    network = engines.title_of_network(model_path)
    try:
        with report.writing(places.report, network) if places.report else contextlib.nullcontext() as page:
            yield page
    finally:
        if places.log:
            summary.write_failures(places.log)


def upscale_here(
    places: Places, names: ResultNames, model: Model, options: processing.Options, summary: processing.Summary
) -> tuple[str, report.Report | None]:
    """Upscale on this machine; returns where the results are, and the report."""
    threads = model.place.threads or cpu.available_cores()
    place = model.place._replace(threads=threads, streams=min(threads, processing.MAX_STREAMS))
    with engines.opened(model.path, model.engine, model.precision, place) as engine:
        scale = engines.scale_of(engine, model.path)
        upscaler.check_tiles(engine, options.tile_size, options.overlap)
        discovery.check_no_url(places.output)
        naming = make_naming(places.output, names, options.lossless, scale)
        jobs = local.plan(places.inputs, naming, summary)
        check_places(naming.output, places)
        print(
            f'{len(jobs)} picture{"" if len(jobs) == 1 else "s"}, x{scale} on {engines.describe(engine, "--precision")}'
        )
        print(''.join(f'{line}\n' for line in processing.describe_model(engine, model.precision, options)), end='')
        said = len(engine.notes)
        with under_way(places, model.path, summary) as page:
            local.upscale_all(jobs, engine, scale, options, page, summary)
        print(''.join(f'{note}\n' for note in engine.notes[said:]), end='')
    return naming.file or naming.output, page


def upscale_on_cluster(
    address: str,
    places: Places,
    names: ResultNames,
    model: Model,
    options: processing.Options,
    summary: processing.Summary,
) -> tuple[str, report.Report | None]:
    """Upscale on the machines of a cluster; returns where the results are, and the report."""
    # Imported here because most users never need them.
    from pictures.cluster import fleet, progress, scheduler, stores, task_source, worker

    given = places.inputs[0]
    if len(places.inputs) > 1:
        raise ValueError(f'--cluster takes one --input, a folder or a URL, not {len(places.inputs)}')
    if os.path.isfile(given):
        raise ValueError(f'{given}: a file: --cluster takes a folder or a URL')
    if reader.is_picture_name(places.output) and not os.path.isdir(places.output):
        raise ValueError(f'{places.output}: with --cluster, --output is a folder or a URL')
    source, output = stores.open_store(given), stores.open_store(places.output)
    if '://' in places.output and output.is_same(source):
        raise ValueError(f'{places.output}: is the input, too: name another --output')
    pictures = filter(reader.is_picture_name, source.list(output))
    first = list(itertools.islice(pictures, FIRST_PICTURES))
    if not first:
        raise ValueError(f'{given}: no pictures in it')
    output.check_writable()
    check_places(None, places)
    engines.check_model(model.path)
    with open(model.path, 'rb') as file:
        content = file.read()
    with contextlib.ExitStack() as stack:
        token = stack.enter_context(scheduler.token_in(output))
        setup = worker.Setup(
            content,
            model.path,
            model.engine,
            model.precision,
            model.place,
            (source.url, source.absolute()),
            (output.url, output.absolute()),
            list(filter(source.exists, first)),  # a link may lead nowhere
            token,
            options,
        )
        ray = stack.enter_context(fleet.joined(address))
        shown = stack.enter_context(contextlib.closing(progress.Progress(summary)))
        page = stack.enter_context(under_way(places, model.path, summary))
        workers = fleet.Fleet(ray, setup, model.place.threads)
        handed = scheduler.Scheduler(workers, source, output, shown, page)
        ready = handed.wait_for_workers()
        naming = make_naming(places.output, names, options.lossless, ready.scale)
        shown.write('\n'.join([f'pictures of {source.url}, x{ready.scale} on {ready.name}', *ready.lines]))
        shown.count(source, output)
        handed.upscale(task_source.find_tasks(source, output, naming._replace(output=''), summary))
        workers.close()
    return places.output, page


def check_places(output: str | None, places: Places) -> None:
    """Raises OSError where results, report or log cannot be written."""
    log_folder = places.log and os.path.dirname(os.path.abspath(places.log))
    for folder in filter(None, {output, places.report, log_folder}):
        files.check_writable(folder)


def check_failures(summary: processing.Summary, log: str | None) -> None:
    """Raises ValueError where pictures failed, naming the first. log: the file that holds all of them; None for none."""
    if not summary.failed:
        return
    named = ' | '.join(summary.first_failures)
    more = summary.failed - len(summary.first_failures)
    rest = f' | and {more} more, {f"in {log}" if log else "above, and with --log FILE in a file"}' if more > 0 else ''
    raise ValueError(f'{summary.failed} of {summary.count} failed: {named}{rest}')


def make_naming(output: str, names: ResultNames, lossless: bool, scale: int) -> processing.Naming:
    """--output is a file where its ending is that of a format and there is no such folder, else a folder.

    Raises ValueError for a file with flags that name or choose otherwise, or of a format that is not written.
    """
    suffix = f'_x{scale}' if names.suffix is None else names.suffix
    ending = names.ext and f'.{names.ext}'
    own = os.path.splitext(output)[1].lower()
    if reader.is_picture_name(output) and not os.path.isdir(output):
        if own not in registry.WRITABLE:
            raise ValueError(f'{output}: {own[1:].upper()} is not written: name a file .png, say')
        if names.suffix is not None or ending not in (None, own):
            raise ValueError(f'{output}: --output names a file, which --ext and --suffix do not change')
        if lossless and registry.BY_ENDING[own].has_loss:
            raise ValueError(f'{output}: {registry.BY_ENDING[own].name} is never without loss: name a file .png, say')
        folder = os.path.dirname(os.path.abspath(output))
        return processing.Naming(folder, suffix, ending, lossless, output)
    return processing.Naming(output, suffix, ending, lossless)


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
        '--model',
        default='rdn_x2.onnx',
        help='of RDN_pth2onnx.py or another RGB model, or an .om for an Ascend device; default %(default)s',
    )
    parser.add_argument(
        '--cluster',
        nargs='?',
        const='',
        metavar='HOST:PORT',
        help='work on the machines of a Ray cluster (or auto: the one of this machine), or with a Ray of its own on this one; --input and --output are then '
        'folders that all machines see, or URLs (s3://...): docs/cluster.md',
    )
    parser.add_argument('--ext', choices=sorted(e[1:] for e in registry.WRITABLE), help="default: the source's own")
    parser.add_argument(
        '--suffix', type=suffix, help='behind the names of results; default _x2 for a model that doubles'
    )
    parser.add_argument(
        '--quality', type=quality, default=base.QUALITY, help='of JPEG, WebP, AVIF; default %(default)s'
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
    parser.add_argument(
        '--batch-size', type=cli.positive, default=0, help='tiles a run; default: what the engine runs fastest'
    )
    parser.add_argument('--provider', choices=list(engines.PROVIDERS), help='default: the first that onnxruntime has')
    parser.add_argument('--device-id', type=cli.not_negative, default=0, help='of an Ascend device or of onnxruntime')
    parser.add_argument(
        '--engine',
        choices=[engines.AUTO, *engines.ENGINES],
        default=engines.AUTO,
        help='default auto: the fastest installed one that loses at most 0.05 dB: docs/performance.md',
    )
    parser.add_argument(
        '--precision',
        choices=[engines.AUTO, *engines.PRECISIONS],
        default=engines.AUTO,
        help='fp32 is exact; default auto: as --engine says, fp32 for pictures of more than 8 bits',
    )
    parser.add_argument(
        '--device', metavar='NAME', help='for PyTorch: cuda:1, mps, npu:0, xpu, cpu; default: the first'
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
