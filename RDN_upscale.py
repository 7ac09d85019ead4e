"""Enlarge your own pictures, of any size and kind, on this machine.

    python3 RDN_upscale.py photo.jpg
    python3 RDN_upscale.py photos holiday.png --output enlarged --report enlarged
    python3 RDN_upscale.py --cluster --input s3://pictures/in --output s3://pictures/out

photo.jpg becomes photo_x2.jpg beside it, and a folder photos becomes photos_x2 with the same structure; with --output
all results go there. Results of earlier runs are not enlarged again. The pictures go through the model in overlapping tiles
that join without seams. With --cluster the machines of a Ray cluster share the work: docs/cluster.md.
"""

from __future__ import annotations

import argparse
import os
import warnings

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from pictures import discovery, estimate, jobs, local, naming, processing, request, upscaler
from pictures.formats import base, png_rows, registry
from pictures.report import report
from rdn import cli, engines, tiles


def main(argv=None):
    args = parse_args(argv)
    warnings.simplefilter('ignore')  # of the libraries: what matters is raised, or a note
    summary = processing.Summary()
    place = engines.Place(args.provider, args.device_id, args.threads, device=args.device)
    model = request.ChosenModel(args.model, args.engine, args.precision, place)
    options = processing.Options(**{name: getattr(args, name) for name in processing.Options._fields})
    inputs = [*args.pictures, *args.input]
    asked = request.UpscaleRequest(inputs, args.output, model, args.suffix, args.ext, args.report, args.log, options)
    try:
        if args.cluster is None:
            target, page = upscale_here(asked, summary)
        else:
            from pictures.cluster import run  # imported here because most users never need it

            target, page = args.output, run.upscale(args.cluster, asked, summary)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('interrupted: what is done stays; the same command with --resume continues')
    if page and page.entries:
        cli.say(f'report: {page.path}')
    if summary.skipped:
        print(f'{summary.skipped} skipped: done before')
    if summary.passed:
        files = cli.count(summary.passed, 'file')
        cli.say(f'left out, not pictures by their names: {files}: {", ".join(summary.passed_names)}')
    cli.say(f'{summary.done} done, in {target}')
    check_failures(summary, args.log)


def upscale_here(asked: request.UpscaleRequest, summary: processing.Summary) -> tuple[str, report.Report | None]:
    """Enlarge the pictures on this machine; return where the results are, and the report."""
    model, options = asked.model, asked.options
    discovery.check_existence(asked.inputs)  # before an engine starts, which takes seconds
    with engines.opened(model.file, model.engine, model.precision, model.busy_place()) as engine:
        scale = engines.scale_of(engine, model.file)
        upscaler.check_tiles(engine, options.tile_size, options.overlap)
        discovery.check_no_url(asked.output or '')
        names = naming.make_naming(asked.output, asked.suffix, asked.ext, options.lossless, scale)
        found = jobs.find_jobs(asked.inputs, names, summary)
        folders = sorted({naming.folder_for(given, names) or os.curdir for given in asked.inputs})
        asked.check_writable(folders)
        lines = [model.describe(scale, engines.describe(engine, '--precision'))]
        lines += processing.describe_model(engine, model.precision)
        said = len(engine.notes)
        lines += processing.describe_tiles(engine, options) if model.path else []
        for line in filter(None, [*lines, found.describe_results()]):
            cli.say(line)
        print(estimate.describe(found.jobs, engine, scale, options), flush=True)
        with asked.under_way(summary) as page:
            local.upscale_all(found.jobs, engine, scale, options, page, summary)
        for note in engine.notes[said:]:
            cli.say(note)
    places = ', '.join('this folder' if folder == os.curdir else folder for folder in folders)
    return found.jobs[0].target if len(found.jobs) == 1 else places, page


