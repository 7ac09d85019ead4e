"""A quick test for accelerators by the files of their drivers. Importing torch for this would take seconds."""

from __future__ import annotations

import glob
import sys

# NVIDIA, NVIDIA in WSL, AMD, Ascend, any graphics card.
PATTERNS = ('/dev/nvidia[0-9]*', '/dev/dxg', '/dev/kfd', '/dev/davinci[0-9]*', '/dev/dri/renderD*')


def are_present() -> bool:
    """Return whether PyTorch may find an accelerator; False only if it certainly finds none."""
    return sys.platform != 'linux' or any(glob.glob(pattern) for pattern in PATTERNS)
