"""Guide 3.3: add the model's Transpose shapes to the toolkit's white list, so that atc plans a fast TransposeD.

    python3 patch_transpose_whitelist.py

patches the installed toolkit for the default network, [1, 64, 2, 2, 114, 114]. For other networks and
batch sizes the shapes can be read from the model:

    python3 patch_transpose_whitelist.py --onnx rdn_x2.onnx --batch-size 1 --dry-run

Nothing but the list `white_list_shape` is changed; the original is kept beside the file, and --revert
puts it back.
"""

import argparse
import difflib
import glob
import os
import platform
import shutil
import sys

from rdn import cli, files
from rdn.ascend import msprof, whitelist

LARGEST = 1 << 24  # bytes of a source
DEFAULT_SHAPE = [1, 64, 2, 2, 114, 114]
TOOLKITS = ('/usr/local/Ascend/ascend-toolkit', '~/Ascend/ascend-toolkit')
KERNELS = 'op_impl/ai_core/tbe/impl/dynamic/transpose.py'
ARCHITECTURES = {'aarch64': ('aarch64-linux', 'arm64-linux')}
KEPT = '.rdn-original'  # ending of the original's name


def find_transpose_py():
    """The installed toolkit's transpose.py, its links resolved.

    Looks where ASCEND_TOOLKIT_HOME says, else in the default places; in a folder of several versions
    `latest` comes before the numbered ones. Raises ValueError where none is found, or several.
    """
    named = os.environ.get('ASCEND_TOOLKIT_HOME')
    homes = [named] if named else [os.path.expanduser(home) for home in TOOLKITS]
    found = sorted({path for home in homes for path in _in_home(home)})
    if not found:
        raise ValueError('no transpose.py below %s: name the file with --transpose-py' % ' or '.join(homes))
    if len(found) > 1:
        raise ValueError('more than one toolkit: choose with --transpose-py: ' + ' '.join(found))
    return found[0]


def _in_home(home):
    latest = _in_version(home) | _in_version(os.path.join(home, 'latest'))
    if latest:
        return latest
    return set().union(*[_in_version(path) for path in glob.glob(os.path.join(glob.escape(home), '[0-9]*'))])


def _in_version(folder):
    """The two layouts: CANN 5's `{arch}-linux/opp/op_impl/built-in/...`, later `opp/built-in/op_impl/...`."""
    machine = platform.machine()
    architectures = ARCHITECTURES.get(machine, (machine + '-linux',))
    layouts = [arch + '/opp/' + KERNELS.replace('op_impl/', 'op_impl/built-in/', 1) for arch in architectures]
    layouts += ['opp/built-in/' + KERNELS]
    return {
        os.path.realpath(os.path.join(folder, layout))
        for layout in layouts
        if os.path.isfile(os.path.join(folder, layout))
    }


def transpose_shapes(path, batch_size):
    """Input shapes of the Transpose nodes of an ONNX model, for `batch_size` images, without repeats.

    They stand in the Reshape before each: N is free there, the rest is fixed. Raises ValueError, with
    the file's name, for what is no ONNX model, has no Transpose, or one whose shape is not said so.
    """
    import onnx.numpy_helper  # a second that only this flag costs

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except OSError:
        raise
    except Exception as error:  # protobuf's own kinds
        raise ValueError('%s: not an ONNX model: %s' % (path, error))
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants.update((node.output[0], node.attribute[0].t) for node in graph.node if node.op_type == 'Constant')
    shapes = []
    for node in graph.node:
        if node.op_type != 'Transpose':
            continue
        reshape = producers.get(node.input[0])
        if reshape is None or reshape.op_type != 'Reshape' or reshape.input[1] not in constants:
            raise ValueError('%s: the shape of %s is not fixed: give it with --shape' % (path, node.input[0]))
        first, *rest = onnx.numpy_helper.to_array(constants[reshape.input[1]]).tolist()
        if first not in (-1, 0, batch_size) or min(rest) < 1:
            raise ValueError(
                '%s: the shape of %s is %s, not one of %d images: give it with --shape'
                % (path, node.input[0], [first] + rest, batch_size)
            )
        if [batch_size] + rest not in shapes:
            shapes.append([batch_size] + rest)
    if not shapes:
        raise ValueError('%s: no Transpose in it, so no shape to add' % path)
    return shapes


def read(path):
    files.check_size(path, LARGEST)
    with open(path, 'rb') as file:
        return file.read()


def install(path, source):
    """Put `source` in place of the file, in one step, with its mode and owner."""
    with files.replacing(path) as file:
        file.write(source)
        keep_owner(path, file.name)
        shutil.copymode(path, file.name)


