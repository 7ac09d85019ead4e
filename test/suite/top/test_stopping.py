"""rdn/stopping.py: signals during a call of a library that never returns, and the files that remain after them."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from helpers import ROOT, run_python, snapshot

pytestmark = pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='needs /proc to measure processor time')

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
# Writes a file and a folder; meanwhile a call of a C function takes hours.
STUCK = """
import hashlib, os, sys
from rdn import cli, files
def main():
    with files.atomic_folder('folder', []) as folder, files.atomic_file('result') as file, files.scratch_folder('scratch'):
        open(os.path.join(folder, 'half'), 'w').close()
        file.write(b'half')
        print('begun', flush=True)
        hashlib.pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)
cli.run(main)
"""
# Swallows the exception of a signal and raises another error, as libraries do.
SWALLOWING = """
import time
from rdn import cli
def main():
    try:
        print('begun', flush=True)
        time.sleep(60)
    except BaseException:
        raise {error}
cli.run(main)
"""


def restore_signals():
    """Reset signals in a new process, because a background shell or nohup ignores some of them."""
    for number in STATUS:
        signal.signal(number, signal.SIG_DFL)


def begin(arguments, folder):
    """Start a Python process in a folder, with pipes for its output."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        preexec_fn=restore_signals,
    )


def busy_seconds(process):
    """Return the processor time of a process in seconds, from /proc."""
    with open(f'/proc/{process.pid}/stat') as file:
        return sum(map(int, file.read().rpartition(')')[2].split()[11:13])) / os.sysconf('SC_CLK_TCK')


def wait_for_work(process, seconds=0.2):
    """Wait until a process has used this much more processor time."""
    start = busy_seconds(process)
    while busy_seconds(process) < start + seconds:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def begun(arguments, folder, word):
    """Start a Python process, and return it when it has printed a line with this word."""
    process = begin(arguments, folder)
    while True:
        line = process.stdout.readline()
        if word in line:
            return process
        assert line, process.communicate()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_call_that_never_returns_and_leaves_nothing_half_written(tmp_path, number):
    (tmp_path / 'folder').mkdir()
    for path in ('result', 'folder/whole'):
        (tmp_path / path).write_text('old')
    before = snapshot(tmp_path)
    process = begun(['-c', STUCK], tmp_path, 'begun')
    wait_for_work(process)
    process.send_signal(number)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == STATUS[number] and 'Traceback' not in err, err
    assert snapshot(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize('error', ['SystemExit(1)', 'ValueError', 'RuntimeError', 'KeyboardInterrupt', 'SystemExit(0)'])
def test_the_exit_status_is_the_signals_even_if_a_library_raises_another_error(tmp_path, number, error):
    process = begun(['-c', SWALLOWING.format(error=error)], tmp_path, 'begun')
    process.send_signal(number)
    assert process.wait(10) == STATUS[number]
    assert 'Traceback' not in process.communicate()[1]


@pytest.mark.slow
def test_two_signals_for_one_request_let_the_process_tidy_up(tmp_path):
    """`timeout` sends one signal to the process and one to its group."""
    code = SWALLOWING.replace('raise {error}', "time.sleep(0.3); print('tidy', flush=True)")
    process = begun(['-c', code], tmp_path, 'begun')
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (143, 'tidy\n', '')


@pytest.mark.slow
def test_a_forked_process_does_not_hand_its_signals_to_its_parent(tmp_path):
    code = (
        'import os, signal, time\n'
        'from rdn import cli\n'
        'def main():\n'
        '    child = os.fork()\n'
        '    if not child:\n'
        '        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n'
        '        time.sleep(60)\n'
        '    time.sleep(0.2)\n'
        '    os.kill(child, signal.SIGTERM)\n'
        '    status = os.waitpid(child, 0)[1] >> 8\n'
        '    time.sleep(0.1)\n'
        '    return status\n'
        'cli.run(main)\n'
    )
    assert run_python('-c', code, env=dict(os.environ, PYTHONPATH=ROOT), timeout=20).returncode == 7


@pytest.fixture(scope='module')
def endless(tmp_path_factory):
    """The path of a model that enlarges a picture by 2 after 2^40 rounds of a Loop."""
    value = helper.make_tensor_value_info
    picture, number, truth = ['n', 3, 'h', 'w'], TensorProto.INT64, TensorProto.BOOL
    body = helper.make_graph(
        [helper.make_node('Identity', ['go'], ['go_on']), helper.make_node('Add', ['x', 'little'], ['more'])],
        'body',
        [value('round', number, []), value('go', truth, []), value('x', TensorProto.FLOAT, picture)],
        [value('go_on', truth, []), value('more', TensorProto.FLOAT, picture)],
    )
    nodes = [
        helper.make_node('Loop', ['rounds', 'true', 'image'], ['looped'], body=body),
        helper.make_node('Upsample', ['looped', 'scales'], ['output'], mode='nearest'),
    ]
    constants = dict(
        rounds=np.array(1 << 40), true=np.array(True), little=np.float32(1e-30), scales=np.float32([1, 1, 2, 2])
    )
    graph = helper.make_graph(
        nodes,
        'endless',
        [value('image', TensorProto.FLOAT, picture)],
        [value('output', TensorProto.FLOAT, ['n', 3, 'H', 'W'])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)])
    model.ir_version = 4
    path = tmp_path_factory.mktemp('endless') / 'endless.onnx'
    onnx.save(model, str(path))
    return path


