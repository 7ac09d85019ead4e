"""RDN_upscale.py --cluster on three nodes; test_cluster.py runs these tests in a separate network."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

import boto3
import pytest
import ray.cluster_utils
from moto.server import ThreadedMotoServer
from PIL import Image

from helpers import ROOT, run_python, snapshot

# sitecustomize.py that kills each of Ray's workers that touches killer.png, and writes a line to $KILLED.
KILLER = """
import os, signal, sys
real = os.stat
def stat(path, *arguments, **keywords):
    if str(path).endswith('killer.png') and sys.argv and sys.argv[0].endswith('default_worker.py'):
        open(os.environ['KILLED'], 'a').write('killed\\n')
        os.kill(os.getpid(), signal.SIGKILL)
    return real(path, *arguments, **keywords)
os.stat = stat
"""
NODE: Any = dict(num_cpus=1, object_store_memory=100 << 20)
# Ray notices a lost node within two seconds.
SOON = {'health_check_period_ms': 500, 'health_check_failure_threshold': 3}
MOST_SECONDS = 200
NAMES = ['a b.jpg', '100%.png', '#1?.png', '图/片 1.png', 'plus+&=.webp', '100%25.png']


@pytest.fixture(scope='module', autouse=True)
def working(tmp_path_factory):
    """Set the current folder of the commands, where failures.txt is written."""
    os.environ['WORKING'] = str(tmp_path_factory.mktemp('working'))


@pytest.fixture(scope='module')
def store():
    """Start an S3 server, put it into the environment, and yield its URL."""
    server = ThreadedMotoServer('127.0.0.1', 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f'http://{host}:{port}'
    os.environ.update(
        AWS_ACCESS_KEY_ID='key', AWS_SECRET_ACCESS_KEY='secret', AWS_DEFAULT_REGION='us-east-1', AWS_ENDPOINT_URL=url
    )
    yield url
    server.stop()


@pytest.fixture(scope='module')
def cluster(store, tmp_path_factory):
    """Start a Ray cluster of three nodes with a core each, whose workers see `store` and are killed by killer.png."""
    folder = tmp_path_factory.mktemp('site')
    (folder / 'sitecustomize.py').write_text(KILLER)
    os.environ.update(KILLED=str(folder / 'killed'), PYTHONPATH=str(folder), RAY_USAGE_STATS_ENABLED='0')
    os.environ['RAY_TMPDIR'] = tempfile.mkdtemp(prefix='ray')  # the paths of sockets must be short
    nodes = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=dict(NODE, include_dashboard=False))
    for _ in range(2):
        nodes.add_node(**NODE)
    yield nodes
    nodes.shutdown()
    shutil.rmtree(os.environ['RAY_TMPDIR'])


@pytest.fixture(scope='module')
def many(tmp_path_factory, photos, narrow):
    """Return a folder with photographs of many sizes in two folders, and the results of one machine."""
    source, target = tmp_path_factory.mktemp('many') / 'in', tmp_path_factory.mktemp('expected')
    (source / 'sub').mkdir(parents=True)
    for number in range(40):
        with Image.open(photos[number % len(photos)]) as photo:
            side = 150 + 7 * number
            photo.convert('RGB').crop((0, 0, side, side)).save(source / ('sub' * (number % 2)) / f'{number:02}.png')
    assert upscale(source, target, narrow[1]).returncode == 0
    return source, snapshot(target)


@pytest.fixture
def pictures(tmp_path, many):
    """Return a copy of the photographs."""
    return shutil.copytree(str(many[0]), str(tmp_path / 'in')) and tmp_path / 'in'


@pytest.fixture
def expected(many):
    """Return the results of one machine."""
    return many[1]


def command(source, target, model, *flags):
    script = os.path.join(ROOT, 'RDN_upscale.py')
    return [sys.executable, script, f'--input={source}', f'--output={target}', f'--model={model}', *flags]


def upscale(source, target, model, *flags):
    return run_python(*command(source, target, model, *flags)[1:], cwd=os.environ['WORKING'], timeout=MOST_SECONDS)


def processes(name):
    """Return the IDs of the running processes whose command starts with a name."""
    found = []
    for number in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{number}/cmdline') as file, open(f'/proc/{number}/stat') as status:
                if file.read().startswith(name) and status.read().split(')')[-1].split()[0] != 'Z':
                    found.append(int(number))
        except OSError:
            continue
    return found


def moments():
    """Yield every twentieth of a second, for so long that a busy machine reaches what is waited for."""
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)


def wait_for(count, folder, process):
    """Wait until there are `count` results below a folder."""
    for _ in moments():
        if len(list(folder.rglob('*.png'))) >= count:
            return
        assert process.poll() is None, process.communicate()
    pytest.fail(f'no {count} results: {sorted(folder.rglob("*"))}')


def wait_for_file(path, process):
    """Wait until a run has written a file."""
    for _ in moments():
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
    pytest.fail(f'no {path}')


def parent_of(number):
    """Return the ID of a process's parent."""
    with open(f'/proc/{number}/stat') as status:
        return int(status.read().rpartition(')')[2].split()[1])


