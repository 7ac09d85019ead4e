"""The weights that this repository ships, and those that a walk takes: the user's, else the ones that suit the machine."""

from __future__ import annotations

import os
from typing import NamedTuple

import rdn

LITE = 'weights/rdn_x2_lite.pth'  # the compact network
FULL = 'weights/rdn_x2.pth'  # the guide's network
OWN = 'rdn_x2.pth'  # where the user puts the public file
NAMED = {'lite': LITE, 'full': FULL}  # what a flag may say in place of a path


class ChosenWeights(NamedTuple):
    """The path of the weights, from the project's folder, and why they were chosen."""

    path: str
    reason: str


def locate(given: str) -> str:
    """Return the path of weights that a flag names: absolute for a key of NAMED, else as given."""
    return os.path.join(rdn.ROOT, NAMED[given]) if given in NAMED else given


def choose(given: str | None, has_device: bool) -> ChosenWeights:
    """Choose the weights for a walk.

    Args:
        given: a path or a key of NAMED; None if the user named none.
        has_device: whether an Ascend device does the inference.

    Returns:
        The user's own, else the guide's network for a device, else the compact one, which a processor computes about
        28 times as fast.
    """
    if given:
        return ChosenWeights(NAMED.get(given, given), 'as asked')
    if os.path.isfile(os.path.join(rdn.ROOT, OWN)):
        return ChosenWeights(OWN, 'it is in this folder')
    if has_device:
        return ChosenWeights(
            FULL, "the guide's network, since a device was found; --weights lite takes the compact one"
        )
    return ChosenWeights(LITE, "the compact network, since there is no device; --weights full takes the guide's")
