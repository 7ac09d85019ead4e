"""RDN_upscale.py --cluster, on Python 3.10 and later: three nodes on this machine, in a network that is the loopback only."""

import fcntl
import os
import socket
import struct
import subprocess
import sys

import pytest

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CASES = os.path.join(os.path.dirname(__file__), 'in_cluster.py')


def unshare():
    """The command that runs another in a network of its own; None where that is not allowed."""
    for own in (['unshare', '--net'], ['unshare', '--map-root-user', '--net']):
        try:
            if subprocess.run([*own, 'true'], capture_output=True).returncode == 0:
                return own
        except OSError:
            return None
    return None


@pytest.mark.slow
def test_a_cluster_of_three_nodes_does_what_one_machine_does():
    pytest.importorskip('ray')
    own = unshare()
    if own is None:
        pytest.skip('a network of its own cannot be made here')
    done = subprocess.run([*own, sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


if __name__ == '__main__':
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', IFF_UP))
    # A cluster with a token, as Ray makes it by default: before Ray is imported.
    os.environ.update(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN='0123456789abcdef' * 4)
    sys.exit(pytest.main(['-q', '-m', '', '--durations=0', CASES]))
