"""pyACL, the module acl of a CANN toolkit: finds it, checks its calls, initialises it once per process.

If a call fails, the error is one line: the call's name, its code and the runtime's own message. The calls are listed at
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
ALREADY_INITIALISED = 100002  # the code if another library of this process did it; that library also finalizes
MAX_MESSAGE_LETTERS = 2000


def load_module() -> Any:
    """Import the module acl: the one on PYTHONPATH, else the toolkit's.

    Returns:
        The module.

    Raises:
        ValueError: the module is missing or cannot be loaded; says what to do.
    """
    module = sys.modules.get(MODULE)
    if _is_pyacl(module):
        return module
    problem = 'no module acl is here'
    for folder in [None, *toolkit.python_folders()]:
        spec = importlib.machinery.PathFinder.find_spec(MODULE, folder and [folder])
        if spec is None or spec.loader is None or not spec.has_location:  # a folder of that name is not the module
            continue
        try:
            module = _import(spec)
        except Exception as error:  # for example, a library of the toolkit is missing
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
    """Calls the functions of the module acl by name, such as `rt.malloc`. Their failures become ValueErrors.

    Attributes:
        module: the module acl.
        path: the model's path, for errors.
    """

    def __init__(self, module: Any, path: str):
        self.module, self.path = module, path

    def has(self, name: str) -> bool:
        """Return whether the toolkit has a function; old toolkits lack some."""
        return self._find(name) is not None

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a function and return its result unchecked.

        Args:
            name: the function's name, such as `rt.malloc`.
            *arguments: for the function.

        Raises:
            ValueError: the function raises an exception, or is missing.
        """
        try:
            function = self._find(name)
            if function is None:
                raise ValueError('this toolkit does not have it')
            return function(*arguments)
        except Exception as error:  # of any kind, for example for wrong arguments
            raise ValueError(f'{self.path}: acl.{name}: {escaping.one_line(error)}')

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function that returns an error code `ret`, or a value and `ret`.

        Args:
            name: the function's name, such as `rt.malloc`.
            *arguments: for the function.

        Returns:
            The value; None if the function returns only `ret`.

        Raises:
            ValueError: `ret` is not 0.
        """
        result = self.ask(name, *arguments)
        *values, code = result if isinstance(result, tuple) else (result,)
        if code != 0:
            raise self._error(name, code)
        return values[0] if values else None

    def call_allowing(self, allowed: int, name: str, *arguments: Any) -> int:
        """Call a function that returns only an error code `ret`, and return it.

        Args:
            allowed: a code besides 0 that is not an error.
            name: the function's name, such as `init`.
            *arguments: for the function.

        Raises:
            ValueError: `ret` is neither 0 nor the allowed code.
        """
        code = self.ask(name, *arguments)
        if code not in (0, allowed):
            raise self._error(name, code)
        return code

    def make(self, name: str, *arguments: Any) -> Any:
        """Call a function that returns only a pointer, or another value that must not be 0, and return it.

        Args:
            name: the function's name, such as `mdl.create_desc`.
            *arguments: for the function.

        Raises:
            ValueError: the function returns 0 or None.
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
    """Resources to free, the last one first. If one cannot be freed, the others still are."""

    def __init__(self, calls: Calls):
        self._calls, self._stack = calls, contextlib.ExitStack()
        self._errors: list[ValueError] = []

    def add(self, name: str, *arguments: Any) -> None:
        """Register the call that frees a resource.

        Args:
            name: of pyACL's function.
            *arguments: for the function.
        """
        self.add_function(self._calls.call, name, *arguments)

    def add_function(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Register a function that frees a resource.

        Args:
            function: may raise ValueError.
            *arguments: for the function.
        """
        self._stack.callback(self._try, function, *arguments)

    def free(self) -> None:
        """Free all resources.

        Raises:
            ValueError: a call failed. It is the first error, raised after all calls.
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
    """The state of a module acl in this process.

    It initialises the module once, counts each device's models, and finalizes the module at the end. It counts models
    because in some versions of CANN the first reset_device resets the device for all models.
    """

    def __init__(self, module: Any):
        self.module = module
        self._lock = threading.RLock()  # reentrant, because garbage collection may close a model inside a call
        self._devices: collections.Counter[int] = collections.Counter()
        self._closers: list[Callable[[], None]] = []
        self._is_initialised = self._is_ours = False

    def add(self, close: Callable[[], None]) -> None:
        """Register the function that closes a model if it is still open when the process ends."""
        self._closers.append(close)

    def remove(self, close: Callable[[], None]) -> None:
        """Remove a function that `add` registered, because its model is closed."""
        self._closers.remove(close)

    def take_device(self, calls: Calls, device_id: int) -> None:
        """Take a device for one more model; initialise the module before the first one.

        Args:
            calls: makes the calls.
            device_id: number of the device.

        Raises:
            ValueError: a call fails.
        """
        with self._lock:
            if not self._is_initialised:
                self._is_ours = calls.call_allowing(ALREADY_INITIALISED, 'init') == 0
                self._is_initialised = True
                atexit.register(self._at_exit)  # registered after the module's own function, so it runs before that one
            self._devices[device_id] += 1
            try:
                if self._devices[device_id] == 1:
                    calls.call('rt.set_device', device_id)
            except BaseException:
                self._devices[device_id] -= 1
                raise

    def give_device(self, calls: Calls, device_id: int) -> None:
        """Give a device back for one model; reset it after the last one.

        Args:
            calls: makes the call.
            device_id: number of the device.

        Raises:
            ValueError: the call fails.
        """
        with self._lock:
            self._devices[device_id] -= 1
            if not self._devices[device_id]:
                calls.call('rt.reset_device', device_id)

    def finalize(self) -> None:
        """Finalize the module, unless another library initialised it or a model still uses a device.

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
    """Return the Process of a module acl."""
    for process in _processes:
        if process.module is module:
            return process
    _processes.append(Process(module))
    return _processes[-1]


def chip_of(module: Any, device_id: int) -> str | None:
    """Return the toolkit's name of a device's chip, for example Ascend310P3; None if this toolkit cannot name it.

    Args:
        module: the module acl.
        device_id: number of the device.

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
    """Finalize pyACL if this process initialised it and no model uses a device.

    Raises:
        ValueError: a call fails.
    """
    for process in _processes:
        process.finalize()
