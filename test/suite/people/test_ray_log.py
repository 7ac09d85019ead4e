"""pictures/cluster/ray_log.py: what Ray prints by itself goes into a file, which is there if a line names it."""

import os
import threading

from pictures.cluster import ray_log

import pytest


def test_rays_lines_are_in_the_file_that_the_line_on_a_lost_node_names(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')) as log:
        os.write(2, b'one\n')
        assert log.describe_lost('10.0.0.7') == (
            f"a node was lost: 10.0.0.7; its pictures are done again, and Ray's own lines are in {tmp_path}/ray.log"
        )
        assert (tmp_path / 'ray.log').read_bytes() == b'one\n'
        os.write(2, b'two\n')
    assert (tmp_path / 'ray.log').read_bytes() == b'one\ntwo\n' and capfd.readouterr() == ('', '')


def test_without_a_lost_node_there_is_no_file_and_a_failure_shows_the_lines(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')):
        os.write(2, b'one\n')
    assert capfd.readouterr().err == ''
    with pytest.raises(ValueError):
        with ray_log.captured(str(tmp_path / 'failures.txt')):
            os.write(2, b'one\n')
            raise ValueError
    assert capfd.readouterr().err == 'one\n' and list(tmp_path.iterdir()) == []


def test_what_a_thread_of_rays_prints_goes_into_the_file_and_not_to_the_console(tmp_path, capfd):
    with ray_log.captured(str(tmp_path / 'failures.txt')) as log:
        print('ours')
        printing = threading.Thread(target=print, args=('(raylet) Raylet is terminated.',))
        printing.start()
        printing.join()
        log.describe_lost('10.0.0.7')
    assert (tmp_path / 'ray.log').read_bytes() == b'(raylet) Raylet is terminated.\n'
    assert capfd.readouterr() == ('ours\n', '')
