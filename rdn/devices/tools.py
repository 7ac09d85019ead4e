"""The vendor's programs on this machine: found and called as if the project's virtual environment were not there.

atc and ais_bench belong to the server's own Python: atc runs in the first `python3` on PATH and needs CANN's packages
there, ais_bench is installed there.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO, Iterator, NamedTuple, Sequence

import rdn

NAMES = ('benchmark', 'ais_bench', 'host')  # in the order of preference
LAST_LINES = 10  # of a failing program's output
SECONDS = 60  # that a program may take to say what it is
SECONDS_TO_END = 10  # after SIGTERM
SECONDS_OF_OUTPUT = 5  # that a program's own processes may still write after its end
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class Tool(NamedTuple):
    """What does step 5's job. name: one of NAMES; command: how it is called; reason: why it was chosen."""

    name: str
    command: list[str]
    reason: str


def outer_environment() -> dict[str, str]:
    """The environment variables as they were before this Python's virtual environment was activated."""
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        inner = os.path.realpath(os.path.join(sys.prefix, 'bin'))
        folders = environment.get('PATH', os.defpath).split(os.pathsep)
        environment['PATH'] = os.pathsep.join(folder for folder in folders if os.path.realpath(folder) != inner)
        environment.pop('VIRTUAL_ENV', None)
    return environment


def find(program: str) -> str | None:
    """The path of a program on the outer PATH; None where it is not there."""
    return shutil.which(program, path=outer_environment().get('PATH'))


def choose(wanted: str | None, converts: bool = True) -> Tool:
    """The Tool for inference: the one that is wanted, else the first of NAMES that is here with atc.

    converts: whether atc is needed; without it, models are there already. Raises ValueError, with what to do, where the wanted one is not here.
    """
    if wanted == 'host':
        return Tool('host', ['python3', 'RDN_infer.py'], 'as asked')
    atc = 'atc' if find('atc') else None if converts else 'the converted models'
    places = {'benchmark': _benchmark(), 'ais_bench': _ais_bench()}
    if wanted:
        command = places[wanted]
        if not atc:
            raise ValueError(f"--with={wanted} needs atc, which is not on PATH: source the toolkit's set_env.sh")
        if not command:
            raise ValueError(f'--with={wanted}: {_missing(wanted)}')
        return Tool(wanted, command, 'as asked')
    for name, command in places.items():
        if atc and command:
            others = [f'no {_file_name(other)}' for other in NAMES[: NAMES.index(name)]]
            return Tool(name, command, ', '.join([f'{atc} and {_line(command)} are here', *others]))
    here = [_file_name(name) for name in places if places[name]]
    if atc:
        reason = f'atc is here, but {_missing("benchmark")}, and {_missing("ais_bench")}'
    elif here:
        reason = f"{here[0]} is here, but no atc on PATH: source the toolkit's set_env.sh"
    else:
        reason = f'neither atc nor {_file_name("benchmark")} nor ais_bench here'
    return Tool('host', ['python3', 'RDN_infer.py'], reason)


def _file_name(name: str) -> str:
    return f'benchmark.{_machine()}' if name == 'benchmark' else name


def _missing(name: str) -> str:
    if name == 'benchmark':
        file_name = _file_name(name)
        if os.path.isfile(os.path.join(rdn.ROOT, file_name)):
            return f'{file_name} is not executable (chmod +x {file_name})'
        return f'no {file_name} in this folder or on PATH'
    python = find('python3') or 'python3'
    return f'no ais_bench in {python} (AIS_BENCH="/path/to/python3 -m ais_bench" names another)'


