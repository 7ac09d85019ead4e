"""Records and result.json have one form: any other content is refused in a line that names the file."""

import json

from rdn import run_record
from rdn.accuracy import result

import pytest

from helpers import DIGEST, OTHER_DIGEST

GOOD = run_record.Record('benchmark', 'CANN 7.0', None, 'fp16', '310', 4, DIGEST, OTHER_DIGEST, 4, 'a.pth', DIGEST)


def wrong_values(expected):
    """Return values that are wrong for a field of this kind, including texts that Python would read as a number."""
    return {
        'number': [-4, 0, 0.5, 1.0, True, '4', [4], {}, 10**9, 1e308, float('nan'), float('inf')],
        'text': ['', 4, True, ['x'], {}, 'two\nlines', '\x1b[2J', 'a\u202eb', 'x' * 5000],
        'path': ['', 4, True, ['x'], {}, 'x' * 5000, 'a\0b'],
        'digest': [
            '',
            4,
            True,
            [DIGEST],
            {},
            DIGEST[:-1],
            DIGEST.upper().replace('1', 'A'),
            '\uff11' * 64,
            DIGEST + '\n',
        ],
        'dB': ['0', True, [0], {}, None, 1e308, -501, 10**400, -(10**400)],
        'limit': ['0', True, [0], {}, None, 1e308, 10**400, -0.01, float('nan')],
        'object': [4, 'x', True, [1], {'x': 1}],
        'size': [228, [228], [228, 228, 3], [228, 0], [228, -1], [228, 228.0], ['228', '228'], [True, True]],
    }[expected]


RECORD_FIELDS = {
    'tool': 'text',
    'version': 'text',
    'engine': 'text',
    'precision': 'text',
    'chip': 'text',
    'batch_size': 'number',
    'model': 'digest',
    'manifest': 'digest',
    'card_devices': 'number',
    'weights': 'path',
    'weights_digest': 'digest',
    'of': 'digest',
}
NEEDED = {'tool', 'chip', 'batch_size', 'model', 'of'}


def changed(content, name, value):
    with_it = dict(content)
    with_it[name] = value
    return with_it


@pytest.fixture
def log(tmp_path):
    """A performance file with a record beside it."""
    path = tmp_path / 'perf.txt'
    path.write_text('a figure')
    run_record.write(str(path), GOOD)
    return path


def test_a_record_is_read_as_it_was_written(log):
    assert run_record.read(str(log)) == GOOD
    bare = run_record.Record('ais_bench', None, None, None, 'NPU', 1, DIGEST, None)
    run_record.write(str(log), bare)
    assert run_record.read(str(log)) == bare


@pytest.mark.parametrize('name', RECORD_FIELDS)
def test_a_wrong_value_in_a_record_is_refused_with_the_names_of_file_and_field(log, name):
    record_path = log.with_name('perf.run.json')
    content = json.loads(record_path.read_text())
    for value in wrong_values(RECORD_FIELDS[name]) + ([None] if name in NEEDED else []):
        record_path.write_text(json.dumps(changed(content, name, value)))
        with pytest.raises(ValueError) as refused:
            run_record.read(str(log))
        said = str(refused.value)
        assert str(record_path) in said and f'({name} is ' in said and said.isprintable() and len(said) < 400, value


@pytest.mark.parametrize(
    'text', ['', '[]', '3', 'null', '{}', '{"of": 1}', '[' * 100000, '{"tool": "a", "tool": "b"}', '{"tool": NaN}']
)
def test_a_file_that_is_not_a_record_is_refused(log, text):
    log.with_name('perf.run.json').write_text(text)
    with pytest.raises(ValueError, match=r'perf\.run\.json: not a record'):
        run_record.read(str(log))


def test_unknown_and_repeated_fields_of_a_record_are_refused(log):
    record_path = log.with_name('perf.run.json')
    text = record_path.read_text()
    record_path.write_text(text.replace('"tool"', '"tool2": 1, "tool"'))
    with pytest.raises(ValueError, match="unknown field 'tool2'"):
        run_record.read(str(log))
    record_path.write_text(text.replace('"tool"', '"chip": "910B1", "tool"'))
    with pytest.raises(ValueError, match='the same key twice'):
        run_record.read(str(log))


# --- result.json


def rows(*pairs):
    return json.dumps({'title': 't', 'value': [{'key': key, 'value': value} for key, value in pairs]})


WHOLE = [('Number of images', '2'), ('Top1 PSNR', '39'), ('Top2 PSNR', '37.54'), ('Avg PSNR', '38.27')]


def test_the_guides_form_is_read():
    assert result.parse(rows(*WHOLE)) == 38.27
    assert result.parse(rows(('Avg PSNR', '38.27'))) == 38.27
    assert result.parse(result.format_result([float('inf'), 37.0])) == float('inf')
    assert result.parse(result.format_result([40.004, 30.004, 20.004])) == 30


@pytest.mark.parametrize('value', [True, False, None, 38.27, 38, ['38.27'], {}])
def test_a_figure_that_is_not_a_text_is_refused(value):
    with pytest.raises(ValueError, match='not a result.json'):
        result.parse(rows(*WHOLE[:3], ('Avg PSNR', value)))


