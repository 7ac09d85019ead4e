"""Break the scripts in the middle and look at what is left: not part of the suite, it takes half an hour.

    python3 -m tools.faults
    python3 -m tools.faults --only RDN_infer.py --kills 5

Each script is run over the results of an earlier run, and killed (SIGKILL): before each call that changes a name in the file
system, and at random moments; its disk is filled (a small tmpfs, as root), its folders lose their write permission, its memory
is limited. Afterwards each result has to be the old one or the new one, the toolkit's file one of its two states; a rerun
has to succeed, give the new results, and leave nothing else behind.
"""

import collections
import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from rdn import cli

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# A script's command in its folder, and the results that may be old or new. Those in `times` differ from run to run.
Case = collections.namedtuple('Case', 'name command results times')
WIDTHS = [-38, 9, 8, 10, 12, 8]
CHANGES = 'rename replace remove unlink rmdir mkdir link symlink truncate chmod chown fsync'.split()
TOOLKIT = """def _by_dynamic_static_union_version(shape):
    white_list_shape = [
        [2, 512],
        [1024, 91]
    ]
    return shape in white_list_shape
"""

CASES = [
    Case('RDN_pth2onnx.py', ['--input-file=tiny.pth', '--output-file=rdn_x2.onnx'], ['rdn_x2.onnx'], []),
    Case(
        'RDN_preprocess.py',
        ['--src-path=images', '--save-path=prep'],
        ['prep/data', 'prep/label', 'prep/manifest.json'],
        [],
    ),
    Case('gen_dataset_info.py', ['bin', 'prep/data', 'a.info', '114', '114'], ['a.info'], []),
    Case(
        'RDN_infer.py',
        ['-om_path=rdn_x2.onnx', '-batch_size=1', '-input_text_path=a.info', '-profiling=prof'],
        ['result/dumpOutput_device0', 'result/perf_vision_batchsize_1_device_0.txt', 'prof'],
        ['result/perf_vision_batchsize_1_device_0.txt', 'prof'],
    ),
    Case(
        'RDN_postprocess.py',
        '--pred-path=result/dumpOutput_device0 --label-path=prep/label --result-path=result.json --allow-mismatch '
        '--save-images=pictures --report=page'.split(),
        ['result.json', 'page/index.html'],
        [],
    ),
    Case('RDN_upscale.py', '--input images --output large --model rdn_x2.onnx --overwrite'.split(), ['large'], []),
    Case('patch_transpose_whitelist.py', ['--transpose-py=transpose.py'], ['transpose.py'], []),
    Case('patch_transpose_whitelist.py', ['--transpose-py=transpose.py', '--revert'], ['transpose.py'], []),
    Case('sample_images.py', ['samples'], ['samples'], []),
    Case(
        'RDN_train.py',
        '--train-path images --steps 4 --resume --output-file trained.pth --num-blocks 1 --num-layers 1 --num-features 8 '
        '--growth-rate 8 --patch 16 --batch-size 2'.split(),
        ['trained.pth'],
        [],
    ),
]


def run(case, folder, wrapper=(), **kwargs):
    """The case's command in a folder; wrapper: arguments between Python and the script."""
    command = [sys.executable] + list(wrapper) + [os.path.join(ROOT, case.name)] + case.command
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=ROOT),
        **kwargs,
    )


def finish(process, wanted=0):
    """Wait for a process; raises ValueError with what it said unless it ended as wanted (None: either way)."""
    _, error = process.communicate(timeout=300)
    if wanted is not None and process.returncode != wanted:
        raise ValueError(f'{process.args[-1]} ended with {process.returncode}: {error.decode(errors="replace")[-500:]}')
    return process.returncode


def states(folder, paths):
    """Path -> content (None where there is nothing) of files, and of all finished files below folders."""
    found = {}
    for path in paths:
        place = os.path.join(folder, path)
        if not os.path.isdir(place):
            found[path] = read(place)
        for parent, _, names in os.walk(place):
            for name in names:
                if '.partial' not in name:
                    found[os.path.relpath(os.path.join(parent, name), folder)] = read(os.path.join(parent, name))
    return found


def read(path):
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as file:
        return file.read()


