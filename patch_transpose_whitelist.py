"""Guide 3.3: add the model's Transpose shapes to the toolkit's white list, so that atc plans a fast TransposeD.

    python3 patch_transpose_whitelist.py

patches the installed toolkit for the default network, [1, 64, 2, 2, 114, 114]. For other networks and
batch sizes the shapes can be read from the model:

    python3 patch_transpose_whitelist.py --onnx rdn_x2.onnx --batch-size 1 --dry-run

Nothing but the list `white_list_shape` is changed; the original is kept beside the file, and --revert
puts it back. Toolkits from about CANN 5.1 on take any shape: there it says so and changes nothing.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import os
import shutil
import sys

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, files
from rdn.network import onnx_graph
from rdn.profiling import msprof, transpose_source, whitelist

MAX_SOURCE_BYTES = 1 << 24
DEFAULT_SHAPE = [1, 64, 2, 2, 114, 114]
KEPT_ENDING = '.rdn-original'  # of the original's name
NOT_NEEDED = (
    'not needed with this toolkit: its check_supported ends in `return True`, so that any shape but those on its black '
    'list gets the fast operator (read in its source, not measured); --force adds the shape all the same'
)


def read_source(path: str) -> bytes:
    files.check_plain(path, MAX_SOURCE_BYTES)
    with open(path, 'rb') as file:
        return file.read()


def install(path: str, source: bytes) -> None:
    """Put `source` in place of the file, in one step, with its mode and owner."""
    with files.atomic_path(path) as partial:
        with open(partial, 'wb') as file:
            file.write(source)
            file.flush()
            os.fsync(file.fileno())
        keep_owner(path, partial)
        shutil.copymode(path, partial)


def keep_owner(path: str, copy: str) -> None:
    """Give the copy the owner of the file. Raises PermissionError, naming the file, where that is refused."""
    status, own = os.stat(path), os.stat(copy)
    if (status.st_uid, status.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.chown(copy, status.st_uid, status.st_gid)
        except PermissionError:
            message = 'is of another owner, who would change: run this as its owner or root'
            raise PermissionError(errno.EPERM, message, path)


def keep_original(path: str, source: bytes) -> None:
    """Keep the original once, as it is, beside the file.

    Raises ValueError where a kept one is that of another version of the file, of before an update.
    """
    kept = path + KEPT_ENDING
    if os.path.exists(kept):
        if not whitelist.is_patched(source, read_source(kept)):
            raise ValueError(
                f'{kept} is not the original of {path}, which another program has changed since: move it away'
            )
        return
    with files.atomic_path(kept) as partial:
        with open(partial, 'wb') as file:
            file.write(source)  # what was read, whatever stands there by now
        shutil.copystat(path, partial)
        keep_owner(path, partial)


def revert(path: str, dry_run: bool) -> None:
    """Put the kept original back, byte for byte. Raises ValueError where there is none, or not this file's."""
    kept = path + KEPT_ENDING
    if not os.path.exists(kept):
        raise ValueError(f'{path}: no original kept beside it ({kept}): nothing to revert')
    patched, original = read_source(path), read_source(kept)
    if not whitelist.is_patched(patched, original):
        raise ValueError(
            f'{path}: changed by another program since it was patched: not reverted; its former original is {kept}'
        )
    if dry_run:
        print_diff(path, patched, original)
        return
    os.replace(kept, path)
    cli.say(f'{path}: the original is back')


def print_diff(path: str, old: bytes, new: bytes) -> None:
    """The change of a source as a unified diff."""
    before, after = ([f'{line}\n' for line in whitelist.decode(source).splitlines()] for source in (old, new))
    sys.stdout.writelines(difflib.unified_diff(before, after, path, f'{path} (new)'))


