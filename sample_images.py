"""Guide 4.1 without Set5: copy five photographs from scikit-image.

    python3 sample_images.py ./sample_images

They are free to use, and part of the packages in requirements.txt.
"""

from __future__ import annotations

import importlib.util
import os
import shutil

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, files

NAMES = ('astronaut.png', 'chelsea.png', 'coffee.png', 'motorcycle_left.png', 'rocket.jpg')


def sample_paths() -> list[str]:
    """Return the paths of the photographs in the installed scikit-image.

    Raises:
        ModuleNotFoundError: scikit-image is not installed.
    """
    spec = importlib.util.find_spec('skimage')
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name='skimage')
    return [os.path.join(os.path.dirname(spec.origin), 'data', name) for name in NAMES]


def main(argv=None):
    args = parse_args(argv)
    for source in sample_paths():
        target = os.path.join(args.folder, os.path.basename(source))
        with files.atomic_file(target) as copy, open(source, 'rb') as original:
            shutil.copyfileobj(original, copy)
    cli.say(f'{cli.count(len(NAMES), "photograph")} in {args.folder}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('folder', help='folder to copy them to')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
