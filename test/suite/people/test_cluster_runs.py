"""pictures/cluster: pictures and workers that die, fail or are refused; a stand-in replaces Ray."""

import collections
import itertools
import os
import socket
import sys
import types

from pictures import processing
from pictures.cluster import fleet, progress, scheduler, stores, worker
from pictures.report import report
from rdn import engines

import pytest
from PIL import Image


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class StandIn:
    """A replacement of Ray that makes each call when `get` asks for its value.

    nodes_there: name -> cores; does: (actor's number, call, task) -> result. If the result is an exception, it is raised; a
    RayError ends the actor.
    """

    exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError)

    def __init__(self, nodes_there, does):
        self.nodes_there, self.does = nodes_there, does
        self.calls = []  # (number of the actor, name of the call, picture)
        self.dead = set()
        self._numbers, self._promised = itertools.count(), {}

    def nodes(self):
        return [
            dict(NodeID=name, Alive=True, Resources={'CPU': float(cores)}, NodeManagerAddress=f'address of {name}')
            for name, cores in self.nodes_there.items()
        ]

    def put(self, value):
        return value

    def remote(self, _):
        made = types.SimpleNamespace(remote=lambda setup, threads: Actor(self, next(self._numbers)))
        return types.SimpleNamespace(options=lambda **_: made)

    def promise(self, actor, name, count, arguments):
        values = [object() for _ in range(count)]
        self._promised[values[0]] = actor, name, arguments, values
        return values[0] if count == 1 else values

    def wait(self, values, timeout=0, num_returns=1):
        return [values[0]], values[1:]

    def get(self, value):
        actor, name, arguments, _ = self._promised.pop(value)
        task = arguments[0] if arguments else None
        self.calls.append((actor.number, name, getattr(task, 'place', None)))
        result = RayError('is dead') if actor.number in self.dead else self.does(actor.number, name, task)
        if isinstance(result, RayError) and not isinstance(result, RayTaskError):
            self.dead.add(actor.number)
        if isinstance(result, Exception):
            raise result
        return result


