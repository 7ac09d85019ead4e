"""Guide 3.3: add the model's Transpose shapes to the toolkit's white list, so that atc uses the fast TransposeD.

    python3 patch_transpose_whitelist.py

This patches the installed toolkit for the default network, whose shape is [1, 64, 2, 2, 114, 114]. For other networks
and batch sizes, read the shapes from the model:

    python3 patch_transpose_whitelist.py --onnx rdn_x2.onnx --batch-size 1 --dry-run

The script changes only the list `white_list_shape`. It keeps the original next to the file, and --revert restores it.
Toolkits from about CANN 5.1 on accept any shape. There the script says so and changes nothing.
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
KEPT_ENDING = '.rdn-original'  # added to the name of the original
NOT_NEEDED = (
    'not needed with this toolkit: its check_supported ends in `return True`, so the fast operator accepts any shape '
    'that is not on its black list (read in its source, not measured); --force adds the shape anyway'
)


def read_source(path: str) -> bytes:
    """Return the content of a source file of at most MAX_SOURCE_BYTES."""
    files.check_plain(path, MAX_SOURCE_BYTES)
    with open(path, 'rb') as file:
        return file.read()


def install(path: str, source: bytes) -> None:
    """Replace the content of a file atomically; its mode and owner stay the same."""
    with files.atomic_path(path) as partial:
        with open(partial, 'wb') as file:
            file.write(source)
            file.flush()
            os.fsync(file.fileno())
        keep_owner(path, partial)
        shutil.copymode(path, partial)


def keep_owner(path: str, copy: str) -> None:
    """Give a copy the owner and group of a file.

    Raises:
        PermissionError: the user may not do that; with the file's name.
    """
    status, own = os.stat(path), os.stat(copy)
    if (status.st_uid, status.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.chown(copy, status.st_uid, status.st_gid)
        except PermissionError:
            message = 'belongs to another user, and patching would change that: run this as its owner or root'
            raise PermissionError(errno.EPERM, message, path)


def keep_original(path: str, source: bytes) -> None:
    """Keep a copy of the original next to the file, unless there is one already.

    Args:
        path: the file.
        source: its content, as it was read.

    Raises:
        ValueError: the kept original belongs to another version of the file, for example before an update.
    """
    kept = path + KEPT_ENDING
    if os.path.exists(kept):
        if not whitelist.is_patched(source, read_source(kept)):
            raise ValueError(
                f'{kept}: not the original of {path}, which another program has changed since: '
                'move it to another folder'
            )
        return
    with files.atomic_path(kept) as partial:
        with open(partial, 'wb') as file:
            file.write(source)  # the content that was read; the file may have changed since
        shutil.copystat(path, partial)
        keep_owner(path, partial)


def revert(path: str, dry_run: bool) -> None:
    """Restore the kept original, byte for byte.

    Args:
        path: the file.
        dry_run: only print the change.

    Raises:
        ValueError: there is no kept original, or the file was changed by another program after it was patched.
    """
    kept = path + KEPT_ENDING
    if not os.path.exists(kept):
        raise ValueError(f'{path}: its original {kept} is missing: nothing to revert')
    patched, original = read_source(path), read_source(kept)
    if not whitelist.is_patched(patched, original):
        raise ValueError(
            f'{path}: another program changed it after it was patched: not reverted; the earlier original is {kept}'
        )
    if dry_run:
        print_diff(path, patched, original)
        return
    os.replace(kept, path)
    cli.say(f'{path}: the original is restored')


def print_diff(path: str, old: bytes, new: bytes) -> None:
    """Print the change of a source as a unified diff."""
    before, after = ([f'{line}\n' for line in whitelist.decode(source).splitlines()] for source in (old, new))
    sys.stdout.writelines(difflib.unified_diff(before, after, path, f'{path} (new)'))


def patch(path: str, shapes: list[list[int]], dry_run: bool, forced: bool, profiled: bool) -> None:
    """Add the shapes that are missing in a file's white list. If the toolkit accepts any shape, add nothing.

    Args:
        path: the file.
        shapes: the shapes.
        dry_run: only print the change.
        forced: add the shapes even if the toolkit accepts any shape.
        profiled: whether the shapes come from the slow transposes of a profile.
    """
    source = read_source(path)
    if not forced and whitelist.takes_any_shape(source):
        cli.say(f'{path}: {NOT_NEEDED}')
        if profiled:
            print('The profile has slow transposes anyway: export without them, RDN_pth2onnx.py --upsample=deconv')
        return
    present = whitelist.shapes_of(source)
    for shape in shapes:
        if shape in present:
            cli.say(f'{path}: {shape} is already in white_list_shape')
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
    """Return the shapes of the slow transposes in op_summary files of a profile.

    Raises:
        ValueError: there are no slow transposes; with the files' names.
    """
    shapes = msprof.slow_transposes(msprof.read_tasks(*paths))
    if not shapes:
        raise ValueError(
            f'{" and ".join(paths)}: no slow TransposeD with known shapes takes {msprof.WORTHWHILE_PERCENT:g} % of the '
            'time or more: nothing to add'
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
                f'{text[:40]}: dimensions must be whole numbers of at least 1, as in 1,64,2,2,114,114'
            )
        return [int(part) for part in parts]

    parser = cli.Parser(__doc__)
    parser.add_argument('--transpose-py', metavar='FILE', help="the toolkit's transpose.py; default: searched for")
    parser.add_argument(
        '--shape',
        type=shape,
        action='append',
        metavar='1,64,2,2,114,114',
        help=f'shape to add; can be repeated; default: {DEFAULT_SHAPE}',
    )
    parser.add_argument('--onnx', metavar='FILE', help="read the shapes from this model's Transpose nodes")
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='batch size of the offline model; default 1')
    parser.add_argument(
        '--profile', nargs='+', metavar='FILE', help="read the shapes of slow transposes from msprof's op_summary_*.csv"
    )
    parser.add_argument('--force', action='store_true', help='add the shape even if the toolkit accepts any shape')
    parser.add_argument('--dry-run', action='store_true', help='print the change as a diff, but do not make it')
    parser.add_argument('--revert', action='store_true', help='restore the original')
    args = parser.parse_args(argv)
    if bool(args.shape) + bool(args.onnx) + bool(args.profile) + args.revert > 1:
        parser.error('give one of --shape, --onnx, --profile, --revert')
    return args


if __name__ == '__main__':
    cli.run(main)
