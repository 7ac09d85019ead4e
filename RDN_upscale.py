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

from pictures import (
    channel_roles,
    clashes,
    discovery,
    estimate,
    history,
    jobs,
    local,
    naming,
    passes,
    processing,
    request,
    target_size,
    upscaler,
    workload,
)
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
        raise KeyboardInterrupt('interrupted: finished results stay; the same command with --resume makes the rest')
    if page and page.entries:
        cli.say(f'report: {page.path}')
    if summary.skipped:
        rest = '' if args.resume else '; --resume skips them, --overwrite makes them again'
        print(f'{summary.skipped} skipped: done before{rest}')
    if summary.passed:
        cli.say(summary.describe_others())
    if summary.links:
        links = cli.count(summary.links, 'linked folder')
        cli.say(f'left out, name them to enlarge what they hold: {links}: {", ".join(summary.link_names)}')
    cli.say(f'{summary.done} done, in {target}')
    check_failures(summary, args.log)


def upscale_here(asked: request.UpscaleRequest, summary: processing.Summary) -> tuple[str, report.Report | None]:
    """Enlarge the pictures on this machine; return where the results are, and the report."""
    model, options = asked.model, asked.options
    discovery.check_existence(asked.inputs)  # before an engine starts, which takes seconds
    with engines.opened(model.file, model.engine, model.precision, model.busy_place()) as engine:
        scale = engines.scale_of(engine, model.file)
        upscaler.check_tiles(engine, options.tile_size, options.overlap)
        passes.check(scale, options.size)
        discovery.check_no_url(asked.output or '')
        usual = target_size.suffix_of(options.size, scale)
        names = naming.make_naming(asked.output, asked.suffix, asked.ext, options.lossless, usual, options.all_frames)
        names = names._replace(numbers=options.on_clash == clashes.NUMBER, in_place=options.in_place)
        past = history.History(asked.made())
        found = jobs.find_jobs(asked.inputs, names, summary, past)
        folders = sorted({naming.folder_for(given, names) or os.curdir for given in asked.inputs})
        asked.check_writable(folders)
        lines = [model.describe(scale, engines.describe(engine, '--precision'))]
        lines += processing.describe_model(engine, model.precision)
        said = len(engine.notes)
        lines += processing.describe_tiles(engine, options) if model.path else []
        for line in filter(None, [*lines, found.describe_results()]):
            cli.say(line)
        load = workload.Workload(found.jobs, engine, scale, options)
        expected = estimate.expected_seconds(load)
        print(estimate.describe(load, expected), flush=True)
        with asked.under_way(summary) as page:
            local.upscale_all(load, expected, page, summary, past)
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

    def dpi(text):
        try:
            number = float(text)
        except ValueError:
            number = 0
        if not 1 <= number <= processing.MAX_DPI:
            raise argparse.ArgumentTypeError(f'{text}: from 1 to {processing.MAX_DPI}')
        return number

    parser = cli.Parser(__doc__)
    add = parser.add_argument_group('pictures').add_argument
    add('pictures', nargs='*', metavar='PATH', help='pictures and folders of pictures')
    add('--input', nargs='+', default=[], metavar='PATH', help='the same')
    add('--output', metavar='PATH', help='folder for all results, or FILE.png for one; default: beside the inputs')
    add(
        '--suffix',
        type=suffix,
        help='after the names of results; default: _x2 for a model that doubles, _w3840 by --width 3840',
    )
    add('--ext', choices=sorted(e[1:] for e in registry.WRITABLE), help="default: the source's own")
    add('--quality', type=quality, default=base.QUALITY, help='of JPEG, WebP, AVIF, JPEG XL; default %(default)s')
    add(
        '--compression',
        choices=png_rows.COMPRESSIONS,
        default='fast',
        help='of PNG: small makes photographs 2 percent smaller and takes 30 times as long; default %(default)s',
    )
    add('--lossless', action='store_true', help='WebP and JPEG XL without loss, PNG in place of JPEG and AVIF')
    add('--dpi', type=dpi, metavar='N', help="resolution of results, dots an inch; default: the source's own")
    add('--keep-print-size', action='store_true', help='resolution times the scale, so that a print stays as large')
    add(
        '--all-frames',
        action='store_true',
        help='all frames of GIF, animated PNG and WebP, all pages of TIFF; default: the first one',
    )
    add('--overwrite', action='store_true', help='replace existing results')
    add('--resume', action='store_true', help='skip existing results')
    add(
        '--on-clash',
        choices=clashes.WAYS,
        default=clashes.REFUSE,
        help='of several pictures with one result, p.gif and p.png for example: refuse all but one, or number the results '
        '(p_x2.png, p_x2-2.png); default %(default)s',
    )
    add('--keep-dates', action='store_true', help='give results the dates of their pictures')
    add('--in-place', action='store_true', help='replace photo.jpg by its result; the original becomes photo.jpg.orig')
    add('--no-backup', action='store_true', help='with --in-place: do not keep the original')
    add('--report', metavar='DIR', help='write DIR/index.html, a page with before/after sliders')
    add('--log', metavar='FILE', help='write to FILE a line for each picture that failed')
    add_sizes(parser)
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
    add(
        '--wrap', action='store_true', help='for textures that tile: opposite edges meet, and so do those of the result'
    )
    add(
        '--alpha',
        choices=channel_roles.ALPHAS,
        default=channel_roles.OPACITY,
        help='data: colours and alpha are independent, nothing is hidden; default %(default)s',
    )
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
    args.size = target_size.of_keywords(**{unit: getattr(args, unit) for unit in target_size.LETTERS})
    if not (args.pictures or args.input):
        parser.error('name a picture or a folder: python3 RDN_upscale.py photo.jpg')
    if args.cluster is not None and args.output is None:
        parser.error('--cluster: name a folder or URL for the results by --output')
    if args.cluster is not None and args.log is None:
        args.log = 'failures.txt'
    check_places(parser, args)
    if args.cluster is not None and args.device_id:
        parser.error('--device-id: a cluster chooses the devices')
    if args.wrap and not args.overlap:
        parser.error('--wrap: the tiles reach beyond the edges by the --overlap, which is 0')
    if args.dpi and args.keep_print_size:
        parser.error('give one of --dpi and --keep-print-size')
    if args.overwrite and args.resume:
        parser.error('give one of --overwrite and --resume')
    return args


