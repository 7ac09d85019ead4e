"""Enlarge the user's own pictures: `from pictures import Upscaler`. See api.py for an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pictures.api import Upscaler

__all__ = ['Upscaler']


def __getattr__(name: str) -> Any:
    """Import Upscaler on first use, because it imports all engines."""
    if name == 'Upscaler':
        from pictures.api import Upscaler

        return Upscaler
    raise AttributeError(f'module {__name__} has no attribute {name}')
