"""CONTRIBUTING.md stays true: its worked example works, and the names in its table of changes exist."""

import glob
import inspect
import os
import re
import sys
import types

from rdn import devices

import pytest

from helpers import ROOT

with open(os.path.join(ROOT, 'CONTRIBUTING.md'), encoding='utf-8') as page:
    PAGE = page.read()
TEST, DEVICE = re.findall(r'^```python\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
(DIFF,) = re.findall(r'^```diff\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
TABLE = PAGE.split('\n## To change X, go to Y\n')[1].split('\n## ')[0]
ROWS = [line.strip('|').split('|') for line in TABLE.splitlines() if line.startswith('| ')][2:]
PATH = re.compile(r'[\w.-]+/[\w./-]*|[\w-]+\.(?:py|sh|txt|md)')


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return file.read()


def load(name, source, monkeypatch):
    """Run a source as the module rdn.devices.{name}, for this test only."""
    module = types.ModuleType(f'rdn.devices.{name}')
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(devices, name, module, raising=False)
    exec(compile(source, f'{name}.py', 'exec'), module.__dict__)


def registered(source):
    """Return choice.py after the changes that the page shows."""
    lines = DIFF.splitlines()
    for old, new in zip(lines[::2], lines[1::2]):
        assert (old[0], new[0]) == ('-', '+')
        assert source.count(f'{old[1:]}\n') == 1, (
            f'the diff in CONTRIBUTING.md has an outdated line of choice.py: {old}'
        )
        source = source.replace(f'{old[1:]}\n', f'{new[1:]}\n')
    return source


@pytest.mark.parametrize('name', re.findall(r'^def (test_\w+)', TEST, re.MULTILINE))
def test_the_worked_example_passes_its_own_tests(name, request, monkeypatch):
    load('acme', DEVICE, monkeypatch)
    load('choice', registered(read('rdn/devices/choice.py')), monkeypatch)
    load('logs', read('rdn/devices/logs.py'), monkeypatch)
    names = {}
    exec(compile(TEST, 'test_acme.py', 'exec'), names)
    fixtures = inspect.signature(names[name]).parameters
    names[name](**{fixture: request.getfixturevalue(fixture) for fixture in fixtures})


def test_the_example_states_its_number_of_tests():
    assert f'test_acme.py    # {len(re.findall("^def test_", TEST, re.MULTILINE))} passed' in PAGE


def test_every_path_in_the_table_of_changes_exists():
    paths = {name for row in ROWS for name in re.findall(r'`([^`]+)`', row[1]) if PATH.fullmatch(name)}
    assert len(paths) > 50
    assert sorted(path for path in paths if not os.path.exists(os.path.join(ROOT, path))) == []


def test_every_name_in_the_table_of_changes_is_in_a_source_of_its_row():
    checked = 0
    for row in ROWS:
        names = re.findall(r'`([^`]+)`', row[1])
        paths = [os.path.join(ROOT, name) for name in names if PATH.fullmatch(name)]
        sources = [file for path in paths for file in (glob.glob(f'{path}*.py') if path.endswith('/') else [path])]
        text = ''.join(map(read, sources))
        for name in names:
            if name.isidentifier():
                assert re.search(rf'\b{name}\b', text), (name, row[0])
                checked += 1
    assert checked > 10


def test_every_package_is_in_the_table_of_changes():
    for package in ('rdn', 'pictures'):
        for door in glob.glob(os.path.join(ROOT, package, '*', '__init__.py')):
            room = os.path.relpath(os.path.dirname(door), ROOT)
            assert f'`{room}/' in TABLE, room
