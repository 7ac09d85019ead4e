"""patch_transpose_whitelist.py extends the one list, and changes no other byte of the vendor's file."""

import io
import tokenize

from rdn.profiling import whitelist

import pytest

from vendor import DEFAULT, LISTS, vendor_source, white_list


def tokens(source):
    """Return the source's (comments, other tokens), without positions and white space."""
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

    # All old bytes are still there in their order: there are only insertions, and no other line is changed.
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