def check_failures(summary: processing.Summary, log: str | None) -> None:
    """Raises ValueError where pictures failed, naming the first. log: the file that holds all of them; None for none."""
    if not summary.failed:
        return
    named = ' | '.join(summary.first_failures)
    more = summary.failed - len(summary.first_failures)
    rest = f' | and {more} more, {f"in {log}" if log else "above, and with --log FILE in a file"}' if more > 0 else ''
    raise ValueError(f'{summary.failed} of {summary.count} failed: {named}{rest}')


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
    add = parser.add_argument_group('pictures').add_argument
    add('pictures', nargs='*', metavar='PATH', help='pictures and folders of pictures')
    add('--input', nargs='+', default=[], metavar='PATH', help='the same')
    add('--output', metavar='PATH', help='folder for all results, or FILE.png for one; default: beside the inputs')
    add('--suffix', type=suffix, help='after the names of results; default: _x2 for a model that doubles')
    add('--ext', choices=sorted(e[1:] for e in registry.WRITABLE), help="default: the source's own")
    add('--quality', type=quality, default=base.QUALITY, help='of JPEG, WebP, AVIF; default %(default)s')
    add(
        '--compression',
        choices=png_rows.COMPRESSIONS,
        default='fast',
        help='of PNG: small makes photographs 2 percent smaller and takes 30 times as long; default %(default)s',
    )
    add('--lossless', action='store_true', help='WebP without loss, PNG in place of JPEG and AVIF')
    add('--overwrite', action='store_true', help='replace existing results')
    add('--resume', action='store_true', help='skip existing results')
    add('--report', metavar='DIR', help='write DIR/index.html, a page with before/after sliders')
    add('--log', metavar='FILE', help='write to FILE a line for each picture that failed')
    add = parser.add_argument_group('model').add_argument
    add(
        '--model',
        metavar='FILE',
        help='weights (.pth), .onnx, or .om for an Ascend device; or full, the larger network of this project: better, and '
        'about 28 times slower; default: lite, the compact one',
    )
    add('--self-ensemble', action='store_true', help='average the eight flips and turns: 8 times slower, better')
    auto = engines.AUTO
    add(
        '--engine',
        choices=[auto, *engines.ENGINES],
        default=auto,
        help='what computes; default auto: the fastest one here that loses at most 0.05 dB (docs/performance.md)',
    )
    add(
        '--precision',
        choices=[auto, *engines.PRECISIONS],
        default=auto,
        help='fp32: exact; default auto: as --engine says, and fp32 for pictures of more than 8 bits a channel',
    )
    add('--device', metavar='NAME', help='of PyTorch: cuda:1, mps, npu:0, xpu or cpu; default: the first that works')
    add('--provider', choices=list(engines.PROVIDERS), help='of ONNX Runtime; default: the first that it has')
    add('--device-id', type=cli.not_negative, default=0, help='of an Ascend device or of ONNX Runtime; default 0')
    add('--threads', type=cli.not_negative, default=0, help='of a CPU; default: one a core')
    tile = processing.TILE_SIZE
    add('--tile-size', type=cli.positive, default=tile, metavar='N', help=f'pixels, unless it is fixed; default {tile}')
    add('--overlap', type=cli.not_negative, default=tiles.OVERLAP, help='of tiles, pixels; default %(default)s')
    add('--batch-size', type=cli.positive, default=0, help='tiles a run; default: what the engine runs fastest')
    add = parser.add_argument_group('cluster').add_argument
    add(
        '--cluster',
        nargs='?',
        const='',
        metavar='HOST:PORT',
        help='work on the machines of a Ray cluster (or auto: the one of this machine), or with a Ray of its own on this '
        'one; --input and --output are then folders that all machines see, or URLs (s3://...): docs/cluster.md',
    )
    args = parser.parse_intermixed_args(argv)
    if not (args.pictures or args.input):
        parser.error('name a picture or a folder: python3 RDN_upscale.py photo.jpg')
    if args.cluster is not None and args.output is None:
        parser.error('--cluster: name a folder or URL for the results by --output')
    if args.cluster is not None and args.log is None:
        args.log = 'failures.txt'
    if args.cluster is not None and args.device_id:
        parser.error('--device-id: a cluster chooses the devices')
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


if __name__ == '__main__':
    cli.run(main)
