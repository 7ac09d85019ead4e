"""Guide 4.2: prepare images: the network's inputs and the labels to compare its outputs with.

    python3 RDN_preprocess.py --src-path=/root/dataset/set5 --save-path=./prep_dataset

data/STEM.bin is the input: float32 (3, height, width), RGB, 0...1. label/STEM.npy is the expected output: float32
(1, 3, scale*height, scale*width), cut from the image's centre. The input is the label, downsampled with Pillow's
BICUBIC. manifest.json lists the source images and checksums, so that later steps notice changes. To keep whole images,
add --tile:

    python3 RDN_preprocess.py --src-path=photos --save-path=./prep_dataset --tile

The inputs are then overlapping tiles, data/STEM_tile_rROWcCOLUMN.bin, and label/STEM.json lists their positions. With
--no-label, the image itself is the input, and there is no label.
"""

from __future__ import annotations

import contextlib
import os

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, cpu, files, images, tiles
from rdn.data import dataset, known_sets, protocols
from rdn.devices import benchmark, output_names


def prepare_image(path: str, settings: dataset.Preparation) -> dataset.PreparedImage:
    """Read an image, and compute its input and label. Tiles are cut later.

    Args:
        path: the image file.
        settings: the settings of the preparation.

    Raises:
        ValueError: the image cannot be read, or does not fit the settings; with the file's name.
    """
    hr = images.read_rgb(path)
    stem, digest, scale = files.stem_of(path), known_sets.digest(hr), settings.scale
    with files.errors_naming(path):
        if settings.no_label:
            return dataset.PreparedImage(stem, path, digest, images.to_chw(hr), None)
        fit = protocols.PROTOCOLS[settings.fit].fit
        hr = images.modcrop(fit(hr, settings.width * scale, settings.height * scale, scale), scale)
        lr = images.bicubic_downsample(hr, scale)
    return dataset.PreparedImage(stem, path, digest, images.to_chw(lr), images.to_chw(hr))


def note_clashes(data_path: str) -> None:
    """Print a note if ais_bench, which cuts names at the first dot, would write several outputs to one file."""
    clashes = output_names.clashing_stems(map(files.stem_of, os.listdir(data_path)))
    for group in clashes[:3]:
        cli.say(
            f'note: {" and ".join(group[:3])} have the same name up to the first dot: '
            'rename the images before you use ais_bench'
        )
    if len(clashes) > 3:
        print(f'note: and {cli.count(len(clashes) - 3, "more group")} of inputs')


def main(argv=None):
    args = parse_args(argv)
    flags = args.fit, args.tile, args.overlap, args.no_label
    settings = dataset.Preparation(args.width, args.height, args.scale, *flags)
    paths = images.list_images(args.src_path)
    data_path, label_path = (os.path.join(args.save_path, part) for part in dataset.PARTS)
    for path in paths:
        benchmark.check_path(os.path.join(data_path, dataset.input_name(files.stem_of(path))))
    if args.fit == protocols.LETTERBOX.name:
        import mmcv  # noqa: F401 - takes two seconds; imported here, before the threads that use it
    with dataset.writing(args.save_path, settings) as write:
        # Closed before `writing` ends: after Ctrl-C, no thread may write into folders that are being removed.
        prepared = cpu.map_in_order(lambda path: write(prepare_image(path, settings)), paths)
        with contextlib.closing(prepared):
            count = sum(cli.progress(prepared, 'image', len(paths)))
    print(cli.count(len(paths), 'image'))
    cli.say(f'{cli.count(count, "input")} of {args.width} x {args.height} in {data_path}')
    cli.say(f'{"layouts, no labels," if args.no_label else "labels"} in {label_path}')
    note_clashes(data_path)


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--src-path', required=True, help='folder that contains only images')
    parser.add_argument('--save-path', required=True, help='folder for data/ and label/')
    parser.add_input_size()
    parser.add_argument('--scale', type=int, choices=cli.SCALES, default=2)
    parser.add_argument(
        '--fit',
        choices=list(protocols.PROTOCOLS),
        help="crop: the centre (default); letterbox: the whole image, padded as for the guide's figures; "
        'whole: the whole image in overlapping tiles',
    )
    parser.add_argument('--tile', action='store_true', help='the same as --fit=whole')
    parser.add_argument(
        '--overlap', type=int, default=tiles.OVERLAP, help='overlap of tiles, in input pixels; default %(default)s'
    )
    parser.add_argument('--no-label', action='store_true', help='with --tile: the image itself is the input')
    args = parser.parse_args(argv)
    if args.tile and args.fit and not protocols.PROTOCOLS[args.fit].is_whole:
        parser.error(f'--tile uses the whole image: remove --fit={args.fit}')
    args.fit = args.fit or (protocols.WHOLE.name if args.tile else protocols.CROP.name)
    args.tile = protocols.PROTOCOLS[args.fit].is_whole
    if args.no_label and not args.tile:
        parser.error('--no-label needs --tile')
    if not 0 <= args.overlap < min(args.width, args.height):
        parser.error(f'--overlap: must be at least 0 and less than the input, {min(args.width, args.height)}')
    return args


if __name__ == '__main__':
    cli.run(main)
