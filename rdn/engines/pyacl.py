"""pyACL, the module acl of a CANN toolkit: found, its calls checked, what a process does once.

Each call that fails becomes one line: its name, its code and what the runtime says of it. The calls are listed at
https://www.hiascend.com/document (Application Development, pyACL API).
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import importlib.machinery
import importlib.util
import sys
import threading
from typing import Any, Callable

from rdn import escaping, toolkit

MODULE = 'acl'
ALREADY_INITIALISED = 100002  # by another library of this process, which then also finalizes
MAX_MESSAGE_LETTERS = 2000


def load_module() -> Any:
    """Import the module acl: the one on PYTHONPATH, else the toolkit's.

    Returns:
        The module.

    Raises:
        ValueError: there is none, or it cannot be loaded; with what to do.
    """
    module = sys.modules.get(MODULE)
    if _is_pyacl(module):
        return module
    problem = 'no module acl is here'
    for folder in [None, *toolkit.python_folders()]:
        spec = importlib.machinery.PathFinder.find_spec(MODULE, folder and [folder])
        if spec is None or spec.loader is None or not spec.has_location:  # a folder of that name is no module
            continue
        try:
            module = _import(spec)
        except Exception as error:  # a library of the toolkit is missing, for instance
            problem = f'{spec.origin} cannot be loaded ({escaping.one_line(error)})'
            continue
        if _is_pyacl(module):
            return module
        sys.modules.pop(MODULE, None)
        problem = f'{spec.origin} is another module acl, not pyACL'
    raise ValueError(f"{problem}: source env.sh, which sets the toolkit's environment")


def _is_pyacl(module: Any) -> bool:
    return all(hasattr(module, name) for name in ('init', 'rt', 'mdl', 'util'))


def _import(spec: importlib.machinery.ModuleSpec) -> Any:
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        assert spec.loader
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(MODULE, None)
        raise
    return sys.modules.get(MODULE, module)


class Calls:
    """The functions of the module acl by their names, `rt.malloc` for instance, with their failures as ValueErrors.

    Attributes:
        module: the module acl.
        path: of the model that the calls are for, which the errors name.
    """

    def __init__(self, module: Any, path: str):
        self.module, self.path = module, path

    def has(self, name: str) -> bool:
        """Whether the toolkit has a function; old ones lack some."""
        return self._find(name) is not None

    def ask(self, name: str, *arguments: Any) -> Any:
        """Return what a function returns.

        Raises:
            ValueError: it raises an exception.
        """
        try:
            function = self._find(name)
            if function is None:
                raise ValueError('this toolkit does not have it')
            return function(*arguments)
        except Exception as error:  # of any kind: wrong arguments, for instance
            raise ValueError(f'{self.path}: acl.{name}: {escaping.one_line(error)}')

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function that returns `ret`, or a value and `ret`, and return the value or None.

        Raises:
            ValueError: `ret` is not 0.
        """
        result = self.ask(name, *arguments)
        *values, code = result if isinstance(result, tuple) else (result,)
        if code != 0:
            raise self._error(name, code)
        return values[0] if values else None

    def call_allowing(self, allowed: int, name: str, *arguments: Any) -> int:
        """Call a function that returns `ret` alone, and return it.

        Raises:
            ValueError: `ret` is neither 0 nor the allowed code.
        """
        code = self.ask(name, *arguments)
        if code not in (0, allowed):
            raise self._error(name, code)
        return code

    def make(self, name: str, *arguments: Any) -> Any:
        """Call a function that returns a pointer alone, or another value that is not 0.

        Raises:
            ValueError: it returns 0 or nothing.
        """
        value = self.ask(name, *arguments)
        if not value:
            raise self._error(name, value)
        return value

    def _find(self, name: str) -> Callable[..., Any] | None:
        part, _, short = name.rpartition('.')
        return getattr(getattr(self.module, part, None) if part else self.module, short, None)

    def _error(self, name: str, code: Any) -> ValueError:
        text = ''
        with contextlib.suppress(ValueError):
            text = str(self.ask('get_recent_err_msg') or '') if self.has('get_recent_err_msg') else ''
        text = ' '.join(text.split())[:MAX_MESSAGE_LETTERS]
        return ValueError(f'{self.path}: acl.{name} failed with {code}{f": {text}" if text else ""}')


