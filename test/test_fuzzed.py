"""Inputs that fuzzing (fuzz.py) found to raise something else than the documented error."""

import pytest

import whitelist


@pytest.mark.parametrize(
    'source',
    [
        # ast reads it, tokenize does not: a comment that is no UTF-8.
        b'# -*- cod\xe9ng: latin-1 -*-\r\ndef _by_dynamic_static_union_version():\r\n\twhite_list_shape = []\r\n',
    ],
)
def test_sources_that_cannot_be_changed_are_refused_as_documented(source):
    with pytest.raises(whitelist.WhiteListError):
        whitelist.add_shapes(source, [[7, 8, 9]])