class Actor:
    def __init__(self, ray, number):
        self.ray, self.number = ray, number

    def __getattr__(self, name):
        def promise(count=1):
            return lambda *arguments: self.ray.promise(self, name, count, arguments)

        return types.SimpleNamespace(
            remote=promise(), options=lambda num_returns: collections.namedtuple('Call', 'remote')(promise(num_returns))
        )


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Return started(nodes, does, places, page), which runs the pictures and returns (stand-in, Summary)."""
    monkeypatch.setitem(sys.modules, 'ray', types.ModuleType('ray'))
    monkeypatch.setitem(sys.modules, 'ray.util', types.ModuleType('ray.util'))
    strategies = types.ModuleType('ray.util.scheduling_strategies')
    monkeypatch.setattr(strategies, 'NodeAffinitySchedulingStrategy', lambda *_, **__: None, raising=False)
    monkeypatch.setitem(sys.modules, 'ray.util.scheduling_strategies', strategies)
    monkeypatch.setattr(fleet, 'NODES_SECONDS', 0)
    clock = itertools.count()
    monkeypatch.setattr(fleet.time, 'monotonic', lambda: float(next(clock)))
    monkeypatch.setattr(scheduler.time, 'sleep', lambda _: None)
    (tmp_path / 'in').mkdir()

    def call(nodes, does, places, page=None):
        def answer(number, name, task):
            result = does(number, name, task)
            if result is not None:
                return result
            return worker.Ready(2, 'CPU', []) if name == 'ready' else worker.Outcome('done', task.target, 1)

        ray, summary = StandIn(nodes, answer), processing.Summary()
        source, output = (stores.open_store(str(tmp_path / name)) for name in ('in', 'out'))
        setup = worker.Setup(
            b'',
            'my.onnx',
            'auto',
            'fp32',
            engines.Place(),
            ('in', 'in'),
            ('out', 'out'),
            [],
            None,
            processing.Options(),
        )
        shown = progress.Progress(summary)
        one = scheduler.Scheduler(fleet.Fleet(ray, setup, 1), source, output, shown, page, set())
        one.wait_for_workers()
        one.upscale(iter([worker.PictureTask(place, f'{place}_x2.png') for place in places]))
        return ray, summary

    return call


def dying(places):
    """Return a function for `started` that kills the worker of a picture so many times; `places`: place -> times."""
    left = dict(places)

    def does(_, name, task):
        if name == 'upscale' and left.get(task.place):
            left[task.place] -= 1
            return RayError('killed')
        return None

    return does


PLACES = [f'{number}.png' for number in range(10)]


def test_a_picture_that_kills_its_worker_is_tried_twice_and_the_others_are_done(started, tmp_path):
    ray, summary = started({'a': 2}, dying({'3.png': 99}), PLACES)
    assert [place for _, _, place in ray.calls].count('3.png') == 2
    assert (summary.done, summary.failed) == (9, 1)
    assert summary.first_failures == [f'{tmp_path}/in/3.png: its worker died 2 times: too little memory?']


def test_pictures_whose_workers_are_killed_by_something_else_are_all_done(started):
    _, summary = started({'a': 2}, dying({'3.png': 1, '4.png': 2, '5.png': 4, '6.png': 3}), PLACES)
    assert (summary.done, summary.failed) == (10, 0)


def test_a_picture_that_takes_too_much_memory_is_tried_twice_even_if_other_retries_succeeded(started):
    def does(_, name, task):
        return OutOfMemoryError('too much') if name == 'upscale' and task.place == '4.png' else others(_, name, task)

    others = dying({'3.png': 1})
    ray, summary = started({'a': 2}, does, PLACES)
    assert (summary.done, summary.failed) == (9, 1)
    assert [place for _, _, place in ray.calls].count('4.png') == 2


def test_workers_that_are_killed_while_they_wait_are_started_again(started):
    killed = set()

    def all_four_at_once(number, name, _):
        if name == 'upscale' and not killed:
            killed.update(range(4))
        return RayError('killed') if number in killed else None

    _, summary = started({'a': 4}, all_four_at_once, ['1.png'])
    assert (summary.done, summary.failed) == (1, 0)


def test_a_machine_that_is_lost_is_named_once_though_all_its_workers_die(started, monkeypatch):
    nodes, lost = {'a': 4, 'b': 4}, []
    monkeypatch.setattr(fleet.Fleet, 'on_lost', property(lambda _: lost.append, lambda *_: None), raising=False)

    def does(number, name, task):
        if name == 'upscale' and task.place == '3.png':
            nodes.pop('a', None)
        return RayError('killed') if number < 4 and 'a' not in nodes else None

    _, summary = started(nodes, does, PLACES)
    assert summary.done == 10 and lost == ['address of a']


def test_a_machine_whose_workers_are_killed_at_their_start_is_used_again_later(started, capsys):
    _, summary = started({'a': 1}, lambda number, *_: RayError('killed') if number < 5 else None, PLACES)
    assert summary.done == 10
    assert (
        'left out for 60 seconds: address of a: its workers: they die at their start: killed' in capsys.readouterr().out
    )


def test_a_machine_whose_workers_always_die_at_their_start_ends_the_run(started):
    with pytest.raises(ValueError, match='no worker could be started for 300 seconds: they die at their start: killed'):
        started({'a': 1}, lambda *_: RayError('killed'), PLACES)


def test_a_large_picture_is_cut_again_if_a_worker_dies_during_a_band(started):
    died = []

    def does(number, name, task):
        if name == 'upscale':
            return worker.Outcome('large', '', 20)
        if name == 'cut':
            return worker.Outcome('part', '')
        if name == 'upscale_band' and not died:
            died.append(number)
            return RayError('killed')
        return worker.Outcome('part', '') if name == 'upscale_band' else None

    ray, summary = started({'a': 3}, does, ['1.png'])
    names = [name for _, name, _ in ray.calls if name != 'ready']
    assert summary.done == 1 and names.count('cut') == 2 and names[-1] == 'join' and names.count('upscale_band') >= 4


def test_a_full_disk_of_every_machine_is_named_as_the_reason(started, tmp_path):
    full = worker.Outcome('unfit', 'no space left on device')
    _, summary = started(
        {'a': 2}, lambda _, name, task: full if name == 'upscale' and task.place == '1.png' else None, PLACES
    )
    assert summary.first_failures == [f'{tmp_path}/in/1.png: given up after 5 times: no space left on device']
    assert summary.done == 9


def test_a_failure_line_without_a_path_names_the_picture(started, tmp_path):
    failed = worker.Outcome('failed', 'not enough memory')
    _, summary = started(
        {'a': 1}, lambda _, name, task: failed if name == 'upscale' and task.place == '1.png' else None, PLACES
    )
    assert summary.first_failures == [f'{tmp_path}/in/1.png: not enough memory']


def test_a_result_of_the_wrong_size_fails_only_its_own_picture(started, tmp_path):
    small, large = (Image.new('RGB', (side, side)) for side in (20, 30))

    def does(_, name, task):
        if name != 'upscale':
            return None
        rdn = small if task.place == '1.png' else large
        return worker.Outcome('skipped', task.target, 0, report.Views(large, rdn, size=(30, 30)))

    with report.writing(str(tmp_path / 'page')) as page:
        _, summary = started({'a': 1}, does, PLACES, page)
    assert (summary.skipped, summary.failed) == (9, 1) and '1.png' in summary.first_failures[0]


def test_an_address_where_nothing_answers_is_refused_at_once():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))  # without listening
        address = f'127.0.0.1:{taken.getsockname()[1]}'
        for given in (address, f'ray://{address}'):
            with pytest.raises(ValueError, match=f'--cluster {given}: nothing answers there'):
                fleet.check_answers(given)
    for given in ('192.0.2.2', '/mnt/pictures', ':6379'):
        with pytest.raises(ValueError, match='not HOST:PORT'):
            fleet.check_answers(given)
    fleet.check_answers('')
    fleet.check_answers('auto')


@pytest.mark.parametrize('mode', [None, 'disabled'])
def test_our_own_ray_has_a_new_token_and_other_clusters_have_the_users(monkeypatch, tmp_path, mode):
    monkeypatch.setenv('HOME', str(tmp_path))
    found = []
    for address in ('', 'host:1', ''):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('RAY_')}
        monkeypatch.setattr(os, 'environ', dict(environment, **({'RAY_AUTH_MODE': mode} if mode else {})))
        if len(found) == 2:
            (tmp_path / '.ray').mkdir()
            (tmp_path / '.ray' / 'auth_token').write_text('their own')
        fleet.choose_token(address)
        found.append((os.environ.get('RAY_AUTH_MODE'), os.environ.get('RAY_AUTH_TOKEN')))
    if mode:
        assert found == [(mode, None)] * 3
        return
    assert found[0][0] == found[2][0] == 'token' and found[0][1] != found[2][1] and found[1] == (None, None)
    monkeypatch.setattr(os, 'environ', {'HOME': str(tmp_path)})
    fleet.choose_token('host:1')
    assert os.environ == {'HOME': str(tmp_path), 'RAY_AUTH_MODE': 'token'}
