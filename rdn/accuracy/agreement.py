"""Whether the device computes what PyTorch computes: the same inputs, the same weights, the outputs side by side."""

from __future__ import annotations

from typing import Iterable, NamedTuple, Sequence

from rdn import cli

import numpy as np

MAX_LOSS = 0.05  # dB on average, between the device and PyTorch
MAX_IMAGE_LOSS = 0.10  # dB on any image
NOT_KEPT = 3  # the status of a script whose verdict is that accuracy was lost


class Agreement(NamedTuple):
    """The device's output of an image beside PyTorch's of the very same input.

    PSNRs in dB, inf where the output equals the label; difference: the largest absolute one, of values 0...1; cosine:
    the similarity of the two outputs as vectors, 1 where they point the same way (the measure of Ascend's own
    comparison tools).
    """

    stem: str
    device_psnr: float
    reference_psnr: float
    difference: float
    cosine: float

    @property
    def change(self) -> float:
        """dB that the device has more than PyTorch; a loss is negative."""
        return 0.0 if self.device_psnr == self.reference_psnr else self.device_psnr - self.reference_psnr


class Verdict(NamedTuple):
    """Whether accuracy is kept: neither the average nor any image's PSNR changed by more than its limit, in dB."""

    change: float
    image_change: float
    max_loss: float
    max_image_loss: float

    @property
    def is_kept(self) -> bool:
        return abs(self.change) <= self.max_loss and abs(self.image_change) <= self.max_image_loss

    def summarize(self) -> str:
        """Say in a line whether accuracy is kept, with the losses in dB."""
        kept = 'kept' if self.is_kept else 'not kept'
        average = f'{"gain" if round(self.change, 2) > 0 else "loss"} {abs(self.change):.2f} dB on average'
        return f'accuracy {kept}: {average}, {abs(self.image_change):.2f} dB at most'

    def describe(self) -> str:
        return (
            f'{self.change:+.4f} dB on average (limit {self.max_loss:g}), '
            f'{self.image_change:+.4f} dB on the image that changed most (limit {self.max_image_loss:g})'
        )


def compare(
    stem: str, device: np.ndarray, reference: np.ndarray, device_psnr: float, reference_psnr: float
) -> Agreement:
    """The Agreement of two outputs (3, H, W), RGB, neither clipped nor rounded."""
    a, b = (x.astype(np.float64).ravel() for x in (device, reference))
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = float(a @ b / norms) if norms else float(not a.any() and not b.any())
    return Agreement(stem, device_psnr, reference_psnr, float(np.abs(a - b).max()), cosine)


def judge(agreements: Sequence[Agreement], max_loss: float, max_image_loss: float) -> Verdict:
    """The Verdict over all images."""
    changes = [agreement.change for agreement in agreements]
    return Verdict(float(np.mean(changes)), max(changes, key=abs), max_loss, max_image_loss)


def format_agreements(agreements: Iterable[Agreement]) -> str:
    """A table, an image a line."""
    rows = [('against PyTorch', 'device dB', 'PyTorch dB', 'change', 'largest difference', 'cosine')]
    for each in agreements:
        figures = f'{each.device_psnr:.3f}', f'{each.reference_psnr:.3f}', f'{each.change:+.4f}'
        rows.append((each.stem, *figures, f'{each.difference:.2e}', f'{each.cosine:.7f}'))
    return cli.format_table(rows)
