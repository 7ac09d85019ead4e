"""The flags of RDN_upscale.py, and the checks for flags that contradict each other."""

from __future__ import annotations

import argparse
import os
from typing import Callable

from pictures import channel_roles, clashes, processing, target_size
from pictures.formats import base, png_rows, registry
from rdn import cli, engines, tiles

AUTO = engines.AUTO
USUAL_ENDINGS = ', '.join(sorted(each.written[0][1:] for each in registry.FORMATS if each.written))


def add_all(parser: cli.Parser) -> None:
    """Add all flags to a parser, in groups."""
    parser.usage = '%(prog)s [FLAG ...] PATH [PATH ...]'
    add_places(parser)
    add_sizes(parser)
    add_formats(parser)
    add_contents(parser)
    add_model(parser)
    add_tiles(parser)
    parser.add_argument_group('several machines').add_argument(
        '--cluster',
        nargs='?',
        const='',
        metavar='HOST:PORT',
        help='share the work in a Ray cluster (auto: the one of this machine; no value: a new one here); --input and '
        '--output are folders that all machines see, or URLs (s3://...): docs/cluster.md',
    )


def add_places(parser: cli.Parser) -> None:
    """Add the flags for the pictures, and for the places of results."""
    add = parser.add_argument_group('pictures and results').add_argument
    add('pictures', nargs='*', metavar='PATH', help='pictures and folders of pictures')
    add('--input', nargs='+', default=[], metavar='PATH', help='the same as PATH')
    add('--output', metavar='PATH', help='folder for all results, or FILE.png for one; default: next to the pictures')
    add('--suffix', type=_suffix, help='end of the names of results; default: _x2, or _w3840 with --width 3840')
    add('--overwrite', action='store_true', help='replace existing results')
    add('--resume', action='store_true', help='skip existing results, even those of other settings or programs')
    add(
        '--on-clash',
        choices=clashes.WAYS,
        default=clashes.REFUSE,
        help='if pictures would have the same result (p.gif, p.png): refuse all but one, or number the results; '
        'default %(default)s',
    )
    add(
        '--in-place', action='store_true', help='replace photo.jpg with its result; keep the original as photo.jpg.orig'
    )
    add('--no-backup', action='store_true', help='with --in-place: do not keep the original')
    add('--keep-dates', action='store_true', help='give results the dates of their pictures')
    add('--report', metavar='DIR', help='write DIR/index.html, a page with before/after sliders')
    add('--log', metavar='FILE', help='write a line to FILE for each picture that failed')


def add_sizes(parser: cli.Parser) -> None:
    """Add the flags for the size of results; a run takes at most one of them."""
    text = (
        'At most one of these. Without one, the model runs once and sets the size (x2 by default).\n'
        'With one, it runs as often as needed, and LANCZOS reduces the result to the exact size.'
    )
    add = parser.add_argument_group('size', text).add_mutually_exclusive_group().add_argument
    texts = {
        'scale': 'times each side, for example 3, 4 or 1.5',
        'width': 'pixels of the result; the height follows',
        'height': 'pixels of the result; the width follows',
        'max_side': 'pixels of the longer side of the result',
        'megapixels': 'millions of pixels of the result',
    }
    for unit, words in texts.items():
        add(f'--{unit.replace("_", "-")}', type=_amount_of(unit), metavar='N', help=words)


def add_formats(parser: cli.Parser) -> None:
    """Add the flags for the format of results and for their resolution."""
    add = parser.add_argument_group('format').add_argument
    add(
        '--ext',
        choices=sorted(ending[1:] for ending in {*registry.WRITABLE, *registry.WITH_FRAMES}),
        metavar='FORMAT',
        help=f'{USUAL_ENDINGS}, or gif with --all-frames; default: that of the picture',
    )
    add(
        '--quality',
        type=_quality,
        default=base.QUALITY,
        help='quality of JPEG, WebP, AVIF and JPEG XL, 1 to 100; default %(default)s',
    )
    add('--lossless', action='store_true', help='write WebP and JPEG XL without loss, and PNG instead of JPEG and AVIF')
    add(
        '--compression',
        choices=png_rows.COMPRESSIONS,
        default='fast',
        help='compression of PNG; small makes photographs 2 percent smaller and takes 30 times as long; '
        'default %(default)s',
    )
    add('--dpi', type=_dpi, metavar='N', help='resolution in dots per inch; default: that of the picture')
    add('--keep-print-size', action='store_true', help='multiply the resolution by the scale, to keep the print size')


def add_contents(parser: cli.Parser) -> None:
    """Add the flags for pictures of special kinds."""
    add = parser.add_argument_group('animations, pages, textures').add_argument
    add(
        '--all-frames',
        action='store_true',
        help='enlarge all frames of GIF, animated PNG and WebP, and all pages of TIFF; default: the first one',
    )
    add('--wrap', action='store_true', help='for textures that repeat: opposite edges of the result fit together')
    add(
        '--alpha',
        choices=channel_roles.ALPHAS,
        default=channel_roles.OPACITY,
        help='opacity: transparent pixels are invisible; data: their colours matter, as in textures; default %(default)s',
    )


