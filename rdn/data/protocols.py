"""Define the protocols: how an image becomes a label, which border PSNR ignores, and which figures are published.

Preparation, training, scoring and the verdict all read PROTOCOLS, so a new protocol needs only a new entry there.
A figure can be compared only with figures of the same protocol.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from rdn import configuration, images

from PIL import Image


class Protocol(NamedTuple):
    """A way to make labels from images and to measure PSNR against them.

    Attributes:
        name: value of RDN_preprocess.py's `--fit`.
        title: name in tables and messages.
        fit: function that makes the label: fit(image, width, height, scale), with the label's size in pixels. It raises
            ValueError for an image that is too small.
        is_whole: whether the label has the image's own size. If so, the inputs are tiles.
        extra_border: pixels that PSNR ignores at each side, in addition to `scale` pixels.
        planes: key of metrics.PLANES that the protocol prescribes; None for luma with the coefficients of `--luma`.
        is_measured: whether RDN_train.py and tools.evaluate measure by this protocol.
    """

    name: str
    title: str
    fit: Callable[[Image.Image, int, int, int], Image.Image]
    is_whole: bool = False
    extra_border: int = 0
    planes: str | None = None
    is_measured: bool = False

    def border(self, scale: int) -> int:
        """Return how many pixels PSNR ignores at each side of the label."""
        return scale + self.extra_border


def _crop(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    return images.crop_center(image, width, height)


def _letterbox(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    return images.letterbox(image, width, height)


def _whole(image: Image.Image, width: int, height: int, scale: int) -> Image.Image:
    if min(image.size) < scale:
        raise ValueError(f'{image.width} x {image.height} pixels: too small to reduce by {scale}; use a larger image')
    return images.modcrop(image, scale)


CROP = Protocol('crop', 'centre crop', _crop, is_measured=True)  # the guide describes this one
LETTERBOX = Protocol('letterbox', 'letterbox', _letterbox)  # the published script behind the guide's 38.27
WHOLE = Protocol('whole', 'whole images', _whole, is_whole=True, is_measured=True)  # the protocol of papers
PROTOCOLS = {protocol.name: protocol for protocol in (CROP, LETTERBOX, WHOLE)}


class Published(NamedTuple):
    """A published figure.

    Attributes:
        source: who published it, and what computed it.
        psnr: average PSNR in dB.
        label_side: width and height of the labels in pixels; None if the labels are whole images.
    """

    source: str
    psnr: float
    label_side: int | None = None


# (name in known_sets.KNOWN, scale, key of metrics.PLANES, name of the protocol) -> the figure
PUBLISHED: dict[tuple[str, int, str, str], Published] = {
    ('set5', 2, 'rdn-pytorch', 'whole'): Published('RDN-pytorch, PyTorch', 38.18),
    ('set5', 2, 'rdn-pytorch', 'letterbox'): Published('guide, Ascend 310', 38.27, configuration.LABEL_SIDE),
}


def measured() -> list[Protocol]:
    """Return the protocols by which RDN_train.py and tools.evaluate measure weights, whole images first."""
    return sorted((each for each in PROTOCOLS.values() if each.is_measured), key=lambda each: not each.is_whole)


def of_flags(flags: dict) -> Protocol | None:
    """Return the protocol that a manifest's flags name; None if they name none that is known."""
    protocol = PROTOCOLS.get(str(flags.get('fit')))
    is_whole = protocol is not None and protocol.is_whole
    if flags.get('tile') and not is_whole:  # an older version, without --fit=whole, prepared this set
        return WHOLE
    return protocol


def of_record(text: str | None) -> Protocol | None:
    """Return the protocol that a record names; None if no protocol has that name.

    Records of older versions contain the title instead of the name.
    """
    return next((protocol for protocol in PROTOCOLS.values() if text in (protocol.name, protocol.title)), None)
