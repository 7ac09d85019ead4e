"""Properties of readers and writers for any input: round trips, and no errors except the documented ones."""

import csv
import io
import os
import string
import tempfile

from rdn import arrays
from rdn.acceptance import parse
from rdn.devices import benchmark, logs, outputs
from rdn.devices.number_text import format_text, parse_text
from rdn.profiling import msprof

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

settings.register_profile(
    'suite', deadline=None, derandomize=True, max_examples=100, suppress_health_check=list(HealthCheck)
)
settings.load_profile('suite')

SIZES = st.integers(1, 999999)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def written(content):
    """Write a temporary file. Return its folder, which the caller's `with` removes, and its path."""
    folder = tempfile.TemporaryDirectory()
    path = os.path.join(folder.name, 'file')
    with open(path, 'wb') as file:
        file.write(content)
    return folder, path


def read_by(function, content, *args):
    folder, path = written(content)
    with folder:
        return function(path, *args)


# --- the info file


@given(st.lists(st.tuples(st.text(min_size=1), SIZES, SIZES), min_size=1, max_size=20))
def test_an_info_file_of_any_lines_is_read_back_or_refused(rows):
    lines = [benchmark.InfoLine(*row) for row in rows]
    try:
        content = benchmark.format_info(lines).encode('utf-8', 'surrogateescape')
    except (ValueError, UnicodeEncodeError):
        assert any(line.path.split() != [line.path] or not is_text(line.path) for line in lines)
    else:
        assert read_by(benchmark.read_info, content) == lines


def is_text(path):
    try:
        path.encode('utf-8', 'surrogateescape')
        return True
    except UnicodeEncodeError:
        return False


@given(st.binary() | st.text('0123 .ab\n-').map(str.encode))
def test_any_info_file_is_read_or_refused(content):
    try:
        lines = read_by(benchmark.read_info, content)
    except ValueError as error:
        assert 'file' in str(error)
    else:
        assert lines and all(line.width > 0 and line.height > 0 for line in lines)


# --- outputs


@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=30))
def test_text_output_round_trip(rows):
    array = np.array(rows, np.float32)
    assert np.allclose(parse_text(format_text(array)), array.ravel(), rtol=1e-7, atol=5.1e-9)


NUMBER = st.from_regex(r'[+-]?([0-9]{1,12}\.?[0-9]{0,9}|\.[0-9]{1,9})([eE][+-]?[0-9]{1,2})?', fullmatch=True)


@given(st.lists(st.tuples(NUMBER, st.sampled_from([' ', '\n', '\t', '\r\n', '  '])), max_size=300))
def test_numbers_are_read_as_python_reads_them(words):
    text = ''.join(number + space for number, space in words)
    assert parse_text(text.encode()).tolist() == [float(number) for number, _ in words]


@given(st.binary() | st.text('0123456789.+-e \n').map(str.encode))
def test_any_text_output_is_numbers_or_refused(content):
    try:
        numbers = parse_text(content)
    except ValueError:
        return
    assert numbers.dtype == np.float64 and len(numbers) == len(content.split())
    assert all(a == float(b) or a != a for a, b in zip(numbers, content.split()))


