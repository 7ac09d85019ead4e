"""patch_transpose_whitelist.py finds the installed toolkit, patches it once, and reverts it byte for byte."""

import os
import platform
import shutil
import stat
import subprocess
import sys

from rdn.network import onnx_graph

import onnx
import pytest
from onnx import TensorProto, helper

from helpers import LITE, ROOT, assert_refused, run_python, save, snapshot, tiny_rdn
from vendor import CANN5, CANN6, DEFAULT, vendor_source, white_list


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The transpose.py of a CANN 5 toolkit like the guide's, with a link `latest` next to the version's folder."""
    path = tmp_path / 'tk' / '5.0.2' / (platform.machine() + '-linux') / CANN5
    path.parent.mkdir(parents=True)
    path.write_bytes(vendor_source(newline='\r\n'))
    os.chmod(str(path), 0o640)
    os.symlink('5.0.2', str(tmp_path / 'tk' / 'latest'))
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'tk'))
    return path


def test_installed_file_is_patched_once_and_reverted_byte_for_byte(script, installed):
    original, status = installed.read_bytes(), os.stat(str(installed))
    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and str(DEFAULT) in ended.out
    patched = installed.read_bytes()
    assert white_list(patched) == white_list(original) + [DEFAULT]
    now = os.stat(str(installed))
    assert (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) == (0o640, status.st_uid, status.st_gid)
    kept = [name for name in os.listdir(str(installed.parent)) if name != 'transpose.py']
    assert kept == ['transpose.py.rdn-original'] and (installed.parent / kept[0]).read_bytes() == original

    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and 'already' in ended.out and installed.read_bytes() == patched
    assert script('patch_transpose_whitelist', '--shape', '2,3', '--shape', '[4, 5, 6]').status == 0
    assert white_list(installed.read_bytes()) == white_list(original) + [DEFAULT, [2, 3], [4, 5, 6]]
    assert (installed.parent / kept[0]).read_bytes() == original

    assert script('patch_transpose_whitelist', '--revert').status == 0
    assert snapshot(installed.parent) == {'transpose.py': original}
    assert stat.S_IMODE(os.stat(str(installed)).st_mode) == 0o640
    assert_refused(script('patch_transpose_whitelist', '--revert'), 'nothing to revert')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() != 0, reason='only root gives files away')
def test_owner_is_kept(script, installed):
    os.chown(str(installed), 12345, 23456)
    assert script('patch_transpose_whitelist').status == 0
    for path in (installed, installed.parent / 'transpose.py.rdn-original'):
        assert (os.stat(str(path)).st_uid, os.stat(str(path)).st_gid) == (12345, 23456)


def test_dry_run_prints_a_diff_and_changes_nothing(script, installed):
    before = snapshot(installed.parent)
    ended = script('patch_transpose_whitelist', '--dry-run')
    assert ended.status == 0 and snapshot(installed.parent) == before
    added = [line for line in ended.out.splitlines() if line.startswith('+') and not line.startswith('+++')]
    assert added[-1].strip('+ ') == str(DEFAULT) and '\n@@ ' in ended.out


def test_file_changed_since_by_another_is_neither_patched_over_nor_reverted(script, installed):
    script('patch_transpose_whitelist')
    update = vendor_source('trailing comma')
    installed.write_bytes(update)
    assert_refused(script('patch_transpose_whitelist'), 'rdn-original')
    assert_refused(script('patch_transpose_whitelist', '--revert'), 'not reverted')
    assert installed.read_bytes() == update


def test_layout_of_cann_6_is_found(script, tmp_path, monkeypatch):
    path = tmp_path / 'home' / 'Ascend' / 'ascend-toolkit' / '8.0.RC1' / CANN6
    path.parent.mkdir(parents=True)
    path.write_bytes(vendor_source())
    monkeypatch.delenv('ASCEND_TOOLKIT_HOME', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert script('patch_transpose_whitelist').status == 0
    assert white_list(path.read_bytes())[-1] == DEFAULT


@pytest.mark.parametrize(
    'place',
    [
        'opp/op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py',
        'opp/built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py',
        'opp/built-in/op_impl/ai_core/tbe/impl/ops_legacy/dynamic/transpose.py',
    ],
)
@pytest.mark.parametrize('variable', ['ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH', None])
def test_every_layout_is_found_below_every_root(script, tmp_path, monkeypatch, place, variable):
    root = tmp_path / 'home' / 'Ascend' / 'cann-8.5.0'
    (root / place).parent.mkdir(parents=True)
    (root / place).write_bytes(vendor_source())
    links = tmp_path / 'home' / 'Ascend' / 'cann'
    links.mkdir()
    os.symlink('../cann-8.5.0/opp', str(links / 'opp'))  # a folder of links
    for name in ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    if variable:
        monkeypatch.setenv(variable, str(links))
    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and str(root / place) in ended.out, ended.err
    assert white_list((root / place).read_bytes())[-1] == DEFAULT


def test_of_two_files_in_a_toolkit_the_one_with_the_list_is_used(script, tmp_path, monkeypatch):
    monkeypatch.setenv('ASCEND_HOME_PATH', str(tmp_path))
    monkeypatch.delenv('ASCEND_TOOLKIT_HOME', raising=False)
    new, old = (
        tmp_path / 'opp' / 'built-in' / 'op_impl/ai_core/tbe/impl' / x for x in ('dynamic', 'ops_legacy/dynamic')
    )
    for folder, source in ((new, b'from ..ops_legacy.dynamic.transpose import *\n'), (old, vendor_source())):
        folder.mkdir(parents=True)
        (folder / 'transpose.py').write_bytes(source)
    assert script('patch_transpose_whitelist').status == 0
    assert white_list((old / 'transpose.py').read_bytes())[-1] == DEFAULT


CHECK = b"""

