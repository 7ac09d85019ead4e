"""A script that runs outside the project's environment prints one line with the command to run first."""

import os
import shutil
import sys

import pytest

from helpers import ROOT, assert_refused, run_python

SCRIPTS = sorted(name for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py')


def house_without_packages(tmp_path):
    """Copy the scripts and packages to a new folder, and return it."""
    house = tmp_path / 'house'
    for package in ('rdn', 'pictures'):
        shutil.copytree(os.path.join(ROOT, package), str(house / package))
    for name in (*SCRIPTS, 'models.py', 'requirements.txt'):
        shutil.copy(os.path.join(ROOT, name), str(house))
    return house


@pytest.mark.parametrize('name', SCRIPTS)
def test_without_the_packages_a_script_prints_the_command_to_run(tmp_path, name):
    house = house_without_packages(tmp_path)
    done = run_python('-S', house / name, '--help', cwd=str(tmp_path))  # -S: without site-packages
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith(f'{name}: ') and 'has no module' in done.stderr
    assert f'bash {house}/run.sh' in done.stderr and f'pip install -r {house}/requirements.txt' in done.stderr


def test_without_the_packages_a_module_that_run_sh_starts_prints_the_command_too(tmp_path):
    house = house_without_packages(tmp_path)
    done = run_python('-S', '-m', 'rdn.walk', cwd=str(house))
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith('walk.py: ') and f'bash {house}/run.sh' in done.stderr


def test_an_environment_made_by_run_sh_is_named(tmp_path):
    house = house_without_packages(tmp_path)
    activate = house / '.venv' / 'bin' / 'activate'
    activate.parent.mkdir(parents=True)
    activate.write_text('')
    done = run_python('-S', house / 'RDN_infer.py', '--help', cwd=str(tmp_path))
    assert done.stderr.count('\n') == 1 and done.stderr.endswith(f'first run: source {activate}\n'), done.stderr


def test_importing_rdn_does_not_change_ctrl_c_in_another_program():
    """Not even if that program is python3 -c in the project's folder."""
    code = 'import signal, sys; import rdn.start; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)'
    done = run_python('-c', f'{code}; print(sys.excepthook is sys.__excepthook__)', cwd=ROOT)
    assert done.stdout == 'True\nTrue\n', done


def test_the_user_can_ask_for_a_traceback(tmp_path):
    house = house_without_packages(tmp_path)
    done = run_python('-S', house / 'RDN_infer.py', env={**os.environ, 'RDN_TRACEBACK': '1'})
    assert 'Traceback' in done.stderr and 'ModuleNotFoundError' in done.stderr


def test_scripts_run_from_any_folder_and_by_any_path(tmp_path):
    os.symlink(ROOT, str(tmp_path / 'house'))
    for path in (os.path.relpath(ROOT, str(tmp_path)), 'house', ROOT):
        done = run_python(os.path.join(path, 'gen_dataset_info.py'), '--help', cwd=str(tmp_path))
        assert done.returncode == 0 and 'usage: gen_dataset_info.py' in done.stdout, done.stderr


def test_a_library_that_cannot_be_loaded_prints_one_line(tmp_path):
    house = house_without_packages(tmp_path)
    (house / 'tqdm.py').write_text('raise ImportError("libGL.so.1: cannot open\\nshared object file", name="cv2")\n')
    done = run_python('-S', house / 'RDN_infer.py', '--help', cwd=str(tmp_path))
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert 'cannot load cv2: libGL.so.1: cannot open shared object file' in done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 8), reason='only on Python 3.7')
def test_eight_bits_are_refused_with_a_clear_line(script, narrow, image_folder):
    flags = [f'--input-file={narrow[1]}', f'--calibration={image_folder}', '--output-file=int8.onnx']
    assert_refused(script('RDN_quantize', *flags), 'Python 3.8 or later')