def _machine() -> str:
    """What `uname -m` says: the ending of benchmark's name."""
    return subprocess.run(['uname', '-m'], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def _benchmark() -> list[str] | None:
    """How to call benchmark, from the project's folder; None where it is not there."""
    name = _file_name('benchmark')
    if os.access(os.path.join(rdn.ROOT, name), os.X_OK):
        return [f'./{name}']
    path = find(name)
    return [path] if path else None


def _ais_bench() -> list[str] | None:
    """How to call ais_bench: as AIS_BENCH says, else as a module of the outer python3; None where it has none."""
    named = os.environ.get('AIS_BENCH')
    if named:
        try:
            command = shlex.split(named)
        except ValueError as error:
            raise ValueError(f'AIS_BENCH={named}: {error}')
        if not command or not find(command[0]):
            raise ValueError(f'AIS_BENCH={named}: no such program')
        # It is called in a folder of its own.
        return [os.path.abspath(word) if os.sep in word and os.path.exists(word) else word for word in command]
    python = find('python3')
    question = 'import importlib.util as u, sys; s = u.find_spec("ais_bench"); sys.exit(not (s and s.origin))'
    if python is None:
        return None
    with contextlib.suppress(subprocess.TimeoutExpired):
        # From a folder without modules of that name: the wheels may lie in a folder `ais_bench` here.
        asked = subprocess.run(
            [python, '-c', question], cwd='/', env=outer_environment(), capture_output=True, timeout=SECONDS
        )
        return ['python3', '-m', 'ais_bench'] if asked.returncode == 0 else None
    return None


def output_of(command: Sequence[str]) -> str:
    """What a program says of itself, --help say, on stdout or stderr; nothing where it cannot be run."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(
            command, env=outer_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
        )
        return asked.stdout.decode('utf-8', errors='replace')
    return ''


def show(command: Sequence[str], outer: bool = False) -> None:
    """Print a command so that it can be copied. outer: it is to run outside of the virtual environment."""
    inside = outer and sys.prefix != sys.base_prefix
    # `deactivate` takes back what PATH was before, and so what env.sh put there since.
    toolkit = 'source env.sh; ' if os.environ.get('RDN_SOURCED') and command[0] == 'atc' else ''
    print(f'\n$ {f"(deactivate; {toolkit}{_line(command)})" if inside else _line(command)}', flush=True)


def _line(command: Sequence[str]) -> str:
    return ' '.join(map(shlex.quote, command))


def run(command: Sequence[str], log: str, folder: str | None = None) -> None:
    """Show one of the vendor's programs and run it in a folder, its output to the console and into a log.

    Raises ValueError, after its last lines on stderr, where it fails.
    """
    show(command, outer=True)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)

    def copy(stream: IO[bytes], file: IO[bytes]) -> None:
        for line in stream:
            file.write(line)
            file.flush()
            lines.append(line.decode('utf-8', errors='replace').rstrip())
            print(lines[-1], flush=True)

    with open(log, 'wb') as file, _started(command, folder) as process:
        assert process.stdout
        # By a thread: a process that a killed program left may hold its output open for ever.
        copying = threading.Thread(target=copy, args=(process.stdout, file), daemon=True)
        copying.start()
        process.wait()
        copying.join(SECONDS_OF_OUTPUT)
        _end_group(process)
        copying.join()
    if process.returncode:
        print(*lines, sep='\n', file=sys.stderr, flush=True)
        raise ValueError(f'{_name_of(command)} {_ending(process.returncode)}; its output is in {log}')


@contextlib.contextmanager
def _started(command: Sequence[str], folder: str | None) -> Iterator[subprocess.Popen]:
    """The running process; it ends when the block does, whatever happens to this one."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(outer_environment(), PYTHONUNBUFFERED='1', TQDM_DISABLE='1'),  # a log of lines in their order
            start_new_session=True,  # ais_bench leaves its own processes behind: they are ended with it
            preexec_fn=_end_with_parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise ValueError(f'{command[0]} cannot be run: {error.strerror}')
    try:
        yield process
    finally:
        try:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SECONDS_TO_END)
        finally:  # after a second Ctrl-C, too
            _end_group(process)
            process.wait()


def _end_group(process: subprocess.Popen) -> None:
    """End what a program started, and itself where it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_parent() -> None:
    """In the new process: Linux ends it when this one is killed, so that nothing goes on to use the device."""
    library = ctypes.CDLL(None)
    if hasattr(library, 'prctl'):
        library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _name_of(command: Sequence[str]) -> str:
    return 'ais_bench' if 'ais_bench' in command else os.path.basename(command[0])


def _ending(status: int) -> str:
    return f'was killed by {signal.Signals(-status).name}' if status < 0 else f'ended with status {status}'
