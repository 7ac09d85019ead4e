"""The workers of a cluster: Ray starts them, one for each accelerator or some cores of a machine, and says who died."""

from __future__ import annotations

import collections
import contextlib
import os
import secrets
import shlex
import signal
import socket
import sys
import time
from typing import Any, Callable, Iterator, NamedTuple

import rdn
from pictures import processing
from pictures.cluster import own_ray, worker
from rdn import escaping

NODES_SECONDS = 5  # how often machines that came or went are looked for
NO_WORKER_SECONDS = 300  # without any before the run ends
CLOSING_SECONDS = 5
ANSWER_SECONDS = 10
TOKEN_HINT = (
    'one with a token wants RAY_AUTH_MODE=token and the token, one without RAY_AUTH_MODE=disabled: docs/cluster.md'
)
MAX_FAILED_STARTS = 3  # of workers on a machine, which is then left out for a while
REST_SECONDS = 60


class Member(NamedTuple):
    """A worker: Ray's handle, the machine that it runs on, and whether it has been ready."""

    actor: Any
    node: str
    was_ready: bool = False


def import_ray() -> Any:
    """Ray, silent and without its statistics. Raises ValueError where it is not there."""
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    os.environ.setdefault('RAY_COLOR_PREFIX', '0')  # its lines go into a file
    os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
    try:
        import ray
    except ImportError as error:
        python = '' if sys.version_info >= (3, 10) else ', on Python 3.10 or later'
        requirements = os.path.join(rdn.ROOT, 'requirements-cluster.txt')
        raise ValueError(f'--cluster: {error}: pip install -r {shlex.quote(requirements)}{python}')
    return ray


