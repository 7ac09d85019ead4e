"""Guide 4.3: list the prepared inputs for benchmark.

    python3 gen_dataset_info.py bin ./prep_dataset/data ./RDN_prep_bin.info 114 114

With `png` or `jpg` instead of `bin`, it lists pictures with the sizes in their headers; then leave out 114 114.
"""

from __future__ import annotations

import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, files
from rdn.data import dataset
from rdn.devices import benchmark

from PIL import Image

ENDINGS = {'png': ('.png',), 'jpg': ('.jpg', '.jpeg')}


def list_inputs(folder: str, width: int, height: int) -> list[benchmark.InfoLine]:
    """List the inputs of a prepared set.

    Args:
        folder: the set's folder of inputs.
        width: the width of the inputs, in pixels.
        height: the height of the inputs, in pixels.

    Raises:
        ValueError: an input has another size or has changed, or there are no inputs; with the file's name.
    """
    return [benchmark.InfoLine(path, width, height) for path in dataset.find_inputs(folder, width, height)]


def list_pictures(folder: str, kind: str) -> list[benchmark.InfoLine]:
    """List the pictures in a folder, with the sizes in their headers.

    Args:
        folder: the folder.
        kind: the type of the pictures, a key of ENDINGS.

    Raises:
        ValueError: a picture is corrupt, or there are no pictures of this type; with the file's name.
    """
    lines = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not name.lower().endswith(ENDINGS[kind]) or name.startswith('.'):
            continue
        try:
            with Image.open(path) as image:
                lines.append(benchmark.InfoLine(path, *image.size))
        except PermissionError:
            raise
        except Exception:  # Pillow's plug-ins raise errors of any type for a corrupt file
            raise ValueError(f'{path}: cannot be used as an image')
    if not lines:
        raise ValueError(f'{folder}: contains no {kind} files')
    return lines


def main(argv=None):
    args = parse_args(argv)
    if args.type == 'bin':
        lines = list_inputs(args.folder, args.width, args.height)
    else:
        lines = list_pictures(args.folder, args.type)
    files.write_text(args.info, benchmark.format_info(lines))
    cli.say(f'{cli.count(len(lines), "file")} listed in {args.info}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('type', choices=['bin', *sorted(ENDINGS)], help='type of the files')
    parser.add_argument('folder', help='folder that contains them')
    parser.add_argument('info', help='info file to write')
    parser.add_argument('width', type=cli.positive, nargs='?', help='width of the input in pixels, for bin files')
    parser.add_argument('height', type=cli.positive, nargs='?', help='height of the input in pixels, for bin files')
    args = parser.parse_args(argv)
    if args.type == 'bin' and args.height is None:
        parser.error('bin files do not contain their size: add width and height, for example 114 114')
    if args.type != 'bin' and args.width is not None:
        parser.error(f'{args.type} files contain their size: leave out width and height')
    return args


if __name__ == '__main__':
    cli.run(main)
