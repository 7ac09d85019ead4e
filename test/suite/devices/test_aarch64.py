"""On an Arm server, simulated by a fake `uname`: the toolkit's folders, and the vendor's tool under its Arm name."""

import os
import platform
import shutil

from rdn.profiling import transpose_source

import pytest

from helpers import bash, install_standin, shell
from vendor import CANN5, DEFAULT, vendor_source, version, white_list


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """A folder that is first on PATH, whose `uname -m` prints aarch64; Python's platform.machine says the same."""
    tools = tmp_path / 'arm'
    tools.mkdir()
    (tools / 'uname').write_text('#!/bin/sh\n[ "$1" = -m ] && echo aarch64 || exec /usr/bin/uname "$@"\n')
    (tools / 'uname').chmod(0o755)
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    return tools


@pytest.mark.parametrize('folder', ['aarch64-linux', 'arm64-linux'])
def test_env_sh_takes_the_arm_parts_of_cann_5(arm, tmp_path, folder):
    home = version(tmp_path, '5.0.2', folder + '/atc/bin', folder + '/opp', 'x86_64-linux/atc/bin', 'x86_64-linux/opp')
    status, out = bash('source "$ENV_SH" && echo "$ASCEND_OPP_PATH|$PATH"', tmp_path, PATH=f'{arm}:/usr/bin:/bin')
    assert status == 0, out
    opp, path = out.splitlines()[-1].split('|')
    assert opp == f'{home}/{folder}/opp'
    assert f'{home}/{folder}/atc/bin' in path.split(':') and 'x86_64' not in path


@pytest.mark.parametrize('folder', ['aarch64-linux', 'arm64-linux'])
def test_the_white_list_of_the_arm_folder_is_patched(arm, tmp_path, monkeypatch, script, folder):
    for name in (folder, 'x86_64-linux'):
        kernel = tmp_path / 'tk' / '5.0.2' / name / CANN5
        kernel.parent.mkdir(parents=True)
        kernel.write_bytes(vendor_source())
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'tk'))
    ended = script('patch_transpose_whitelist')
    assert ended.status == 0, ended.err
    assert transpose_source.find() == str(tmp_path / 'tk' / '5.0.2' / folder / CANN5)
    assert white_list((tmp_path / 'tk' / '5.0.2' / folder / CANN5).read_bytes())[-1] == DEFAULT
    assert kernel.read_bytes() == vendor_source()


@pytest.mark.slow
def test_the_acceptance_scripts_run_benchmark_aarch64(arm, server, narrow, image_folder, tmp_path):
    tool = 'benchmark.' + os.uname().machine
    os.remove(str(server / tool))
    os.rename(str(image_folder), str(tmp_path / 'set5'))
    shutil.copy(narrow[0], str(server / 'rdn_x2.pth'))
    commands = f'PATH={arm}:$PATH; export SOC_VERSION=Ascend310; bash test/pth2om.sh && bash test/eval_acc_perf.sh --datasets_path={tmp_path}'
    status, _, err = shell(commands, server)
    assert status and 'benchmark.aarch64' in err
    install_standin('benchmark.x86_64', server / 'benchmark.aarch64')
    status, out, err = shell(commands, server)
    assert status == 0 and '310 bs1 fps:' in out, out + err


@pytest.mark.slow
def test_run_sh_runs_benchmark_aarch64(arm, server, narrow):
    shutil.copy(narrow[0], str(server / 'rdn_x2.pth'))
    os.rename(str(server / ('benchmark.' + os.uname().machine)), str(server / 'benchmark.aarch64'))
    status, out, err = shell(f'PATH={arm}:$PATH; bash run.sh', server)
    assert status == 0 and './benchmark.aarch64 ' in out and 'inference: benchmark on 310' in out, out + err