def check_supported(input_x, perm, output_y, kernel_name="transpose"):
    if _by_dynamic_static_union_version(input_x, 8):
        return True, ""
    return %s
"""


@pytest.mark.parametrize('end', [b'True', b'True, ""', b'(True, "any")'])
def test_a_toolkit_that_takes_any_shape_is_left_alone_unless_forced(script, installed, end):
    source = vendor_source() + CHECK % end
    installed.write_bytes(source)
    for flags in ([], ['--dry-run'], ['--shape=1,2,3'], ['--batch-size=4']):
        ended = script('patch_transpose_whitelist', *flags)
        assert ended.status == 0 and 'not needed with this toolkit' in ended.out and str(installed) in ended.out
        assert snapshot(installed.parent) == {'transpose.py': source}
    assert script('patch_transpose_whitelist', '--force').status == 0
    assert white_list(installed.read_bytes()[: -len(CHECK % end)])[-1] == DEFAULT
    assert script('patch_transpose_whitelist', '--revert').status == 0
    assert snapshot(installed.parent) == {'transpose.py': source}


@pytest.mark.parametrize('end', [b'False', b'False, ""', b'is_wanted(input_x)', b'[True]', b'1'])
def test_a_toolkit_whose_check_ends_differently_is_patched(script, installed, end):
    installed.write_bytes(vendor_source() + CHECK % end)
    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and f'{DEFAULT} added' in ended.out, ended.err


def test_a_slow_transpose_overrides_the_source(script, installed, tmp_path):
    source = vendor_source() + CHECK % b'True, ""'
    installed.write_bytes(source)
    profile = tmp_path / 'op_summary_0_1.csv'
    profile.write_text(
        'Op Name,OP Type,Task Type,Task Duration(us),Input Shapes\n'
        'a,TransposeD,AI Core,934287.8,"1,64,2,2,114,114;6"\nb,Conv2D,AI Core,100000,"1,64,114,114"\n'
    )
    ended = script('patch_transpose_whitelist', '--profile', profile)
    assert ended.status == 0 and 'not needed' in ended.out and '--upsample=deconv' in ended.out
    assert installed.read_bytes() == source


def test_latest_comes_before_numbered_versions(script, installed, tmp_path):
    shutil.copytree(str(tmp_path / 'tk' / '5.0.2'), str(tmp_path / 'tk' / '5.0.1'))
    assert script('patch_transpose_whitelist').status == 0
    assert installed.read_bytes() != vendor_source(newline='\r\n')


def test_two_candidates_are_an_error_that_names_both(script, installed, tmp_path):
    (tmp_path / 'tk' / 'latest').unlink()
    shutil.copytree(str(tmp_path / 'tk' / '5.0.2'), str(tmp_path / 'tk' / '5.0.3'))
    before = snapshot(tmp_path)
    assert_refused(script('patch_transpose_whitelist'), '5.0.2', '5.0.3', '--transpose-py')
    assert snapshot(tmp_path) == before
    assert script('patch_transpose_whitelist', '--transpose-py', installed).status == 0


def test_link_to_the_file_stays_a_link(script, installed, tmp_path):
    link = tmp_path / 'transpose.py'
    os.symlink(str(installed), str(link))
    assert script('patch_transpose_whitelist', '--transpose-py', link).status == 0
    assert os.path.islink(str(link)) and white_list(installed.read_bytes())[-1] == DEFAULT


def test_missing_toolkit_file_and_list_are_one_line_each(script, tmp_path, monkeypatch):
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'nowhere'))
    assert_refused(script('patch_transpose_whitelist'), tmp_path / 'nowhere', '--transpose-py')
    assert_refused(script('patch_transpose_whitelist', '--transpose-py', tmp_path / 'x.py'), 'x.py')
    (tmp_path / 'x.py').write_text('pass\n')
    assert_refused(script('patch_transpose_whitelist', '--transpose-py', tmp_path / 'x.py'), 'x.py', 'white_list_shape')
    for flags in (['--shape', '1,x'], ['--shape', '0,1'], ['--shape', '1', '--revert'], ['--batch-size', '0']):
        assert_refused(script('patch_transpose_whitelist', *flags), flags[0])


def test_folder_without_permission_is_named(script, installed, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    before = snapshot(installed.parent)
    assert_refused(script('patch_transpose_whitelist'), installed.parent, 'cannot be written')
    assert snapshot(installed.parent) == before


@pytest.mark.parametrize('batch_size', [1, 8])
def test_shapes_come_from_the_models_own_transpose_nodes(script, installed, lite_onnx, batch_size):
    ended = script('patch_transpose_whitelist', '--onnx', lite_onnx, '--batch-size', batch_size)
    assert ended.status == 0, ended.err
    assert white_list(installed.read_bytes())[-1] == [batch_size, 32, 2, 2, 114, 114]


def test_x4_model_has_two_shapes(script, tmp_path):
    weights = save(tmp_path / 'x4.pth', tiny_rdn(4))
    assert script('RDN_pth2onnx', '--input-file', weights, '--output-file', tmp_path / 'x4.onnx').status == 0
    assert onnx_graph.transpose_shapes(str(tmp_path / 'x4.onnx'), 1) == [
        [1, 16, 2, 2, 114, 114],
        [1, 16, 2, 2, 228, 228],
    ]


def test_models_without_a_readable_shape_are_refused(script, installed, tmp_path):
    def model(nodes):
        path = str(tmp_path / 'model.onnx')
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3]) for name in ('x', 'y')]
        onnx.save(helper.make_model(helper.make_graph(nodes, 'g', values[:1], values[1:])), path)
        return path

    before = snapshot(installed.parent)
    for path in (
        LITE,
        model([helper.make_node('Relu', ['x'], ['y'])]),
        model([helper.make_node('Transpose', ['x'], ['y'], perm=[0, 1, 2])]),
    ):
        assert_refused(script('patch_transpose_whitelist', '--onnx', path), path)
    assert snapshot(installed.parent) == before


def test_a_batch_size_alone_is_that_of_the_guides_network(script, installed):
    assert script('patch_transpose_whitelist', '--batch-size=4').status == 0
    assert white_list(installed.read_bytes())[-1] == [4, 64, 2, 2, 114, 114]


def test_two_at_once_both_add_their_shapes_and_keep_the_original(installed):
    original = installed.read_bytes()
    old = white_list(original)
    shapes = [[size, 64, 2, 2, 57, 57] for size in range(2, 8)]
    commands = [
        [sys.executable, os.path.join(ROOT, 'patch_transpose_whitelist.py'), '--shape=' + ','.join(map(str, shape))]
        for shape in shapes
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [process.wait(60) for process in processes] == [0] * 6
    assert sorted(white_list(installed.read_bytes())[len(old) :]) == shapes
    assert (installed.parent / 'transpose.py.rdn-original').read_bytes() == original


@pytest.mark.parametrize('shape', ['1 64', '1,,2', '1,-2', '0,2', '9' * 5000, 'x'])
def test_an_invalid_shape_is_named(script, installed, shape):
    ended = script('patch_transpose_whitelist', f'--shape={shape}')
    assert_refused(ended, shape[:40], 'whole numbers')
    assert ended.status == 2


def test_the_next_run_removes_the_leftovers_of_a_killed_run(script, installed):
    code = """
import os, signal, sys
import patch_transpose_whitelist as script
from rdn import cli
replace = os.replace
os.replace = lambda a, b: (replace(a, b), os.kill(os.getpid(), signal.SIGKILL))
sys.argv = ["patch"]
cli.run(script.main)
"""
    assert run_python('-c', code, cwd=ROOT).returncode == -9  # the original is kept, the lock beside it not yet removed
    assert [name for name in os.listdir(str(installed.parent)) if name.endswith('.lock')]
    assert script('patch_transpose_whitelist').status == 0
    assert sorted(os.listdir(str(installed.parent))) == ['transpose.py', 'transpose.py.rdn-original']
