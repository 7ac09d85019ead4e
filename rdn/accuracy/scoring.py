"""Read a device's outputs and their labels, check that they belong together, and compute their PSNR."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence, Tuple

from rdn import images, tiles
from rdn.accuracy import agreement, metrics, plausibility, tone
from rdn.data import dataset

import numpy as np

# read(paths, shape) -> an output. `paths` has one file for each device that computed it.
ReadOutputs = Callable[[Sequence[str], Tuple[int, ...]], np.ndarray]


class Rules(NamedTuple):
    """The sizes and the rules by which outputs are judged.

    Attributes:
        width: width of an input, in pixels.
        height: height of an input, in pixels.
        scale: scale of the network.
        border: pixels that PSNR ignores at each side.
        planes: key of metrics.PLANES.
        checks: whether it is an error if an output shows another picture than its label.
    """

    width: int
    height: int
    scale: int
    border: int
    planes: str
    checks: bool


class Score(NamedTuple):
    """The PSNRs of an image.

    Attributes:
        stem: name of the image without the ending.
        bicubic: PSNR of Pillow's bicubic upsampling, in dB.
        rdn: PSNR of the network's output, in dB.
    """

    stem: str
    bicubic: float
    rdn: float


class Result(NamedTuple):
    """An output and the images with which it is compared, all float (3, H, W), RGB, 0...1.

    Attributes:
        case: the image.
        sr: the device's output.
        bicubic: Pillow's bicubic upsampling.
        hr: label; None without a label.
    """

    case: dataset.Case
    sr: np.ndarray
    bicubic: np.ndarray
    hr: np.ndarray | None


def read_result(case: dataset.Case, paths: dict[str, list[str]], rules: Rules, read: ReadOutputs) -> Result:
    """Read a device's output for an image, joined from its tiles if there are tiles, and its label.

    Args:
        case: the image.
        paths: name of each input -> paths of its output, one for each device.
        rules: the sizes.
        read: function that reads one output.

    Raises:
        ValueError: the label or an output has another size, is truncated or not finite; the message names the file.
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
    """Return the output for a whole image, (3, H, W), joined from its tiles if there are tiles.

    Args:
        case: the image.
        read: function from the name of an input to its output.
    """
    if not case.layout:
        return read(case.stem)
    parts = dataset.input_tiles(case.stem, case.layout)
    return tiles.join(((tile, read(stem)) for stem, tile in parts.items()), case.layout)


def bicubic_of_label(hr: np.ndarray, scale: int) -> np.ndarray:
    """Reduce a label and enlarge it again, both with Pillow's bicubic: (3, H, W), 0...1 -> the same shape and range."""
    lr = images.bicubic_downsample(images.to_image(hr), scale)
    return images.to_chw(images.bicubic_upsample(lr, scale))


def check_plausible(image: Result, path: str) -> None:
    """Check that an output shows the same picture as its label, or as the bicubic upsampling if there is no label.

    Args:
        image: the output and its label.
        path: path of its first output, for the message.

    Raises:
        ValueError: it shows another picture.
    """
    reason = plausibility.mismatch_reason(image.sr, image.bicubic if image.hr is None else image.hr)
    if reason:
        raise ValueError(f'{path}: {reason} (--allow-mismatch scores it anyway)')


def score_of(image: Result, rules: Rules) -> Score | None:
    """Return the PSNRs of an output and of bicubic upsampling; None without a label."""
    if image.hr is None:
        return None
    return Score(image.case.stem, *(_psnr(x, image.hr, rules) for x in (image.bicubic, image.sr)))


def _psnr(sr: np.ndarray, hr: np.ndarray, rules: Rules) -> float:
    return metrics.sr_psnr(sr, hr, rules.border, metrics.PLANES[rules.planes])


class MeasuredImage(NamedTuple):
    """The measurements of one image.

    Attributes:
        score: its PSNRs; None without a label.
        tone: `tone.sums_of` it; None without a label.
        image: the output and its label; None if the caller did not ask for them.
    """

    score: Score | None
    tone: np.ndarray | None
    image: Result | None


def measure(
    case: dataset.Case, paths: dict[str, list[str]], rules: Rules, with_image: bool, read: ReadOutputs
) -> MeasuredImage:
    """Read and score one image. The arguments can be pickled, so that another process can do this.

    Args:
        case: the image.
        paths: name of each input -> paths of its output, one for each device.
        rules: the rules.
        with_image: whether to return the images too.
        read: function that reads one output.

    Raises:
        ValueError: the label or an output has another size, is truncated or not finite; or the rules demand a check,
            and the output shows another picture than the label. The message names the file.
    """
    image = read_result(case, paths, rules, read)
    if rules.checks:
        check_plausible(image, paths[case.input_stems()[0]][0])
    sums = None if image.hr is None else tone.sums_of(image.sr, image.hr)
    return MeasuredImage(score_of(image, rules), sums, image if with_image else None)


def compare(image: Result, score: Score, reference: Callable[[str], np.ndarray], rules: Rules) -> agreement.Agreement:
    """Compare an image's output with PyTorch's.

    Args:
        image: the device's output and its label.
        score: its PSNRs.
        reference: function from the name of an input to PyTorch's output.
        rules: the rules.
    """
    assert image.hr is not None  # a score needs a label
    expected = join_outputs(image.case, reference)
    expected_psnr = _psnr(expected, image.hr, rules)
    return agreement.compare(image.case.stem, image.sr, expected, score.rdn, expected_psnr)


def average_of(scores: Sequence[Score]) -> Score:
    """Return the mean over images, a Score with the name 'average'."""
    return Score('average', *(float(np.mean(column)) for column in list(zip(*scores))[1:]))
