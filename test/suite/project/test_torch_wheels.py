"""A new environment has the PyTorch that fits the machine, from an index that answers; pip's configuration is kept."""

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile

import pytest

from helpers import BARE_PATH, ROOT

# A Python whose pip logs its arguments, and fails if FAILS is one of them.
PYTHON = """#!/bin/sh
case "$*" in
    "-m pip "*)
        printf 'pip' >>{log}
        for argument; do
            case $argument in
                /*/fd/*) sed 's/ *;.*//' "$argument" | paste -s -d ' ' | sed 's/^/ /' | tr -d '\\n' >>{log} ;;
                -m | pip | install | --quiet | --disable-pip-version-check | -r) ;;
                *) printf ' %s' "$argument" >>{log} ;;
            esac
        done
        echo >>{log}
        case " $* " in *" ${{FAILS-none}} "*) echo 'ERROR: No matching distribution found' >&2; exit 1 ;; esac ;;
    -c*) exec {real} -S -c "import sys; sys.version_info = {info}; $2" "$3" ;;
esac
"""
LINES = """torch==1.5.0 ; python_version < "3.8"
torchvision==0.6.0 ; python_version < "3.8"
"""
CONFIGURED = 'pip --no-deps --retries 0 torch==1.5.0+cpu'  # the request to pip's configured index


@pytest.fixture
def machine(tmp_path):
    """machine(...) runs install_torch on such a machine, and returns (status, printed lines, pip's log, stderr)."""
    log = tmp_path / 'pip.log'

    def program(name, text):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def choose(system='Linux x86_64', python=(3, 11), gpu='exit 9', index='http://127.0.0.1:9', **variables):
        shutil.copy(os.path.join(ROOT, 'setup_venv.sh'), str(tmp_path))
        (tmp_path / 'requirements.txt').write_text(LINES)
        log.write_text('')
        program('python', PYTHON.format(log=log, real=sys.executable, info=python))
        kernel, processor = system.split()
        program('uname', f'#!/bin/sh\ncase $1 in -s) echo {kernel} ;; -m) echo {processor} ;; esac\n')
        program('nvidia-smi', f'#!/bin/sh\n{gpu}\n')
        command = f'set -euo pipefail; . ./setup_venv.sh; CPU_INDEX={index} CPU_PAGE={index}/page.html\n'
        done = subprocess.run(
            ['bash', '-c', f'{command} install_torch {tmp_path}/python requirements.txt', 'run.sh'],
            cwd=str(tmp_path),
            env={'PATH': f'{tmp_path}:{BARE_PATH}', 'HOME': str(tmp_path), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout.splitlines(), log.read_text().splitlines(), done.stderr

    return choose


class Server(http.server.ThreadingHTTPServer):
    """A server on a free port, with its address and the requested paths."""

    def __init__(self, handler):
        super().__init__(('127.0.0.1', 0), handler)
        self.address = f'http://127.0.0.1:{self.server_address[1]}'
        self.asked = []


@pytest.fixture
def server(tmp_path):
    """Serve the folder tmp_path/served."""
    served = tmp_path / 'served'
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):
            serving.asked.append(self.path)

    with Server(functools.partial(Handler, directory=str(served))) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ('system', 'python', 'gpu'),
    [('Linux x86_64', (3, 8), 'exit 9'), ('Linux x86_64', (3, 13), 'echo No devices'), ('Linux aarch64', (3, 11), '')],
)
def test_without_an_nvidia_gpu_pytorch_comes_from_the_index_of_cpu_wheels(
    tmp_path, machine, server, system, python, gpu
):
    (tmp_path / 'served' / 'torch').mkdir()
    status, lines, asked, _ = machine(system, python, gpu, server.address, FAILS='--retries')
    assert status == 0
    assert asked == [CONFIGURED, f'pip --no-deps --index-url {server.address} torch==1.5.0+cpu torchvision==0.6.0+cpu']
    assert lines == [f"  PyTorch without CUDA's libraries, from {server.address}: less than 2 GB"]


def test_the_guides_torch_comes_from_the_page_that_has_its_cpu_wheel(tmp_path, machine, server):
    (tmp_path / 'served' / 'page.html').write_text('')
    status, lines, asked, _ = machine(python=(3, 7), index=server.address, FAILS='--retries')
    page = f'{server.address}/page.html'
    wheels = 'torch==1.5.0+cpu torchvision==0.6.0+cpu'
    assert (status, asked[1:]) == (0, [f'pip --no-deps --no-index --find-links {page} {wheels}'])
    assert len(lines) == 1 and page in lines[0]


@pytest.mark.parametrize(
    ('system', 'python', 'gpu', 'words'),
    [
        ('Linux x86_64', (3, 11), 'echo "GPU 0: NVIDIA H200 (UUID: GPU-1)"', 'for this machine\'s NVIDIA GPU: 6 to 8 GB'),
        ('Linux aarch64', (3, 9), 'exit 9', 'less than 2 GB'),
        ('Darwin arm64', (3, 11), 'exit 9', 'less than 2 GB'),
        ('Darwin x86_64', (3, 8), 'exit 9', 'less than 2 GB'),
    ],
)  # fmt: skip
def test_pip_needs_no_index_if_pypis_wheel_fits_the_machine(machine, system, python, gpu, words):
    status, lines, asked, err = machine(system, python, gpu)
    assert (status, asked, err, len(lines)) == (0, [], '', 1)
    assert words in lines[0]


