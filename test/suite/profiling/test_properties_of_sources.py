"""Properties of the white list's source that hold for any source that hypothesis generates."""

import io
import tokenize

from rdn.profiling import whitelist

from hypothesis import assume, given
from hypothesis import strategies as st

DIMS = st.lists(st.integers(1, 9999), min_size=1, max_size=7)


SPACE = st.sampled_from(['', ' ', '\n', '\n        ', '\n\t\t', '  # [1, 2], a comment ]\n    ', ' \\\n '])


AROUND = st.sampled_from(
    [
        '',
        'white_list_shape = [[9, 9]]\n',
        '"""white_list_shape = [\n[1]]"""\n',
        'def other():\n    white_list_shape = [[7]]\n    return white_list_shape\n',
        "x = '[1, 64, 2, 2, 114, 114]'  # white_list_shape = [\n",
        'def f():\n\tdef g():\n\t\twhite_list_shape_fuzzy = [[3]]\n\treturn g\n',
        '# d\u00e9j\u00e0 vu\n',
        'class C:\n    white_list_shape = [[5]]\n',
        'if True: pass\n',
    ]
)


@st.composite
def sources(draw):
    """Draw valid Python with one white list in the function, in any layout: its bytes and the list's shapes."""
    shapes = draw(st.lists(DIMS, max_size=6))
    parts = []
    for index, shape in enumerate(shapes):
        comma = ',' if index + 1 < len(shapes) or draw(st.booleans()) else ''
        parts.append(draw(SPACE) + str(shape) + draw(SPACE) + comma)
    before_name = draw(
        st.sampled_from(['', '    x = "]["  # [\n', '    def inner():\n        white_list_shape = []\n'])
    )
    body = f'def _by_dynamic_static_union_version(shape):\n{before_name}    white_list_shape = [{"".join(parts)}{draw(SPACE)}]{draw(st.sampled_from(["", "  # why", " ; y = 1"]))}\n    return 1'
    text = draw(AROUND) + draw(AROUND) + body + draw(st.sampled_from(['', '\n', '\n\n']))
    if text.endswith('\n'):
        text += draw(AROUND)
    encoding = draw(st.sampled_from(['utf-8', 'utf-8-sig', 'latin-1']))
    if encoding == 'latin-1':
        text = '# -*- coding: latin-1 -*-\n' + text
    text = text.replace('\n', draw(st.sampled_from(['\n', '\r\n'])))
    source = text.encode(encoding)
    try:
        compile(source, 'transpose.py', 'exec')
    except SyntaxError:  # for example for a backslash at the end
        assume(False)
    return source, shapes


def other_tokens(source, shapes):
    """Return all tokens except commas, brackets, numbers and line ends, and the count of each of these."""
    tokens = [token.string for token in tokenize.tokenize(io.BytesIO(source).readline)]
    return [token for token in tokens if token.strip() and token not in ',[]' and not token.isdigit()]


@given(sources(), st.lists(DIMS, min_size=1, max_size=3))
def test_a_shape_is_added_and_nothing_else_changes(source_and_shapes, new):
    source, shapes = source_and_shapes
    assert whitelist.shapes_of(source) == shapes
    patched = whitelist.add_shapes(source, new)
    assert whitelist.shapes_of(patched) == shapes + new
    assert other_tokens(patched, new) == other_tokens(source, new)
    assert whitelist.is_patched(patched, source)
    one_by_one = source
    for shape in new:
        one_by_one = whitelist.add_shapes(one_by_one, [shape])
    assert one_by_one == patched
    # Changes begin at the list: all bytes before its name are unchanged.
    before = source[: source.index(b'def _by_dynamic')]
    assert patched.startswith(before)


@given(st.binary() | st.text().map(str.encode))
def test_any_source_is_a_list_or_refused(content):
    prefix = b'def _by_dynamic_static_union_version():\n    white_list_shape = '
    for source in (content, prefix + content, prefix + b'[' + content + b']'):
        try:
            whitelist.add_shapes(source, [[1, 2]])
        except whitelist.WhiteListError:
            pass
    accepted = whitelist.add_shapes(prefix + b'[[3, 4]]', [[1, 2]])
    assert whitelist.shapes_of(accepted) == [[3, 4], [1, 2]]  # the prefix alone causes no refusal
