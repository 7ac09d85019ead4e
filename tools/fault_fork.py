"""For tools.faults: run a script in a fork of a process that has loaded the libraries, since loading takes seconds."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli

LOADED = 'torch torch._dynamo onnx onnxruntime openvino numpy PIL.Image'.split()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def load(names):
    """Import the libraries and the modules `names` for all forks. They start no threads, which a fork would lose."""
    for name in [*LOADED, *names]:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f'{name} is not installed: it is left out', file=sys.stderr)


class Fork:
    """A script in a fork, with some of subprocess.Popen's methods.

    Args:
        module: the name of the script's module, loaded before.
        arguments: the script's arguments.
        cwd: the folder to run in.
        preexec_fn: called in the new process before the script.

    Attributes:
        args: the module and the arguments.
        pid: the number of the process.
        returncode: the status, or minus the number of the signal that ended it; None while it runs.
    """

    def __init__(self, module, arguments, cwd, preexec_fn=None):
        self.args, self.returncode = [module, *arguments], None
        self._error = tempfile.TemporaryFile()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            self._begin(module, arguments, cwd, preexec_fn)

    def _begin(self, module, arguments, cwd, preexec_fn):
        status = 99
        try:
            for number in SIGNALS:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(self._error.fileno(), 2)
            os.chdir(cwd)
            if preexec_fn:
                preexec_fn()
            sys.argv = [f'{module}.py', *arguments]
            cli.run(sys.modules[module].main)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        finally:
            sys.stderr.flush()
            os._exit(status)

    def poll(self):
        """Return the status; None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.returncode

    def communicate(self, timeout=300):
        """Wait for the end, and return (b'', the bytes of stderr).

        Raises:
            subprocess.TimeoutExpired: the process takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.005)
        self._error.seek(0)
        return b'', self._error.read()

    def send_signal(self, number):
        """Send a signal, if the process still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """Send SIGKILL, if the process still runs."""
        self.send_signal(signal.SIGKILL)