def patch(path: str, shapes: list[list[int]], dry_run: bool, forced: bool, profiled: bool) -> None:
    """Add the shapes that are not yet in the white list of the file; none where the toolkit takes any shape.

    forced: add them nevertheless; profiled: they are of slow transposes.
    """
    source = read_source(path)
    if not forced and whitelist.takes_any_shape(source):
        cli.say(f'{path}: {NOT_NEEDED}')
        if profiled:
            print('Its transposes are slow all the same: export the model without, RDN_pth2onnx.py --upsample=deconv')
        return
    present = whitelist.shapes_of(source)
    for shape in shapes:
        if shape in present:
            cli.say(f'{path}: {shape} is in white_list_shape already')
    missing = [shape for shape in shapes if shape not in present]
    if not missing:
        return
    patched = whitelist.add_shapes(source, missing)
    if dry_run:
        print_diff(path, source, patched)
        return
    keep_original(path, source)
    install(path, patched)
    for shape in missing:
        cli.say(f'{path}: {shape} added to white_list_shape')
    cli.say(f'the original is kept as {path + KEPT_ENDING}; convert the model again with atc')


def profiled_shapes(paths: list[str]) -> list[list[int]]:
    """Shapes of the slow transposes in a profile's op_summary files. Raises ValueError, with their names, for none."""
    shapes = msprof.slow_transposes(msprof.read_tasks(*paths))
    if not shapes:
        raise ValueError(
            f'{" and ".join(paths)}: no slow TransposeD with known shapes that takes {msprof.WORTHWHILE_PERCENT:g} % of the time or '
            'more: nothing to add'
        )
    return shapes


def main(argv=None):
    args = parse_args(argv)
    path = os.path.realpath(args.transpose_py) if args.transpose_py else transpose_source.find()
    shapes = args.shape or [[args.batch_size, *DEFAULT_SHAPE[1:]]]
    if args.onnx:
        shapes = onnx_graph.transpose_shapes(args.onnx, args.batch_size)
    if args.profile:
        shapes = profiled_shapes(args.profile)
    try:
        with files.locked(os.path.dirname(path)):
            for written in (path, path + KEPT_ENDING):
                files.clean_up(written)
            if args.revert:
                revert(path, args.dry_run)
            else:
                patch(path, shapes, args.dry_run, args.force, bool(args.profile))
    except whitelist.WhiteListError as error:
        raise ValueError(f'{path}: {error}')


def parse_args(argv):
    def shape(text):
        parts = [part.strip() for part in text.strip('[] ').split(',')]
        if not all(part.isdigit() and 0 < len(part) < 10 and int(part) for part in parts):
            raise argparse.ArgumentTypeError(
                f'{text[:40]}: dimensions are whole numbers from 1 on, as in 1,64,2,2,114,114'
            )
        return [int(part) for part in parts]

    parser = cli.Parser(__doc__)
    parser.add_argument('--transpose-py', metavar='FILE', help="the toolkit's transpose.py; default: found")
    parser.add_argument(
        '--shape',
        type=shape,
        action='append',
        metavar='1,64,2,2,114,114',
        help=f'shape to add, may be repeated; default: {DEFAULT_SHAPE}',
    )
    parser.add_argument('--onnx', metavar='FILE', help="read the shapes from this model's Transpose nodes")
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='of the offline model; default 1')
    parser.add_argument(
        '--profile', nargs='+', metavar='FILE', help="take the slow ones' shapes from msprof's op_summary_*.csv"
    )
    parser.add_argument('--force', action='store_true', help='add the shape where the toolkit takes any shape, too')
    parser.add_argument('--dry-run', action='store_true', help='print the change as a diff, and change nothing')
    parser.add_argument('--revert', action='store_true', help='put the kept original back')
    args = parser.parse_args(argv)
    if bool(args.shape) + bool(args.onnx) + bool(args.profile) + args.revert > 1:
        parser.error('give one of --shape, --onnx, --profile, --revert')
    return args


if __name__ == '__main__':
    cli.run(main)
