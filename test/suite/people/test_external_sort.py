"""external_sort.py sorts like sorted(), but with little memory."""

import gc
import weakref

from pictures.external_sort import external_sort

import numpy as np
import pytest


@pytest.mark.parametrize('count', [0, 1, 9, 10, 11, 20, 997])
def test_items_are_in_the_order_of_sorted(count):
    random = np.random.RandomState(0)
    names = [''.join(random.choice(list('ab\n\0图\udcff .'), 5)) for _ in range(count)]
    assert list(external_sort(iter(names), held=10)) == sorted(names)


def test_few_items_are_held():
    class Name(str):
        __slots__ = ('__weakref__',)

        def __reduce__(self):
            return str, (str(self),)

    alive = weakref.WeakSet()
    most = 0

    def names():
        nonlocal most
        for number in range(5000):
            name = Name(number)
            alive.add(name)
            most = max(most, len(alive))
            yield name

    assert len(list(external_sort(names(), held=100))) == 5000
    gc.collect()
    assert most <= 250