@contextlib.contextmanager
def joined(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at an address, or where that is empty to one of its own on this machine.

    Raises ValueError where there is no such cluster.
    """
    check_answers(address)
    choose_token(address)
    ray = import_ray()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_connected(ray, address))
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            hint = f': {TOKEN_HINT}' if address else ''
            raise ValueError(f'--cluster {address}: {escaping.one_line(error)}{hint}')
        try:
            yield ray
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError as error:
            words = escaping.one_line(error)
            raise ValueError(f'the cluster does not answer any more: {words}: the same command with --resume goes on')


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Be connected to a cluster, which goes on afterwards, or have one of our own, which ends. Raises Ray's errors."""
    quiet = dict(log_to_driver=False, logging_level='ERROR')
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        try:
            if address:  # the machines have the packages; our own modules are sent
                stack.callback(own_ray.shut_down, ray)
                ray.init(address, runtime_env={'py_modules': sent_packages()}, **quiet)
            else:
                stack.enter_context(own_ray.started(ray, **quiet))
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # which Ray took
        yield


def sent_packages() -> list[str]:
    """The paths of our packages and modules that a worker needs on another machine."""
    return [os.path.join(rdn.ROOT, name) for name in ('rdn', 'pictures', 'models.py')]


def choose_token(address: str) -> None:
    """Before Ray is imported: how a cluster knows its users. A Ray of our own gets a token for its run, which else it
    would leave in the user's home, for whatever cluster is started next; to another one the user's own token is shown,
    where there is one, as by `ray start`. What the user chose with RAY_AUTH_MODE stands.
    """
    if 'RAY_AUTH_MODE' in os.environ:
        return
    if not address:
        os.environ.update(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN=secrets.token_hex(32))
    elif {'RAY_AUTH_TOKEN', 'RAY_AUTH_TOKEN_PATH'} & set(os.environ) or os.path.exists(
        os.path.expanduser('~/.ray/auth_token')
    ):
        os.environ['RAY_AUTH_MODE'] = 'token'


def check_answers(address: str) -> None:
    """Raises ValueError where nothing listens at HOST:PORT: Ray would try for a quarter of an hour."""
    if address in ('', 'auto'):
        return
    host, _, port = address.rpartition(':')
    if not (host and port.isdigit()):
        raise ValueError(f'--cluster {address}: not HOST:PORT, as ray start --head prints it, nor auto')
    try:
        socket.create_connection((host.rpartition('/')[2].strip('[]'), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f'--cluster {address}: nothing answers there ({error}): ray start --head prints the address')


class Fleet:
    """The workers of a cluster: those that are idle, and those that are starting. One is made for each accelerator of a
    machine; on one without any, for each of `threads` cores.
    """

    def __init__(self, ray: Any, setup: worker.Setup, threads: int):
        """threads: cores of a worker; 0: all of a machine, up to processing.MAX_STREAMS."""
        self.ray, self._threads = ray, threads
        self._setup, self._kind = ray.put(setup), ray.remote(worker.Worker)
        on_cpu = setup.place.provider == 'CPU' or setup.place.device == 'cpu' or setup.engine == 'openvino'
        self._uses_accelerators = not on_cpu
        self._looked = self._seen = -float('inf')
        self._failed_starts: collections.Counter[str] = collections.Counter()
        self._rests: dict[str, float] = {}  # machine -> until when
        self.members: dict[Any, Member] = {}
        self.idle: collections.deque[Member] = collections.deque()
        self.starting: dict[Any, Member] = {}  # by what they will say
        self.kind: worker.Ready | None = None  # of the first that was ready
        self.refusals: dict[str, str] = {}  # of machines
        self.on_lost: Callable[[str], None] = lambda address: None  # is called once for each machine that is lost
        self._addresses: dict[str, str] = {}  # of the machines that are there
        self._trouble = 'are processors free?'

    def look(self) -> None:
        """Start workers on machines that are new or lost some. Raises ValueError where none is left for long."""
        now = time.monotonic()
        if now < self._looked + NODES_SECONDS:
            return
        self._looked = now
        nodes = self.ray.nodes()
        alive = [node for node in nodes if node['Alive']]
        self._note_lost(nodes)
        counts = collections.Counter(member.node for member in self.members.values())
        for node in alive:
            name = node['NodeID']
            if name in self.refusals or now < self._rests.get(name, now):
                continue
            needs = worker_needs(node['Resources'], self._threads, self._uses_accelerators)
            for need in needs[counts[name] :]:
                self._start(name, need)
        if len(self.members) > len(self.starting) or self._seen == -float('inf'):
            self._seen = now
        elif now > self._seen + NO_WORKER_SECONDS:
            raise ValueError(f'no worker could be started for {NO_WORKER_SECONDS} seconds: {self._trouble}')

    def _note_lost(self, nodes: list[dict[str, Any]]) -> None:
        """Say which machines are no more there. Ray may know of one only seconds after its workers died."""
        there = {node['NodeID']: node['NodeManagerAddress'] for node in nodes if node['Alive']}
        for name in sorted(set(self._addresses) - set(there)):
            self.on_lost(self._addresses[name])
        self._addresses = there

    def _start(self, node: str, need: dict[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = self._kind.options(**need, scheduling_strategy=here).remote(self._setup, int(need['num_cpus']) or 1)
        member = Member(actor, node)
        self.members[actor] = member
        self.starting[actor.ready.remote()] = member

    def welcome(self, said: Any) -> str | None:
        """Take a worker in that has started; returns a line to say where it cannot work.

        Raises ValueError where no machine can.
        """
        member = self.starting.pop(said)
        try:
            ready = self.ray.get(said)
        except self.ray.exceptions.RayError as error:
            is_lost = self.bury(member)
            return None if is_lost or member.was_ready else self._count_failed_start(member.node, error)
        if ready.refusal is None:
            self._failed_starts[member.node] = 0
            self.kind = self.kind or ready
            self.idle.append(member._replace(was_ready=True))
            return None
        self.bury(member)
        known = member.node in self.refusals
        self.refusals[member.node] = ready.refusal
        if not self.members:
            raise ValueError(ready.refusal)
        return None if known else f'a machine is left out: {self.address(member.node)}: {ready.refusal}'

    def _count_failed_start(self, node: str, error: Exception) -> str | None:
        """Leave a machine out for a while where workers die again and again; returns a line to say so."""
        self._failed_starts[node] += 1
        if self._failed_starts[node] < MAX_FAILED_STARTS:
            return None
        self._failed_starts[node] = 0
        self._rests[node] = time.monotonic() + REST_SECONDS
        self._trouble = f'they die at their start: {escaping.one_line(error)[:300]}'
        if self.kind is None and os.environ.get('RAY_AUTH_MODE') == 'token':
            self._trouble += f': {TOKEN_HINT}'
        return f'a machine is left out for {REST_SECONDS} seconds: {self.address(node)}: its workers: {self._trouble}'

    def bury(self, member: Member) -> bool:
        """Forget a worker that died, for which another will be started; returns whether its machine is lost.

        Its idle neighbours are asked whether they are there, as it may be that the machine's end is not yet known.
        """
        self.members.pop(member.actor, None)
        is_lost = self.is_lost(member.node)
        if is_lost:
            self._note_lost(self.ray.nodes())
        for neighbour in [each for each in self.idle if each.node == member.node]:
            self.idle.remove(neighbour)
            if is_lost:
                self.members.pop(neighbour.actor, None)
            else:
                self.starting[neighbour.actor.ready.remote()] = neighbour
        return is_lost

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let the workers tidy up; where the run is broken off, end them in the middle of what they do."""
        if kind is None:
            self._note_lost(self.ray.nodes())
            self.close()
            return
        with contextlib.suppress(Exception):  # the cluster may be lost
            self.kill()

    def close(self) -> None:
        """Let the workers tidy up, for a moment."""
        closing = [member.actor.close.remote() for member in self.idle]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)

    def kill(self) -> None:
        """End all workers in the middle of what they do."""
        for member in self.members.values():
            self.ray.kill(member.actor)
        worker.clean_up()  # on this machine

    def is_lost(self, node: str) -> bool:
        """Whether a machine is no more in the cluster."""
        return not any(each['NodeID'] == node and each['Alive'] for each in self.ray.nodes())

    def address(self, node: str) -> str:
        """Of a machine, for the person at the terminal."""
        return next((each['NodeManagerAddress'] for each in self.ray.nodes() if each['NodeID'] == node), node)


def worker_needs(resources: dict[str, float], threads: int, uses_accelerators: bool) -> list[dict[str, Any]]:
    """What each worker of a machine takes of its resources, in Ray's words: an accelerator each, or some cores."""
    cores = int(resources.get('CPU', 0))
    for name in ('GPU', 'NPU') if uses_accelerators else ():
        count = int(resources.get(name, 0))
        if count:
            cores_each = min(cores // count, threads or cores)
            own = {'num_gpus': 1} if name == 'GPU' else {'resources': {name: 1}}
            return [dict(own, num_cpus=cores_each)] * count
    if not cores:
        return []
    count = max(1, cores // threads) if threads else -(-cores // processing.MAX_STREAMS)
    return [{'num_cpus': min(threads, cores) if threads else cores // count}] * count
