"""The shell scripts' first use: their help, the wrong shell, an environment for each Python."""

import itertools
import os
import shutil
import subprocess
import sys

import pytest

from helpers import BARE_PATH, ROOT

SCRIPTS = (
    'run.sh',
    'test/pth2om.sh',
    'test/eval_acc_perf.sh',
    'test/perf_gpu.sh',
    'test/run_tests.sh',
    'tools/matrix.sh',
)


def start(*command, folder=ROOT, **variables):
    """Run a command with only these environment variables, and return (status, stdout, stderr)."""
    done = subprocess.run(
        command,
        cwd=str(folder),
        env={'PATH': BARE_PATH, 'HOME': str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize('script', SCRIPTS)
@pytest.mark.parametrize('flag', ['--help', '-h'])
def test_help_is_shown_without_an_installation(tmp_path, script, flag):
    copy = tmp_path / os.path.basename(script)
    shutil.copy(os.path.join(ROOT, script), str(copy))
    status, out, err = start('bash', str(copy), flag, folder=tmp_path)
    assert status == 0 and not err, err
    assert f'    bash {script}' in out and not any(line.startswith(('#', 'set -')) for line in out.splitlines())
    assert os.listdir(str(tmp_path)) == [copy.name]


# Scripts that do not check the shell: a line of their help.
OTHERS = {
    'env.sh': '    source env.sh',
    'setup_venv.sh': 'Functions for run.sh and test/run_tests.sh, which source this file',
    '.ci/run': '    bash .ci/run',
}


@pytest.mark.parametrize('script', list(OTHERS))
@pytest.mark.parametrize('flag', ['--help', '-h'])
def test_help_of_a_sourced_file_and_of_the_checks_is_their_first_comment(tmp_path, script, flag):
    copy = tmp_path / 'house' / script
    copy.parent.mkdir(parents=True)
    shutil.copy(os.path.join(ROOT, script), str(copy))
    status, out, err = start('bash', str(copy), flag, folder=tmp_path)
    assert status == 0 and not err, err
    with open(os.path.join(ROOT, script)) as file:
        head = itertools.takewhile(lambda line: line.startswith('#'), file.read().splitlines()[1:])
    assert out.splitlines() == [line[2:] for line in head] and OTHERS[script] in out
    assert os.listdir(str(copy.parent)) == [copy.name]


def test_a_script_sourced_with_help_among_the_arguments_still_works(tmp_path):
    (tmp_path / 'cann').mkdir()
    (tmp_path / 'cann' / 'set_env.sh').write_text('export FOUND=yes\n')
    command = 'source ./env.sh --help && source ./setup_venv.sh -h && echo "$FOUND" && type -t find_python'
    for script in ('env.sh', 'setup_venv.sh'):
        shutil.copy(os.path.join(ROOT, script), str(tmp_path))
    status, out, err = start('bash', '-c', command, folder=tmp_path, ASCEND_TOOLKIT_HOME=str(tmp_path / 'cann'))
    assert (status, err) == (0, '') and out.startswith('CANN environment: ') and out.endswith('yes\nfunction\n')


@pytest.mark.skipif(not shutil.which('dash'), reason='dash is not installed')
@pytest.mark.parametrize('script', SCRIPTS)
def test_another_shell_prints_the_command_for_bash(script):
    status, out, err = start('dash', script)
    assert status == 2 and not out
    assert err == f'{os.path.basename(script)}: needs bash: bash {script}\n'


FAKE = """#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && : >"$3/bin/activate" ;;
    "-m pip "*) ;;
    -c*) exec {real} -c "import sys; sys.version = '{version} (fake)'; sys.version_info = {info}; $2" ;;
    --version) echo "Python {version}" ;;
esac
"""


@pytest.fixture
def pythons(tmp_path):
    """pythons('3.7.17', 'python3.7') makes a Python whose environments are empty; tmp_path is the project's folder."""
    (tmp_path / 'bin').mkdir()
    for name in ('setup_venv.sh', 'requirements.txt'):
        shutil.copy(os.path.join(ROOT, name), str(tmp_path))

    def install(version, *names):
        info = tuple(map(int, version.split('.')))
        for name in names:
            (tmp_path / 'bin' / name).write_text(FAKE.format(real=sys.executable, version=version, info=info))
            (tmp_path / 'bin' / name).chmod(0o755)

    return install


RUN = """set -euo pipefail; . ./setup_venv.sh
if [ -n "${PYTHON-}" ]; then PYTHON=$(find_python "$PYTHON"); fi
setup_venv "$(choose_venv "${PYTHON-}")" requirements.txt "${PYTHON-}" """


def set_up(house, **variables):
    status, out, err = start('bash', '-c', RUN, folder=house, PATH=f'{house}/bin:{BARE_PATH}', **variables)
    assert status == 0, out + err
    return out


def made(house):
    return sorted(name for name in os.listdir(str(house)) if name.startswith('.venv'))


def test_every_named_python_has_its_own_environment(tmp_path, pythons):
    pythons('3.7.17', 'python3.7')
    pythons('3.11.7', 'python3')
    assert 'Setting up .venv-3.7' in set_up(tmp_path, PYTHON='python3.7')
    assert 'Setting up .venv (' in set_up(tmp_path)
    assert made(tmp_path) == ['.venv', '.venv-3.7']
    assert set_up(tmp_path, PYTHON='python3.7') == set_up(tmp_path) == ''  # both are complete


def test_an_active_environment_of_ours_is_used(tmp_path, pythons):
    pythons('3.7.17', 'python3.7')
    pythons('3.11.7', 'python3')
    set_up(tmp_path, PYTHON='python3.7')
    pythons('3.7.17', 'python3')  # activation puts the environment's Python first
    assert set_up(tmp_path, VIRTUAL_ENV=str(tmp_path / '.venv-3.7')) == ''
    assert made(tmp_path) == ['.venv-3.7']
    assert 'Setting up .venv (' in set_up(tmp_path, VIRTUAL_ENV='/somewhere/.venv-3.7')


def test_the_replacement_of_an_environment_is_announced(tmp_path, pythons):
    pythons('3.11.7', 'python3')
    set_up(tmp_path)
    pythons('3.12.1', 'python3')
    out = set_up(tmp_path)
    assert '.venv is for Python 3.11.7; an environment for Python 3.12.1 replaces it' in out
    assert 'PYTHON=python3.11 bash' in out
    (tmp_path / 'requirements.txt').write_text('')
    assert 'because the requirements changed' in set_up(tmp_path)
    (tmp_path / '.venv' / '.set-up').unlink()
    assert '.venv was not finished' in set_up(tmp_path)
