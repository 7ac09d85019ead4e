"""patch_transpose_whitelist.py: the one list longer, and not a byte of the vendor's file else."""

import ast
import io
import os
import platform
import shutil
import stat
import tokenize

from rdn.ascend import whitelist

import onnx
import pytest
from onnx import TensorProto, helper

import patch_transpose_whitelist
from conftest import LITE, assert_refused, snapshot

CANN5 = 'opp/op_impl/built-in/ai_core/tbe/impl/dynamic/transpose.py'
CANN6 = 'opp/built-in/op_impl/ai_core/tbe/impl/dynamic/transpose.py'
DEFAULT = [1, 64, 2, 2, 114, 114]

# In the form of the vendor's file: several lists of similar names, comments, trailing commas inside.
VENDOR = '''# -*- coding: utf-8 -*-
"""transpose: white_list_shape = [[0]]"""
from ..util import util_common


def _fuzzy_match(shape_t):
    white_list_shape_fuzzy =  [
                               [-1, 12, 197, 64], [-1, 197, 12, 64],
                               [-1, 3, 300, 18, 2]
                              ]
    white_list_shape = [[5, 5]]
    return shape_t in white_list_shape_fuzzy


def _by_dynamic_static_union_version(shape, core_num):
    """
    temporary function: white_list_shape = [[1]]
    """
    if core_num == 1:
        white_list_shape_lhisi = [[1, 24, 3, 20], [8, 128, 3, 21]]
        return list(shape) in white_list_shape_lhisi
    black_list_shape = [[6, 6]]

    def nested():
        white_list_shape = [[7, 7]]
        return white_list_shape

    white_list_shape = %s
    shape_t = list(shape)
    if shape_t in white_list_shape: # é, tab:\tend
        return True
    return _fuzzy_match(shape_t) or nested() == black_list_shape \\
        or "white_list_shape = [[8]]" == shape
'''
LISTS = {
    'vendor': '[\n'
    + ' ' * 25
    + '[2, 512, 1024], [1024, 91], [2, 512, 1024],\n'
    + ' ' * 25
    + '[160, 160, 3, 3,], [320, 160, 3, 3]\n'
    + ' ' * 23
    + ']',
    'trailing comma': '[\n        [2, 512],\n        [1024, 91],\n    ]',
    'comments': '[  # first [1\n        [2, 512],  # a, b]\n        # [9, 9],\n        [3, 4]  # last ]\n        # after\n    ]',
    'one line': '[[2, 512], [1024, 91]]',
    'one line, comma': '[[2, 512], [1024, 91], ]',
    'closing bracket behind': '[[2, 512],\n        [1024, 91]]',
    'closing bracket behind a comma': '[[2, 512],\n        [1024, 91],]  # why',
    'shape over lines': '[\n        [2,\n         512], [1024,\n                91]\n    ]',
    'empty': '[]',
    'empty, two lines': '[\n    ]',
    'tabs': '[\n\t\t[2, 512],\n\t\t[1024, 91]\n\t]',
    'continued': '[ \\\n        [2, 512], \\\n        [1024, 91] \\\n        ]',
}


def vendor_source(kind='vendor', newline='\n', encoding='utf-8', end=True):
    text = VENDOR % LISTS[kind]
    text = text if end else text.rstrip('\n')
    return text.replace('utf-8', encoding.replace('-sig', '')).replace('\n', newline).encode(encoding)


def white_list(source):
    """The list, found by running the function's source: by no code of ours."""
    namespace = {}
    text = source.decode(tokenize.detect_encoding(io.BytesIO(source).readline)[0])
    start = text.index('def _by_dynamic')
    lines = (
        text[start:]
        .replace('\r\n', '\n')
        .replace('\r', '\n')
        .replace('shape_t = list(shape)', 'return white_list_shape', 1)
    )
    exec(lines, namespace)  # noqa: S102 our own text
    return namespace['_by_dynamic_static_union_version']((1,), 2)


