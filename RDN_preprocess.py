"""Guide 4.2: prepare images: the network's inputs and the labels to compare its outputs with.

    python3 RDN_preprocess.py --src-path=/root/dataset/set5 --save-path=./prep_dataset

data/STEM.bin is the input: float32 (3, height, width), RGB, 0...1. label/STEM.npy is what the network
should give: float32 (1, 3, scale*height, scale*width), cut from the image's centre. The input is the
label reduced with Pillow's BICUBIC. manifest.json beside them lets the later steps see that they are still the same.

    python3 RDN_preprocess.py --src-path=photos --save-path=./prep_dataset --tile

keeps the whole image: its inputs are overlapping tiles, data/STEM_tile_rROWcCOLUMN.bin, and label/STEM.json
says where they lie. With --no-label the image itself is the input, and there is no label.
"""

import contextlib
import os

from rdn import cli, cpu, dataset, files, tiles
from rdn.ascend.benchmark import check_path, stem_of
from rdn.imaging import images

import numpy as np


def letterbox(image, width, height):
    """The whole PIL image within width x height, bilinear, on black: what the published script does."""
    import mmcv
    from PIL import Image

    ratio = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * ratio)), max(1, int(image.height * ratio)))
    resized = mmcv.imresize(np.asarray(image), size, interpolation='bilinear', backend='cv2')
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    padding = (left, top, width - size[0] - left, height - size[1] - top)
    return Image.fromarray(mmcv.impad(resized, padding=padding, pad_val=0))


FIT = {'crop': images.crop_centre, 'letterbox': letterbox}


def prepare(path, args):
    """An image file as (inputs by the stems of their files, label, Layout of its tiles or None).

    Inputs are float32 (3, height, width), the label (1, 3, H, W) or None, RGB, 0...1. args: the flags.
    Raises ValueError, with the file's name, for an image that cannot be read or fitted.
    """
    image = images.read_rgb(path)
    try:
        if args.tile:
            return prepare_tiles(image, path, args)
        hr = FIT[args.fit](image, args.width * args.scale, args.height * args.scale)
    except ValueError as error:
        raise ValueError('%s: %s' % (path, error))
    return {stem_of(path): images.to_chw(images.reduce(hr, args.scale))}, images.to_chw(hr)[np.newaxis], None


def prepare_tiles(image, path, args):
    """The same for a whole PIL image: with a label, it is cut at the right and bottom to multiples of the scale."""
    scale = 1 if args.no_label else args.scale
    if min(image.size) < scale:
        raise ValueError('%d x %d pixels: nothing left to reduce' % image.size)
    hr = images.crop_to_multiples(image, scale)
    lr = images.to_chw(images.reduce(hr, scale))
    layout = tiles.Layout(
        height=lr.shape[1],
        width=lr.shape[2],
        tile=[args.height, args.width],
        overlap=args.overlap,
        scale=args.scale,
        source=os.path.abspath(path),
        label=not args.no_label,
    )
    inputs = {stem: tiles.cut(lr, tile) for stem, tile in tiles.tile_stems(stem_of(path), layout).items()}
    return inputs, None if args.no_label else images.to_chw(hr)[np.newaxis], layout


def earlier_files(data_path, label_path):
    """Names of an earlier preparation's files, in data/ and label/.

    Those that its manifest lists, and, of before there were manifests, inputs that have a label or layout, and these.
    """
    data, label = (set(os.listdir(path) if os.path.isdir(path) else []) for path in (data_path, label_path))
    listed = dataset.names(os.path.dirname(data_path))
    inputs, known = (
        {name for name in names if part + name in listed} for names, part in ((data, 'data/'), (label, 'label/'))
    )
    for name in label:
        stem, ending = os.path.splitext(name)
        if ending == '.npy' and stem + '.bin' in data:
            inputs.add(stem + '.bin')
            known.add(name)
        if ending == '.json':
            try:
                layout = tiles.read_layout(os.path.join(label_path, name))
            except ValueError:  # not ours
                continue
            inputs.update(tile + '.bin' for tile in tiles.tile_stems(stem, layout))
            known.update({name, stem + '.npy'})
    return inputs & data, known & label


