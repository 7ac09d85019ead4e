"""For tools.faults: a script's process, forked from one in which the libraries are loaded, as they take seconds to load."""

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
    """Import libraries and scripts, here and for all forks; none of them starts a thread."""
    for name in [*LOADED, *names]:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f'without {name}', file=sys.stderr)


class Fork:
    """A script in a fork, with subprocess.Popen's methods."""

    def __init__(self, module, arguments, cwd, preexec_fn=None):
        """Start it.

        Args:
            module: the script's name as a module.
            arguments: of the script.
            cwd: the folder in which it runs.
            preexec_fn: is called in the new process.
        """
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
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.returncode

    def communicate(self, timeout=300):
        """As Popen's, without stdout."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.005)
        self._error.seek(0)
        return b'', self._error.read()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)
