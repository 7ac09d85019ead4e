"""RDN_upscale.py --cluster under signals at any moment; test_cluster.py runs these tests in a separate network."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from PIL import Image

from helpers import ROOT, run_python, snapshot

PR_SET_CHILD_SUBREAPER = 36
GONE_SECONDS = 5
TERM, HUP, INT = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
COUNT = 24
# The signal is sent as soon as there is Ray's folder, a process with this command, or this number of results.
MOMENTS = [
    ('.rdn-ray.', TERM),
    ('raylet', HUP),
    ('dashboard/agent.py', TERM),
    ('runtime_env/agent', HUP),
    ('ray::', INT),
    (1, HUP),
    (12, TERM),
    (COUNT, TERM),
]


@pytest.fixture(scope='module', autouse=True)
def orphans():
    """Make this process the parent of all processes that a command leaves behind."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory, photos, narrow):
    """Return a folder of photographs, and the results of one machine."""
    source, target = tmp_path_factory.mktemp('many') / 'in', tmp_path_factory.mktemp('expected')
    source.mkdir()
    for number in range(COUNT):
        with Image.open(photos[number % len(photos)]) as photo:
            photo.convert('RGB').crop((0, 0, 200 + number, 200)).save(str(source / f'{number:02}.png'))
    done = run_python(*command(source, target, narrow[1])[1:])
    assert done.returncode == 0, done
    return source, snapshot(target)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Return a function that returns the names of files left in temporary folders."""
    own = tmp_path / 'tmp'
    own.mkdir()
    monkeypatch.setenv('TMPDIR', str(own))
    before = set(os.listdir('/tmp'))

    def find():
        rays = [name for name in set(os.listdir('/tmp')) - before if name.startswith('.rdn-ray.')]
        return [name for name in os.listdir(str(own)) if 'rdn-' in name] + rays  # other runs may use /tmp too

    return find


def command(source, target, model, *flags):
    script = os.path.join(ROOT, 'RDN_upscale.py')
    return [sys.executable, script, f'--input={source}', f'--output={target}', f'--model={model}', *flags]


def begin(folder, source, model, *flags):
    """Start a run on a cluster in a folder, with the default handlers of signals."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith('RAY_AUTH') or flags != ('--cluster',)
    }
    return subprocess.Popen(
        command(source, folder / 'out', model, *flags),
        cwd=str(folder),
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (TERM, HUP, INT)],
    )


def processes():
    """Return the living processes: ID -> (ID of the parent, command)."""
    found = {}
    for number in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{number}/cmdline') as file, open(f'/proc/{number}/stat') as status:
                state, parent = status.read().rpartition(')')[2].split()[:2]
                if state not in 'ZX':
                    found[int(number)] = int(parent), file.read()
        except OSError:
            continue
    return found


def descendants(root):
    """Return the living descendants of a process: ID -> command."""
    everything, found = processes(), {}

    def is_below(number):
        parent = everything.get(number, (0,))[0]
        return parent == root or parent in everything and is_below(parent)

    for number, (_, command_line) in everything.items():
        if is_below(number):
            found[number] = command_line
    return found


def count_results(folder):
    return sum(not path.name.startswith('.') for path in folder.rglob('*.png'))


def find_left(before, seconds=GONE_SECONDS):
    """Return the processes that are left some seconds after a run's end, ID -> command, and kill them."""
    ended = time.monotonic()
    while set(descendants(os.getpid())) - set(before) and time.monotonic() < ended + seconds:
        time.sleep(0.05)
    left = {each: name for each, name in descendants(os.getpid()).items() if each not in before}
    for each in left:
        os.kill(each, signal.SIGKILL)
    return left


def check(process, number, folder, before, places, expected):
    """Check that a signal ended a run cleanly."""
    out, err = process.communicate(timeout=20)
    left = find_left(before)
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode  # like the status in a shell
    assert not left, (left, err)
    assert status == 128 + number and 'Traceback' not in err, (status, out, err)
    assert places() == []
    results = snapshot(folder / 'out') if (folder / 'out').exists() else {}
    assert [name for name, content in results.items() if content != expected[name]] == [], sorted(results)


def wait_for(process, moment, folder):
    """Wait until a run has reached a moment of MOMENTS."""
    before = set(os.listdir('/tmp'))

    def is_there():
        if isinstance(moment, int):
            return count_results(folder) >= moment
        if moment.startswith('.rdn-'):
            return any(name.startswith(moment) for name in set(os.listdir('/tmp')) - before)
        return any(moment in each for each in descendants(process.pid).values())

    while not is_there():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize('moment, number', MOMENTS)
def test_a_signal_ends_all_processes_of_the_run(tmp_path, pictures, narrow, places, moment, number):
    process = begin(tmp_path, pictures[0], narrow[1], '--cluster')
    wait_for(process, moment, tmp_path)
    process.send_signal(number)
    check(process, number, tmp_path, {}, places, pictures[1])


@pytest.mark.parametrize('seconds', [0.6, 1.2])
def test_a_second_signal_does_not_cut_the_cleanup_short(tmp_path, pictures, narrow, places, seconds):
    """The second signal arrives during ray.shutdown, which makes SIGTERM end a process at once."""
    process = begin(tmp_path, pictures[0], narrow[1], '--cluster')
    wait_for(process, 3, tmp_path)
    process.send_signal(TERM)
    time.sleep(seconds)
    process.send_signal(TERM)
    check(process, TERM, tmp_path, {}, places, pictures[1])
    assert process.returncode == 128 + TERM  # it exited, and was not killed


def test_the_next_run_removes_the_files_of_a_killed_run(tmp_path, pictures, narrow, places):
    process = begin(tmp_path, pictures[0], narrow[1], '--cluster')
    wait_for(process, 'raylet', tmp_path)
    process.kill()
    process.communicate()
    assert find_left({}, 30) == {} and places() != []  # Ray's agents only check now and then for their raylet
    process = begin(tmp_path, pictures[0], narrow[1], '--cluster')
    wait_for(process, 'raylet', tmp_path)
    process.send_signal(INT)
    check(process, INT, tmp_path, {}, places, pictures[1])


def test_a_cluster_of_the_user_keeps_running(tmp_path, pictures, narrow, places, monkeypatch):
    folder = tempfile.mkdtemp(prefix='ray')  # the paths of sockets must be short
    monkeypatch.setenv('RAY_TMPDIR', folder)
    ray = [sys.executable, '-m', 'ray.scripts.scripts']
    flags = ['--head', '--port=6399', '--num-cpus=1', '--include-dashboard=false', '--disable-usage-stats']
    subprocess.run([*ray, 'start', *flags], check=True, capture_output=True)
    before = descendants(os.getpid())
    try:
        process = begin(tmp_path, pictures[0], narrow[1], '--cluster=127.0.0.1:6399')
        wait_for(process, 3, tmp_path)
        process.send_signal(TERM)
        check(process, TERM, tmp_path, before, places, pictures[1])
        again = run_python(
            *command(pictures[0], tmp_path / 'out', narrow[1])[1:], '--cluster=127.0.0.1:6399', '--resume'
        )
        assert again.returncode == 0 and snapshot(tmp_path / 'out') == pictures[1], again
    finally:
        find_left({}, 0)  # `ray stop` would end other Rays of this machine too
        shutil.rmtree(folder)