def add_sizes(parser):
    def amount_of(unit):
        def amount(text):
            number = float(text)
            try:
                return target_size.checked(unit, number)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error))

        return amount

    text = (
        'Without one of these flags a picture becomes as large as the model makes it in one run.\n'
        'With one, the model runs as often as needed, and LANCZOS reduces to the exact size.'
    )
    add = parser.add_argument_group('size', text).add_mutually_exclusive_group().add_argument
    texts = {
        'scale': 'times each side: 3, 4 or 1.5 for example',
        'width': 'pixels of the result; the height follows',
        'height': 'pixels of the result; the width follows',
        'max_side': 'pixels of the longer side of the result',
        'megapixels': 'millions of pixels of the result',
    }
    for unit, words in texts.items():
        add(f'--{unit.replace("_", "-")}', type=amount_of(unit), metavar='N', help=words)


def check_places(parser, args):
    """End with a line for flags on results and their places that do not go together."""
    chosen = {
        '--on-clash=number': args.on_clash == clashes.NUMBER,
        '--keep-dates': args.keep_dates,
        '--in-place': args.in_place,
    }
    for flag, is_given in chosen.items():
        if is_given and args.cluster is not None:
            parser.error(f'{flag}: works on one machine only: leave out the flag or --cluster')
    given = {'--output': args.output, '--suffix': args.suffix, '--ext': args.ext}
    for flag, value in given.items():
        if args.in_place and value is not None:
            parser.error(f'{flag}: --in-place gives results the names of their pictures')
    if args.no_backup and not args.in_place:
        parser.error('--no-backup: only with --in-place')


if __name__ == '__main__':
    cli.run(main)