class Held:
    """What has to be freed, last first; every part is tried, whatever fails before."""

    def __init__(self, calls: Calls):
        self._calls, self._stack = calls, contextlib.ExitStack()
        self._errors: list[ValueError] = []

    def add(self, name: str, *arguments: Any) -> None:
        """Note the call that frees something."""
        self.add_function(self._calls.call, name, *arguments)

    def add_function(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Note a function that frees something, which may raise ValueError."""
        self._stack.callback(self._try, function, *arguments)

    def free(self) -> None:
        """Free everything.

        Raises:
            ValueError: a call failed; the first of them, after all were tried.
        """
        self._stack.close()
        if self._errors:
            raise self._errors[0]

    def _try(self, function: Callable[..., Any], *arguments: Any) -> None:
        try:
            function(*arguments)
        except ValueError as error:
            self._errors.append(error)


class Process:
    """What a process does once with a module acl: initialise it, take devices, and finalize it at its end.

    Models on one device share it: some versions of CANN reset a device for all at the first reset_device.
    """

    def __init__(self, module: Any):
        self.module = module
        self._lock = threading.RLock()  # a model that is collected as garbage may come in between
        self._devices: collections.Counter[int] = collections.Counter()
        self._closers: list[Callable[[], None]] = []
        self._is_initialised = self._is_ours = False

    def add(self, close: Callable[[], None]) -> None:
        """Note how to close a model that is still open when the process ends."""
        self._closers.append(close)

    def remove(self, close: Callable[[], None]) -> None:
        """Forget a model that is closed."""
        self._closers.remove(close)

    def take_device(self, calls: Calls, device_id: int) -> None:
        """Take a device for one more model; initialise the module before the first one.

        Raises:
            ValueError: a call fails.
        """
        with self._lock:
            if not self._is_initialised:
                self._is_ours = calls.call_allowing(ALREADY_INITIALISED, 'init') == 0
                self._is_initialised = True
                atexit.register(self._at_exit)  # after the import of the module, whose own such functions come later
            self._devices[device_id] += 1
            try:
                if self._devices[device_id] == 1:
                    calls.call('rt.set_device', device_id)
            except BaseException:
                self._devices[device_id] -= 1
                raise

    def give_device(self, calls: Calls, device_id: int) -> None:
        """Give a device back for one model; reset it after the last one.

        Raises:
            ValueError: the call fails.
        """
        with self._lock:
            self._devices[device_id] -= 1
            if not self._devices[device_id]:
                calls.call('rt.reset_device', device_id)

    def finalize(self) -> None:
        """Finalize the module, unless it was not initialised here or a model still has a device.

        Raises:
            ValueError: the call fails.
        """
        with self._lock:
            if self._is_initialised and not any(self._devices.values()):
                self._is_initialised = False
                atexit.unregister(self._at_exit)
                if self._is_ours:
                    Calls(self.module, 'pyACL').call('finalize')

    def _at_exit(self) -> None:
        for end in [*self._closers, self.finalize]:
            try:
                end()
            except ValueError as error:
                print(escaping.one_line(error), file=sys.stderr)


_processes: list[Process] = []  # more than one only if the module acl is replaced, in tests


def process_of(module: Any) -> Process:
    """The Process of a module acl."""
    for process in _processes:
        if process.module is module:
            return process
    _processes.append(Process(module))
    return _processes[-1]


def chip_of(module: Any, device_id: int) -> str | None:
    """Return the toolkit's name of a device's chip, Ascend310P3 for instance; None if the toolkit does not say it.

    Raises:
        ValueError: the device cannot be used.
    """
    calls, process = Calls(module, 'pyACL'), process_of(module)
    process.take_device(calls, device_id)
    try:
        return calls.ask('get_soc_name') if calls.has('get_soc_name') else None
    finally:
        process.give_device(calls, device_id)
        process.finalize()


def finalize() -> None:
    """Finalize what this process initialised and no model uses.

    Raises:
        ValueError: a call fails.
    """
    for process in _processes:
        process.finalize()
