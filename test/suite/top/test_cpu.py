"""rdn/cpu.py: work on all cores has the order, the errors and the memory of a plain loop."""

import gc
import os
import signal
import sys
import threading
import time

from rdn import arrays, cpu

import numpy as np
import pytest

from helpers import ROOT, run_python


def test_results_come_in_the_order_of_the_items():
    def slow_at_first(x):
        time.sleep(0.02 * (x == 0))
        return x * x

    assert list(cpu.map_in_order(slow_at_first, range(50), 4)) == [x * x for x in range(50)]
    assert list(cpu.map_in_order(slow_at_first, [])) == []


def test_several_run_at_once():
    both = threading.Barrier(2, timeout=20)
    assert len(list(cpu.map_in_order(lambda _: both.wait(), range(2), 2))) == 2  # each waits for the other


def test_the_first_error_in_order_is_raised_and_later_items_are_not_started():
    begun = []

    def fails(x):
        begun.append(x)
        time.sleep(0.05 * (x == 3))
        if x >= 3:
            raise ValueError(f'item {x}')

    with pytest.raises(ValueError, match='item 3'):
        list(cpu.map_in_order(fails, range(1000), 2))
    assert len(begun) < 20


def test_at_most_two_results_per_worker_are_held():
    done = []
    results = cpu.map_in_order(done.append, range(1000), 3)
    next(results)
    time.sleep(0.1)
    assert len(done) <= 7
    results.close()
    assert len(done) <= 7


def divide(a, b):
    return a / b, os.getpid()


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_other_processes_return_results_and_raise_errors_like_a_plain_call():
    with cpu.other_processes(2) as call:
        quotient, process = call(divide, 1, 4)
        assert quotient == 0.25 and process != os.getpid()
        with pytest.raises(ZeroDivisionError):
            call(divide, 1, 0)
        assert call(divide, 1, 2)[0] == 0.5


def test_a_killed_process_raises_an_error_instead_of_waiting_forever():
    with cpu.other_processes(1) as call:
        with pytest.raises(ValueError, match='killed'):
            call(kill_itself)


@pytest.mark.skipif(sys.platform != 'linux', reason='processes are forked only on Linux')
def test_other_processes_end_with_a_parent_that_is_killed():
    code = """
import os, signal
from rdn import cpu
with cpu.other_processes(2) as call:
    print(call(os.getpid), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    worker = int(run_python('-c', code, cwd=ROOT, check=False).stdout)
    for _ in range(100):
        if not os.path.exists(f'/proc/{worker}') or open(f'/proc/{worker}/stat').read().split()[2] == 'Z':
            return
        time.sleep(0.1)
    pytest.fail(f'process {worker} still runs 10 s after its parent was killed')


@pytest.mark.skipif(not hasattr(os, 'sched_setaffinity'), reason='this system cannot bind a process to cores')
def test_a_process_that_is_bound_to_one_core_uses_one():
    code = 'import os; from rdn import cpu; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(cpu.available_cores())'
    assert run_python('-c', code, cwd=ROOT).stdout == '1\n'
    assert cpu.available_cores() == len(os.sched_getaffinity(0))


def test_labels_are_read_by_many_threads_at_once(tmp_path):
    """Python 3.11 may fail or crash if two threads are in numpy's header parser.

    Here the finalizer of a garbage object makes the parser switch to another thread.
    """

    class Garbage:
        def __init__(self):
            self.cycle = self

        def __del__(self):
            sum(range(2000))

    def read(path):
        Garbage()
        return arrays.read_npy(path)

    np.save(str(tmp_path / 'a.npy'), np.zeros((1, 3, 4, 4), np.float32))
    threshold, switch = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(5)
    sys.setswitchinterval(1e-6)
    try:
        for array in cpu.map_in_order(read, [str(tmp_path / 'a.npy')] * 2000, 8):
            assert array.shape == (1, 3, 4, 4)
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(switch)


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends a process with its parent')
def test_a_process_whose_parent_died_before_it_began_ends_at_once():
    code = 'import os; from rdn import cpu; cpu._begin_process(os.getppid() + {}); print("works")'
    ended = [run_python('-c', code.format(other), cwd=ROOT) for other in (0, 1)]
    assert [done.stdout for done in ended] == ['works\n', '']
    assert [done.returncode for done in ended] == [0, 1]
