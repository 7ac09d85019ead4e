"""A script started outside the project's environment says in one line which command to give."""

import os
import shutil
import sys

import pytest

from helpers import ROOT, assert_refused, run_python

SCRIPTS = sorted(name for name in os.listdir(ROOT) if name.endswith('.py') and name != 'models.py')


def house_without_packages(tmp_path):
    """A copy of the scripts and rooms in a folder of its own."""
    house = tmp_path / 'house'
    for package in ('rdn', 'pictures'):
        shutil.copytree(os.path.join(ROOT, package), str(house / package))
    for name in (*SCRIPTS, 'models.py', 'requirements.txt'):
        shutil.copy(os.path.join(ROOT, name), str(house))
    return house


@pytest.mark.parametrize('name', SCRIPTS)
def test_without_the_packages_one_line_names_the_command(tmp_path, name):
    house = house_without_packages(tmp_path)
    done = run_python('-S', house / name, '--help', cwd=str(tmp_path))  # -S: without site-packages
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith(f'{name}: ') and 'has no module' in done.stderr
    assert f'bash {house}/run.sh' in done.stderr and f'pip install -r {house}/requirements.txt' in done.stderr


def test_a_module_that_run_sh_starts_names_the_command_too(tmp_path):
    house = house_without_packages(tmp_path)
    done = run_python('-S', '-m', 'rdn.walk', cwd=str(house))
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith('walk.py: ') and f'bash {house}/run.sh' in done.stderr


def test_where_run_sh_made_an_environment_it_is_named(tmp_path):
    house = house_without_packages(tmp_path)
    activate = house / '.venv' / 'bin' / 'activate'
    activate.parent.mkdir(parents=True)
    activate.write_text('')
    done = run_python('-S', house / 'RDN_infer.py', '--help', cwd=str(tmp_path))
    assert done.stderr.count('\n') == 1 and done.stderr.endswith(f'first run: source {activate}\n'), done.stderr


def test_in_a_program_of_somebody_else_ctrl_c_stays_what_it_was():
    """Also where that program is python3 -c in the project's folder."""
    code = 'import signal, sys; import rdn.start; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)'
    done = run_python('-c', f'{code}; print(sys.excepthook is sys.__excepthook__)', cwd=ROOT)
    assert done.stdout == 'True\nTrue\n', done


def test_a_traceback_can_be_asked_for(tmp_path):
    house = house_without_packages(tmp_path)
    done = run_python('-S', house / 'RDN_infer.py', env={**os.environ, 'RDN_TRACEBACK': '1'})
    assert 'Traceback' in done.stderr and 'ModuleNotFoundError' in done.stderr


def test_scripts_run_from_any_folder_and_by_any_path(tmp_path):
    os.symlink(ROOT, str(tmp_path / 'house'))
    for path in (os.path.relpath(ROOT, str(tmp_path)), 'house', ROOT):
        done = run_python(os.path.join(path, 'gen_dataset_info.py'), '--help', cwd=str(tmp_path))
        assert done.returncode == 0 and 'usage: gen_dataset_info.py' in done.stdout, done.stderr


def test_a_library_that_cannot_be_loaded_is_one_line(tmp_path):
    house = house_without_packages(tmp_path)
    (house / 'tqdm.py').write_text('raise ImportError("libGL.so.1: cannot open\\nshared object file", name="cv2")\n')
    done = run_python('-S', house / 'RDN_infer.py', '--help', cwd=str(tmp_path))
    assert done.returncode == 1 and done.stderr.count('\n') == 1, done.stderr
    assert 'cannot load cv2: libGL.so.1: cannot open shared object file' in done.stderr


@pytest.mark.skipif(sys.version_info >= (3, 8), reason='on Python 3.7 alone')
def test_eight_bits_are_refused_with_a_clear_line(script, narrow, image_folder):
    flags = [f'--input-file={narrow[1]}', f'--calibration={image_folder}', '--output-file=int8.onnx']
    assert_refused(script('RDN_quantize', *flags), 'Python 3.8 or later')
