"""Colour spaces that a file says by numbers: primaries and transfer functions of ITU-T H.273, as PNG's cICP has them."""

from __future__ import annotations

from pictures.metadata import colour

import numpy as np

CHUNK = b'cICP'
SRGB = (1, 13)
PQ, HLG = 16, 18  # transfer functions of a high dynamic range: ITU-R BT.2100
UNSAID = 2
D65, C = (0.3127, 0.329), (0.31, 0.316)
BT709 = (*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# x and y of white, red, green and blue (H.273, table 2).
PRIMARIES = {
    1: BT709,
    UNSAID: BT709,
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
WHITE_CD = 203.0  # cd/m2 of white in a picture of a high dynamic range (ITU-R BT.2408)
PQ_PEAK_CD, HLG_PEAK_CD = 10000.0, 1000.0
HLG_GAMMA = 1.2  # of the whole way from scene to display, at the peak above
CURVE_POINTS = 4096
ROWS = 64  # that are converted at a time


def numbers_of(chunks: dict[bytes, bytes]) -> tuple[int, int] | None:
    """(primaries, transfer function) of PNG's chunks on colour; None where they are not said so."""
    content = chunks.get(CHUNK, b'')
    return (content[0], content[1]) if len(content) == 4 else None


def is_high_range(numbers: tuple[int, int]) -> bool:
    """Whether the transfer function is one of a high dynamic range."""
    return numbers[1] in (PQ, HLG)


def linear(values: np.ndarray, transfer: int) -> np.ndarray:
    """Light of coded values 0...1 by a transfer function (H.273, table 3); of HLG that of the scene.

    Returns:
        Light, 0...1 for the darkest and the brightest; of PQ in parts of 10,000 cd/m2.

    Raises:
        ValueError: the transfer function is not known.
    """
    if transfer in (1, 6, 14, 15):
        return np.where(
            values < 4.5 * 0.018053968510807,
            values / 4.5,
            ((values + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45),
        )
    if transfer in (UNSAID, 13):
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    if transfer == PQ:
        power = values ** (32 / 2523)
        return (np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
    if transfer == HLG:
        bent = (np.exp((np.maximum(values, 0.5) - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(values <= 0.5, values**2 / 3, bent)
    exponent = {4: 2.2, 5: 2.8, 8: 1.0}.get(transfer)
    if exponent is None:
        raise ValueError('its colour space (cICP)')
    return values**exponent


def profile_of(numbers: tuple[int, int], is_grey: bool = False) -> bytes | None:
    """The ICC profile of numbers; None for sRGB. Raises ValueError for a space that a profile cannot say or that is not known."""
    primaries, transfer = numbers
    if primaries in (1, UNSAID) and transfer in (1, UNSAID, 6, 13):
        return None
    if is_high_range(numbers) or primaries not in PRIMARIES:
        raise ValueError('its colour space (cICP)')
    points = linear(np.linspace(0, 1, CURVE_POINTS), transfer)
    return colour.profile_with_curve(colour.curve_of_points(points), PRIMARIES[primaries], is_grey)


def to_srgb(array: np.ndarray, numbers: tuple[int, int]) -> np.ndarray:
    """Pixels of a high dynamic range as sRGB.

    White, at 203 cd/m2, becomes 1; what is brighter, or outside of sRGB's colours, is cut off.

    Args:
        array: (H, W, C), uint8 or uint16, C 1 to 4; alpha stays.
        numbers: primaries and transfer function; an unknown primary is taken for BT.709's.

    Returns:
        A new array of the same shape and type.
    """
    primaries, transfer = numbers
    top = np.iinfo(array.dtype).max
    light = linear(np.arange(top + 1) / top, transfer).astype(np.float32)
    own = colour.to_xyz(PRIMARIES.get(primaries, BT709))
    matrix = np.linalg.solve(colour.to_xyz(BT709), own).astype(np.float32)
    weights = own[1].astype(np.float32)  # of the luminance
    channels = 3 if array.shape[2] > 2 else 1
    result = array.copy()
    for start in range(0, len(array), ROWS):
        part = light[array[start : start + ROWS, :, :channels]]
        if transfer == HLG:
            luminance = part @ weights if channels == 3 else part[:, :, 0]
            part = part * (luminance ** (HLG_GAMMA - 1))[:, :, None] * (HLG_PEAK_CD / WHITE_CD)
        else:
            part = part * (PQ_PEAK_CD / WHITE_CD)
        part = np.clip(part @ matrix.T if channels == 3 else part, 0, 1)
        coded = np.where(part <= 0.0031308, 12.92 * part, 1.055 * part ** (1 / 2.4) - 0.055)
        result[start : start + ROWS, :, :channels] = np.rint(coded * top)
    return result
