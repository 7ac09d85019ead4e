"""Run tests in a separate network with only the loopback, so that nobody else can reach Ray's ports."""

import fcntl
import os
import socket
import struct
import subprocess
import sys

import pytest

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def run(cases):
    """Run a file of tests in a separate network, and fail with its output if one of them fails."""
    pytest.importorskip('ray')
    own = unshare()
    if own is None:
        pytest.skip('this system does not allow a separate network')
    command = [*own, sys.executable, __file__, cases]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def unshare():
    """Return the command that runs another one in a separate network; None if that is not allowed."""
    for own in (['unshare', '--net'], ['unshare', '--map-root-user', '--net']):
        try:
            if subprocess.run([*own, 'true'], capture_output=True).returncode == 0:
                return own
        except OSError:
            return None
    return None


if __name__ == '__main__':
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, SIOCSIFFLAGS, struct.pack('16sh14x', b'lo', IFF_UP))
    # A cluster with a token, which is Ray's default; must be set before Ray is imported.
    os.environ.update(RAY_AUTH_MODE='token', RAY_AUTH_TOKEN='0123456789abcdef' * 4)
    sys.exit(pytest.main(['-q', '-m', '', '--durations=0', sys.argv[1]]))
