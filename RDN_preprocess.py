"""Guide 4.2: prepare images: the network's inputs and the labels to compare its outputs with.

    python3 RDN_preprocess.py --src-path=/root/dataset/set5 --save-path=./prep_dataset

data/STEM.bin is the input: float32 (3, height, width), RGB, 0...1. label/STEM.npy is what the network
should give: float32 (1, 3, scale*height, scale*width), cut from the image's centre. The input is the
label reduced with Pillow's BICUBIC.
"""

import os

import console

import numpy as np

import files
import images
from benchmark_files import check_path, stem_of


def crop_centre(image, width, height):
    """The middle width x height pixels of a PIL image. Raises ValueError for a smaller one."""
    if image.width < width or image.height < height:
        raise ValueError(
            '%d x %d pixels: smaller than the crop of %d x %d' % (image.width, image.height, width, height)
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def letterbox(image, width, height):
    """The whole PIL image within width x height, bilinear, on black: what the published script does."""
    import mmcv  # two seconds that only this way of fitting costs
    from PIL import Image

    ratio = min(width / image.width, height / image.height)
    size = (max(1, int(image.width * ratio)), max(1, int(image.height * ratio)))
    resized = mmcv.imresize(np.asarray(image), size, interpolation='bilinear', backend='cv2')
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    padding = (left, top, width - size[0] - left, height - size[1] - top)
    return Image.fromarray(mmcv.impad(resized, padding=padding, pad_val=0))


FIT = {'crop': crop_centre, 'letterbox': letterbox}


def prepare(path, fit, width, height, scale):
    """An image file as (input, label): float32 (3, height, width) and (1, 3, scale*height, scale*width).

    RGB, 0...1. Raises ValueError, with the file's name, for an image that cannot be read or fitted.
    """
    image = images.read_rgb(path)
    try:
        hr = FIT[fit](image, width * scale, height * scale)
    except ValueError as error:
        raise ValueError('%s: %s' % (path, error))
    return images.to_chw(images.reduce(hr, scale)), images.to_chw(hr)[np.newaxis]


def prepared_stems(data_path, label_path):
    """The stems of an earlier preparation: those with both an input and a label."""

    def stems(folder, ending):
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return {stem_of(name) for name in names if name.endswith(ending)}

    return stems(data_path, '.bin') & stems(label_path, '.npy')


def main(argv=None):
    args = parse_args(argv)
    paths = images.list_images(args.src_path)
    data_path, label_path = (os.path.join(args.save_path, name) for name in ('data', 'label'))
    for path in paths:
        check_path(os.path.join(data_path, stem_of(path)))
    earlier = prepared_stems(data_path, label_path)
    new_labels = files.replacing_folder(label_path, {stem + '.npy' for stem in earlier})
    new_data = files.replacing_folder(data_path, {stem + '.bin' for stem in earlier})
    with new_labels as labels, new_data as data:
        for path in console.progress(paths, 'image'):
            stem = stem_of(path)
            lr, hr = prepare(path, args.fit, args.width, args.height, args.scale)
            lr.tofile(os.path.join(data, stem + '.bin'))
            np.save(os.path.join(labels, stem + '.npy'), hr)
    print('%d images' % len(paths))
    print('inputs  %d x %d in %s' % (args.width, args.height, data_path))
    print('labels  %d x %d in %s' % (args.width * args.scale, args.height * args.scale, label_path))


def parse_args(argv):
    parser = console.Parser(__doc__)
    parser.add_argument('--src-path', required=True, help='folder of images, and of nothing else')
    parser.add_argument('--save-path', required=True, help='folder for data/ and label/')
    parser.add_argument('--width', type=console.positive, default=114, help='of the input, pixels')
    parser.add_argument('--height', type=console.positive, default=114, help='of the input, pixels')
    parser.add_argument('--scale', type=int, choices=images.SCALES, default=2)
    parser.add_argument(
        '--fit',
        choices=sorted(FIT),
        default='crop',
        help='crop the centre (default), or letterbox the whole image as the script '
        'behind the figures of the guide does',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    console.run(main)
