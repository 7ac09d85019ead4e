"""Convert CMYK and other colour spaces to RGB, and make ICC profiles (ICC.1:2001-04)."""

from __future__ import annotations

import functools
import io
import struct
from typing import Sequence

import numpy as np
from PIL import Image, ImageCms

SRGB_GAMMA, SRGB_CHROMATICITIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # in PNG's units
D50 = (0.9642, 1.0, 0.8249)
# Bradford's matrix: from XYZ to the responses of the eye's cones.
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def cmyk_to_rgb(array: np.ndarray, icc_profile: bytes | None) -> np.ndarray:
    """Convert CMYK pixels to RGB.

    Args:
        array: (H, W, 4) uint8; 255 is full ink.
        icc_profile: the file's profile, which is used if it is a valid one for CMYK; or None.

    Returns:
        (H, W, 3) uint8, in sRGB if the profile was used.
    """
    image = Image.frombytes('CMYK', array.shape[1::-1], np.ascontiguousarray(array).tobytes())
    return np.asarray(cmyk_image_to_rgb(image, icc_profile))


def cmyk_image_to_rgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert a CMYK image of Pillow to RGB, as `cmyk_to_rgb` converts an array."""
    if icc_profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            return ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is ignored
    return image.convert('RGB')


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert a Pillow RGB image to sRGB, for a screen; return it unchanged if its profile is None or unusable."""
    if not icc_profile:
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


@functools.lru_cache(maxsize=64)
def is_srgb(icc_profile: bytes) -> bool:
    """Return whether a profile for RGB or grey gives the same colours as sRGB, within 1 of 255."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if space_of(icc_profile) == 'GRAY':
            grid = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
            image = Image.fromarray(np.ascontiguousarray(grid[:, :, 0]))
        else:
            image = Image.fromarray(grid)
        shown = ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return int(np.abs(np.asarray(shown).astype(int) - grid).max()) <= 1


def rgb_of_grey(icc_profile: bytes) -> bytes:
    """Convert a profile for grey pictures to one for RGB.

    Grey pixels have the same colour by both profiles, if the RGB pixels have three channels of the same value.

    Args:
        icc_profile: a profile for grey pictures.

    Raises:
        ValueError: the profile has no curve for grey (`kTRC`).
    """
    count = int.from_bytes(icc_profile[128:132], 'big')
    entries = struct.iter_unpack('>4sII', icc_profile[132 : 132 + 12 * count])
    place = next(((start, size) for tag, start, size in entries if tag == b'kTRC'), None)
    curve = icc_profile[place[0] : sum(place)] if place else b''
    if curve[:4] not in (b'curv', b'para'):
        raise ValueError('has no curve')
    return profile_with_curve(curve, [x / 1e5 for x in SRGB_CHROMATICITIES])


def space_of(icc_profile: bytes) -> str:
    """Return the colour space of a profile's pixels: RGB, GRAY, CMYK or another one (ICC.1, 7.2.6)."""
    return icc_profile[16:20].decode('latin-1').strip()


def profile_of_png(chunks: dict[bytes, bytes], is_grey: bool = False) -> bytes | None:
    """Return the ICC profile that matches a PNG's gAMA and cHRM chunks, for formats without such chunks.

    Without cHRM the primaries are sRGB's. For cICP see cicp.py.

    Args:
        chunks: PNG's colour chunks by their names.
        is_grey: whether to make a profile for grey pictures instead of RGB.

    Returns:
        The profile; None for sRGB, and for missing or impossible values.

    Raises:
        ValueError: the primaries do not span a colour space.
    """
    gamma, chromaticities = chunks.get(b'gAMA', b''), chunks.get(b'cHRM', b'')
    if b'sRGB' in chunks or len(gamma) != 4:
        return None
    number = struct.unpack('>I', gamma)[0]
    values = struct.unpack('>8I', chromaticities) if len(chromaticities) == 32 else SRGB_CHROMATICITIES
    like_srgb = all(abs(a - b) < 100 for a, b in zip(values, SRGB_CHROMATICITIES))
    if not 1000 <= number <= 1000000 or not all(0 < x <= 100000 for x in values[1::2]):
        return None
    if abs(number - SRGB_GAMMA) < 100 and like_srgb:
        return None
    try:
        return make_profile(1e5 / number, [x / 1e5 for x in values], is_grey)
    except (np.linalg.LinAlgError, ValueError, OverflowError, struct.error):
        raise ValueError('its colour space (cHRM)')


