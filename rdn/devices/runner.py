"""Runs the vendor's programs as if the project's virtual environment were not active.

atc and ais_bench belong to the server's own Python: atc runs in the first `python3` on PATH and needs CANN's packages
there, ais_bench is installed there. All programs of a device go through a Runner. A test or a machine behind ssh can
replace it: a Call lists every path that its program reads, and the program writes only into the call's folder.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO, Callable, Iterator, NamedTuple, Sequence

from rdn import escaping

LAST_LINES = 10  # of a failing program's output
SECONDS = 60  # that a program may take to answer a question
SECONDS_TO_END = 10  # after SIGTERM
SECONDS_OF_OUTPUT = 5  # that a program's own processes may still write after its end
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class Answer(NamedTuple):
    """A program's exit status, and what it printed on stdout and stderr."""

    status: int
    text: str


class Call(NamedTuple):
    """A run of a program that works on files.

    Attributes:
        command: the program and its arguments.
        log: the path of a file for its output.
        folder: where it runs, and the only place that it writes to; symbolic links in it lead to files that it reads.
        name: of the program, for messages; None for the command's first word.
        reads: other paths among its arguments.
        is_of_toolkit: it is found by the environment that env.sh sets.
    """

    command: Sequence[str]
    log: str
    folder: str | None = None
    name: str | None = None
    reads: Sequence[str] = ()
    is_of_toolkit: bool = False


def outer_environment() -> dict[str, str]:
    """The environment variables as they were before this Python's virtual environment was activated."""
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix:
        inner = os.path.realpath(os.path.join(sys.prefix, 'bin'))
        folders = environment.get('PATH', os.defpath).split(os.pathsep)
        environment['PATH'] = os.pathsep.join(folder for folder in folders if os.path.realpath(folder) != inner)
        environment.pop('VIRTUAL_ENV', None)
    return environment


class Runner:
    """Finds, asks and runs programs on this machine."""

    def find(self, program: str) -> str | None:
        """Return the path of a program on the outer PATH; None if it is not there."""
        return shutil.which(program, path=outer_environment().get('PATH'))

    def ask(self, command: Sequence[str]) -> Answer:
        """Run a program that answers a question and ends within SECONDS.

        It runs in the root folder, where no module of ours can be taken for one of its own.

        Raises:
            ValueError: the program cannot be run, or does not end.
        """
        try:
            done = subprocess.run(
                command,
                cwd='/',
                env=outer_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
            )
        except OSError as error:
            raise ValueError(f'{command[0]} cannot be run: {error.strerror}')
        except subprocess.TimeoutExpired:
            raise ValueError(f'{line_of(command)} does not end within {SECONDS} seconds')
        return Answer(done.returncode, done.stdout.decode('utf-8', errors='replace'))

    def run(self, call: Call) -> None:
        """Show a call's command and run it, its output to the console and into its log.

        Raises:
            ValueError: it fails; its last lines are then on stderr.
        """
        show(call.command, outer=True, toolkit=call.is_of_toolkit)
        os.makedirs(os.path.dirname(call.log), exist_ok=True)
        lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)

        def copy(stream: IO[bytes], file: IO[bytes]) -> None:
            for line in stream:
                file.write(line)
                file.flush()
                lines.append(line.decode('utf-8', errors='replace').rstrip())
                print(lines[-1], flush=True)

        with open(call.log, 'wb') as file, _started(call.command, call.folder) as process:
            assert process.stdout
            # In a thread: a process that a killed program left behind may hold its output open for ever.
            copying = threading.Thread(target=copy, args=(process.stdout, file), daemon=True)
            copying.start()
            process.wait()
            copying.join(SECONDS_OF_OUTPUT)
            _end_group(process)
            copying.join()
        if process.returncode:
            print(*lines, sep='\n', file=sys.stderr, flush=True)
            name = call.name or os.path.basename(call.command[0])
            raise ValueError(f'{name} {_ending(process.returncode)}; its output is in {call.log}')


LOCAL = Runner()


def show(command: Sequence[str], outer: bool = False, toolkit: bool = False) -> None:
    """Print a command so that it can be copied. The arguments are those of `format_call`."""
    print(f'\n$ {format_call(command, outer, toolkit)}', flush=True)


def format_call(command: Sequence[str], outer: bool = False, toolkit: bool = False) -> str:
    """A command as a person can copy it.

    Args:
        command: the program and its arguments.
        outer: it has to run outside of the virtual environment.
        toolkit: it is found by the environment that env.sh sets.
    """
    inside = outer and sys.prefix != sys.base_prefix
    # `deactivate` restores the earlier PATH, without what env.sh added since.
    source = 'source env.sh; ' if toolkit and os.environ.get('RDN_SOURCED') else ''
    return f'(deactivate; {source}{line_of(command)})' if inside else line_of(command)


def line_of(command: Sequence[str]) -> str:
    """The command as bash takes it, in one line."""
    return ' '.join(map(escaping.quote, command))


@contextlib.contextmanager
def _started(command: Sequence[str], folder: str | None) -> Iterator[subprocess.Popen]:
    """The running process; it ends when the block does, whatever happens to this one."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(outer_environment(), PYTHONUNBUFFERED='1', TQDM_DISABLE='1'),  # a log of lines in their order
            start_new_session=True,  # ais_bench leaves its own processes behind: they are ended with it
            preexec_fn=functools.partial(_end_with_parent, os.getpid()),
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


def with_parent() -> Callable[[], None]:
    """Return a preexec_fn for a script of this project: it ends when this process is killed."""
    return functools.partial(_end_with_parent, os.getpid())


@contextlib.contextmanager
def ending(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """End a script of this project where the block ends early, so that it removes what it has half-written.

    subprocess.run would kill it at once.
    """
    try:
        yield process
    finally:
        try:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(SECONDS_TO_END)
        finally:  # after a second signal, too
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()


def _end_group(process: subprocess.Popen) -> None:
    """End what a program started, and itself if it still runs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_parent(parent: int) -> None:
    """In the new process: Linux ends it when this one is killed, so that nothing goes on to use the device."""
    library = ctypes.CDLL(None)
    if hasattr(library, 'prctl'):
        library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before
            os._exit(1)


def _ending(status: int) -> str:
    return f'was killed by {signal.Signals(-status).name}' if status < 0 else f'ended with status {status}'
