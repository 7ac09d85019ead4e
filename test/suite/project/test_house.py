"""The structure of the project: packages import only from the allowed ones, and no script imports another."""

import ast
import os

import pytest

from helpers import ROOT

TOP = 'rdn'
PORT = tuple(
    f'rdn.{room}'
    for room in 'network engines devices data accuracy comparison profiling acceptance training quantization'.split()
)
PICTURES = ('pictures', 'pictures.formats', 'pictures.metadata', 'pictures.report', 'pictures.cluster')
ROOMS = (*PORT, *PICTURES)
# The packages that a package may import from, besides itself and the modules at the top of rdn/. Those modules import
# only each other.
MAY_USE = {
    'rdn.engines': {'rdn.network'},
    'rdn.devices': {'rdn.data', 'rdn.network'},
    'rdn.accuracy': {'rdn.data', 'rdn.network'},
    'rdn.comparison': {'rdn.accuracy', 'rdn.data', 'rdn.devices', 'rdn.engines', 'rdn.network'},
    'rdn.acceptance': {'rdn.accuracy', 'rdn.data', 'rdn.devices', 'rdn.network'},
    'rdn.training': {'rdn.accuracy', 'rdn.data', 'rdn.network'},
    'rdn.quantization': {'rdn.accuracy', 'rdn.engines', 'rdn.network'},
    **dict.fromkeys(PICTURES, {'rdn.engines', *PICTURES}),
}
# These modules at the top may import from all packages, because they run everything.
WALKS = {'rdn.walk', 'rdn.walk_steps', 'rdn.mode_comparison'}
SCRIPTS = sorted(name[:-3] for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py')
# The packages that a script may import from, besides the modules at the top of rdn/.
SCRIPT_MAY_USE = {
    'RDN_compare': {
        'rdn.accuracy',
        'rdn.comparison',
        'rdn.data',
        'rdn.devices',
        'rdn.engines',
        'rdn.network',
    },
    'RDN_infer': {'rdn.engines', 'rdn.data', 'rdn.devices', 'rdn.profiling'},
    'RDN_postprocess': {'rdn.acceptance', 'rdn.accuracy', 'rdn.network', 'pictures.report'},
    'RDN_preprocess': {'rdn.data', 'rdn.devices'},
    'RDN_profile': {'rdn.profiling'},
    'RDN_pth2onnx': {'rdn.engines', 'rdn.network'},
    'RDN_quantize': {'rdn.engines', 'rdn.quantization', 'rdn.training'},
    'RDN_train': {'rdn.network', 'rdn.training'},
    'RDN_upscale': {'rdn.engines', 'pictures', 'pictures.report', 'pictures.cluster'},
    'gen_dataset_info': {'rdn.data', 'rdn.devices'},
    'patch_transpose_whitelist': {'rdn.network', 'rdn.profiling'},
    'sample_images': set(),
    'test/accept': {'rdn.acceptance'},
    'test/batches': {'rdn.acceptance'},
    'test/parse': {'rdn.acceptance'},
}
# Modules that start processes: the walk starts scripts, a runner the vendor's tools, decoders their workers.
STARTERS = {'rdn.walk', 'rdn.walk_steps', 'rdn.devices.runner', 'pictures.formats.decoders'}
# Modules that contain the name of a script to start; rdn_infer.py passes it to the walk.
NAMERS = {*WALKS, 'rdn.devices.rdn_infer'}


def parsed(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        return ast.parse(file.read())


def imports_of(path):
    """Return the names that a source imports, also inside functions: 'rdn.profiling.msprof', 'os.path'."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


def module_paths():
    """Return the paths of the project's modules by their names."""
    paths = {}
    for package in ('rdn', 'pictures'):
        for folder, _, names in os.walk(os.path.join(ROOT, package)):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                dotted = path[:-3].replace(os.sep, '.')
                if name == '__init__.py' and dotted != 'rdn.__init__':  # the package itself
                    paths[dotted[: -len('.__init__')]] = path
                elif name.endswith('.py') and name != '__init__.py':
                    paths[dotted] = path
    return paths


def modules():
    """Return, for each module of the project, the modules of the project that it imports."""
    paths = module_paths()
    return {name: uses_of(path, paths) for name, path in paths.items()}


def uses_of(path, paths):
    """Return the names of the project's modules that a source imports."""
    return {used for used in map(owner(paths), imports_of(path)) if used}


def owner(known):
    """Return a function that finds an imported name's module: 'rdn.cpu.has_bf16' -> 'rdn.cpu'; None if foreign."""
    return lambda name: next((part for part in (name, name.rpartition('.')[0]) if part in known), None)


def room_of(name):
    """Return the package of a module."""
    if name in ROOMS:  # the package itself
        return name
    room = name.rpartition('.')[0]
    assert room in (TOP, *ROOMS), name
    return room


def test_packages_import_only_from_allowed_packages():
    for name, used in modules().items():
        if name in WALKS:
            continue
        allowed = {TOP, room_of(name)} | MAY_USE.get(room_of(name), set())
        assert {other for other in used if room_of(other) not in allowed} == set(), name


def test_scripts_import_only_the_packages_of_their_step():
    scripts = {
        *SCRIPTS,
        *(f'test/{name[:-3]}' for name in os.listdir(os.path.join(ROOT, 'test')) if name[-3:] == '.py'),
    }
    assert scripts == set(SCRIPT_MAY_USE)
    paths = module_paths()
    for script, allowed in SCRIPT_MAY_USE.items():
        assert {room_of(name) for name in uses_of(f'{script}.py', paths)} == {TOP} | allowed, script


STARTING = ast.parse(
    """
import os, runpy
from subprocess import run, TimeoutExpired
import subprocess as processes
def start(path):
    processes.Popen(['ls'])
    run(['ls'])
    os.system('ls')
    os.path.join('a', 'b')
    runpy.run_path(path)
    processes.list2cmdline(['ls'])
"""
)
STARTING_FUNCTIONS = {
    'subprocess': {'run', 'Popen', 'call', 'check_call', 'check_output', 'getoutput', 'getstatusoutput'},
    'os': {'system', 'popen', 'posix_spawn', 'posix_spawnp'}
    | {f'{kind}{ending}' for kind in ('exec', 'spawn') for ending in ('l', 'le', 'lp', 'lpe', 'v', 've', 'vp', 'vpe')},
    'runpy': {'run_path', 'run_module'},
    'importlib': {'import_module'},  # it could import a script by name, which imports_of does not see
    'pty': {'spawn'},
    'asyncio': {'create_subprocess_exec', 'create_subprocess_shell'},
}


def starts_of(tree):
    """Return the functions that a source uses to start a program or script, for example 'subprocess.run'."""
    found, names = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module in STARTING_FUNCTIONS:
            found.update(f'{node.module}.{x.name}' for x in node.names if x.name in STARTING_FUNCTIONS[node.module])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id, '')
            if node.attr in STARTING_FUNCTIONS.get(module, ()):
                found.add(f'{module}.{node.attr}')
    return found


def script_names_of(tree):
    """Return the texts of a source that are a script's path or a command with one; other texts may name scripts."""
    files = {os.path.basename(f'{script}.py') for script in SCRIPT_MAY_USE}
    found = set()
    for node in ast.walk(tree):
        text = getattr(node, 's' if type(node).__name__ == 'Str' else 'value', None)  # Str: on Python 3.7
        if isinstance(text, str):
            words = text.split()
            command = words[1:] if words and words[0].startswith('python') else words
            is_command = len(command) < len(words) or len(words) == 1 or words[1:] and words[1].startswith('-')
            if command and is_command and os.path.basename(command[0]) in files:
                found.add(text)
    return found


def test_starts_of_processes_are_found_under_any_name():
    assert starts_of(STARTING) == {'subprocess.Popen', 'subprocess.run', 'os.system', 'runpy.run_path'}


def test_names_of_scripts_are_found_in_commands_but_not_in_prose():
    commands = (
        "f('RDN_infer.py'); g('-u', f'{ROOT}/test/parse.py'); f('python3 RDN_train.py a'); 'RDN_upscale.py --model x'"
    )
    assert len(script_names_of(ast.parse(commands))) == 4
    prose = "'RDN_infer.py writes it'; ': not of RDN_infer.py'; f'{path}: RDN_infer.py writes it'; 'other.py'"
    assert script_names_of(ast.parse(prose)) == set()


def test_only_the_walks_start_the_projects_scripts():
    paths = module_paths()
    starting = {name: starts_of(parsed(path)) for name, path in paths.items()}
    assert {name for name, found in starting.items() if found} == STARTERS
    naming = {name: script_names_of(parsed(path)) for name, path in paths.items()}
    assert {name for name, found in naming.items() if found} == NAMERS
    for name, path in paths.items():
        assert not imports_of(path).intersection(SCRIPTS), name


def functions_of(path):
    """Return ([(name, parameters, assigned names) of each function of a source], the project's modules it imports)."""
    tree = parsed(path)
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
    """Yield the paths of all sources except the tests."""
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


def test_no_two_packages_have_classes_of_the_same_name():
    rooms = {}
    for path in sources():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                rooms.setdefault(node.name, set()).add(os.path.dirname(path) or path)
    assert len(rooms) > 80
    assert {name: sorted(found) for name, found in rooms.items() if len(found) > 1} == {}


def test_imports_have_no_cycles():
    arrows = modules()

    def reach(name, path):
        assert name not in path, ' -> '.join([*path, name])
        for other in sorted(arrows[name]):
            reach(other, [*path, name])

    for name in arrows:
        reach(name, [])


def test_the_network_imports_only_torch():
    assert {name.split('.')[0] for name in imports_of('models.py')} == {'__future__', 'torch'}


@pytest.mark.parametrize('name', SCRIPTS)
def test_no_script_imports_another(name):
    assert not imports_of(f'{name}.py').intersection(SCRIPTS)