def write_prepared(path, args, data, labels):
    """Prepare an image file and write what comes of it into two folders; returns the SHA-256s for the manifest."""
    arrays, label, layout = prepare(path, args)
    written = {}
    for stem, lr in arrays.items():
        written['data/%s.bin' % stem] = os.path.join(data, stem + '.bin')
        np.ascontiguousarray(lr).tofile(written['data/%s.bin' % stem])
    if label is not None:
        written['label/%s.npy' % stem_of(path)] = os.path.join(labels, stem_of(path) + '.npy')
        np.save(written['label/%s.npy' % stem_of(path)], label)
    if layout:
        written['label/%s.json' % stem_of(path)] = os.path.join(labels, stem_of(path) + '.json')
        with open(written['label/%s.json' % stem_of(path)], 'wb') as file:
            tiles.write_layout(layout, file)
    return {key: dataset.digest(file) for key, file in written.items()}


def main(argv=None):
    args = parse_args(argv)
    paths = images.list_images(args.src_path)
    data_path, label_path = (os.path.join(args.save_path, name) for name in ('data', 'label'))
    for path in paths:
        check_path(os.path.join(data_path, stem_of(path)))
    inputs, known = earlier_files(data_path, label_path)
    if args.fit == 'letterbox':
        import mmcv  # noqa: F401 - two seconds that only this way of fitting costs; not first in a thread
    digests = {}
    with files.replacing_folder(label_path, known) as labels, files.replacing_folder(data_path, inputs) as data:
        # Closed first of all: after Ctrl-C nobody must write any more into folders that are being removed.
        with contextlib.closing(cpu.in_order(lambda path: write_prepared(path, args, data, labels), paths)) as done:
            for each in cli.progress(done, 'image', len(paths)):
                digests.update(each)
        flags = 'width', 'height', 'scale', 'fit', 'tile', 'overlap', 'no_label'
        dataset.write(args.save_path, {name: getattr(args, name) for name in flags}, digests)
    dataset.commit(args.save_path)  # after a kill before this, the older one tells that data or labels are not its own
    count = sum(key.startswith('data/') for key in digests)
    print('%d images' % len(paths))
    print('%d inputs of %d x %d in %s' % (count, args.width, args.height, data_path))
    print('%s in %s' % ('labels' if not args.no_label else 'layouts, no labels,', label_path))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--src-path', required=True, help='folder of images, and of nothing else')
    parser.add_argument('--save-path', required=True, help='folder for data/ and label/')
    parser.add_argument('--width', type=cli.positive, default=114, help='of the input, pixels')
    parser.add_argument('--height', type=cli.positive, default=114, help='of the input, pixels')
    parser.add_argument('--scale', type=int, choices=images.SCALES, default=2)
    parser.add_argument(
        '--fit',
        choices=sorted(FIT),
        default='crop',
        help='crop the centre (default), or letterbox the whole image as the script '
        'behind the figures of the guide does',
    )
    parser.add_argument('--tile', action='store_true', help='the whole image, in overlapping tiles')
    parser.add_argument(
        '--overlap', type=int, default=tiles.OVERLAP, help='of tiles, pixels of the input; default %(default)s'
    )
    parser.add_argument('--no-label', action='store_true', help='with --tile: the image itself is the input')
    args = parser.parse_args(argv)
    if args.no_label and not args.tile:
        parser.error('--no-label goes with --tile')
    if not 0 <= args.overlap < min(args.width, args.height):
        parser.error('--overlap: from 0 to less than the input, %d' % min(args.width, args.height))
    return args


if __name__ == '__main__':
    cli.run(main)