def leftovers(folder):
    """Names of unfinished files and folders below a folder."""
    return sorted(name for _, folders, names in os.walk(folder) for name in folders + names if '.partial' in name)


def check(case, folder, old, new):
    """Raises ValueError unless each result is old or new and whole; a folder's files all of one of the two."""
    now = states(folder, case.results)
    for path in case.results:
        inside = [name for name in set(old) | set(new) | set(now) if name == path or name.startswith(path + '/')]
        if path in case.times:
            broken = [name for name in inside if now.get(name) is not None and not now[name].endswith(b'\n')]
        elif case.name == 'RDN_upscale.py':  # picture by picture
            broken = [name for name in inside if now.get(name) not in (old.get(name), new.get(name))]
        else:
            whole = any(all(now.get(name) == state.get(name) for name in inside) for state in (old, new))
            broken = [] if whole else inside
        if broken:
            raise ValueError(f'{case.name}: neither old nor new: {", ".join(sorted(broken)[:5])}')


def check_rerun(case, folder, new):
    """Raises ValueError unless the same command now succeeds, with the new results and nothing beside them."""
    reverted = case.command[-1] == '--revert' and states(folder, case.results) == new  # before the kill: nothing to do
    finish(run(case, folder), None if reverted else 0)
    now = states(folder, case.results)
    for name in set(new) | set(now):
        if now.get(name) != new.get(name) and not any(name.startswith(path) for path in case.times):
            raise ValueError(f'{case.name}: after a rerun {name} is not the new one')
    if leftovers(folder):
        raise ValueError(f'{case.name}: a rerun left {leftovers(folder)}')


class Bench:
    """A case with a folder in its old state to copy, and its new state."""

    def __init__(self, case, folder):
        self.case, self.base = case, folder
        self.old = states(folder, case.results)
        with self.copy() as copy:
            start = time.time()
            finish(run(case, copy))
            self.seconds = time.time() - start
            self.new = states(copy, case.results)

    @contextlib.contextmanager
    def copy(self, parent=None):
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            copy = os.path.join(folder, 'work')
            shutil.copytree(self.base, copy, symlinks=True)
            yield copy

    def judge(self, folder):
        check(self.case, folder, self.old, self.new)
        check_rerun(self.case, folder, self.new)


def kills_at_changes(bench, most):
    """SIGKILL before each change of a name in the file system, `most` of them; returns how many."""
    with bench.copy() as folder:
        counted = os.path.join(folder, 'count')
        finish(run(bench.case, folder, [__file__, 'inner', '0', counted]))
        total = int(read(counted))
    moments = list(range(1, total + 1))
    if len(moments) > most:
        moments = sorted(random.sample(moments, most))
    for moment in moments:
        with bench.copy() as folder:
            finish(run(bench.case, folder, [__file__, 'inner', str(moment), 'count']), -signal.SIGKILL)
            bench.judge(folder)
    return len(moments)


def kills_at_random(bench, count):
    """SIGKILL at random moments of a run's second two thirds; the first one is imports. Returns how many."""
    for _ in range(count):
        with bench.copy() as folder:
            process = run(bench.case, folder)
            time.sleep(bench.seconds * random.uniform(0.3, 1.0))
            process.kill()
            finish(process, None)
            bench.judge(folder)
    return count


def full_disks(bench, count):
    """A file system with less room than the results need. Returns how many; 0 where none can be mounted."""
    for number in range(count):
        with tempfile.TemporaryDirectory() as place:
            size = folder_size(bench.base)
            need = sum(len(content or b'') for content in bench.new.values())
            room = size + int(need * random.uniform(0, 1.2)) + (64 << 10)
            if subprocess.call(
                ['mount', '-t', 'tmpfs', '-o', f'size={room}', 'tmpfs', place], stderr=subprocess.DEVNULL
            ):
                return number
            try:
                with bench.copy(place) as folder:
                    finish(run(bench.case, folder), None)
                    subprocess.check_call(['mount', '-o', 'remount,size=1g', place])
                    bench.judge(folder)
            finally:
                subprocess.call(['umount', '-l', place])
    return count


def folder_size(folder):
    return sum(
        4096 + os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(folder) for name in names
    )


