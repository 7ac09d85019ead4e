"""env.sh sets the right toolkit's environment, never closes the shell, and adds paths only once; a toolkit's chips."""

import os
import platform

from rdn import toolkit

import pytest

from helpers import bash
from vendor import list_chips, version

OWN = """export ASCEND_TOOLKIT_HOME={home}
export PATH={home}/compiler/bin:$PATH
export LD_LIBRARY_PATH={home}/lib64:$LD_LIBRARY_PATH
export PYTHONPATH=$PYTHONPATH:{home}/python
"""


@pytest.mark.skipif(os.path.isdir('/usr/local/Ascend'), reason='a toolkit is installed here')
@pytest.mark.parametrize('flags', [[], ['-u']])
def test_a_missing_toolkit_is_reported_and_the_shell_survives(tmp_path, flags):
    status, out = bash('source "$ENV_SH"; echo "status $? and alive"; declare -F; compgen -v _rdn', tmp_path, *flags)
    assert out.splitlines()[1:] == ['status 1 and alive'] and 'no CANN toolkit' in out and status == 1


def test_a_missing_named_toolkit_is_not_replaced_by_another(tmp_path):
    version(tmp_path, 'latest', 'opp')
    _, out = bash('source "$ENV_SH"; echo $?', tmp_path, ASCEND_TOOLKIT_HOME='/nowhere')
    assert '/nowhere' in out and out.endswith('1\n')


@pytest.mark.parametrize('flags', [[], ['-u'], ['-eu'], ['-e', '-u', '-o', 'pipefail']])
def test_cann_5s_variables_are_set_and_sourcing_again_adds_nothing(tmp_path, flags):
    version(tmp_path, '5.0.2', 'atc/bin')
    folder = version(tmp_path, '5.0.10', 'atc/bin', 'opp')
    show = 'echo "$PATH|$LD_LIBRARY_PATH|$PYTHONPATH|$ASCEND_OPP_PATH|$ASCEND_TOOLKIT_HOME"'
    status, out = bash(
        f'source "$ENV_SH"; {show}; source "$ENV_SH"; source "$ENV_SH"; {show}; set -o | grep nounset',
        tmp_path,
        *flags,
    )
    assert status == 0, out
    _, first, _, _, again, nounset = out.splitlines()
    assert first == again
    path, libraries, python, opp, home = first.split('|')
    assert path == f'{folder}/atc/ccec_compiler/bin:{folder}/atc/bin:/usr/bin:/bin'
    assert libraries.endswith(f'{folder}/atc/lib64:{folder}/acllib/lib64')
    assert python == f'{folder}/atc/python/site-packages'
    assert (opp, home) == (str(folder / 'opp'), str(folder))
    assert nounset.split()[1] == ('on' if flags else 'off')


def test_parts_one_folder_down_are_found(tmp_path):
    folder = version(tmp_path, '5.0.2', platform.machine() + '-linux/atc')
    _, out = bash('source "$ENV_SH"; echo "$ASCEND_OPP_PATH"', tmp_path)
    assert out.splitlines()[-1] == f'{folder}/{platform.machine()}-linux/opp'


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
        f'source "$ENV_SH"; {show}; source "$ENV_SH"; {show}', tmp_path, *flags, PYTHONPATH='/mine:/mine/too'
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


def test_the_variable_of_newer_toolkits_names_one_too(tmp_path):
    version(tmp_path, 'latest', 'atc')
    newer = version(tmp_path, '../cann-8.5.0', 'opp')
    (newer / 'set_env.sh').write_text(f'export ASCEND_HOME_PATH={newer}\n')
    _, out = bash('source "$ENV_SH"', tmp_path, ASCEND_HOME_PATH=str(newer))
    assert f'CANN environment: {newer}' in out


@pytest.mark.skipif(os.path.isdir('/usr/local/Ascend'), reason='a toolkit is installed here')
@pytest.mark.parametrize('link', [True, False])
def test_cann_in_the_home_is_found_as_a_link_and_as_a_folder_of_links(tmp_path, link):
    newer = version(tmp_path, '../cann-8.5.0', 'opp', 'bin')
    (newer / 'set_env.sh').write_text('export PATH=$HOME/Ascend/cann/bin:$PATH\n')
    cann = tmp_path / 'home' / 'Ascend' / 'cann'
    if link:
        os.symlink('cann-8.5.0', str(cann))
    else:
        cann.mkdir()
        for name in ('opp', 'bin', 'set_env.sh'):
            os.symlink(f'../cann-8.5.0/{name}', str(cann / name))
    status, out = bash('source "$ENV_SH"; echo "$PATH"', tmp_path)
    assert status == 0 and out.splitlines()[-1].startswith(f'{cann}/bin:'), out


def make_toolkit(folder):
    """Make a toolkit with its own script and a file with its version; return its folder."""
    (folder / 'opp').mkdir(parents=True)
    (folder / 'set_env.sh').write_text(f'export ASCEND_TOOLKIT_HOME="{folder}"\n')
    (folder / 'ascend_toolkit_install.info').write_text('version=9.0.0\n')
    return folder


@pytest.mark.parametrize('name', ['cann', 'ascend-toolkit'])
def test_the_toolkit_of_the_conda_environment_comes_before_the_default_places(tmp_path, monkeypatch, name):
    version(tmp_path, 'latest', 'opp')
    folder = make_toolkit(tmp_path / 'conda env' / 'Ascend' / name)
    status, out = bash('source "$ENV_SH"', tmp_path, '-eu', CONDA_PREFIX=str(tmp_path / 'conda env'))
    assert status == 0 and out.startswith(f'CANN environment: {folder}, CANN 9.0.0 ('), out
    for variable in toolkit.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('CONDA_PREFIX', str(tmp_path / 'conda env'))
    assert toolkit.find_version() == 'CANN 9.0.0'
    monkeypatch.setenv('CONDA_PREFIX', str(tmp_path / 'another'))
    assert toolkit.find_version() != 'CANN 9.0.0'


