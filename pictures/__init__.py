"""People's own pictures, enlarged: `from pictures import Upscaler`; api.py says the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pictures.api import Upscaler

__all__ = ['Upscaler']


def __getattr__(name: str) -> Any:
    """Load the door only for those who use it: it brings the engines."""
    if name == 'Upscaler':
        from pictures.api import Upscaler

        return Upscaler
    raise AttributeError(f'module {__name__} has no attribute {name}')
