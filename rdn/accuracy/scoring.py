"""Images as a device computed them, beside what they are compared to, and their PSNR."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence, Tuple

from rdn import images, tiles
from rdn.accuracy import agreement, metrics, plausibility, tone
from rdn.data import dataset

import numpy as np

# From the paths of an image's output, of each device that computed it, and its shape, to the output.
ReadOutputs = Callable[[Sequence[str], Tuple[int, ...]], np.ndarray]


class Rules(NamedTuple):
    """How outputs are judged.

    Attributes:
        width: of an input, pixels.
        height: of an input, pixels.
        scale: of the network.
        border: pixels left out at each side.
        planes: a key of metrics.PLANES.
        checks: whether an output that does not show what its label shows is an error.
    """

    width: int
    height: int
    scale: int
    border: int
    planes: str
    checks: bool


class Score(NamedTuple):
    """PSNR of an image in dB."""

    stem: str
    bicubic: float
    rdn: float


class Result(NamedTuple):
    """An image as the device computed it, its bicubic baseline and its label (None where not known).

    All are float (3, H, W), RGB, 0...1.
    """

    case: dataset.Case
    sr: np.ndarray
    bicubic: np.ndarray
    hr: np.ndarray | None


def read_result(case: dataset.Case, paths: dict[str, list[str]], rules: Rules, read: ReadOutputs) -> Result:
    """What the device computed of an image, put together where it was cut into tiles, with what it is compared to.

    paths: of the outputs, by their stems, of each device. Raises ValueError, with the file's name, for a label or
    output that is not of this size, not whole or not finite.
    """
    width, height, scale = rules[:3]
    output_shape = 3, height * scale, width * scale
    hr = None
    if case.label_path:
        hr = dataset.read_label(case.label_path, dataset.output_shape(case, width, height, scale))
        bicubic = bicubic_of_label(hr, scale)
    else:
        source = images.read_rgb(str(case.source))
        bicubic = images.to_chw(images.bicubic_upsample(source, scale))
    return Result(case, join_outputs(case, lambda stem: read(paths[stem], output_shape)), bicubic, hr)


def join_outputs(case: dataset.Case, read: Callable[[str], np.ndarray]) -> np.ndarray:
    """An image (3, H, W) from the outputs of its inputs. read: from the name of an input to its output."""
    if not case.layout:
        return read(case.stem)
    parts = dataset.input_tiles(case.stem, case.layout)
    return tiles.join(((tile, read(stem)) for stem, tile in parts.items()), case.layout)


def bicubic_of_label(hr: np.ndarray, scale: int) -> np.ndarray:
    """What Pillow's bicubic makes of the reduced label: (3, H, W), 0...1 -> the same."""
    lr = images.bicubic_downsample(images.to_image(hr), scale)
    return images.to_chw(images.bicubic_upsample(lr, scale))


def check_plausible(image: Result, path: str) -> None:
    """Raises ValueError, with the path of its first output, for an image that does not show what it should."""
    reason = plausibility.mismatch_reason(image.sr, image.bicubic if image.hr is None else image.hr)
    if reason:
        raise ValueError(f'{path}: {reason} --allow-mismatch counts it nevertheless')


def score_of(image: Result, rules: Rules) -> Score | None:
    """PSNR of an image and of its baseline; None without a label."""
    if image.hr is None:
        return None
    return Score(image.case.stem, *(_psnr(x, image.hr, rules) for x in (image.bicubic, image.sr)))


def _psnr(sr: np.ndarray, hr: np.ndarray, rules: Rules) -> float:
    return metrics.sr_psnr(sr, hr, rules.border, metrics.PLANES[rules.planes])


class MeasuredImage(NamedTuple):
    """What is known of one image.

    Attributes:
        score: None without a label.
        tone: tone.sums_of it; None without a label.
        image: None if it is not asked for.
    """

    score: Score | None
    tone: np.ndarray | None
    image: Result | None


def measure(
    case: dataset.Case, paths: dict[str, list[str]], rules: Rules, with_image: bool, read: ReadOutputs
) -> MeasuredImage:
    """Measure one image.

    Raises as read_result, score_of and, if the rules say so, check_plausible. Another process can take this call.
    """
    image = read_result(case, paths, rules, read)
    if rules.checks:
        check_plausible(image, paths[case.input_stems()[0]][0])
    sums = None if image.hr is None else tone.sums_of(image.sr, image.hr)
    return MeasuredImage(score_of(image, rules), sums, image if with_image else None)


def compare(image: Result, score: Score, reference: Callable[[str], np.ndarray], rules: Rules) -> agreement.Agreement:
    """An image's Agreement with PyTorch. reference: from the name of an input to PyTorch's output."""
    assert image.hr is not None  # as there is a score
    expected = join_outputs(image.case, reference)
    expected_psnr = _psnr(expected, image.hr, rules)
    return agreement.compare(image.case.stem, image.sr, expected, score.rdn, expected_psnr)


def average_of(scores: Sequence[Score]) -> Score:
    """The mean over images."""
    return Score('average', *(float(np.mean(column)) for column in list(zip(*scores))[1:]))