def begin(*arguments):
    pipe = subprocess.PIPE
    return subprocess.Popen(command(*arguments), stdout=pipe, stderr=pipe, text=True, cwd=os.environ['WORKING'])


def check_rights(store, whether):
    """Switch on or off whether the S3 server checks the rights of a key."""
    headers = {'Content-Type': 'text/plain'}
    request = urllib.request.Request(f'{store}/moto-api/reset-auth', b'0' if whether else b'inf', headers)
    urllib.request.urlopen(request)


def is_plan(line):
    """Return whether a line is the plan of a run, in a cluster or on one machine."""
    return line.startswith('pictures of ') or ' on this machine (' in line


def test_results_notes_and_errors_are_those_of_one_machine(cluster, pictures, tmp_path, narrow):
    shutil.copy(str(pictures / '00.png'), str(pictures / '00.gif'))  # would become 00_x2.png too
    (pictures / 'broken.png').write_text('no picture')
    (pictures / 'notes.txt').write_text('skipped')
    here = upscale(pictures, tmp_path / 'out', narrow[1])
    expected = snapshot(tmp_path / 'out')
    shutil.rmtree(str(tmp_path / 'out'))
    there = upscale(pictures, tmp_path / 'out', narrow[1], f'--cluster={cluster.address}', f'--log={tmp_path / "log"}')
    assert snapshot(tmp_path / 'out') == expected
    assert there.returncode == here.returncode == 1 and '2 of 42 failed' in there.stderr, there
    both = (sorted(ended.stdout.splitlines()) for ended in (there, here))
    # The remedy for two pictures with one result differs, because a cluster does not number results.
    there_lines, here_lines = ([line.split(' too: ')[0] for line in lines if not is_plan(line)] for lines in both)
    assert there_lines == here_lines
    assert len((tmp_path / 'log').read_text().splitlines()) == 2
    again = upscale(pictures, tmp_path / 'out', narrow[1], f'--cluster={cluster.address}', '--resume', '--log=log')
    assert '40 skipped' in again.stdout and '0 done' in again.stdout, again
    assert snapshot(tmp_path / 'out') == expected


def worker_where(is_wanted):
    """Wait for a worker that enlarges a picture, and return its process ID; Ray replaces killed workers soon."""
    for _ in range(2000):
        found = [number for number in processes('ray::Worker.upscale') if is_wanted(number)]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError('no such worker appeared')


def test_every_picture_is_enlarged_once_though_workers_and_a_node_die(cluster, pictures, tmp_path, narrow, expected):
    flags = f'--cluster={cluster.address}', f'--log={tmp_path / "failures.txt"}'
    process = begin(pictures, tmp_path / 'out', narrow[1], *flags)
    node = cluster.list_all_nodes()[-1]
    raylet = node.all_processes['raylet'][0].process.pid
    wait_for(3, tmp_path / 'out', process)
    waiting = worker_where(lambda number: parent_of(number) != raylet)
    os.kill(waiting, signal.SIGSTOP)  # keeps the run from ending before Ray knows of the loss
    for count in (5, 8):
        wait_for(count, tmp_path / 'out', process)
        os.kill(worker_where(lambda number: number != waiting), signal.SIGKILL)
    wait_for(12, tmp_path / 'out', process)
    os.kill(raylet, signal.SIGKILL)
    wait_for_file(tmp_path / 'ray.log', process)
    os.kill(waiting, signal.SIGCONT)
    out, err = process.communicate(timeout=MOST_SECONDS)
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**NODE)
    assert process.returncode == 0 and '40 done' in out and err == '', (out, err)
    assert out.count('a node was lost: ') == 1 and f"Ray's own messages are in {tmp_path / 'ray.log'}\n" in out, out
    assert '(raylet)' not in out and '(raylet) Raylet is terminated.' in (tmp_path / 'ray.log').read_text(), out
    assert snapshot(tmp_path / 'out') == expected


def test_a_killed_driver_leaves_whole_pictures_and_resume_makes_the_rest(cluster, pictures, tmp_path, narrow, expected):
    process = begin(pictures, tmp_path / 'out', narrow[1], f'--cluster={cluster.address}')
    wait_for(10, tmp_path / 'out', process)
    process.kill()
    process.communicate()
    for name, content in snapshot(tmp_path / 'out').items():
        assert content == expected[name] if not name.startswith('.') else 'partial' in name, name
    ended = upscale(pictures, tmp_path / 'out', narrow[1], f'--cluster={cluster.address}', '--resume')
    assert ended.returncode == 0, ended
    assert snapshot(tmp_path / 'out') == expected


def test_a_picture_that_kills_its_workers_is_tried_twice_and_named(cluster, pictures, tmp_path, narrow, expected):
    shutil.copy(str(pictures / '00.png'), str(pictures / '00killer.png'))
    ended = upscale(pictures, tmp_path / 'out', narrow[1], f'--cluster={cluster.address}')
    assert ended.returncode == 1 and '00killer.png' in ended.stderr and 'died 2 times' in ended.stderr, ended
    with open(os.environ['KILLED']) as file:
        assert file.read().count('killed') == 2
    assert snapshot(tmp_path / 'out') == expected


