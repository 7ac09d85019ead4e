"""Images as a device computed them, beside what they are compared to, and their PSNR."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence, Tuple

from rdn import images, tiles
from rdn.accuracy import agreement, metrics, plausibility
from rdn.data import dataset

import numpy as np

# From the paths of an image's output, of each device that computed it, and its shape, to the output.
ReadOutputs = Callable[[Sequence[str], Tuple[int, ...]], np.ndarray]


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


def read_result(
    case: dataset.Case, paths: dict[str, list[str]], size: tuple[int, int, int], read: ReadOutputs
) -> Result:
    """What the device computed of an image, put together where it was cut into tiles, with what it is compared to.

    paths: of the outputs, by their stems, of each device; size: width and height of an input, scale. Raises ValueError, with the file's name, for a label or
    output that is not of this size, not whole or not finite.
    """
    width, height, scale = size
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


def score_of(image: Result, scale: int, luma: str) -> Score | None:
    """PSNR of an image and of its baseline; None without a label. luma: a key of metrics.LUMA."""
    if image.hr is None:
        return None
    coefficients = metrics.LUMA[luma]
    psnr = [metrics.sr_psnr(x, image.hr, scale, coefficients) for x in (image.bicubic, image.sr)]
    return Score(image.case.stem, *psnr)


def measure(
    case: dataset.Case,
    paths: dict[str, list[str]],
    size: tuple[int, int, int],
    luma: str,
    check: bool,
    with_image: bool,
    read: ReadOutputs,
) -> tuple[Score | None, Result | None]:
    """(score, image) of one image; the score is None without a label, the image where it is not asked for.

    As read_result, score_of and, where check is true, check_plausible: a call that another process can take.
    """
    image = read_result(case, paths, size, read)
    if check:
        check_plausible(image, paths[case.input_stems()[0]][0])
    return score_of(image, size[2], luma), image if with_image else None


def compare(
    image: Result, score: Score, reference: Callable[[str], np.ndarray], scale: int, luma: str
) -> agreement.Agreement:
    """An image's Agreement with PyTorch. reference: from the name of an input to PyTorch's output."""
    assert image.hr is not None  # as there is a score
    expected = join_outputs(image.case, reference)
    expected_psnr = metrics.sr_psnr(expected, image.hr, scale, metrics.LUMA[luma])
    return agreement.compare(image.case.stem, image.sr, expected, score.rdn, expected_psnr)


def average_of(scores: Sequence[Score]) -> Score:
    """The mean over images."""
    return Score('average', *(float(np.mean(column)) for column in list(zip(*scores))[1:]))