def tokens(source):
    """The source's (comments, other tokens), without place and white space."""
    found = [
        token
        for token in tokenize.tokenize(io.BytesIO(source).readline)
        if token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    ]
    return (
        [token.string for token in found if token.type == tokenize.COMMENT],
        [token.string for token in found if token.type != tokenize.COMMENT],
    )


@pytest.mark.parametrize('newline', ['\n', '\r\n'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'latin-1'])
@pytest.mark.parametrize('kind', sorted(LISTS))
def test_list_is_the_old_one_plus_the_new_and_nothing_else_changed(kind, encoding, newline):
    source = vendor_source(kind, newline, encoding)
    old = white_list(source)
    shapes = [DEFAULT, [8, 3]]
    patched = whitelist.add_shapes(source, shapes)
    assert white_list(patched) == old + shapes

    (comments, before), (comments_after, after) = tokens(source), tokens(patched)
    assert comments == comments_after
    start = next(i for i, (x, y) in enumerate(zip(before, after)) if x != y)
    assert after[start + len(after) - len(before) :] == before[start:]  # one insertion
    inserted = ' '.join(after[start : start + len(after) - len(before)])
    assert inserted.replace(' ', '').strip(',') in '[1,64,2,2,114,114],[8,3]'

    # What was there is there still, byte by byte and in order: only insertions, no other line touched.
    rest = iter(patched)
    assert all(byte in rest for byte in source)
    changed = [line for line in source.splitlines() if line not in patched.splitlines()]
    assert len(changed) <= 1
    assert patched.count(b'\r\n') == patched.count(b'\n') if newline == '\r\n' else b'\r' not in patched


def test_file_without_a_last_line_end_keeps_it_so():
    patched = whitelist.add_shapes(vendor_source(end=False), [DEFAULT])
    assert not patched.endswith(b'\n') and white_list(patched + b'\n')[-1] == DEFAULT


def test_vendors_layout_is_continued():
    lines = whitelist.add_shapes(vendor_source(), [DEFAULT]).decode().splitlines()
    index = lines.index(' ' * 25 + str(DEFAULT))
    assert lines[index - 1].endswith('[320, 160, 3, 3],') and lines[index + 1] == ' ' * 23 + ']'


def test_patching_twice_equals_patching_once_with_both():
    for kind in LISTS:
        source = vendor_source(kind)
        once = whitelist.add_shapes(source, [[1, 2], [3]])
        assert whitelist.add_shapes(whitelist.add_shapes(source, [[1, 2]]), [[3]]) == once
        assert whitelist.is_patched(once, source) and whitelist.is_patched(source, source)
        assert not whitelist.is_patched(once.replace(b'core_num == 1', b'core_num == 2'), source)


@pytest.mark.parametrize(
    'source',
    [
        b'',
        b'x = 1\n',
        b'def f(:\n',
        b'\x00',
        b'\xff\xfe',
        b'# coding: nonsense\n',
        vendor_source().replace(b'    white_list_shape = [\n', b'    white_list = [\n'),
        vendor_source().replace(b'def _by_dynamic_static_union_version', b'def other'),
        vendor_source().replace(b'[2, 512, 1024], [1024, 91]', b'[2, 512, 1024], [1024, x]'),
        vendor_source().replace(b'[2, 512, 1024], [1024, 91]', b'2, 512'),
        vendor_source().replace(b'    shape_t = list(shape)\n    if', b'    white_list_shape = [[1]]\n    if'),
        vendor_source() + vendor_source().split(b'"""\n', 1)[1],
    ],
)
def test_source_without_the_one_list_is_refused(source):
    with pytest.raises(whitelist.WhiteListError):
        whitelist.add_shapes(source, [DEFAULT])