def lost_permissions(bench, count):
    """All folders become read-only in the middle, which also binds this root. Returns how many."""
    for _ in range(count):
        with bench.copy() as folder:
            process = run(bench.case, folder, preexec_fn=drop_override)
            time.sleep(bench.seconds * random.uniform(0.3, 1.0))
            set_modes(folder, 0o555)
            finish(process, None)
            set_modes(folder, 0o755)
            bench.judge(folder)
    return count


def drop_override():
    """Root without CAP_DAC_OVERRIDE: prctl(PR_CAPBSET_DROP, 1), in force from exec on."""
    ctypes.CDLL(None).prctl(24, 1)


def set_modes(folder, mode):
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(parent, mode)


def little_memory(bench, count):
    """Between 100 MB and 3 GB of addresses. Returns how many."""
    for _ in range(count):
        limit = int(random.uniform(0.1, 3) * 1e9)
        with bench.copy() as folder:
            process = run(bench.case, folder)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
            finish(process, None)
            bench.judge(folder)
    return count


def inner(moment, counted, script, *arguments):
    """In the process under test: run a script that kills itself before its change number `moment`; 0 counts them."""
    seen = [0]

    def watched(function):
        def call(*args, **kwargs):
            seen[0] += 1
            if seen[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    sys.argv = [script, *arguments]
    module = __import__(os.path.basename(script)[:-3])  # importing changes nothing that counts
    for name in CHANGES:
        setattr(os, name, watched(getattr(os, name)))
    try:
        cli.run(module.main)
    finally:
        if not moment:
            with open(counted, 'w') as file:
                file.write(str(seen[0]))


def write_sources(folder, version):
    """What the walk starts from, of one of two versions: weights, and pictures of other names and content."""
    from PIL import Image

    import models
    import sample_images

    models.torch.manual_seed(version)
    models.torch.save(models.RDN(2, 3, 8, 8, 1, 1).state_dict(), os.path.join(folder, 'tiny.pth'))
    shutil.rmtree(os.path.join(folder, 'images'), ignore_errors=True)
    os.mkdir(os.path.join(folder, 'images'))
    for index, path in enumerate(sample_images.sample_paths()):
        picture = Image.open(path).convert('RGB').crop((0, 0, 240, 240 + 2 * index + version))
        picture.save(os.path.join(folder, 'images', f'{index + version}.png'))


def main(argv=None):
    args = parse_args(argv)
    random.seed(args.seed)
    totals = collections.Counter()
    print(cli.format_row(['', 'changes', 'random', 'disk full', 'permissions', 'memory'], WIDTHS))
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, 'base')
        os.mkdir(base)
        with open(os.path.join(base, 'transpose.py'), 'w') as file:
            file.write(TOOLKIT)
        write_sources(base, 0)
        for case in CASES:
            if case.results != ['transpose.py']:
                finish(run(case, base))
        write_sources(base, 1)  # so each step has old results, and makes others
        for case in CASES:
            if args.only in (None, case.name):
                bench = Bench(case, base)
                counts = [
                    kills_at_changes(bench, args.changes),
                    kills_at_random(bench, args.kills),
                    full_disks(bench, args.others),
                    lost_permissions(bench, args.others),
                    little_memory(bench, args.others),
                ]
                totals.update(dict(enumerate(counts)))
                name = case.name + (' --revert' if case.command[-1] == '--revert' else '')
                print(cli.format_row([name, *map(str, counts)], WIDTHS), flush=True)
            finish(run(case, base))
    print(cli.format_row(['all, none with a loss', *(str(totals[i]) for i in range(5))], WIDTHS))


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--only', choices=sorted({case.name for case in CASES}), help='this script alone')
    parser.add_argument('--changes', type=int, default=20, help='kills at changes of names, a script at most')
    parser.add_argument('--kills', type=int, default=20, help='kills at random moments, a script')
    parser.add_argument(
        '--others', type=int, default=5, help='full disks, lost permissions and little memory, a script'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args(argv)


if __name__ == '__main__':
    if sys.argv[1:2] == ['inner']:
        inner(int(sys.argv[2]), *sys.argv[3:])
    else:
        cli.run(main)
