"""The flags of RDN_upscale.py, and which of them do not go together."""

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
    """Add the flags on pictures, and on where results go."""
    add = parser.add_argument_group('pictures and results').add_argument
    add('pictures', nargs='*', metavar='PATH', help='pictures and folders of pictures')
    add('--input', nargs='+', default=[], metavar='PATH', help='the same as PATH')
    add('--output', metavar='PATH', help='folder for all results, or FILE.png for one; default: beside the pictures')
    add('--suffix', type=_suffix, help='end of the names of results; default: _x2, or _w3840 by --width 3840')
    add('--overwrite', action='store_true', help='replace existing results')
    add('--resume', action='store_true', help='skip existing results, even those of other settings or programs')
    add(
        '--on-clash',
        choices=clashes.WAYS,
        default=clashes.REFUSE,
        help='several pictures, one result (p.gif, p.png): refuse all but one, or number; default %(default)s',
    )
    add('--in-place', action='store_true', help='replace photo.jpg by its result; the original becomes photo.jpg.orig')
    add('--no-backup', action='store_true', help='with --in-place: do not keep the original')
    add('--keep-dates', action='store_true', help='give results the dates of their pictures')
    add('--report', metavar='DIR', help='write DIR/index.html, a page with before/after sliders')
    add('--log', metavar='FILE', help='write to FILE a line for each picture that failed')