@pytest.fixture
def toolkit(tmp_path, monkeypatch):
    """A CANN 5 toolkit as the guide's, with a latest link beside it; returns its transpose.py."""
    path = tmp_path / 'tk' / '5.0.2' / (platform.machine() + '-linux') / CANN5
    path.parent.mkdir(parents=True)
    path.write_bytes(vendor_source(newline='\r\n'))
    os.chmod(str(path), 0o640)
    os.symlink('5.0.2', str(tmp_path / 'tk' / 'latest'))
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'tk'))
    return path


def test_installed_file_is_patched_once_and_reverted_byte_for_byte(script, toolkit):
    original, status = toolkit.read_bytes(), os.stat(str(toolkit))
    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and str(DEFAULT) in ended.out
    patched = toolkit.read_bytes()
    assert white_list(patched) == white_list(original) + [DEFAULT]
    now = os.stat(str(toolkit))
    assert (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid) == (0o640, status.st_uid, status.st_gid)
    kept = [name for name in os.listdir(str(toolkit.parent)) if name != 'transpose.py']
    assert kept == ['transpose.py.rdn-original'] and (toolkit.parent / kept[0]).read_bytes() == original

    ended = script('patch_transpose_whitelist')
    assert ended.status == 0 and 'already' in ended.out and toolkit.read_bytes() == patched
    assert script('patch_transpose_whitelist', '--shape', '2,3', '--shape', '[4, 5, 6]').status == 0
    assert white_list(toolkit.read_bytes()) == white_list(original) + [DEFAULT, [2, 3], [4, 5, 6]]
    assert (toolkit.parent / kept[0]).read_bytes() == original

    assert script('patch_transpose_whitelist', '--revert').status == 0
    assert snapshot(toolkit.parent) == {'transpose.py': original}
    assert stat.S_IMODE(os.stat(str(toolkit)).st_mode) == 0o640
    assert_refused(script('patch_transpose_whitelist', '--revert'), 'nothing to revert')


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() != 0, reason='only root gives files away')
def test_owner_is_kept(script, toolkit):
    os.chown(str(toolkit), 12345, 23456)
    assert script('patch_transpose_whitelist').status == 0
    for path in (toolkit, toolkit.parent / 'transpose.py.rdn-original'):
        assert (os.stat(str(path)).st_uid, os.stat(str(path)).st_gid) == (12345, 23456)


def test_dry_run_prints_a_diff_and_changes_nothing(script, toolkit):
    before = snapshot(toolkit.parent)
    ended = script('patch_transpose_whitelist', '--dry-run')
    assert ended.status == 0 and snapshot(toolkit.parent) == before
    added = [line for line in ended.out.splitlines() if line.startswith('+') and not line.startswith('+++')]
    assert added[-1].strip('+ ') == str(DEFAULT) and '\n@@ ' in ended.out


def test_file_changed_since_by_another_is_neither_patched_over_nor_reverted(script, toolkit):
    script('patch_transpose_whitelist')
    update = vendor_source('trailing comma')
    toolkit.write_bytes(update)
    assert_refused(script('patch_transpose_whitelist'), 'rdn-original')
    assert_refused(script('patch_transpose_whitelist', '--revert'), 'not reverted')
    assert toolkit.read_bytes() == update


