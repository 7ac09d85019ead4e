"""parallel.py: the order, the errors and the memory of one after another, on all cores."""

import threading
import time

import pytest

import parallel


def test_results_come_in_the_order_of_the_items():
    def slow_at_first(x):
        time.sleep(0.02 * (x == 0))
        return x * x

    assert list(parallel.in_order(slow_at_first, range(50), 4)) == [x * x for x in range(50)]
    assert list(parallel.in_order(slow_at_first, [])) == []


def test_several_run_at_once():
    both = threading.Barrier(2, timeout=20)
    assert len(list(parallel.in_order(lambda _: both.wait(), range(2), 2))) == 2  # neither passes alone


def test_the_first_error_in_order_is_raised_and_the_rest_is_not_begun():
    begun = []

    def fails(x):
        begun.append(x)
        time.sleep(0.05 * (x == 3))
        if x >= 3:
            raise ValueError('item %d' % x)

    with pytest.raises(ValueError, match='item 3'):
        list(parallel.in_order(fails, range(1000), 2))
    assert len(begun) < 20


def test_no_more_than_two_results_a_worker_wait():
    done = []
    results = parallel.in_order(done.append, range(1000), 3)
    next(results)
    time.sleep(0.1)
    assert len(done) <= 7
    results.close()
    assert len(done) <= 7


def test_there_is_a_core():
    assert parallel.cores() >= 1
