"""Colour spaces as code points: the primaries and transfer functions of ITU-T H.273, as in PNG's cICP chunk."""

from __future__ import annotations

from pictures.metadata import colour

import numpy as np

CHUNK = b'cICP'
SRGB = (1, 13)
PQ, HLG = 16, 18  # transfer functions for high dynamic range: ITU-R BT.2100
UNSAID = 2  # "unspecified"
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
WHITE_CD = 203.0  # cd/m2 of white in an HDR picture (ITU-R BT.2408)
PQ_PEAK_CD, HLG_PEAK_CD = 10000.0, 1000.0
HLG_GAMMA = 1.2  # from scene light to display light, at the peak above
CURVE_POINTS = 4096
ROWS = 64  # converted at a time, to save memory


def numbers_of(chunks: dict[bytes, bytes]) -> tuple[int, int] | None:
    """Return (primaries, transfer function) from PNG's cICP chunk.

    Args:
        chunks: PNG's colour chunks by their names.

    Returns:
        H.273's numbers; None if there is no valid cICP chunk.
    """
    content = chunks.get(CHUNK, b'')
    return (content[0], content[1]) if len(content) == 4 else None


def is_high_range(numbers: tuple[int, int]) -> bool:
    """Return whether (primaries, transfer function) describe a high dynamic range (HDR): PQ or HLG."""
    return numbers[1] in (PQ, HLG)


def linear(values: np.ndarray, transfer: int) -> np.ndarray:
    """Return the linear light of coded values (H.273, table 3).

    Args:
        values: coded values, 0 to 1.
        transfer: the number of the transfer function.

    Returns:
        Linear light, 0 (darkest) to 1 (brightest). For PQ, 1 is 10,000 cd/m2. For HLG it is light of the scene, not of
        the display.

    Raises:
        ValueError: the transfer function is unknown.
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
    """Return the ICC profile of a colour space.

    Args:
        numbers: (primaries, transfer function).
        is_grey: whether to make a profile for grey pictures instead of RGB.

    Returns:
        The profile; None for sRGB.

    Raises:
        ValueError: the space is unknown, or HDR, which such a profile cannot describe.
    """
    primaries, transfer = numbers
    if primaries in (1, UNSAID) and transfer in (1, UNSAID, 6, 13):
        return None
    if is_high_range(numbers) or primaries not in PRIMARIES:
        raise ValueError('its colour space (cICP)')
    points = linear(np.linspace(0, 1, CURVE_POINTS), transfer)
    return colour.profile_with_curve(colour.curve_of_points(points), PRIMARIES[primaries], is_grey)


def to_srgb(array: np.ndarray, numbers: tuple[int, int]) -> np.ndarray:
    """Convert pixels of a high dynamic range to sRGB.

    White, at 203 cd/m2, becomes the largest value. Brighter light and colours outside sRGB are clipped.

    Args:
        array: (H, W, C), uint8 or uint16, C 1 to 4; alpha is not converted.
        numbers: (primaries, transfer function); unknown primaries are taken for BT.709's.

    Returns:
        A new array of the same shape and type.

    Raises:
        ValueError: the transfer function is unknown.
    """
    primaries, transfer = numbers
    top = np.iinfo(array.dtype).max
    light = linear(np.arange(top + 1) / top, transfer).astype(np.float32)
    own = colour.to_xyz(PRIMARIES.get(primaries, BT709))
    matrix = np.linalg.solve(colour.to_xyz(BT709), own).astype(np.float32)
    weights = own[1].astype(np.float32)  # red, green and blue's shares of the luminance
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