def keep_owner(path, copy):
    """Give the copy the owner of the file. Raises PermissionError, naming the file, where that is refused."""
    status, own = os.stat(path), os.stat(copy)
    if (status.st_uid, status.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.chown(copy, status.st_uid, status.st_gid)
        except PermissionError:
            raise PermissionError(1, 'is of another owner, who would change: run this as its owner or root', path)


def keep_original(path, source):
    """Keep the original once, as it is, beside the file.

    Raises ValueError where a kept one is that of another version of the file, of before an update.
    """
    kept = path + KEPT
    if os.path.exists(kept):
        if not whitelist.is_patched(source, read(kept)):
            raise ValueError(
                '%s is not the original of %s, which another program has changed since: move it away' % (kept, path)
            )
        return
    with files.replacing_path(kept) as partial:
        shutil.copy2(path, partial)
        keep_owner(path, partial)


def revert(path, dry_run):
    """Put the kept original back, byte for byte. Raises ValueError where there is none, or not this file's."""
    kept = path + KEPT
    if not os.path.exists(kept):
        raise ValueError('%s: no original kept beside it (%s): nothing to revert' % (path, kept))
    patched, original = read(path), read(kept)
    if not whitelist.is_patched(patched, original):
        raise ValueError(
            '%s: changed by another program since it was patched: not reverted; '
            'its former original is %s' % (path, kept)
        )
    if dry_run:
        print_diff(path, patched, original)
        return
    os.replace(kept, path)
    print('%s: the original is back' % path)


def print_diff(path, old, new):
    """The change of a source (bytes) as a unified diff."""
    old, new = ([line + '\n' for line in whitelist.decode(source).splitlines()] for source in (old, new))
    sys.stdout.writelines(difflib.unified_diff(old, new, path, path + ' (new)'))


def patch(path, shapes, dry_run):
    """Add the shapes that are not yet in the white list of the file."""
    source = read(path)
    present = whitelist.shapes_of(source)
    for shape in shapes:
        if shape in present:
            print('%s: %s is in white_list_shape already' % (path, shape))
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
        print('%s: %s added to white_list_shape' % (path, shape))
    print('the original is kept as %s; convert the model again with atc' % (path + KEPT))


def wanted_shapes(args):
    """The shapes that the flags ask for. Raises ValueError, with the file's name, where the file named has none."""
    if args.onnx:
        return transpose_shapes(args.onnx, args.batch_size)
    if args.profile:
        shapes = msprof.slow_transposes(msprof.read_tasks(args.profile))
        if not shapes:
            raise ValueError(
                '%s: no TransposeD with known shapes that takes %g %% of the time or more: nothing to add'
                % (args.profile, msprof.WORTHWHILE)
            )
        return shapes
    return args.shape or [DEFAULT_SHAPE]


def main(argv=None):
    args = parse_args(argv)
    path = os.path.realpath(args.transpose_py) if args.transpose_py else find_transpose_py()
    try:
        if args.revert:
            revert(path, args.dry_run)
        else:
            patch(path, wanted_shapes(args), args.dry_run)
    except whitelist.WhiteListError as error:
        raise ValueError('%s: %s' % (path, error))


def parse_args(argv):
    def shape(text):
        numbers = [int(number) for number in text.strip('[]').split(',')]
        if min(numbers) < 1:
            raise argparse.ArgumentTypeError('%s: dimensions are whole numbers from 1 on' % text)
        return numbers

    parser = cli.Parser(__doc__)
    parser.add_argument('--transpose-py', metavar='FILE', help="the toolkit's transpose.py; default: found")
    parser.add_argument(
        '--shape',
        type=shape,
        action='append',
        metavar='1,64,2,2,114,114',
        help='shape to add, may be repeated; default: %s' % DEFAULT_SHAPE,
    )
    parser.add_argument('--onnx', metavar='FILE', help="read the shapes from this model's Transpose nodes")
    parser.add_argument('--batch-size', type=cli.positive, default=1, help='with --onnx: of the offline model')
    parser.add_argument('--profile', metavar='FILE', help="take the slow ones' shapes from msprof's op_summary_*.csv")
    parser.add_argument('--dry-run', action='store_true', help='print the change as a diff, and change nothing')
    parser.add_argument('--revert', action='store_true', help='put the kept original back')
    args = parser.parse_args(argv)
    if bool(args.shape) + bool(args.onnx) + bool(args.profile) + args.revert > 1:
        parser.error('give one of --shape, --onnx, --profile, --revert')
    return args


if __name__ == '__main__':
    cli.run(main)
