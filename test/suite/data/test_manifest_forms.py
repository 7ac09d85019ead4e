"""manifest.json has one form: any other content is refused in a line that names the file."""

import json

from rdn.data import dataset, manifest

import pytest

from helpers import DIGEST

SETTINGS = dataset.Preparation(114, 114, 2, 'crop', False, 16, False)
GOOD = {
    'flags': SETTINGS._asdict(),
    'sha256': {'data/a b_1.bin': DIGEST, 'label/图.npy': DIGEST},
    'images': {'a': DIGEST},
}
NUMBERS = [-1, 0.5, 1.0, True, '4', [4], {}, 10**9, 1e308, float('nan'), float('inf')]
WRONG = {
    'width': [*NUMBERS, 0, None],
    'height': [*NUMBERS, 0, None],
    'scale': [*NUMBERS, 0, None],
    'overlap': NUMBERS,
    'fit': ['', 4, True, ['x'], 'two\nlines', '\x1b[2J', 'x' * 5000],
    'tile': [0, 1, 'true', [], float('nan')],
    'no_label': [0, 1, 'true', []],
}
WRONG_DIGESTS = ['', 4, None, [DIGEST], DIGEST[:-1], DIGEST.upper().replace('1', 'A'), DIGEST + '\n']
WRONG_FILES = ['a.bin', '/a.bin', 'data/', 'data/../a.bin', 'other/a.bin', 'data/a/b.bin', 'data/a\0.bin', '']


def assert_is_refused(folder, text, *words):
    path = folder / manifest.NAME
    path.write_text(text)
    with pytest.raises(ValueError, match='prepare into a new folder') as refused:
        manifest.read(str(folder))
    said = str(refused.value)
    assert said.startswith(f'{path}: ') and '\n' not in said and '\x1b' not in said and len(said) < 600, said
    assert all(word in said for word in words), said


def with_flag(name, value):
    return json.dumps(dict(GOOD, flags=dict(GOOD['flags'], **{name: value})))


def test_a_written_manifest_is_read_back(tmp_path):
    manifest.write_next(str(tmp_path), GOOD['flags'], GOOD['sha256'], GOOD['images'])
    manifest.commit(str(tmp_path))
    assert manifest.read(str(tmp_path)) == (str(tmp_path / manifest.NAME), *GOOD.values())


@pytest.mark.parametrize('lacking', ['fit', 'tile', 'overlap', 'no_label'])
def test_fields_that_older_versions_did_not_write_may_be_missing(tmp_path, lacking):
    flags = {name: value for name, value in GOOD['flags'].items() if name != lacking}
    (tmp_path / manifest.NAME).write_text(json.dumps({'flags': flags, 'sha256': GOOD['sha256']}))
    found = manifest.read(str(tmp_path))
    assert found and found.flags == flags and found.images is None


@pytest.mark.parametrize('name', list(WRONG))
def test_flags_of_another_type_or_range_are_refused(tmp_path, name):
    for value in WRONG[name]:
        assert_is_refused(tmp_path, with_flag(name, value), name)


@pytest.mark.parametrize('name', ['width', 'height', 'scale'])
def test_a_set_without_a_size_is_refused(tmp_path, name):
    flags = {each: value for each, value in GOOD['flags'].items() if each != name}
    assert_is_refused(tmp_path, json.dumps(dict(GOOD, flags=flags)), f'{name} is missing')


def test_unknown_names_are_refused(tmp_path):
    assert_is_refused(tmp_path, json.dumps(dict(GOOD, more=1)), 'more')
    assert_is_refused(tmp_path, with_flag('\x1b[2J', 1), 'unknown field')


def test_two_values_of_one_name_are_refused(tmp_path):
    text = json.dumps(GOOD)
    for once in ('"width": 114', f'"label/\\u56fe.npy": "{DIGEST}"', f'"a": "{DIGEST}"'):
        assert text.count(once) == 1
        assert_is_refused(tmp_path, text.replace(once, f'{once}, {once}'), 'the same key twice')


def test_digests_and_files_of_another_form_are_refused(tmp_path):
    for value in WRONG_DIGESTS:
        assert_is_refused(tmp_path, json.dumps(dict(GOOD, sha256={'data/a.bin': value})), 'sha256')
        assert_is_refused(tmp_path, json.dumps(dict(GOOD, images={'a': value})), 'images')
    for name in WRONG_FILES:
        assert_is_refused(tmp_path, json.dumps(dict(GOOD, sha256={name: DIGEST})), 'sha256')
    for value in ([], 3, 'x', True, None):
        assert_is_refused(tmp_path, json.dumps(dict(GOOD, sha256=value)), 'sha256')
        assert_is_refused(tmp_path, json.dumps(dict(GOOD, flags=value)))


@pytest.mark.parametrize('content', ['[]', '3', 'null', '"x"', 'NaN', '{}'])
def test_another_kind_of_content_is_refused(tmp_path, content):
    assert_is_refused(tmp_path, content)