def add_sizes(parser: cli.Parser) -> None:
    """Add the flags on the size of results, of which a run takes one."""
    text = (
        'At most one of these. Without one, the model runs once and sets the size (x2 by default).\n'
        'With one, it runs as often as needed, and LANCZOS reduces to the exact size.'
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
        add(f'--{unit.replace("_", "-")}', type=_amount_of(unit), metavar='N', help=words)


def add_formats(parser: cli.Parser) -> None:
    """Add the flags on the format of results and the resolution in it."""
    add = parser.add_argument_group('format').add_argument
    add(
        '--ext',
        choices=sorted(ending[1:] for ending in {*registry.WRITABLE, *registry.WITH_FRAMES}),
        metavar='FORMAT',
        help=f'{USUAL_ENDINGS}, or gif with --all-frames; default: that of the picture',
    )
    add('--quality', type=_quality, default=base.QUALITY, help='of JPEG, WebP, AVIF, JPEG XL; default %(default)s')
    add('--lossless', action='store_true', help='WebP and JPEG XL without loss, PNG in place of JPEG and AVIF')
    add(
        '--compression',
        choices=png_rows.COMPRESSIONS,
        default='fast',
        help='of PNG; small: photographs are 2 percent smaller and take 30 times as long; default %(default)s',
    )
    add('--dpi', type=_dpi, metavar='N', help='resolution, dots per inch; default: that of the picture')
    add('--keep-print-size', action='store_true', help='multiply the resolution by the scale: prints stay as large')


def add_contents(parser: cli.Parser) -> None:
    """Add the flags on pictures of special kinds."""
    add = parser.add_argument_group('animations, pages, textures').add_argument
    add(
        '--all-frames',
        action='store_true',
        help='all frames of GIF, animated PNG and WebP, all pages of TIFF; default: the first one',
    )
    add('--wrap', action='store_true', help='textures that repeat: opposite edges of the result fit together')
    add(
        '--alpha',
        choices=channel_roles.ALPHAS,
        default=channel_roles.OPACITY,
        help='opacity: transparent pixels are invisible; data: keep their colours, for textures; default %(default)s',
    )


def add_model(parser: cli.Parser) -> None:
    """Add the flags on the model and what computes it."""
    add = parser.add_argument_group('model').add_argument
    add(
        '--model',
        metavar='FILE',
        help='weights (.pth), .onnx, or .om for an Ascend device; or full, the larger network of this project: better, and '
        'about 28 times slower; default: lite, the compact one',
    )
    add('--self-ensemble', action='store_true', help='average the eight flips and turns: 8 times slower, better')
    add(
        '--engine',
        choices=[AUTO, *engines.ENGINES],
        default=AUTO,
        help='what computes; default auto: the fastest one here that loses at most 0.05 dB (docs/performance.md)',
    )
    add(
        '--precision',
        choices=[AUTO, *engines.PRECISIONS],
        default=AUTO,
        help='fp32: exact; default auto: as --engine says, and fp32 for pictures of more than 8 bits a channel',
    )
    add('--device', metavar='NAME', help='of PyTorch: cuda:1, mps, npu:0, xpu or cpu; default: the first that works')
    add('--provider', choices=list(engines.PROVIDERS), help='of ONNX Runtime; default: the first that it has')
    add('--device-id', type=cli.not_negative, default=0, metavar='N', help='Ascend, ONNX Runtime: device; default 0')
    add('--threads', type=cli.not_negative, default=0, metavar='N', help='of the CPU; default: one a core')


def add_tiles(parser: cli.Parser) -> None:
    """Add the flags on tiles."""
    add = parser.add_argument_group('tiles').add_argument
    add(
        '--tile-size',
        type=cli.positive,
        default=processing.TILE_SIZE,
        metavar='N',
        help='pixels, for a model of any size; default %(default)s',
    )
    add('--overlap', type=cli.not_negative, default=tiles.OVERLAP, metavar='N', help='pixels; default %(default)s')
    add('--batch-size', type=cli.positive, default=0, metavar='N', help='tiles a run; default: what is fastest')


def check(parser: cli.Parser, args: argparse.Namespace) -> None:
    """End with a line for flags that do not go together."""
    refusals = {
        'name a picture or a folder: python3 RDN_upscale.py photo.jpg': not (args.pictures or args.input),
        '--wrap: the tiles reach beyond the edges by the --overlap, which is 0': args.wrap and not args.overlap,
        'give one of --dpi and --keep-print-size': args.dpi and args.keep_print_size,
        'give one of --overwrite and --resume': args.overwrite and args.resume,
        '--no-backup: only with --in-place': args.no_backup and not args.in_place,
        f'--ext={args.ext}: is only written with --all-frames': _is_only_animated(args.ext) and not args.all_frames,
    }
    for line, is_refused in refusals.items():
        if is_refused:
            parser.error(line)
    given = {'--output': args.output, '--suffix': args.suffix, '--ext': args.ext}
    for flag, value in given.items():
        if args.in_place and value is not None:
            parser.error(f'{flag}: --in-place gives results the names of their pictures')
    if args.cluster is not None:
        check_cluster(parser, args)


def check_cluster(parser: cli.Parser, args: argparse.Namespace) -> None:
    """End with a line for flags that a cluster does not honour."""
    chosen = {
        '--on-clash=number': args.on_clash == clashes.NUMBER,
        '--keep-dates': args.keep_dates,
        '--in-place': args.in_place,
    }
    for flag, is_given in chosen.items():
        if is_given:
            parser.error(f'{flag}: works on one machine only: leave out the flag or --cluster')
    if args.output is None:
        parser.error('--cluster: name a folder or URL for the results by --output')
    if args.device_id:
        parser.error('--device-id: a cluster chooses the devices')


def _is_only_animated(ext: str | None) -> bool:
    return ext is not None and f'.{ext}' not in registry.WRITABLE


def _quality(text: str) -> int:
    number = cli.positive(text)
    if number > 100:
        raise argparse.ArgumentTypeError(f'{text}: from 1 to 100')
    return number


def _suffix(text: str) -> str:
    if os.sep in text or '\0' in text:
        raise argparse.ArgumentTypeError(f'{text}: a part of a file name, without {os.sep}')
    return text


def _dpi(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 1 <= number <= processing.MAX_DPI:
        raise argparse.ArgumentTypeError(f'{text}: from 1 to {processing.MAX_DPI}')
    return number


def _amount_of(unit: str) -> Callable[[str], float]:
    def amount(text: str) -> float:
        number = float(text)
        try:
            return target_size.checked(unit, number)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error))

    return amount
