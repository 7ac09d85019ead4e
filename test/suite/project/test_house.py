"""The house keeps its plan: arrows between the rooms go one way, and no script imports another."""

import ast
import os

import pytest

from helpers import ROOT

TOP = 'rdn'
PORT = tuple(
    f'rdn.{room}' for room in 'network engines devices data accuracy profiling acceptance training quantization'.split()
)
PICTURES = ('pictures', 'pictures.formats', 'pictures.metadata', 'pictures.report', 'pictures.cluster')
ROOMS = (*PORT, *PICTURES)
# What a room may use beside itself and the modules at the top of rdn/, which use nothing but each other.
MAY_USE = {
    'rdn.engines': {'rdn.network'},
    'rdn.devices': {'rdn.data', 'rdn.network'},
    'rdn.accuracy': {'rdn.data', 'rdn.network'},
    'rdn.profiling': {'rdn.devices'},
    'rdn.acceptance': {'rdn.accuracy', 'rdn.data', 'rdn.devices', 'rdn.network'},
    'rdn.training': {'rdn.accuracy', 'rdn.data', 'rdn.network'},
    'rdn.quantization': {'rdn.accuracy', 'rdn.engines', 'rdn.network'},
    **dict.fromkeys(PICTURES, {'rdn.engines', *PICTURES}),
}
WALK = 'rdn.walk'  # stands at the top, and shows and runs what the others have
SCRIPTS = sorted(name[:-3] for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py')


def imports_of(path):
    """Names of the modules that a source imports, at its top and inside functions: 'rdn.profiling.msprof', 'os.path'."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        tree = ast.parse(file.read())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


def modules():
    """Name -> names of the modules of the project that it imports."""
    paths = {}
    for package in ('rdn', 'pictures'):
        for folder, _, names in os.walk(os.path.join(ROOT, package)):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                dotted = path[:-3].replace(os.sep, '.')
                if name == '__init__.py' and dotted != 'rdn.__init__':  # a room's door
                    paths[dotted[: -len('.__init__')]] = path
                elif name.endswith('.py') and name != '__init__.py':
                    paths[dotted] = path
    return {name: {used for used in map(owner(paths), imports_of(path)) if used} for name, path in paths.items()}


def owner(known):
    """A function from an imported name to the module that holds it: 'rdn.cpu.has_bf16' -> 'rdn.cpu'."""
    return lambda name: next((part for part in (name, name.rpartition('.')[0]) if part in known), None)


def room_of(name):
    if name in ROOMS:  # its door
        return name
    room = name.rpartition('.')[0]
    assert room in (TOP, *ROOMS), name
    return room


def test_arrows_between_the_rooms_go_one_way():
    for name, used in modules().items():
        if name == WALK:
            continue
        allowed = {TOP, room_of(name)} | MAY_USE.get(room_of(name), set())
        assert {other for other in used if room_of(other) not in allowed} == set(), name


def functions_of(path):
    """(name, parameters, names that it assigns) of each function of a source; and the modules of ours that it imports."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        tree = ast.parse(file.read())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split('.')[0] in ('rdn', 'pictures')
        for alias in node.names
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            parameters = [
                each.arg for each in (*node.args.args, *node.args.kwonlyargs) if each.arg not in ('self', 'cls')
            ]
            stored = {x.id for x in ast.walk(node) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)}
            found.append((node.name, parameters, stored | set(parameters)))
    return found, imported


def sources():
    """The paths of the product's sources."""
    for package in ('', 'rdn', 'pictures', 'tools'):
        for folder, folders, names in os.walk(os.path.join(ROOT, package)):
            if not package:
                folders.clear()
            yield from (os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name.endswith('.py'))


def test_functions_take_few_parameters_and_no_name_hides_a_module():
    paths = list(sources())
    assert len(paths) > 100
    for path in paths:
        functions, imported = functions_of(path)
        for name, parameters, names in functions:
            assert len(parameters) < 7, (path, name)
            assert not names & imported, (path, name)


def test_no_module_is_used_by_what_it_uses():
    arrows = modules()

    def reach(name, path):
        assert name not in path, ' -> '.join([*path, name])
        for other in sorted(arrows[name]):
            reach(other, [*path, name])

    for name in arrows:
        reach(name, [])


def test_the_network_imports_torch_alone():
    assert {name.split('.')[0] for name in imports_of('models.py')} == {'__future__', 'torch'}


@pytest.mark.parametrize('name', SCRIPTS)
def test_no_script_imports_another(name):
    assert not imports_of(f'{name}.py').intersection(SCRIPTS)