@pytest.mark.parametrize(
    'text',
    ['\uff13\uff18.\uff12\uff17', '3_8.27', '1e308', '1e1', '-38.27', '+38.27', '0', '0.00', 'nan', '-inf', ' 38.27', '38.27\n', '38,27']
    + ['0x26', '38.', '.27', '501', '', 'true', '\u0663\u0668', '9' * 400],
)  # fmt: skip
def test_a_text_that_is_not_a_figure_in_decibels_is_refused(text):
    for index in (1, 3):
        pairs = [*WHOLE]
        pairs[index] = (pairs[index][0], text)
        with pytest.raises(ValueError, match='expected decibels'):
            result.parse(rows(*pairs))


@pytest.mark.parametrize(
    'pairs, said',
    [
        ([*WHOLE, ('Avg PSNR', '38.27')], 'twice'),
        ([*WHOLE, ('Avg PSNR', '40')], 'twice'),
        ([*WHOLE[:3], ('Avg PSNR', '39.01')], 'mean of its images is 38.27'),
        ([*WHOLE[:3], ('Avg PSNR', '38.29')], 'mean'),
        ([('Number of images', '3'), *WHOLE[1:]], 'figures of 2'),
        ([('Number of images', True), *WHOLE[1:]], 'not a result.json'),
        ([WHOLE[0], ('Top1 PSNR', '37.54'), ('Top2 PSNR', '39'), WHOLE[3]], 'sorted'),
        ([WHOLE[0], WHOLE[2], WHOLE[1], WHOLE[3]], 'rows'),
        ([*WHOLE, ('Avg SSIM', '0.9')], 'rows|decibels'),
        ([('Top1 PSNR', '39'), ('Top3 PSNR', '37.54'), ('Avg PSNR', '38.27')], 'rows'),
        (WHOLE[:3], '"Avg PSNR" is missing'),
    ],
)
def test_rows_that_contradict_each_other_are_refused(pairs, said):
    with pytest.raises(ValueError, match=said):
        result.parse(rows(*pairs))


@pytest.mark.parametrize(
    'text',
    ['{"value": [], "value": [{"key": "Avg PSNR", "value": "38.27"}]}', '{"value": [{"key": "Avg PSNR"}]}']
    + ['{"value": [["Avg PSNR", "38.27"]]}', '{"value": {"Avg PSNR": "38.27"}}', '{"value": "x"}', '[' * 100000]
    + ['{"value": [{"key": "Avg PSNR", "value": "38.27", "more": 1}]}'],
)
def test_a_text_that_is_not_a_result_is_refused(text):
    with pytest.raises(ValueError, match='not a result.json'):
        result.parse(text)


# --- result.run.json


RESULT_FIELDS = {
    'of': 'digest',
    'protocol': 'text',
    'known_set': 'text',
    'luma': 'text',
    'scale': 'number',
    'images': 'number',
    'label_size': 'size',
    'outputs': 'object',
    'verdict': 'object',
    'outputs_folder': 'path',
    'outputs_digest': 'digest',
}
VERDICT = {'change': 0.0, 'image_change': 0.01, 'max_loss': 0.05, 'max_image_loss': 0.1}


@pytest.fixture
def judged(tmp_path):
    """A result.json with its record, whose outputs are missing; returns (its path, the record's path and content)."""
    path, record_path = tmp_path / 'result.json', tmp_path / 'result.run.json'
    names = 'crop', 'set5', 'rdn-pytorch', 2, (228, 228), 1
    result.write(str(path), [38.27], result.Origin(*names, GOOD, None, str(tmp_path / 'gone'), DIGEST))
    return str(path), record_path, changed(json.loads(record_path.read_text()), 'verdict', VERDICT)


def test_the_record_of_a_result_is_read_as_it_was_written(judged):
    path, record_path, content = judged
    record_path.write_text(json.dumps(content))
    origin = result.read_origin(path)
    assert origin and origin.verdict and origin.verdict._asdict() == VERDICT and origin.outputs == GOOD
    assert (origin.protocol, origin.known_set, origin.label_size, origin.images) == ('crop', 'set5', (228, 228), 1)


@pytest.mark.parametrize('name', RESULT_FIELDS)
def test_a_wrong_value_in_a_results_record_is_refused_with_the_names_of_file_and_field(judged, name):
    path, record_path, content = judged
    for value in wrong_values(RESULT_FIELDS[name]):
        record_path.write_text(json.dumps(changed(content, name, value)))
        with pytest.raises(ValueError) as refused:
            result.read_origin(path)
        said = str(refused.value)
        is_of_object = name in ('outputs', 'verdict') and value == {'x': 1}
        expected = 'unknown field' if is_of_object else f'({name} is '
        assert str(record_path) in said and expected in said and said.isprintable() and len(said) < 400, value


@pytest.mark.parametrize('part, name', [('verdict', name) for name in VERDICT] + [('outputs', 'batch_size')])
def test_a_wrong_value_inside_a_results_record_is_refused(judged, part, name):
    path, record_path, content = judged
    expected = 'number' if part == 'outputs' else 'limit' if name.startswith('max_') else 'dB'
    for value in wrong_values(expected):
        record_path.write_text(json.dumps(changed(content, part, changed(content[part], name, value))))
        with pytest.raises(ValueError, match=rf'result\.run\.json: not a record .*\({name} is '):
            result.read_origin(path)


def test_empty_objects_are_neither_a_verdict_nor_a_record(judged):
    path, record_path, content = judged
    for part in ('verdict', 'outputs'):
        record_path.write_text(json.dumps(changed(content, part, {})))
        with pytest.raises(ValueError, match='missing'):
            result.read_origin(path)