@pytest.mark.parametrize('end', ['\n', '/\n', ' \r\n'])
@pytest.mark.parametrize('name', ['cann', 'ascend-toolkit/latest'])
def test_the_folder_in_the_installers_note_is_searched(tmp_path, monkeypatch, name, end):
    folder = make_toolkit(tmp_path / 'my tools' / name)
    note = tmp_path / 'install.info'
    note.write_bytes(f'version=1.0\nUserName=HwHiAiUser\nInstall_Path={tmp_path / "my tools"}{end}'.encode())
    status, out = bash('source "$ENV_SH"', tmp_path, '-eu', '-o', 'pipefail', RDN_INSTALL_INFO=str(note))
    assert status == 0 and out.startswith(f'CANN environment: {folder}, CANN 9.0.0 ('), out
    for variable in (*toolkit.VARIABLES, 'CONDA_PREFIX'):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv('RDN_INSTALL_INFO', str(note))
    assert toolkit.find_version() == 'CANN 9.0.0'
    note.write_text('UserName=HwHiAiUser\n')
    assert toolkit.find_version() != 'CANN 9.0.0'


@pytest.mark.parametrize(
    'place', ['data', 'x86_64-linux/data', 'compiler/data', 'latest/compiler/data', 'latest/x86_64-linux/compiler/data']
)
def test_the_toolkit_has_a_list_of_the_chips_that_it_knows(tmp_path, monkeypatch, place):
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'cann'))
    assert toolkit.known_chips() == ()
    lists = tmp_path / 'cann' / place / 'platform_config'
    lists.mkdir(parents=True)
    for name in ('Ascend310P3.ini', 'Ascend910ProB.ini', 'Ascend950PR_957b.ini', 'Hi3796CV300CS.ini', 'README'):
        (lists / name).write_text('')
    assert toolkit.known_chips() == ('310P3', '910ProB', '950PR_957b')


def test_the_chips_of_the_atc_in_use_come_before_those_of_the_newest_version(tmp_path, monkeypatch):
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'cann'))
    list_chips(tmp_path / 'cann' / '8.0.0', '310')
    list_chips(tmp_path / 'cann' / '10.0.0', '310P3')
    assert toolkit.known_chips() == ('310P3',)
    list_chips(tmp_path / 'cann' / 'latest', '310B4')
    assert toolkit.known_chips() == ('310B4',)
    atc = list_chips(tmp_path / 'other', '910A') / 'bin' / 'atc'
    atc.parent.mkdir()
    atc.write_text('')
    os.symlink(str(atc), str(tmp_path / 'atc'))
    assert toolkit.known_chips(str(tmp_path / 'atc')) == ('910A',)


@pytest.mark.parametrize(
    'name, content',
    [
        ('ascend_toolkit_install.info', 'package_name=a\nversion=8.1.RC1\npath=/usr\n'),
        ('x86_64-linux/ascend_toolkit_install.info', 'version=8.1.RC1\n'),
        ('version.cfg', '# version: 1.0\nopp_running_version=[1:2]\ntoolkit_running_version=[7.7.0.1.238:8.1.RC1]\n'),
    ],
)
def test_the_toolkits_version_is_named(tmp_path, monkeypatch, name, content):
    folder = version(tmp_path, '8.1.RC1', 'opp', 'x86_64-linux')
    (folder / name).write_text(content)
    (folder / 'set_env.sh').write_text('')
    _, out = bash('source "$ENV_SH"', tmp_path, ASCEND_TOOLKIT_HOME=str(folder))
    assert out.splitlines()[0].startswith(f'CANN environment: {folder}, CANN 8.1.RC1 (')
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(folder))
    assert toolkit.find_version() == 'CANN 8.1.RC1'


@pytest.mark.parametrize('kilobytes, asked', [(3600000, '4000000'), (65000000, '')])
def test_on_a_board_with_little_memory_it_suggests_remedies(tmp_path, kilobytes, asked):
    folder = version(tmp_path, '8.0.0', 'opp')
    (tmp_path / 'meminfo').write_text(f'MemTotal:       {kilobytes} kB\nMemFree: 1 kB\n')
    variables = {'ASCEND_TOOLKIT_HOME': str(folder), 'RDN_MEMINFO': str(tmp_path / 'meminfo')}
    _, out = bash('source "$ENV_SH"', tmp_path, '-eu', **variables)
    assert ('export TE_PARALLEL_COMPILER=1 MAX_COMPILE_CORE_NUMBER=1' in out) == bool(asked)
    _, out = bash('source "$ENV_SH"', tmp_path, TE_PARALLEL_COMPILER='1', **variables)
    assert 'TE_PARALLEL' not in out


def test_folder_with_a_space_in_its_name(tmp_path):
    (tmp_path / 'my tools' / '5.0.2' / 'atc').mkdir(parents=True)
    _, out = bash('source "$ENV_SH"; echo "$PATH"', tmp_path, ASCEND_TOOLKIT_HOME=str(tmp_path / 'my tools'))
    assert out.splitlines()[-1].startswith(f'{tmp_path}/my tools/5.0.2/atc/')


def test_run_instead_of_sourced_it_explains_how(tmp_path):
    status, out = bash('bash "$ENV_SH"', tmp_path)
    assert status == 1 and 'source env.sh' in out
