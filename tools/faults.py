"""Interrupt scripts in the middle, and check the files that they leave. Not part of the suite: it takes half an hour.

    python3 -m tools.faults
    python3 -m tools.faults --only RDN_infer.py --kills 5

Each script runs in a folder with the results of an earlier run. It is attacked in these ways:

- SIGKILL before each call that changes a name in the file system, and at random moments
- SIGINT, SIGTERM and SIGHUP at random moments
- a full disk (a small tmpfs, only as root), a limit on file sizes, too little memory
- folders that lose their write permission
- a second run in the same folder
- a wall clock that jumps

After an attack each result has to be the old one or the new one. Then the same command has to succeed, write the new
results, and leave no unfinished files.
"""

import collections
import contextlib
import ctypes
import functools
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli

from tools import fault_attacks, fault_fork
from tools.fault_cases import (
    CASES,
    TOOLKIT,
    check,
    check_rerun,
    copy_project,
    finish,
    module_of,
    read,
    run,
    states,
    write_sources,
)

GUIDE = 5  # the first five cases follow the guide; the others start from their results
CHANGES = 'rename replace remove unlink rmdir mkdir link symlink truncate chmod chown fsync'.split()


class Bench:
    """A case to attack: a folder in its old state, which each attack copies, and the results of an undisturbed run.

    Args:
        case: the case.
        folder: the folder, with the results of an earlier run.

    Attributes:
        case: the case.
        base: the folder.
        old: the contents of the results before a run, by their paths.
        new: the contents after an undisturbed run.
        seconds: the time that this run took.
    """

    def __init__(self, case, folder):
        self.case, self.base = case, folder
        self.old = states(folder, case.results)
        with self.copy() as copy:
            start = time.monotonic()
            finish(run(case, copy))
            self.seconds = time.monotonic() - start
            self.new = states(copy, case.results)

    @contextlib.contextmanager
    def copy(self, parent=None):
        """Yield a copy of the folder, in `parent` or else where temporary files are."""
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            copy = os.path.join(folder, 'work')
            shutil.copytree(self.base, copy, symlinks=True)
            yield copy

    def judge(self, folder):
        """Raise ValueError if a result in a folder is neither old nor new, or if a rerun there fails."""
        check(self.case, folder, self.old, self.new)
        check_rerun(self.case, folder, self.new)


def kills_at_changes(bench, most):
    """Kill the script before its changes of names in the file system, at `most` of them.

    Returns:
        The number of attacks; 0 for shell scripts, whose changes are not watched.
    """
    if bench.case.name.endswith('.sh'):
        return 0
    with bench.copy() as folder:
        counted = os.path.join(folder, 'count')
        finish(run(bench.case, folder, lambda: watch_changes(0, counted)))
        total = int(read(counted) or 0)
    moments = list(range(1, total + 1))
    if len(moments) > most:
        moments = sorted(random.sample(moments, most))
    for moment in moments:
        with bench.copy() as folder:
            finish(run(bench.case, folder, functools.partial(watch_changes, moment, 'count')), -signal.SIGKILL)
            bench.judge(folder)
    return len(moments)


def kills_at_random(bench, count):
    """Kill the script at random moments.

    Returns:
        The number of attacks.
    """
    for _ in range(count):
        with bench.copy() as folder:
            process = run(bench.case, folder)
            time.sleep(bench.seconds * random.uniform(0.0, 1.0))
            process.kill()
            finish(process, None)
            bench.judge(folder)
    return count


def full_disks(bench, count):
    """Run the script on a small file system, which has too little space for the results in most runs.

    Returns:
        The number of attacks; 0 if no file system can be mounted.
    """
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
    """Return the size of a folder's files in bytes, with 4,096 bytes more for each, as a file system may need."""
    return sum(
        4096 + os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(folder) for name in names
    )


def lost_permissions(bench, count):
    """Make all folders read-only during the run; without CAP_DAC_OVERRIDE this holds even for root.

    Returns:
        The number of attacks.
    """
    for _ in range(count):
        with bench.copy() as folder:
            process = run(bench.case, folder, drop_override)
            time.sleep(bench.seconds * random.uniform(0.0, 1.0))
            set_modes(folder, 0o555)
            finish(process, None)
            set_modes(folder, 0o755)
            bench.judge(folder)
    return count