@given(st.sampled_from(['.txt', '.bin', '.npy']), st.binary(max_size=200))
def test_any_output_file_has_the_asked_shape_or_is_refused(ending, content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a_1' + ending)
        with open(path, 'wb') as file:
            file.write(content)
        try:
            array = outputs.read_output(path, (3, 2, 2))
        except ValueError as error:
            assert 'a_1' in str(error)
        else:
            assert array.shape == (3, 2, 2) and array.dtype == np.float32 and np.isfinite(array).all()


@given(st.lists(FLOATS, min_size=12, max_size=12))
def test_binary_output_round_trip(values):
    array = np.array(values, np.float32).reshape(3, 2, 2)
    assert (read_by(arrays.read_float32, array.tobytes(), (3, 2, 2)) == array).all()


# --- logs

RATES = st.floats(1e-3, 1e6).map(lambda x: float(f'{x:.6g}'))
LOGS = {
    'perf_vision_batchsize_1_device_0.txt': '[infer] throughputRate: 9, Interface throughputRate: %s, moduleLatency: 1\n',
    'PureInfer_perf_of_m_bs1_in_device_0.txt': '[INFO] ave_throughputRate: %ssamples/s, ave_latency: 1ms\n',
    'ais.log': '[INFO] throughput (1000*batchsize/NPU_compute_time): %s\n',
}


@given(st.sampled_from(sorted(LOGS)), RATES, st.text(string.printable, max_size=50).filter(lambda x: 'thr' not in x))
def test_the_rate_in_a_log_is_found_among_other_lines(name, rate, other):
    text = other + '\n' + LOGS[name] % (f'{rate:.6g}') + other
    assert logs.parse_speed(text, name).rate == rate


@given(RATES, st.integers(1, 64), st.booleans())
def test_gpu_time_becomes_a_rate(mean, batch, new):
    line = (
        'GPU Compute Time: min = 1 ms, max = 2 ms, mean = %.6g ms\n'
        if new
        else 'GPU Compute\nx min: 1 ms\nmean: %.6g ms\n'
    )
    speed = logs.parse_speed(f'trtexec --shapes=image:{batch}x3x114x114\n' + line % mean, 'a.log')
    assert speed.batch == batch and speed.rate == pytest.approx(1000 * batch / mean)


@given(st.text() | st.text(string.digits + ' :.,=msGPUComputeTheangINFO[]\nthroughputRate'))
def test_any_log_is_a_figure_or_refused(text):
    for prefix in (
        '',
        'GPU Compute Time: mean = ',
        'ave_throughputRate: ',
        '[infer] Interface throughputRate: ',
        '{"value": ',
    ):
        try:
            log = prefix + text
            figure = parse.parse_figure(log, 'a_bs1.log')
        except ValueError:
            continue
        assert (figure if isinstance(figure, float) else figure.rate) > 0


# --- msprof's tables

NAMES = st.text(st.characters(blacklist_categories=['Cs', 'Cc']), min_size=1, max_size=12).map(str.strip).filter(bool)
SHAPES = st.lists(st.lists(st.integers(1, 9999), min_size=1, max_size=6), min_size=1, max_size=3)
DURATIONS = st.floats(0.01, 1e9).map(lambda x: float(f'{x:.7g}'))
TASKS = st.lists(
    st.builds(msprof.Task, NAMES, NAMES, NAMES, NAMES, DURATIONS, st.none() | SHAPES, st.just(0.0), st.none()),
    min_size=1,
    max_size=20,
)


@given(TASKS)
def test_profile_round_trip(tasks):
    text = msprof.format_tasks(tasks)
    assert read_by(lambda path: list(msprof.read_tasks(path)), text.encode()) == tasks
    rows = msprof.statistics_of(tasks)
    again = read_by(lambda path: msprof.read_statistics([path]), msprof.format_statistics(rows).encode())
    assert [row[:4] for row in again] == [row[:4] for row in rows] or len({row.total for row in rows}) < len(rows)
    assert sum(row.total for row in again) == pytest.approx(sum(task.duration for task in tasks), rel=1e-5)


@given(
    TASKS, st.randoms(use_true_random=False), st.sampled_from(['utf-8', 'utf-8-sig']), st.sampled_from(['\n', '\r\n'])
)
def test_columns_are_found_in_any_order_among_others(tasks, random, encoding, end):
    rows = list(csv.reader(io.StringIO(msprof.format_tasks(tasks))))
    order = random.sample(range(len(rows[0])), len(rows[0]))
    rows = [[row[i] for i in order] + ['more'] for row in rows]
    file = io.StringIO()
    csv.writer(file, lineterminator=end).writerows(rows)
    assert read_by(lambda path: list(msprof.read_tasks(path)), file.getvalue().encode(encoding)) == tasks


@given(st.binary() | st.text('OP Type,Count,Total Time(us)\n"1;N/A').map(str.encode))
def test_any_table_is_read_or_refused(content):
    for header in (b'', b'OP Type,Count,Total Time(us)\n', b'Op Name,OP Type,Task Duration(us),Input Shapes\n'):
        for function in (msprof.read_statistics, lambda path: list(msprof.read_tasks(path)), msprof.kind_of):
            try:
                read_by(function, header + content)
            except ValueError as error:
                assert 'file' in str(error)