def make_profile(gamma: float, chromaticities: Sequence[float], is_grey: bool = False) -> bytes:
    """Make a display profile with one exponent for all channels.

    Args:
        gamma: the exponent from coded values to light.
        chromaticities: x and y of white, red, green and blue, eight numbers.
        is_grey: whether to make a profile for grey pictures instead of RGB.

    Returns:
        The ICC profile.
    """
    curve = struct.pack('>4sII', b'curv', 0, 1) + struct.pack('>H', round(gamma * 256)) + b'\0\0'
    return profile_with_curve(curve, chromaticities, is_grey)


def curve_of_points(points: np.ndarray) -> bytes:
    """Return a curve for an ICC profile (a `curv` block).

    Args:
        points: (N,) linear light, 0 to 1, at N equal steps of the coded value.
    """
    table = np.rint(np.clip(points, 0, 1) * 65535).astype('>u2')
    return struct.pack('>4sII', b'curv', 0, len(table)) + table.tobytes()


def to_xyz(chromaticities: Sequence[float]) -> np.ndarray:
    """Return the matrix (3, 3) from linear RGB to XYZ, in which white has the luminance 1.

    Args:
        chromaticities: x and y of white, red, green and blue, eight numbers.
    """
    white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in zip(*[iter(chromaticities)] * 2))
    matrix = np.array(primaries).T
    return matrix * np.linalg.solve(matrix, white)  # so that red, green and blue at full add up to white


def profile_with_curve(curve: bytes, chromaticities: Sequence[float], is_grey: bool = False) -> bytes:
    """Make a display profile with one curve for all channels.

    Args:
        curve: a `curv` or `para` block of ICC.1.
        chromaticities: x and y of white, red, green and blue, eight numbers.
        is_grey: whether to make a profile for grey pictures instead of RGB.

    Returns:
        The ICC profile.
    """
    matrix = to_xyz(chromaticities)
    white = matrix.sum(1)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    colorants = (adaptation @ matrix).T
    name = b'a PNG with gAMA\0'
    description = struct.pack('>4sII', b'desc', 0, len(name)) + name + b'\0' * 78
    blocks = [
        (b'desc', description),
        (b'cprt', struct.pack('>4sI', b'text', 0) + b'no copyright\0'),
        (b'wtpt', _xyz(D50)),
    ]
    if is_grey:
        blocks.append((b'kTRC', curve))
    else:
        blocks += [(tag, _xyz(colorant)) for tag, colorant in zip((b'rXYZ', b'gXYZ', b'bXYZ'), colorants)]
        blocks += [(tag, curve) for tag in (b'rTRC', b'gTRC', b'bTRC')]
    table, body = b'', b''
    start = 128 + 4 + 12 * len(blocks)
    for tag, block in blocks:
        table += struct.pack('>4sII', tag, start + len(body), len(block))
        body += block + b'\0' * (-len(block) % 4)
    size, space = start + len(body), b'GRAY' if is_grey else b'RGB '
    head = struct.pack('>I4sI4s4s4s', size, b'\0\0\0\0', 0x02100000, b'mntr', space, b'XYZ ').ljust(36, b'\0') + b'acsp'
    head = head.ljust(68, b'\0') + _xyz(D50)[8:]
    return head.ljust(128, b'\0') + struct.pack('>I', len(blocks)) + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return struct.pack('>4sI3i', b'XYZ ', 0, *(round(float(value) * 65536) for value in values))
