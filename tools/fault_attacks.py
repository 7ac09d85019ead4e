"""For tools.faults: signals, limits on file sizes, two runs at once, clocks that jump.

An attack has two arguments: `bench`, a tools.faults.Bench, and `count`, how often to attack. It raises ValueError if a
script does not withstand it.
"""

from __future__ import annotations

import functools
import os
import random
import resource
import signal
import tempfile
import time

from tools import fault_cases

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
# One call of the wall clock in ten jumps to another time, up to a day earlier or later.
JUMPING = """
import random, time
_true, _shift = time.time, [0.0]
_random = random.Random({seed})
def _jumping():
    if _random.random() < 0.1:
        _shift[0] = _random.choice([-86400.0, -3600.0, -5.0, 0.0, 5.0, 3600.0, 86400.0])
    return _true() + _shift[0]
time.time = _jumping
time.time_ns = lambda: int(_jumping() * 1e9)
"""
IN_TQDM = 'import tqdm.std; tqdm.std.time = time.time'


def signals(bench, count):
    """Send SIGINT, SIGTERM and SIGHUP at random moments; check the status and that no unfinished file is left.

    Returns:
        The number of attacks.
    """
    for number in range(count):
        sent = [*SIGNALS][number % 3]
        with bench.copy() as folder:
            process = fault_cases.run(bench.case, folder, restore_signals)
            time.sleep(bench.seconds * random.uniform(0.0, 1.0))
            process.send_signal(sent)
            status = fault_cases.finish(process, None)
            if status not in (0, SIGNALS[sent], -sent):
                raise ValueError(f'{bench.case.name}: status {status} after {sent.name}')
            if status and fault_cases.leftovers(folder):
                raise ValueError(f'{bench.case.name}: {sent.name} left {fault_cases.leftovers(folder)}')
            bench.judge(folder)
    return count


def restore_signals():
    """Stop ignoring signals, in a new process: a shell makes its background commands ignore some."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def file_limits(bench, count):
    """Limit the size of files to a random part of the largest result's size, as if the disk were full.

    Returns:
        The number of attacks; 0 if the case has no results.
    """
    largest = max(map(len, filter(None, bench.new.values())), default=0)
    for _ in range(count if largest else 0):
        with bench.copy() as folder:
            limit = int(largest * random.uniform(0, 1))
            process = fault_cases.run(bench.case, folder, functools.partial(limit_files, limit))
            said = fault_cases.finish_said(process)[1]
            if 'Traceback' in said:
                raise ValueError(f'{bench.case.name}: a traceback: {said[-600:]}')
            if fault_cases.leftovers(folder):
                raise ValueError(f'{bench.case.name}: a limit on file sizes left {fault_cases.leftovers(folder)}')
            bench.judge(folder)
    return count if largest else 0


def limit_files(limit):
    """Limit the size of files, in a new process, so that writing more than `limit` bytes fails with EFBIG."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def pairs(bench, count):
    """Start two runs in one folder, the second a random time after the first.

    At least one has to succeed, and the other may be refused with a message.

    Returns:
        The number of attacks.
    """
    for _ in range(count):
        with bench.copy() as folder:
            first = fault_cases.run(bench.case, folder)
            time.sleep(bench.seconds * random.uniform(0.0, 1.0))
            second = fault_cases.run(bench.case, folder)
            ends = [fault_cases.finish_said(process) for process in (first, second)]
            if ends[0][0] and ends[1][0] or any('Traceback' in text for _, text in ends):
                raise ValueError(f'{bench.case.name}: two at once: {ends}')
            bench.judge(folder)
            for status, text in ends:
                if status:
                    print('   two at once:', text.strip()[-300:], flush=True)
    return count


def clocks(bench, count):
    """Make the wall clock jump at random; the results have to be the usual ones.

    Returns:
        The number of attacks.
    """
    for seed in range(count):
        code = JUMPING.format(seed=seed)
        with bench.copy() as folder, tempfile.TemporaryDirectory() as site:
            with open(os.path.join(site, 'sitecustomize.py'), 'w') as file:
                file.write(code)
            fork = None if bench.case.name.endswith('.sh') else functools.partial(exec, code + IN_TQDM, {})
            fault_cases.finish(fault_cases.run(bench.case, folder, fork, site))
            bench.judge(folder)
    return count
