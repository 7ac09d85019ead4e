"""The weights in this repository, and the choice of weights for a walk: the user's own, else those for the machine."""

from __future__ import annotations

import os
from typing import NamedTuple

import rdn

LITE = 'weights/rdn_x2_lite.pth'  # the compact network
FULL = 'weights/rdn_x2.pth'  # the guide's network
OWN = 'rdn_x2.pth'  # where the user puts the public weights
NAMED = {'lite': LITE, 'full': FULL}  # names that a flag accepts instead of a path


class ChosenWeights(NamedTuple):
    """The weights of a walk.

    Attributes:
        path: the path of the weights, relative to the project's folder, or as the user gave it.
        reason: why they were chosen, in words.
    """

    path: str
    reason: str


def locate(given: str) -> str:
    """Return the path of the weights that a flag names: an absolute path for a key of NAMED, else the same path."""
    return os.path.join(rdn.ROOT, NAMED[given]) if given in NAMED else given


def choose(given: str | None, has_device: bool) -> ChosenWeights:
    """Choose the weights for a walk.

    Args:
        given: the flag's value, a path or a key of NAMED; None without the flag.
        has_device: whether an Ascend device does the inference.

    Returns:
        The weights of the flag; else OWN, if the file exists; else the guide's network for a device; else the compact
        network, which is 20 to 30 times as fast on a processor.
    """
    if given:
        return ChosenWeights(NAMED.get(given, given), 'as asked')
    if os.path.isfile(os.path.join(rdn.ROOT, OWN)):
        return ChosenWeights(OWN, 'it is in this folder')
    if has_device:
        return ChosenWeights(FULL, "the guide's network, since a device was found; --weights lite uses the compact one")
    return ChosenWeights(LITE, "the compact network, since there is no device; --weights full uses the guide's")
