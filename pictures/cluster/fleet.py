"""The workers of a cluster: one for each accelerator, or for some cores of a machine without accelerators."""

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

NODES_SECONDS = 5  # between checks for machines that joined or left
NO_WORKER_SECONDS = 300  # after so long without any worker, the run ends
CLOSING_SECONDS = 5  # that workers have to remove their files
ANSWER_SECONDS = 10  # timeout of the test connection to an address
TOKEN_HINT = (
    'if the cluster has a token, set RAY_AUTH_MODE=token and the token; if not, RAY_AUTH_MODE=disabled: docs/cluster.md'
)
MAX_FAILED_STARTS = 3  # of workers on a machine, which is then left out for REST_SECONDS
REST_SECONDS = 60


class Member(NamedTuple):
    """A worker.

    Attributes:
        actor: Ray's handle.
        node: Ray's name of the machine that it runs on.
        was_ready: whether it has loaded the model at some time.
    """

    actor: Any
    node: str
    was_ready: bool = False


def import_ray() -> Any:
    """Import Ray, with its messages and its usage statistics switched off.

    Returns:
        The module.

    Raises:
        ValueError: Ray is not installed.
    """
    os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
    os.environ.setdefault('RAY_COLOR_PREFIX', '0')  # its messages go into a file
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
    """Connect to a cluster for the time of the block.

    Args:
        address: HOST:PORT or 'auto'; empty: start a cluster on this machine, which ends with the block.

    Yields:
        The module ray, connected.

    Raises:
        ValueError: there is no such cluster, or it stopped answering.
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
            raise ValueError(f'the cluster stopped answering: {words}: the same command with --resume continues')


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster, which keeps running after the block, or start one of our own; raise Ray's errors."""
    quiet = dict(log_to_driver=False, logging_level='ERROR')
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with contextlib.ExitStack() as stack:
        try:
            if address:  # the machines have the requirements installed; Ray sends our own modules
                stack.callback(own_ray.shut_down, ray)
                ray.init(address, runtime_env={'py_modules': sent_packages()}, **quiet)
            else:
                stack.enter_context(own_ray.started(ray, **quiet))
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)  # ray.init replaces the handler
        yield


def sent_packages() -> list[str]:
    """Return the paths of our packages and modules that a worker needs on another machine."""
    return [os.path.join(rdn.ROOT, name) for name in ('rdn', 'pictures', 'models.py')]


def choose_token(address: str) -> None:
    """Set how Ray authenticates its users; must be called before Ray is imported.

    A Ray of our own uses a new token for the run. Without it, Ray would write a token to the user's home, where the next
    cluster would use it. For another cluster, the user's own token is used if there is one, as `ray start` does. Nothing
    changes if the user has set RAY_AUTH_MODE.

    Args:
        address: the address of the cluster; empty: a Ray of our own.
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
    """Check that something listens at an address: Ray itself would try to connect for a quarter of an hour.

    Args:
        address: HOST:PORT; empty and 'auto' are not checked.

    Raises:
        ValueError: the address is not HOST:PORT, or nothing listens there.
    """
    if address in ('', 'auto'):
        return
    host, _, port = address.rpartition(':')
    if not (host and port.isdigit()):
        raise ValueError(f'--cluster {address}: not HOST:PORT and not auto: ray start --head prints the address')
    try:
        socket.create_connection((host.rpartition('/')[2].strip('[]'), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f'--cluster {address}: nothing answers there ({error}): ray start --head prints the address')


class Fleet:
    """The workers of a cluster: one for each accelerator, or for some cores of a machine without accelerators.

    Attributes:
        ray: the module.
        members: all workers, by Ray's handle.
        idle: the workers that are waiting for a picture.
        starting: the workers that are loading the model, by Ray's reference to the answer of Worker.ready.
        kind: the answer of the first worker that was ready; None before.
        refusals: why machines cannot work, by Ray's name of the machine.
        on_lost: called with the address of each machine that is lost, once.
    """

    def __init__(self, ray: Any, setup: worker.Setup, threads: int):
        """Prepare to start workers; `look` starts them.

        Args:
            ray: the module, connected to the cluster.
            setup: the settings of all workers.
            threads: cores of a worker; 0: all cores of a machine, but at most processing.MAX_STREAMS per worker.
        """
        self.ray, self._threads = ray, threads
        self._setup, self._kind = ray.put(setup), ray.remote(worker.Worker)
        on_cpu = setup.place.provider == 'CPU' or setup.place.device == 'cpu' or setup.engine == 'openvino'
        self._uses_accelerators = not on_cpu
        self._looked = self._seen = -float('inf')
        self._failed_starts: collections.Counter[str] = collections.Counter()
        self._rests: dict[str, float] = {}  # machine -> time.monotonic() until which it is left out
        self.members: dict[Any, Member] = {}
        self.idle: collections.deque[Member] = collections.deque()
        self.starting: dict[Any, Member] = {}
        self.kind: worker.Ready | None = None
        self.refusals: dict[str, str] = {}
        self.on_lost: Callable[[str], None] = lambda address: None
        self._addresses: dict[str, str] = {}  # of the machines in the cluster
        self._trouble = 'are processors free?'

    def look(self) -> None:
        """Start the workers that the machines of the cluster lack, at most every NODES_SECONDS.

        Raises:
            ValueError: there has been no worker for NO_WORKER_SECONDS.
        """
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
        """Call `on_lost` for machines that have left; Ray may know of a loss only seconds after the workers died."""
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
        """Add a worker that has started to the idle ones, or its machine to those that are left out.

        Args:
            said: Ray's reference to the answer of Worker.ready.

        Returns:
            A line for the user if the machine is left out; else None.

        Raises:
            ValueError: no machine can work.
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
        """Count a worker that died at its start; at the third one, leave its machine out and return a line to say so."""
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
        """Forget a worker that died, so that `look` starts another one.

        Idle workers on the same machine count as starting until they answer again, because Ray may not know yet that the
        machine is lost.

        Args:
            member: the worker.

        Returns:
            Whether the whole machine is lost, as far as Ray knows.
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
        """Close the workers; after an error or an interruption, kill them."""
        if kind is None:
            self._note_lost(self.ray.nodes())
            self.close()
            return
        with contextlib.suppress(Exception):  # the cluster may be gone
            self.kill()

    def close(self) -> None:
        """Let idle workers remove their temporary files, for at most CLOSING_SECONDS."""
        closing = [member.actor.close.remote() for member in self.idle]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)

    def kill(self) -> None:
        """Kill all workers, even in the middle of a picture."""
        for member in self.members.values():
            self.ray.kill(member.actor)
        worker.clean_up()  # on this machine

    def is_lost(self, node: str) -> bool:
        """Return whether a machine has left the cluster."""
        return not any(each['NodeID'] == node and each['Alive'] for each in self.ray.nodes())

    def address(self, node: str) -> str:
        """Return the address of a machine, or its Ray name if the address is unknown."""
        return next((each['NodeManagerAddress'] for each in self.ray.nodes() if each['NodeID'] == node), node)


def worker_needs(resources: dict[str, float], threads: int, uses_accelerators: bool) -> list[dict[str, Any]]:
    """Divide the resources of a machine among workers: an accelerator each, or some cores each.

    Args:
        resources: Ray's resources of the machine, for example {'CPU': 8, 'GPU': 1}.
        threads: cores per worker; 0: all of them, but at most processing.MAX_STREAMS per worker.
        uses_accelerators: whether GPUs and NPUs are used.

    Returns:
        The options of each worker that reserve its resources, for Ray's ActorClass.options.
    """
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