def add_model(parser: cli.Parser) -> None:
    """Add the flags for the model, its engine and its device."""
    add = parser.add_argument_group('model').add_argument
    add(
        '--model',
        metavar='FILE',
        help='weights (.pth), .onnx, or .om for an Ascend device; full: the larger network of this project, better and '
        '20 to 30 times slower; default: lite, the compact one',
    )
    add('--self-ensemble', action='store_true', help='average over the eight flips and turns: better, 8 times slower')
    add(
        '--engine',
        choices=[AUTO, *engines.ENGINES],
        default=AUTO,
        help='engine that runs the model; default auto: the fastest one here that loses at most 0.05 dB '
        '(docs/performance.md)',
    )
    add(
        '--precision',
        choices=[AUTO, *engines.PRECISIONS],
        default=AUTO,
        help='fp32: exact; default auto: the fastest that loses at most 0.05 dB, and fp32 for pictures of more than 8 bits '
        "a channel; with a named --engine, the model's own precision",
    )
    add(
        '--device',
        metavar='NAME',
        help='device for PyTorch: cuda:1, mps, npu:0, xpu or cpu; default: the first that works',
    )
    add(
        '--provider',
        choices=list(engines.PROVIDERS),
        help='execution provider of ONNX Runtime; default: the first available one',
    )
    add(
        '--device-id',
        type=cli.not_negative,
        default=0,
        metavar='N',
        help='device number for Ascend and ONNX Runtime; default 0',
    )
    add('--threads', type=cli.not_negative, default=0, metavar='N', help='threads of the CPU; default: one per core')


def add_tiles(parser: cli.Parser) -> None:
    """Add the flags for tiles."""
    add = parser.add_argument_group('tiles').add_argument
    add(
        '--tile-size',
        type=cli.positive,
        default=processing.TILE_SIZE,
        metavar='N',
        help='largest side in pixels, for a model that takes any size; default %(default)s',
    )
    add(
        '--overlap',
        type=cli.not_negative,
        default=tiles.OVERLAP,
        metavar='N',
        help='overlap of tiles in pixels; default %(default)s',
    )
    add(
        '--batch-size',
        type=cli.positive,
        default=0,
        metavar='N',
        help='tiles per run of the model; default: the fastest',
    )


def check(parser: cli.Parser, args: argparse.Namespace) -> None:
    """Exit with a usage error if flags contradict each other.

    Args:
        parser: reports the error.
        args: the parsed flags.
    """
    refusals = {
        'name a picture or a folder: python3 RDN_upscale.py photo.jpg': not (args.pictures or args.input),
        '--wrap: needs an --overlap above 0': args.wrap and not args.overlap,
        'give only one of --dpi and --keep-print-size': args.dpi and args.keep_print_size,
        'give only one of --overwrite and --resume': args.overwrite and args.resume,
        '--no-backup: only with --in-place': args.no_backup and not args.in_place,
        f'--ext={args.ext}: is only written with --all-frames': _is_only_animated(args.ext) and not args.all_frames,
    }
    for line, is_refused in refusals.items():
        if is_refused:
            parser.error(line)
    given = {'--output': args.output, '--suffix': args.suffix, '--ext': args.ext}
    for flag, value in given.items():
        if args.in_place and value is not None:
            parser.error(f'{flag}: leave it out: with --in-place, results have the names of their pictures')
    if args.cluster is not None:
        check_cluster(parser, args)


def check_cluster(parser: cli.Parser, args: argparse.Namespace) -> None:
    """Exit with a usage error if a flag is missing for a run on a cluster, or works on one machine only.

    Args:
        parser: reports the error.
        args: the parsed flags.
    """
    chosen = {
        '--on-clash=number': args.on_clash == clashes.NUMBER,
        '--keep-dates': args.keep_dates,
        '--in-place': args.in_place,
    }
    for flag, is_given in chosen.items():
        if is_given:
            parser.error(f'{flag}: works on one machine only: leave out the flag or --cluster')
    if args.output is None:
        parser.error('--cluster: name a folder or URL for the results with --output')
    if args.device_id:
        parser.error('--device-id: a cluster chooses the devices')


def _is_only_animated(ext: str | None) -> bool:
    return ext is not None and f'.{ext}' not in registry.WRITABLE


def _quality(text: str) -> int:
    number = cli.positive(text)
    if number > 100:
        raise argparse.ArgumentTypeError(f'{text}: expected a number from 1 to 100')
    return number


def _suffix(text: str) -> str:
    if os.sep in text or '\0' in text:
        raise argparse.ArgumentTypeError(f'{text}: expected the end of a file name, without {os.sep}')
    return text


def _dpi(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 1 <= number <= processing.MAX_DPI:
        raise argparse.ArgumentTypeError(f'{text}: expected a number from 1 to {processing.MAX_DPI}')
    return number


def _amount_of(unit: str) -> Callable[[str], float]:
    def amount(text: str) -> float:
        number = float(text)
        try:
            return target_size.checked(unit, number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error))

    return amount
