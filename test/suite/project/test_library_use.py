"""rdn and pictures as libraries of another program: importing them changes no global state."""

import os

import pytest

from helpers import ROOT, run_python

STATE = """
import builtins, json, logging, os, pkgutil, signal, sys, threading, warnings

def state():
    import cv2, numpy, torch
    from PIL import Image, ImageFile
    loggers = {name: (logger.level, len(logger.handlers), logger.propagate, logger.disabled)
               for name, logger in logging.Logger.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
    return {
        'warnings': [str(each) for each in warnings.filters],
        'showwarning': str(warnings.showwarning),
        'loggers': {name: str(value) for name, value in sorted(loggers.items()) if value != (0, 0, True, False)},
        'root logger': [logging.root.level, len(logging.root.handlers), logging.root.manager.disable],
        'signals': [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)],
        'excepthook': [str(sys.excepthook), str(threading.excepthook) if hasattr(threading, 'excepthook') else ''],
        'environment': dict(os.environ),
        'path': sys.path,
        'folder': os.getcwd(),
        'numpy': str(numpy.geterr()),
        'threads': [torch.get_num_threads(), cv2.getNumThreads()],
        'gradients': torch.is_grad_enabled(),
        'pillow': [Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES],
        'recursion': sys.getrecursionlimit(),
    }

def ours():
    import pictures, rdn
    for package in (rdn, pictures):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):
            __import__(module.name)
"""
# The foreign modules that ours import are imported first, because they may change global state.
OTHERS = """
ours()
print(json.dumps([name for name in sys.modules if name.split('.')[0] not in ('rdn', 'pictures', 'models', '__main__')]))
"""
COMPARED = """
for name in json.load(sys.stdin):
    try:
        __import__(name)
    except Exception:
        pass
before = state()
ours()
after = state()
print(len([name for name in sys.modules if name.split('.')[0] in ('rdn', 'pictures')]))
print({name: (before[name], after[name]) for name in before if before[name] != after[name]})
"""


@pytest.mark.slow
def test_importing_every_module_changes_no_global_state(tmp_path):
    """The process runs another program."""
    environment = dict(os.environ, PYTHONPATH=ROOT)
    others = run_python('-c', STATE + OTHERS, cwd=str(tmp_path), env=environment)
    assert others.returncode == 0, others.stderr
    done = run_python('-c', STATE + COMPARED, cwd=str(tmp_path), env=environment, input=others.stdout)
    count, changed = done.stdout.split('\n', 1)
    assert done.returncode == 0 and int(count) > 80, done.stderr
    assert changed.strip() == '{}'
