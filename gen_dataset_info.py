"""Guide 4.3: list the prepared inputs for benchmark.

    python3 gen_dataset_info.py bin ./prep_dataset/data ./RDN_prep_bin.info 114 114

`png` or `jpg` in place of `bin` lists pictures with their own sizes, and takes no sizes.
"""

import os

from rdn import cli, dataset, files
from rdn.ascend.benchmark import InfoLine, check_binary, write_info

from PIL import Image

ENDINGS = {'bin': ('.bin',), 'png': ('.png',), 'jpg': ('.jpg', '.jpeg')}


def list_bins(paths, width, height):
    """InfoLines of prepared inputs: float32 (3, height, width) files.

    Raises ValueError, with the file's name, for one of another size.
    """
    for path in paths:
        check_binary(path, (3, height, width))
    return [InfoLine(path, width, height) for path in paths]


def list_pictures(paths):
    """InfoLines of picture files with the sizes in their headers. Raises ValueError, with the name."""
    lines = []
    for path in paths:
        try:
            with Image.open(path) as image:
                lines.append(InfoLine(path, *image.size))
        except PermissionError:
            raise
        except Exception:  # Pillow's plug-ins raise anything for a broken file
            raise ValueError('%s: cannot be used as an image' % path)
    return lines


def main(argv=None):
    args = parse_args(argv)
    paths = [
        os.path.join(args.folder, name)
        for name in sorted(os.listdir(args.folder))
        if name.lower().endswith(ENDINGS[args.type]) and not name.startswith('.')
    ]
    if not paths:
        raise ValueError('%s: no %s files in it' % (args.folder, args.type))
    if args.type == 'bin':
        lines = list_bins(paths, args.width, args.height)
        dataset.check_complete(args.folder, [os.path.basename(path) for path in paths])
    else:
        lines = list_pictures(paths)
    with files.replacing(args.info) as file:
        write_info(lines, file)
    print('%d files listed in %s' % (len(lines), args.info))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('type', choices=sorted(ENDINGS), help='kind of the files')
    parser.add_argument('folder', help='where they are')
    parser.add_argument('info', help='info file to write')
    parser.add_argument('width', type=cli.positive, nargs='?', help='of the input in a bin, pixels')
    parser.add_argument('height', type=cli.positive, nargs='?', help='of the input in a bin, pixels')
    args = parser.parse_args(argv)
    if args.type == 'bin' and args.height is None:
        parser.error('bin files do not say their size: give width and height, 114 114 say')
    if args.type != 'bin' and args.width is not None:
        parser.error('%s files say their size: give no width and height' % args.type)
    return args


if __name__ == '__main__':
    cli.run(main)
