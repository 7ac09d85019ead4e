"""Runs the vendor's programs outside of the project's virtual environment.

atc and ais_bench belong to the server's own Python: atc starts the first `python3` on PATH and needs CANN's packages
there, and ais_bench is installed there.

A Runner runs all programs of a device. Tests can replace it, and so can code that uses a machine over ssh: a Call lists
every path that its program reads, and the program writes only into the call's folder.
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

LAST_LINES = 10  # of a failing program's output, shown on stderr
SECONDS = 60  # the longest time for a program's answer to a question
SECONDS_TO_END = 10  # after SIGTERM, before SIGKILL
SECONDS_OF_OUTPUT = 5  # after a program's end, for the output of the processes that it started
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class Answer(NamedTuple):
    """A program's exit status, and what it printed on stdout and stderr."""

    status: int
    text: str


class Call(NamedTuple):
    """A run of a program that works on files.

    Attributes:
        command: the program and its arguments.
        log: the path of the file for its output.
        folder: the folder where it runs, and the only one in which it writes; may contain links to files that it reads.
        name: the program's name in messages; None for the command's first word.
        reads: other paths among its arguments.
        is_of_toolkit: whether env.sh must set PATH so that the program is found.
    """

    command: Sequence[str]
    log: str
    folder: str | None = None
    name: str | None = None
    reads: Sequence[str] = ()
    is_of_toolkit: bool = False


def outer_environment() -> dict[str, str]:
    """Return the environment variables as they would be without this Python's virtual environment."""
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
        """Return the path of a program on PATH outside of the virtual environment; None if it is not there."""
        return shutil.which(program, path=outer_environment().get('PATH'))

    def ask(self, command: Sequence[str]) -> Answer:
        """Run a program that answers a question and ends within SECONDS.

        It runs in the root folder, so it cannot import this project's modules by mistake.

        Args:
            command: the program and its arguments.

        Raises:
            ValueError: the program cannot be run, or does not end in time.
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
        """Show a call's command and run it. Its output goes to the console and into its log.

        Raises:
            ValueError: the program fails; its last lines are then printed on stderr.
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
            # A thread, because a process that a killed program left behind may keep the output open for ever.
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
    """Print a command so that users can copy it. The arguments are those of `format_call`."""
    print(f'\n$ {format_call(command, outer, toolkit)}', flush=True)


def format_call(command: Sequence[str], outer: bool = False, toolkit: bool = False) -> str:
    """Return a command line that users can copy.

    Args:
        command: the program and its arguments.
        outer: whether it has to run outside of the virtual environment.
        toolkit: whether env.sh must set PATH so that the program is found.
    """
    inside = outer and sys.prefix != sys.base_prefix
    # `deactivate` restores the earlier PATH, without what env.sh added since.
    source = 'source env.sh; ' if toolkit and os.environ.get('RDN_SOURCED') else ''
    return f'(deactivate; {source}{line_of(command)})' if inside else line_of(command)


def line_of(command: Sequence[str]) -> str:
    """Return a command as one line for bash."""
    return ' '.join(map(escaping.quote, command))


@contextlib.contextmanager
def _started(command: Sequence[str], folder: str | None) -> Iterator[subprocess.Popen]:
    """Start a process, and end it with the block, even if the block raises or this process is killed."""
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(outer_environment(), PYTHONUNBUFFERED='1', TQDM_DISABLE='1'),  # a log of lines in their order
            start_new_session=True,  # ais_bench leaves processes behind, which are killed as a group
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
    """Return a preexec_fn that ends the new process, a script of this project, when this process is killed."""
    return functools.partial(_end_with_parent, os.getpid())


@contextlib.contextmanager
def ending(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """End a running script of this project with the block.

    The script receives SIGTERM first, so that it can remove incomplete files; subprocess.run would kill it at once.

    Args:
        process: the script's process.

    Yields:
        The process.
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
    """Kill a program that still runs, and all processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_with_parent(parent: int) -> None:
    """Make Linux end this new process when its parent is killed, so that it stops using the device."""
    library = ctypes.CDLL(None)
    if hasattr(library, 'prctl'):
        library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent was killed before the call
            os._exit(1)


def _ending(status: int) -> str:
    return f'was killed by {signal.Signals(-status).name}' if status < 0 else f'ended with status {status}'
