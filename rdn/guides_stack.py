"""What exists for the guide's stack alone: Python 3.7 with torch 1.5 and ONNX Runtime 1.10.

When that stack is no longer supported, delete this module and the lines that use it.
"""

from __future__ import annotations

import sys
from typing import Any

IS_ACTIVE = sys.version_info < (3, 8)
HAS_OPENVINO = not IS_ACTIVE  # none with bf16


def check_eight_bits() -> None:
    """Raise ValueError if ONNX Runtime does not compute eight bits exactly."""
    if IS_ACTIVE:
        raise ValueError('needs Python 3.8 or later: ONNX Runtime for 3.7 does not compute its eight bits exactly')


def has_unknown_parts(model: Any) -> bool:
    """Whether an onnx.ModelProto has fields that onnx 1.7 cannot read: functions, for instance, which ONNX Runtime 1.10 runs."""
    return IS_ACTIVE and len(model.UnknownFields()) > 0


def set_counter(slots: dict[str, Any], name: str, value: Any) -> None:
    """Set Adam's count of steps, which torch 1.5 keeps as an int."""
    slots[name] = int(value)