def test_a_large_picture_in_bands_is_complete_though_a_node_is_lost(cluster, tmp_path, photos, narrow):
    (tmp_path / 'in').mkdir()
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').resize((4000, 4000)).save(tmp_path / 'in' / 'large.bmp')
    assert upscale(tmp_path / 'in', tmp_path / 'one', narrow[1]).returncode == 0
    process = begin(tmp_path / 'in', tmp_path / 'many', narrow[1], f'--cluster={cluster.address}')
    for _ in moments():
        if len(processes('ray::Worker.upscale_band')) > 1:
            break
        assert process.poll() is None, process.communicate()
    else:
        pytest.fail('two workers never had bands at the same time')
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    out, err = process.communicate(timeout=MOST_SECONDS)
    cluster.add_node(**NODE)
    assert process.returncode == 0 and '1 done' in out, (out, err)
    assert snapshot(tmp_path / 'many') == snapshot(tmp_path / 'one')


def test_names_of_any_kind_go_from_bucket_to_bucket(cluster, store, tmp_path, photos, narrow):
    client = boto3.client('s3')
    client.create_bucket(Bucket='pictures')
    for number, name in enumerate(NAMES):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photos[number % len(photos)]) as photo:
            photo.convert('RGB').crop((0, 0, 200, 150)).save(path)
        client.upload_file(str(path), 'pictures', f'in/{name}')
    client.put_object(Bucket='pictures', Key='in/broken %.png', Body=b'no picture')
    assert upscale(tmp_path / 'in', tmp_path / 'out', narrow[1]).returncode == 0
    flags = 's3://pictures/in', 's3://pictures/out dir', narrow[1], f'--cluster={cluster.address}'
    ended = upscale(*flags, f'--report={tmp_path / "report"}')
    assert ended.returncode == 1 and 'failed: s3://pictures/in/broken %.png: cannot be used' in ended.stdout, ended
    assert 'tmp' not in ended.stderr and (tmp_path / 'report' / 'index.html').exists()
    listed = client.list_objects_v2(Bucket='pictures', Prefix='out dir/')['Contents']
    results = {item['Key'][len('out dir/') :]: client.get_object(Bucket='pictures', Key=item['Key']) for item in listed}
    found = {name: answer['Body'].read() for name, answer in results.items()}
    assert found == {name: content for name, content in snapshot(tmp_path / 'out').items() if content is not None}
    refused = upscale(*flags)
    assert refused.returncode == 1 and refused.stdout.count('already exists: --overwrite replaces it') == len(NAMES)
    resumed = upscale(*flags, '--resume')
    assert f'{len(NAMES)} skipped' in resumed.stdout, resumed


def test_a_bucket_that_denies_writing_is_an_error_before_any_work(store, tmp_path, photos, narrow):
    boto3.client('s3').create_bucket(Bucket='reading')
    with open(photos[0], 'rb') as file:
        boto3.client('s3').put_object(Bucket='reading', Key='in/a.jpg', Body=file.read())
    iam = boto3.client('iam')
    iam.create_user(UserName='reader')
    allowed = {'Effect': 'Allow', 'Action': ['s3:List*', 's3:Get*'], 'Resource': '*'}
    policy = json.dumps({'Version': '2012-10-17', 'Statement': [allowed]})
    iam.put_user_policy(UserName='reader', PolicyName='reading', PolicyDocument=policy)
    key = iam.create_access_key(UserName='reader')['AccessKey']
    own = dict(AWS_ACCESS_KEY_ID=key['AccessKeyId'], AWS_SECRET_ACCESS_KEY=key['SecretAccessKey'])
    check_rights(store, True)
    try:
        flags = command('s3://reading/in', 's3://reading/out', narrow[1], '--cluster')[1:]
        ended = run_python(*flags, env=dict(os.environ, **own), cwd=tmp_path, timeout=MOST_SECONDS)
    finally:
        check_rights(store, False)
    assert ended.returncode == 1 and 's3://reading/out: cannot be written to' in ended.stderr, ended
    assert 'pictures of' not in ended.stdout  # this line would come from a worker


def test_our_own_ray_leaves_no_files(tmp_path, photos, narrow):
    """No token stays in the user's home either, where later clusters would use it; the user needs no token."""
    (tmp_path / 'in').mkdir()
    (tmp_path / 'home').mkdir()
    with Image.open(photos[0]) as photo:
        photo.convert('RGB').crop((0, 0, 200, 150)).save(tmp_path / 'in' / 'a.png')
    own = {name: value for name, value in os.environ.items() if not name.startswith('RAY_')}
    before = set(os.listdir('/tmp'))
    flags = command(tmp_path / 'in', tmp_path / 'out', narrow[1], '--cluster')[1:]
    ended = run_python(*flags, env=dict(own, HOME=str(tmp_path / 'home')), cwd=tmp_path, timeout=MOST_SECONDS)
    assert ended.returncode == 0 and '1 done' in ended.stdout, ended
    assert '.ray' not in os.listdir(tmp_path / 'home')
    assert not [name for name in set(os.listdir('/tmp')) - before if 'ray' in name]
