"""env.sh: the right toolkit's environment, a living shell, and paths that do not grow."""

import os
import platform
import subprocess

import pytest

from conftest import ROOT

ENV = os.path.join(ROOT, 'env.sh')
OWN = """export ASCEND_TOOLKIT_HOME={home}
export PATH={home}/compiler/bin:$PATH
export LD_LIBRARY_PATH={home}/lib64:$LD_LIBRARY_PATH
export PYTHONPATH=$PYTHONPATH:{home}/python
"""


def bash(command, tmp_path, *flags, **variables):
    """(status, output) of bash with an empty home."""
    environment = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path / 'home'), 'ENV_SH': ENV}
    environment.update(variables)
    done = subprocess.run(
        ['bash', *flags, '-c', command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=str(tmp_path),
    )
    return done.returncode, done.stdout


def version(tmp_path, name, *parts):
    """Make a version of a toolkit in the default place of a user's home; return its folder."""
    folder = tmp_path / 'home' / 'Ascend' / 'ascend-toolkit' / name
    for part in parts:
        (folder / part).mkdir(parents=True)
    return folder


@pytest.mark.skipif(os.path.isdir('/usr/local/Ascend'), reason='a toolkit is installed here')
@pytest.mark.parametrize('flags', [[], ['-u']])
def test_without_a_toolkit_it_says_so_and_the_shell_lives(tmp_path, flags):
    status, out = bash('source "$ENV_SH"; echo "status $? and alive"; declare -F; compgen -v _rdn', tmp_path, *flags)
    assert out.splitlines()[1:] == ['status 1 and alive'] and 'no CANN toolkit' in out and status == 1


def test_named_toolkit_that_is_not_there_is_not_replaced_by_another(tmp_path):
    version(tmp_path, 'latest', 'opp')
    _, out = bash('source "$ENV_SH"; echo $?', tmp_path, ASCEND_TOOLKIT_HOME='/nowhere')
    assert '/nowhere' in out and out.endswith('1\n')


@pytest.mark.parametrize('flags', [[], ['-u'], ['-eu'], ['-e', '-u', '-o', 'pipefail']])
def test_cann_5_gets_its_variables_and_sourcing_again_adds_nothing(tmp_path, flags):
    version(tmp_path, '5.0.2', 'atc/bin')
    folder = version(tmp_path, '5.0.10', 'atc/bin', 'opp')
    show = 'echo "$PATH|$LD_LIBRARY_PATH|$PYTHONPATH|$ASCEND_OPP_PATH|$ASCEND_TOOLKIT_HOME"'
    status, out = bash(
        'source "$ENV_SH"; %s; source "$ENV_SH"; source "$ENV_SH"; %s; set -o | grep nounset' % (show, show),
        tmp_path,
        *flags,
    )
    assert status == 0, out
    _, first, _, _, again, nounset = out.splitlines()
    assert first == again
    path, libraries, python, opp, home = first.split('|')
    assert path == f'{folder}/atc/ccec_compiler/bin:{folder}/atc/bin:/usr/bin:/bin'
    assert libraries.endswith(f'{folder}/atc/lib64:{folder}/acllib/lib64')
    assert python == '%s/atc/python/site-packages' % folder
    assert (opp, home) == (str(folder / 'opp'), str(folder))
    assert nounset.split()[1] == ('on' if flags else 'off')


def test_parts_one_folder_down_are_found(tmp_path):
    folder = version(tmp_path, '5.0.2', platform.machine() + '-linux/atc')
    _, out = bash('source "$ENV_SH"; echo "$ASCEND_OPP_PATH"', tmp_path)
    assert out.splitlines()[-1] == '%s/%s-linux/opp' % (folder, platform.machine())


@pytest.mark.parametrize('place', ['beside', 'inside', 'bin'])
@pytest.mark.parametrize('flags', [[], ['-eu']])
def test_toolkits_own_script_is_used_again_and_again(tmp_path, place, flags):
    version(tmp_path, '9.0.0', 'opp')
    folder = version(tmp_path, 'latest', 'opp', 'bin')
    script = {
        'beside': folder.parent / 'set_env.sh',
        'inside': folder / 'set_env.sh',
        'bin': folder / 'bin' / 'setenv.bash',
    }[place]
    script.write_text(OWN.format(home=folder))
    show = 'echo "$PATH|$LD_LIBRARY_PATH|$PYTHONPATH|$ASCEND_TOOLKIT_HOME"'
    status, out = bash(
        'source "$ENV_SH"; %s; source "$ENV_SH"; %s' % (show, show), tmp_path, *flags, PYTHONPATH='/mine:/mine/too'
    )
    assert status == 0, out
    _, first, _, again = out.splitlines()
    assert (
        first == again == f'{folder}/compiler/bin:/usr/bin:/bin|{folder}/lib64|/mine:/mine/too:{folder}/python|{folder}'
    )


def test_named_folder_may_be_a_version_or_the_folder_of_versions(tmp_path):
    five, latest = version(tmp_path, '5.0.2', 'atc'), version(tmp_path, 'latest', 'atc')
    for named, used in ((five, five), (str(five) + '/', five), (five.parent, latest)):
        _, out = bash('source "$ENV_SH"; echo "$ASCEND_TOOLKIT_HOME"', tmp_path, ASCEND_TOOLKIT_HOME=str(named))
        assert out.splitlines()[-1] == str(used)


def test_folder_with_a_space_in_its_name(tmp_path):
    (tmp_path / 'my tools' / '5.0.2' / 'atc').mkdir(parents=True)
    _, out = bash('source "$ENV_SH"; echo "$PATH"', tmp_path, ASCEND_TOOLKIT_HOME=str(tmp_path / 'my tools'))
    assert out.splitlines()[-1].startswith('%s/my tools/5.0.2/atc/' % tmp_path)


def test_run_instead_of_sourced_it_says_how(tmp_path):
    status, out = bash('bash "$ENV_SH"', tmp_path)
    assert status == 1 and 'source env.sh' in out