def test_no_other_index_is_asked_if_the_configured_one_has_cpu_wheels(machine, server):
    status, lines, asked, _ = machine(index=server.address)
    assert (status, asked, server.asked) == (0, [CONFIGURED], [])
    assert lines == ["  PyTorch without CUDA's libraries, from pip's configured index: less than 2 GB"]


def test_an_index_that_does_not_answer_is_named_and_pips_own_is_used(machine):
    status, lines, asked, err = machine(FAILS='--retries')
    assert (status, asked, err) == (0, [CONFIGURED], '')
    assert lines[0].startswith('  http://127.0.0.1:9 does not answer: ') and "6 to 8 GB with CUDA's" in lines[0]
    assert lines[1:] == ['  To name another index of CPU wheels: RDN_TORCH_INDEX=URL bash run.sh']


@pytest.mark.slow
def test_an_index_that_hangs_takes_five_seconds(machine):
    with socket.socket() as silent:  # accepts a connection, but never answers
        silent.bind(('127.0.0.1', 0))
        silent.listen(1)
        began = time.monotonic()
        status, lines, asked, _ = machine(index=f'http://127.0.0.1:{silent.getsockname()[1]}', FAILS='--retries')
        assert time.monotonic() - began < 8
    assert (status, asked, len(lines)) == (0, [CONFIGURED], 2) and 'does not answer' in lines[0]


def test_an_index_without_the_wheel_is_named_and_pips_own_is_used(tmp_path, machine, server):
    (tmp_path / 'served' / 'torch').mkdir()
    status, lines, asked, err = machine(index=server.address, FAILS='--no-deps')
    assert (status, len(asked)) == (0, 2) and 'No matching distribution' in err
    assert f"  {server.address} lacks PyTorch's CPU wheels" in lines[1] and 'RDN_TORCH_INDEX=URL' in lines[2]


@pytest.mark.parametrize('system', ['Linux x86_64', 'Darwin arm64'])
@pytest.mark.parametrize(
    ('named', 'flags'),
    [
        ('https://mirror.example/cu130', '--index-url https://mirror.example/cu130'),
        ('https://mirror.example/all.html', '--no-index --find-links https://mirror.example/all.html'),
        ('/', '--no-index --find-links /'),
    ],
)
def test_a_named_index_is_used_on_any_machine(machine, system, named, flags):
    status, lines, asked, _ = machine(system, gpu='echo GPU 0', RDN_TORCH_INDEX=named)
    assert (status, asked) == (0, [f'pip --no-deps {flags} torch==1.5.0 torchvision==0.6.0'])
    assert len(lines) == 1 and named in lines[0]


def test_a_named_index_without_pytorch_ends_the_setup_with_a_remedy(machine):
    status, _, _, err = machine(RDN_TORCH_INDEX='https://mirror.example', FAILS='--no-deps')
    assert status == 1
    assert err.splitlines()[1].startswith('run.sh: RDN_TORCH_INDEX=https://mirror.example: pip could not install')
    assert err.endswith('correct the address, or unset the variable\n')


def test_an_empty_name_leaves_pytorch_to_pips_own_index(machine):
    status, lines, asked, _ = machine(RDN_TORCH_INDEX='')
    assert (status, asked, len(lines)) == (0, [], 1) and 'because RDN_TORCH_INDEX is empty' in lines[0]


def make_wheel(folder, name, version):
    """Write an empty wheel into its project's folder."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(str(folder / name / f'{name}-{version}-py3-none-any.whl'), 'w') as wheel:
        info = f'{name}-{version}.dist-info'
        wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr(f'{info}/RECORD', '')


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 8), reason="Python 3.7's torch comes from a page of links")
def test_pytorch_comes_from_its_index_and_all_else_from_the_users_index(tmp_path, server):
    for name in ('torch', 'torchvision'):
        make_wheel(tmp_path / 'served' / 'cpu', name, '99.1+cpu')
    for name in ('torch', 'torchvision', 'tqdm'):
        make_wheel(tmp_path / 'served' / 'mirror', name, '99.1')
    house = tmp_path / 'house'
    house.mkdir()
    shutil.copy(os.path.join(ROOT, 'setup_venv.sh'), str(house))
    (house / 'requirements.txt').write_text('torch==99.1 ; python_version >= "3.8"\ntorchvision==99.1\ntqdm\n')
    (house / 'nvidia-smi').write_text('#!/bin/sh\nexit 9\n')
    (house / 'nvidia-smi').chmod(0o755)
    (house / 'uname').write_text('#!/bin/sh\ncase $1 in -s) echo Linux ;; -m) echo x86_64 ;; esac\n')
    (house / 'uname').chmod(0o755)
    script = f'set -euo pipefail; . ./setup_venv.sh; CPU_INDEX={server.address}/cpu; setup_venv .venv requirements.txt'
    done = subprocess.run(
        ['bash', '-c', f'{script} {sys.executable}; python -m pip list --format=freeze'],
        cwd=str(house),
        env={
            'PATH': f'{house}:{BARE_PATH}',
            'HOME': str(house),
            'PIP_CONFIG_FILE': os.devnull,
            'PIP_INDEX_URL': f'{server.address}/mirror',
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {'torch==99.1+cpu', 'torchvision==99.1+cpu', 'tqdm==99.1'} < set(done.stdout.split()), done.stdout
    assert not any(path.startswith('/cpu/') and 'torch' not in path for path in server.asked), server.asked