def drop_override():
    """Take CAP_DAC_OVERRIDE away from root, by prctl(PR_CAPBSET_DROP, 1); it is gone from the next exec on."""
    ctypes.CDLL(None).prctl(24, 1)


def set_modes(folder, mode):
    """Set the mode of a folder and of all folders below it."""
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(parent, mode)


def little_memory(bench, count):
    """Limit the script's address space to a random size between 100 MB and 3 GB.

    Returns:
        The number of attacks.
    """
    for _ in range(count):
        limit = int(random.uniform(0.1, 3) * 1e9)
        with bench.copy() as folder:
            process = run(bench.case, folder)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, limit))
            finish(process, None)
            bench.judge(folder)
    return count


def watch_changes(moment, counted):
    """Watch this process's changes of names in the file system: kill it before change number `moment`.

    Args:
        moment: a number from 1 on; 0 to only count.
        counted: the file for the number of changes up to now.
    """
    seen = [0]

    def watched(function):
        def call(*args, **kwargs):
            seen[0] += 1
            if seen[0] == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            with open(counted, 'w') as file:
                file.write(str(seen[0]))
            return function(*args, **kwargs)

        return call

    for name in CHANGES:
        setattr(os, name, watched(getattr(os, name)))


ATTACKS = {  # the table's column: (function, flag with the number of attacks)
    'changes': (kills_at_changes, 'changes'),
    'random': (kills_at_random, 'kills'),
    'disk full': (full_disks, 'others'),
    'permissions': (lost_permissions, 'others'),
    'memory': (little_memory, 'others'),
    'signals': (fault_attacks.signals, 'kills'),
    'file limit': (fault_attacks.file_limits, 'others'),
    'two at once': (fault_attacks.pairs, 'others'),
    'clock': (fault_attacks.clocks, 'others'),
}


def main(argv=None):
    args = parse_args(argv)
    random.seed(args.seed)
    fault_fork.load(module_of(case) for case in CASES if case.name.endswith('.py'))
    chosen = {name: ATTACKS[name] for name in args.attacks or ATTACKS}
    widths = [-38] + [max(8, len(name)) for name in chosen]
    totals = collections.Counter()
    print(cli.format_row(['', *chosen], widths))
    with tempfile.TemporaryDirectory() as folder:
        base = os.path.join(folder, 'base')
        os.mkdir(base)
        with open(os.path.join(base, 'transpose.py'), 'w') as file:
            file.write(TOOLKIT)
        write_sources(base, 0)
        copy_project(base)
        for case in CASES:
            if case.results != ['transpose.py'] and needs(args.only, case):
                finish(run(case, base))
        write_sources(base, 1)  # so that each case has old results and makes different new ones
        for case in CASES:
            if args.only in (None, case.title):
                bench = Bench(case, base)
                counts = {}
                for name, (attack, flag) in chosen.items():
                    counts[name] = attack(bench, getattr(args, flag))
                totals.update(counts)
                print(cli.format_row([case.title, *map(str, counts.values())], widths), flush=True)
            if needs(args.only, case):
                finish(run(case, base))
    print(cli.format_row(['all, without a loss', *(str(totals[name]) for name in chosen)], widths))


def needs(only, case):
    """Return whether to make a case's results: every case's, or with `only` that case's and the guide's."""
    return only in (None, case.title) or case in CASES[:GUIDE]


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument('--only', choices=sorted({case.title for case in CASES}), help='only this script')
    parser.add_argument('--changes', type=int, default=20, help='most kills at changes of names per script')
    parser.add_argument('--kills', type=int, default=20, help='kills at random moments per script, and as many signals')
    parser.add_argument('--others', type=int, default=5, help='attacks of each other kind per script')
    parser.add_argument('--attacks', nargs='+', choices=ATTACKS, help='only these kinds')
    parser.add_argument('--seed', type=int, default=0, help='of the random moments and sizes')
    return parser.parse_args(argv)


if __name__ == '__main__':
    cli.run(main)
