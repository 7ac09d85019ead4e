"""The files that the vendor's benchmark reads and writes, and ais_bench's outputs beside them.

Info file: `index path width height` a line. Outputs: `{stem}_1.txt|bin` from benchmark,
`{stem}_0.txt|bin|npy` from ais_bench, one an image. Performance file: throughput a stage.
"""

import collections
import os
import re
import threading

from rdn import files
from rdn.ascend.number_text import parse_text

import numpy as np

InfoLine = collections.namedtuple('InfoLine', 'path width height')
# numpy reads an .npy header with `ast`, which crashes Python 3.11 when two threads are in it.
ONE_AT_A_TIME = threading.Lock()
OUTPUT_NAME = re.compile(r'(?P<stem>.+)_(?P<index>[01])\.(?P<ending>txt|bin|npy)$', re.DOTALL)


INFO_LINE = re.compile(r'([0-9]{1,9}) (\S+) ([1-9][0-9]{0,5}) ([1-9][0-9]{0,5})\s*$')


def check_path(path):
    """Raises ValueError for a path with white space: benchmark splits its info file's lines there."""
    if path.split() != [path]:
        raise ValueError('%s: white space in a path, which benchmark cannot read: rename it' % path)


def write_info(lines, file):
    """Write InfoLines to a binary file, numbered from 0, in their order."""
    for index, (path, width, height) in enumerate(lines):
        check_path(path)
        file.write(('%d %s %d %d\n' % (index, path, width, height)).encode('utf-8', 'surrogateescape'))


def read_info(path):
    """The InfoLines of an info file. Raises ValueError, with file and line, for any other content."""
    files.check_size(path, 1 << 28)
    with open(path, encoding='utf-8', errors='surrogateescape') as file:
        lines = file.read().splitlines()
    infos = []
    for number, line in enumerate(lines, 1):
        match = INFO_LINE.match(line)
        if not match or int(match.group(1)) != number - 1:
            raise ValueError(
                '%s line %d: expected "%d path width height", found %r' % (path, number, number - 1, line[:80])
            )
        infos.append(InfoLine(match.group(2), int(match.group(3)), int(match.group(4))))
    if not infos:
        raise ValueError('%s: empty: gen_dataset_info.py writes it' % path)
    return infos


def check_binary(path, shape):
    """Raises ValueError, with the file's name, unless it has the size of float32 of `shape`."""
    size, wanted = os.path.getsize(path), 4 * int(np.prod(shape))
    if size != wanted:
        hint = ' (half of that: fp16? float32 is wanted)' if 2 * size == wanted else ''
        raise ValueError('%s: %d bytes%s, expected %d: float32 %s' % (path, size, hint, wanted, list(shape)))


def read_binary(path, shape):
    """A float32 binary file of just `shape`. Raises ValueError as check_binary does."""
    check_binary(path, shape)
    return np.fromfile(path, np.float32).reshape(shape)


def stem_of(path):
    """A file's name without folder and ending; the rest may hold dots and underscores."""
    return os.path.splitext(os.path.basename(path))[0]


def output_name(stem, binary):
    """The name under which benchmark dumps the output of `stem`."""
    return '%s_1.%s' % (stem, 'bin' if binary else 'txt')


def list_outputs(folder):
    """Sorted names of the dumped outputs in a folder; none where there is no such folder."""
    return sorted(filter(OUTPUT_NAME.match, os.listdir(folder))) if os.path.isdir(folder) else []


def find_outputs(folder, stems):
    """Stem -> path of its dumped output, for just these stems.

    ais_bench cuts an input's name at its first dot; such an output is taken where it can be of one
    stem only. Raises ValueError that names a stem without an output or with several, and an output
    that belongs to none (of an earlier run, say).
    """
    found = {stem: [] for stem in stems}
    cut = collections.defaultdict(list)
    for stem in stems:
        cut[stem.split('.')[0]].append(stem)
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, 'no such folder', folder)
    for name in list_outputs(folder):
        match = OUTPUT_NAME.match(name)
        stem = match.group('stem')
        owners = [stem] if stem in found else cut.get(stem, []) if match.group('index') == '0' else []
        path = os.path.join(folder, name)
        if not owners:
            raise ValueError('%s: no label of the name %s: remove it, or prepare its image' % (path, stem))
        if len(owners) > 1:
            raise ValueError('%s: may be of %s: rename these images' % (path, ' or of '.join(owners)))
        found[owners[0]].append(path)
    for stem, paths in found.items():
        if not paths:
            raise ValueError(
                '%s: no output for %s: expected %s or one of its kind' % (folder, stem, output_name(stem, False))
            )
        if len(paths) > 1:
            raise ValueError(
                '%s: %d outputs for %s (%s): keep one'
                % (folder, len(paths), stem, ', '.join(map(os.path.basename, paths)))
            )
    return {stem: paths[0] for stem, paths in found.items()}


def read_output(path, shape):
    """One dumped output as float32 of `shape`; text, float32 binary or npy, by its ending.

    Raises ValueError, with the file's name, for another number of values, other types, values that
    are not finite, or a file that is still being written.
    """
    ending, before = os.path.splitext(path)[1], _state(path)
    files.check_size(path, 4096 + 64 * int(np.prod(shape)))  # no notation takes more
    array = read_binary(path, shape) if ending == '.bin' else (read_npy if ending == '.npy' else _read_text)(path)
    if _state(path) != before:
        raise ValueError('%s: changed while it was read: wait until inference is done' % path)
    if array.size != np.prod(shape):
        raise ValueError('%s: %d values, expected %d: %s' % (path, array.size, np.prod(shape), list(shape)))
    if not np.isfinite(array).all():
        raise ValueError('%s: holds nan or inf: the device computed no picture' % path)
    return array.astype(np.float32).reshape(shape)


def _state(path):
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def read_npy(path):
    """A float array from an .npy file, in memory only once it is used: its header may promise anything.

    Raises ValueError, with the file's name, for anything else.
    """
    files.check_size(path, 1 << 36)
    try:
        with ONE_AT_A_TIME:
            array = np.load(path, mmap_mode='r', allow_pickle=False)
    except Exception as error:  # numpy's reader of headers raises many kinds
        raise ValueError('%s: not a whole .npy file: %s' % (path, error))
    if not isinstance(array, np.ndarray) or array.dtype.kind != 'f':
        raise ValueError('%s: no array of floating-point numbers' % path)
    return array


def _read_text(path):
    with open(path, 'rb') as file:
        text = file.read()
    try:
        return parse_text(text)
    except ValueError:
        raise ValueError('%s: holds something that is not a number' % path)


def format_performance(images, total, stages):
    """The text of benchmark's performance file. All times in seconds, over all images.

    stages: mapping of `data read`, `preprocess`, `infer`, `post` to its time.
    """
    lines = ['[e2e] throughputRate: %g, latency: %g' % (images / total, total * 1e3)]
    for stage, seconds in stages.items():
        rate = 'throughputRate: %g' % (images / seconds)
        if stage == 'infer':
            rate += ', Interface ' + rate
        lines.append('[%s] %s, moduleLatency: %g' % (stage, rate, seconds * 1e3 / images))
    return '\n'.join(lines) + '\n'


def format_pure_inference(images, seconds):
    """The text of benchmark's file for pure inference; latency is milliseconds an image."""
    return '[INFO] ave_throughputRate: %gsamples/s, ave_latency: %gms\n' % (images / seconds, seconds * 1e3 / images)
