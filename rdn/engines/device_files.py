"""Whether this machine may have an accelerator, from the files of its drivers: importing torch to ask it takes seconds."""

from __future__ import annotations

import glob
import sys

# Of NVIDIA, of NVIDIA in WSL, of AMD, of Ascend, and of any graphics card.
PATTERNS = ('/dev/nvidia[0-9]*', '/dev/dxg', '/dev/kfd', '/dev/davinci[0-9]*', '/dev/dri/renderD*')


def are_present() -> bool:
    """Return False only where PyTorch can find no accelerator."""
    return sys.platform != 'linux' or any(glob.glob(pattern) for pattern in PATTERNS)
