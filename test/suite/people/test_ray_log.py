"""pictures/cluster/ray_log.py: Ray's own messages go into a file, which exists only if a line names it."""

import os
import subprocess
import sys
import threading

from pictures.cluster import ray_log

import pytest

from helpers import ROOT


def test_the_line_on_a_lost_node_names_the_file_with_rays_messages(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')) as log:
        os.write(2, b'one\n')
        assert log.describe_lost('10.0.0.7') == (
            f"a node was lost: 10.0.0.7; its pictures are retried; Ray's own messages are in {tmp_path}/ray.log"
        )
        assert (tmp_path / 'ray.log').read_bytes() == b'one\n'
        os.write(2, b'two\n')
    assert (tmp_path / 'ray.log').read_bytes() == b'one\ntwo\n' and capfd.readouterr() == ('', '')


def test_without_a_lost_node_there_is_no_file_and_a_failure_shows_the_messages(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')):
        os.write(2, b'one\n')
    assert capfd.readouterr().err == ''
    with pytest.raises(ValueError):
        with ray_log.captured(str(tmp_path / 'failures.txt')):
            os.write(2, b'one\n')
            raise ValueError
    assert capfd.readouterr().err == 'one\n' and list(tmp_path.iterdir()) == []


def test_output_of_rays_threads_goes_into_the_file_and_not_to_the_console(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')) as log:
        print('ours')
        printing = threading.Thread(target=print, args=('(raylet) Raylet is terminated.',))
        printing.start()
        printing.join()
        log.describe_lost('10.0.0.7')
    assert (tmp_path / 'ray.log').read_bytes() == b'(raylet) Raylet is terminated.\n'
    assert capfd.readouterr() == ('ours\n', '')


ENDS = {
    'by a library': "os.write(2, b'raylet died'); os._exit(1)",
    'by SIGKILL': "os.write(2, b'raylet died'); os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize('end', ENDS.values(), ids=list(ENDS))
def test_a_process_that_ends_suddenly_leaves_a_line_and_the_file(tmp_path, end):
    done = run_code(end, tmp_path)
    assert done.returncode in (1, -9) and done.stderr.count('\n') == 1
    assert '--resume' in done.stderr and str(tmp_path / 'ray.log') in done.stderr
    assert (tmp_path / 'ray.log').read_text() == 'raylet died'


def test_a_regular_end_prints_nothing(tmp_path):
    for end in ('pass', 'stopping._tidy_up(); os._exit(143)'):
        done = run_code(end, tmp_path)
        assert done.stderr == '' and not list(tmp_path.iterdir())


def run_code(end, folder):
    body = f"""
import os
from pictures.cluster import ray_log
from rdn import stopping
with ray_log.captured({str(folder / 'failures.txt')!r}):
    {end}
"""
    return subprocess.run([sys.executable, '-c', body], cwd=ROOT, stderr=subprocess.PIPE, text=True)
