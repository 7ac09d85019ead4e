"""Guide 4.1 where no Set5 is at hand: copy five photographs that scikit-image ships.

    python3 sample_images.py ./sample_images

They are free to use, and on every machine that has requirements.txt installed.
"""

import importlib.util
import os
import shutil

from rdn import cli, files

NAMES = ('astronaut.png', 'chelsea.png', 'coffee.png', 'motorcycle_left.png', 'rocket.jpg')


def sample_paths():
    """Paths of the photographs in the installed scikit-image. Raises FileNotFoundError without it."""
    spec = importlib.util.find_spec('skimage')
    if spec is None or spec.origin is None:
        raise FileNotFoundError('scikit-image is not installed: pip install scikit-image')
    return [os.path.join(os.path.dirname(spec.origin), 'data', name) for name in NAMES]


def main(argv=None):
    parser = cli.Parser(__doc__)
    parser.add_argument('folder', help='where to copy them')
    args = parser.parse_args(argv)
    for source in sample_paths():
        with files.replacing(os.path.join(args.folder, os.path.basename(source))) as target, open(source, 'rb') as file:
            shutil.copyfileobj(file, target)
    print('%d photographs in %s' % (len(NAMES), args.folder))


if __name__ == '__main__':
    cli.run(main)
