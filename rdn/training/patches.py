"""Training pictures, and the random patches that a network learns from."""

import collections
import os

from rdn.imaging import images

import numpy as np

Pair = collections.namedtuple('Pair', 'lr hr')  # of one picture: uint8 (h, w, 3) and (scale*h, scale*w, 3)


def find_images(folder):
    """Paths of all files below a folder, sorted; hidden ones are passed over. Raises ValueError for none."""
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        paths += [os.path.join(parent, name) for name in sorted(names) if not name.startswith('.')]
    if not paths:
        raise ValueError('%s: no images in it' % folder if os.path.isdir(folder) else '%s: no such folder' % folder)
    return paths


def load_pair(path, scale, size, factor=1):
    """The Pair of an image file: the whole picture is reduced, and patches are cut from it afterwards.

    size: of a low-resolution patch, pixels. factor: the picture itself is reduced by this first (a camera's
    picture is sharper so). Raises ValueError, with the file's name, where no patch fits.
    """
    hr = images.read_rgb(path)
    if factor != 1:
        hr = hr.resize((round(hr.width * factor), round(hr.height * factor)), images.Image.BICUBIC)
    if min(hr.size) < size * scale:
        raise ValueError(
            '%s: %d x %d pixels, a patch needs %d x %d: remove it, or choose a smaller --patch'
            % (path, hr.width, hr.height, size * scale, size * scale)
        )
    hr = images.crop_to_multiples(hr, scale)
    return Pair(np.asarray(images.reduce(hr, scale)), np.asarray(hr))


def random_batch(pairs, scale, size, count, seed):
    """`count` random patches: uint8 (count, 3, size, size) and (count, 3, scale*size, scale*size).

    Each comes from a random picture, place, flip and quarter turn. The same seed gives the same patches.
    """
    random = np.random.RandomState(seed)
    batch = [], []
    for _ in range(count):
        pair = pairs[random.randint(len(pairs))]
        top, left = (random.randint(axis - size + 1) for axis in pair.lr.shape[:2])
        symmetry = random.randint(8)
        for part, picture, factor in zip(batch, pair, (1, scale)):
            patch = picture[top * factor : (top + size) * factor, left * factor : (left + size) * factor]
            patch = np.rot90(patch[:, ::-1] if symmetry & 4 else patch, symmetry & 3)
            part.append(patch.transpose(2, 0, 1))
    return tuple(np.stack(part) for part in batch)