def infer(model, folder, engine):
    """Start RDN_infer.py, and return its process while the model runs."""
    flags = [f'-om_path={model}', f'-engine={engine}', '-round=1', '-input_width=40', '-input_height=30']
    process = begun([os.path.join(ROOT, 'RDN_infer.py'), *flags], folder, 'batches of 1')
    wait_for_work(process)
    return process


def upscale(model, folder, engine):
    """Start RDN_upscale.py, and return its process while the model runs; nothing is printed yet."""
    Image.new('RGB', (40, 30)).save(str(folder / 'a.png'))
    flags = ['a.png', f'--model={model}', f'--engine={engine}']
    process = begin([os.path.join(ROOT, 'RDN_upscale.py'), *flags], folder)
    loaded = ''
    while engine not in loaded:
        with open(f'/proc/{process.pid}/maps') as file:
            loaded = file.read()
        assert process.poll() is None, process.communicate()
    wait_for_work(process, 2)  # for loading the other libraries and checking the model
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    'script, number',
    [(infer, signal.SIGINT), (infer, signal.SIGTERM), (infer, signal.SIGHUP), (upscale, signal.SIGTERM)],
)
def test_a_model_that_never_ends_is_stopped_by_the_first_signal(tmp_path, endless, script, number):
    process = script(endless, tmp_path, 'onnxruntime')
    process.send_signal(number)
    _, err = process.communicate(timeout=5)
    assert process.returncode == STATUS[number], err
    assert 'Traceback' not in err and 'terminate' not in err and err.count('\n') == (number == signal.SIGINT), err
    assert not [name for name in snapshot(tmp_path) if 'partial' in name]


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_model_that_openvino_never_ends_is_stopped_by_the_second_signal(tmp_path, endless, number):
    pytest.importorskip('openvino')
    process = infer(endless, tmp_path, 'openvino')
    wait_for_work(process, 1)  # the model may still be compiled
    process.send_signal(number)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=5)
    assert process.returncode == STATUS[number] and 'Traceback' not in err, err
    assert not [name for name in snapshot(tmp_path) if 'partial' in name]


# Continues after a signal whose exception a library has swallowed, until it checks.
CONTINUING = """
import time
from rdn import cli, stopping
def main():
    try:
        print('begun', flush=True)
        time.sleep(60)
    except BaseException:
        pass
    stopping.check()
    print('continued', flush=True)
cli.run(main)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_check_raises_the_exception_of_a_signal_that_a_library_swallowed(tmp_path, number):
    process = begun(['-c', CONTINUING], tmp_path, 'begun')
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == STATUS[number] and 'continued' not in out


# Waits for a program, in a main thread that no signal interrupts: another thread takes it.
MISSED = """
import signal, subprocess
from rdn import cli
def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    print('begun', flush=True)
    subprocess.run(['sleep', '60'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
cli.run(main)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_does_not_interrupt_the_main_thread_ends_its_wait(tmp_path, number):
    """A signal that arrives just before the main thread begins to wait has the same effect."""
    process = begun(['-c', MISSED], tmp_path, 'begun')
    time.sleep(0.3)
    process.send_signal(number)
    try:
        assert process.wait(10) == STATUS[number]
    finally:
        process.kill()
        process.communicate()


# A step of a walk that takes a minute to write a file.
STEP = """
import time
from rdn import cli, files
def main():
    with files.atomic_file('result') as file:
        file.write(b'half')
        print('begun', flush=True)
        time.sleep(60)
cli.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_step_of_a_walk_ends_with_it_and_leaves_nothing_half_written(tmp_path, number):
    """Only the walk receives the signal, as from `kill`. If the walk is killed, Linux ends the step."""
    (tmp_path / 'step.py').write_text(STEP)
    (tmp_path / 'result').write_text('old')
    before = snapshot(tmp_path)
    walk = "from rdn import cli, walk_steps; cli.run(lambda: walk_steps.step('python3', 'step.py'))"
    process = begun(['-c', walk], tmp_path, 'begun')
    process.send_signal(number)
    assert process.wait(20) == STATUS.get(number, -number)
    process.communicate(timeout=10)  # the step holds the pipes until it ends
    assert snapshot(tmp_path) == before