def test_layout_of_cann_6_is_found(script, tmp_path, monkeypatch):
    path = tmp_path / 'home' / 'Ascend' / 'ascend-toolkit' / '8.0.RC1' / CANN6
    path.parent.mkdir(parents=True)
    path.write_bytes(vendor_source())
    monkeypatch.delenv('ASCEND_TOOLKIT_HOME', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert script('patch_transpose_whitelist').status == 0
    assert white_list(path.read_bytes())[-1] == DEFAULT


def test_latest_comes_before_numbered_versions(script, toolkit, tmp_path):
    shutil.copytree(str(tmp_path / 'tk' / '5.0.2'), str(tmp_path / 'tk' / '5.0.1'))
    assert script('patch_transpose_whitelist').status == 0
    assert toolkit.read_bytes() != vendor_source(newline='\r\n')


def test_two_candidates_are_an_error_that_names_both(script, toolkit, tmp_path):
    (tmp_path / 'tk' / 'latest').unlink()
    shutil.copytree(str(tmp_path / 'tk' / '5.0.2'), str(tmp_path / 'tk' / '5.0.3'))
    before = snapshot(tmp_path)
    assert_refused(script('patch_transpose_whitelist'), '5.0.2', '5.0.3', '--transpose-py')
    assert snapshot(tmp_path) == before
    assert script('patch_transpose_whitelist', '--transpose-py', toolkit).status == 0


def test_link_to_the_file_stays_a_link(script, toolkit, tmp_path):
    link = tmp_path / 'transpose.py'
    os.symlink(str(toolkit), str(link))
    assert script('patch_transpose_whitelist', '--transpose-py', link).status == 0
    assert os.path.islink(str(link)) and white_list(toolkit.read_bytes())[-1] == DEFAULT


def test_missing_toolkit_file_and_list_are_one_line_each(script, tmp_path, monkeypatch):
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'nowhere'))
    assert_refused(script('patch_transpose_whitelist'), tmp_path / 'nowhere', '--transpose-py')
    assert_refused(script('patch_transpose_whitelist', '--transpose-py', tmp_path / 'x.py'), 'x.py')
    (tmp_path / 'x.py').write_text('pass\n')
    assert_refused(script('patch_transpose_whitelist', '--transpose-py', tmp_path / 'x.py'), 'x.py', 'white_list_shape')
    for flags in (['--shape', '1,x'], ['--shape', '0,1'], ['--shape', '1', '--revert'], ['--batch-size', '0']):
        assert_refused(script('patch_transpose_whitelist', *flags), flags[0])


def test_folder_without_permission_is_named(script, toolkit, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    before = snapshot(toolkit.parent)
    assert_refused(script('patch_transpose_whitelist'), toolkit.parent, 'cannot be written')
    assert snapshot(toolkit.parent) == before


@pytest.mark.parametrize('batch_size', [1, 8])
def test_shapes_come_from_the_models_own_transpose_nodes(script, toolkit, lite_onnx, batch_size):
    ended = script('patch_transpose_whitelist', '--onnx', lite_onnx, '--batch-size', batch_size)
    assert ended.status == 0, ended.err
    assert white_list(toolkit.read_bytes())[-1] == [batch_size, 32, 2, 2, 114, 114]


def test_x4_model_has_two_shapes(script, tmp_path):
    from test_pth2onnx import save

    from conftest import tiny_rdn

    weights = save(tmp_path / 'x4.pth', tiny_rdn(4))
    assert script('RDN_pth2onnx', '--input-file', weights, '--output-file', tmp_path / 'x4.onnx').status == 0
    assert patch_transpose_whitelist.transpose_shapes(str(tmp_path / 'x4.onnx'), 1) == [
        [1, 16, 2, 2, 114, 114],
        [1, 16, 2, 2, 228, 228],
    ]


def test_models_without_a_readable_shape_are_refused(script, toolkit, tmp_path):
    def model(nodes):
        path = str(tmp_path / 'model.onnx')
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3]) for name in ('x', 'y')]
        onnx.save(helper.make_model(helper.make_graph(nodes, 'g', values[:1], values[1:])), path)
        return path

    before = snapshot(toolkit.parent)
    for path in (
        LITE,
        model([helper.make_node('Relu', ['x'], ['y'])]),
        model([helper.make_node('Transpose', ['x'], ['y'], perm=[0, 1, 2])]),
    ):
        assert_refused(script('patch_transpose_whitelist', '--onnx', path), path)
    assert snapshot(toolkit.parent) == before


def test_own_source_of_the_vendor_form_parses():
    ast.parse(vendor_source())  # what the tests above stand on
