"""Code that only the guide's versions need: Python 3.7 with torch 1.5 and ONNX Runtime 1.10.

When this stack is no longer supported, delete this module and the lines that use it.
"""

from __future__ import annotations

import sys
from typing import Any

IS_ACTIVE = sys.version_info < (3, 8)
HAS_OPENVINO = not IS_ACTIVE  # no OpenVINO for Python 3.7 computes in bf16


def check_eight_bits() -> None:
    """Check that ONNX Runtime computes eight-bit models exactly.

    Raises:
        ValueError: it is the version for Python 3.7, which does not.
    """
    if IS_ACTIVE:
        raise ValueError('needs Python 3.8 or later: ONNX Runtime for 3.7 does not compute eight-bit models exactly')


def has_unknown_parts(model: Any) -> bool:
    """Return whether an onnx.ModelProto has fields that onnx 1.7 cannot read.

    An example is functions, which ONNX Runtime 1.10 runs.
    """
    return IS_ACTIVE and len(model.UnknownFields()) > 0


def set_counter(slots: dict[str, Any], name: str, value: Any) -> None:
    """Set a counter in the state of an optimizer, such as Adam's `step`, as the int that torch 1.5 needs."""
    slots[name] = int(value)
