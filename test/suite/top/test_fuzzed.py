"""Inputs found by fuzzing (fuzz.py) that raised another error than the documented one."""

from rdn.profiling import whitelist

import pytest


@pytest.mark.parametrize(
    'source',
    [
        # A comment that is not UTF-8: ast reads it, tokenize does not.
        b'# -*- cod\xe9ng: latin-1 -*-\r\ndef _by_dynamic_static_union_version():\r\n\twhite_list_shape = []\r\n',
    ],
)
def test_sources_that_cannot_be_changed_are_refused_as_documented(source):
    with pytest.raises(whitelist.WhiteListError):
        whitelist.add_shapes(source, [[7, 8, 9]])


def test_rows_without_an_operator_type_are_shown_as_such(script, tmp_path):
    path = tmp_path / 'op_statistic_0.csv'
    # Equal times: sorting once compared the types then, and failed if one was missing.
    path.write_text('OP Type,Count,Total Time(us)\nConv2D,2,50\n,2,50\n,1,50\n')
    for kind, arguments in (('table', [path]), ('comparison', [path, '--after', path])):
        ended = script('RDN_profile', *arguments)
        assert ended.status == 0 and 'N/A' in ended.out, kind
