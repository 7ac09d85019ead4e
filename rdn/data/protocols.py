"""Protocols: how an image becomes a label, how large a border is left out, and what was published by it.

Preparation, training, scoring and the verdict read these values, so a new protocol is one more entry of PROTOCOLS. Figures of one
protocol compare with figures of that protocol only.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from rdn import configuration, images

from PIL import Image


class Protocol(NamedTuple):
    """A way of judging.

    Attributes:
        name: as `--fit` of RDN_preprocess.py has it.
        title: for tables and messages.
        fit: from an image, the label's width and height in pixels, and the scale, to the label. Raises ValueError for
            an image that is too small.
        is_whole: the label has the image's own size, and the inputs are tiles.
        extra_border: pixels left out at each side, besides as many as the scale.
        planes: the key of metrics.PLANES that the protocol prescribes; None: luma, by the coefficients of the flags.
        is_measured: whether RDN_train.py and tools.evaluate measure by it.
    """

    name: str
    title: str
    fit: Callable[[Image.Image, int, int, int], Image.Image]
    is_whole: bool = False
    extra_border: int = 0
    planes: str | None = None
    is_measured: bool = False

    def border(self, scale: int) -> int:
        """Return how many pixels are left out at each side."""
        return scale + self.extra_border


def _crop(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    return images.crop_center(image, width, height)


def _letterbox(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    return images.letterbox(image, width, height)


def _whole(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    if min(image.size) < scale:
        raise ValueError(f'{image.width} x {image.height} pixels: too small to reduce by {scale}; use a larger image')
    return images.modcrop(image, scale)


CROP = Protocol('crop', 'centre crop', _crop, is_measured=True)  # the guide's words
LETTERBOX = Protocol('letterbox', 'letterbox', _letterbox)  # the published script behind the guide's 38.27
WHOLE = Protocol('whole', 'whole images', _whole, is_whole=True, is_measured=True)  # as papers report
PROTOCOLS = {protocol.name: protocol for protocol in (CROP, LETTERBOX, WHOLE)}


class Published(NamedTuple):
    """A published figure.

    Attributes:
        source: whose it is.
        psnr: the average in dB.
        label_side: width and height of the labels in pixels; None where they are whole images.
    """

    source: str
    psnr: float
    label_side: int | None = None


# (name in known_sets.KNOWN, scale, planes, protocol's name) -> the figure. For planes see rdn/accuracy/metrics.py.
PUBLISHED: dict[tuple[str, int, str, str], Published] = {
    ('set5', 2, 'rdn-pytorch', 'whole'): Published('RDN-pytorch, PyTorch', 38.18),
    ('set5', 2, 'rdn-pytorch', 'letterbox'): Published('guide, Ascend 310', 38.27, configuration.LABEL_SIDE),
}


def measured() -> list[Protocol]:
    """Return the protocols by which weights are measured, those of whole images first."""
    return sorted((each for each in PROTOCOLS.values() if each.is_measured), key=lambda each: not each.is_whole)


def of_flags(flags: dict) -> Protocol | None:
    """The protocol of a prepared set, by the flags in its manifest; None for flags that name none."""
    protocol = PROTOCOLS.get(str(flags.get('fit')))
    if flags.get('tile') and not (protocol and protocol.is_whole):  # of a set before `whole` was a way to fit
        return WHOLE
    return protocol


def of_record(text: str | None) -> Protocol | None:
    """The protocol that a record names, older ones by its title; None if there is none."""
    return next((protocol for protocol in PROTOCOLS.values() if text in (protocol.name, protocol.title)), None)
