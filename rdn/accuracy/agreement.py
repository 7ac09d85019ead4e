"""Compare a device's outputs with PyTorch's for the same inputs and weights, and judge whether accuracy is kept."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

from rdn import cli

import numpy as np

MAX_LOSS = 0.05  # dB on average, between the device and PyTorch
MAX_IMAGE_LOSS = 0.10  # dB on any image
NOT_KEPT = 3  # exit status of a script whose verdict is that accuracy is not kept


class Agreement(NamedTuple):
    """The comparison of a device's output with PyTorch's for the same input.

    Attributes:
        stem: name of the image without the ending.
        device_psnr: PSNR of the device's output in dB; inf if it equals the label.
        reference_psnr: PSNR of PyTorch's output in dB; inf if it equals the label.
        difference: largest absolute difference of the two outputs, whose values are 0...1.
        cosine: cosine similarity of the two outputs as vectors, 1 for the same direction. Ascend's own comparison tools
            use it too.
    """

    stem: str
    device_psnr: float
    reference_psnr: float
    difference: float
    cosine: float

    @property
    def change(self) -> float:
        """The device's PSNR minus PyTorch's, in dB; a loss is negative."""
        return 0.0 if self.device_psnr == self.reference_psnr else self.device_psnr - self.reference_psnr


class Verdict(NamedTuple):
    """Whether accuracy is kept: the average PSNR and each image's PSNR differ from PyTorch's by at most their limits.

    Attributes:
        change: the device's average PSNR minus PyTorch's, in dB.
        image_change: the same for the image that changed most, in dB.
        max_loss: limit for `change`, in dB.
        max_image_loss: limit for `image_change`, in dB.
    """

    change: float
    image_change: float
    max_loss: float
    max_image_loss: float

    @property
    def is_kept(self) -> bool:
        """Whether both changes, gains included, are within their limits."""
        return abs(self.change) <= self.max_loss and abs(self.image_change) <= self.max_image_loss

    def summarize(self) -> str:
        """Return one line: whether accuracy is kept, and the losses in dB."""
        kept = 'kept' if self.is_kept else 'not kept'
        average = f'{"gain" if round(self.change, 2) > 0 else "loss"} {abs(self.change):.2f} dB on average'
        return f'accuracy {kept}: {average}, {abs(self.image_change):.2f} dB at most'

    def describe(self) -> str:
        """Return one line: both changes in dB, and their limits."""
        return (
            f'{_signed(self.change)} dB on average (limit {self.max_loss:g}), '
            f'{_signed(self.image_change)} dB on the image that changed most (limit {self.max_image_loss:g})'
        )


def compare(
    stem: str, device: np.ndarray, reference: np.ndarray, device_psnr: float, reference_psnr: float
) -> Agreement:
    """Compare a device's output with PyTorch's.

    Args:
        stem: name of the image without the ending.
        device: the device's output (3, H, W), RGB, neither clipped nor rounded.
        reference: PyTorch's output, of the same shape, neither clipped nor rounded.
        device_psnr: PSNR of the device's output in dB.
        reference_psnr: PSNR of PyTorch's output in dB.
    """
    a, b = (x.astype(np.float64).ravel() for x in (device, reference))
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = float(a @ b / norms) if norms else float(not a.any() and not b.any())
    return Agreement(stem, device_psnr, reference_psnr, float(np.abs(a - b).max()), cosine)


def judge(agreements: Sequence[Agreement], max_loss: float, max_image_loss: float) -> Verdict:
    """Return the Verdict on all images.

    Args:
        agreements: one for each image, at least one.
        max_loss: limit for the average's change, in dB.
        max_image_loss: limit for any image's change, in dB.
    """
    changes = [agreement.change for agreement in agreements]
    return Verdict(float(np.mean(changes)), max(changes, key=abs), max_loss, max_image_loss)


def _signed(change: float) -> str:
    """Format a change in dB with its sign; a change that rounds to zero is +0.0000."""
    return f'{round(change, 4) + 0.0:+.4f}'


def format_agreements(agreements: Iterable[Agreement]) -> str:
    """Format a table with one line for each image."""
    rows = [('against PyTorch', 'model dB', 'PyTorch dB', 'change', 'largest difference', 'cosine')]
    for each in agreements:
        figures = f'{each.device_psnr:.3f}', f'{each.reference_psnr:.3f}', _signed(each.change)
        rows.append((each.stem, *figures, f'{each.difference:.2e}', f'{each.cosine:.7f}'))
    return cli.format_table(rows)
