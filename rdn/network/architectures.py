"""The list of all architectures, and the search for one by a state dict or a name."""

from __future__ import annotations

import os

from rdn import configuration
from rdn.network import base, rdn_architecture

ARCHITECTURES: tuple[base.Architecture, ...] = (rdn_architecture.Rdn(),)


def find(state_dict: base.StateDict) -> base.Architecture:
    """Find the architecture of a state dict by its keys.

    Raises:
        ValueError: the keys do not belong to any architecture.
    """
    for architecture in ARCHITECTURES:
        if architecture.owns(state_dict):
            return architecture
    titles = ' or '.join(architecture.title for architecture in ARCHITECTURES)
    raise ValueError(f'not weights of {titles}: the first key is {next(iter(state_dict))}')


def names() -> list[str]:
    """Return the names of all architectures."""
    return [architecture.name for architecture in ARCHITECTURES]


def title_of(name: str) -> str:
    """Return the title of the architecture with this name."""
    return {architecture.name: architecture.title for architecture in ARCHITECTURES}[name]


def title_of_model(path: str) -> str:
    """Return the title of the architecture whose name begins a model's file name; the guide's network otherwise."""
    name = os.path.basename(path).split('_')[0].lower()
    return title_of(name if name in names() else configuration.GUIDE_NETWORK)
