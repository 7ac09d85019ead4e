"""Writing pictures of every colour space in every format: the colours stay, or a note says why not.

The tests convert colours to sRGB for comparison: with littleCMS (Pillow's ImageCms) if there is a profile, with H.273's
formulas if there are numbers.
"""

import io
import sys

from pictures.formats import base, reader, registry, writer
from pictures.metadata import colour, metadata

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

TARGETS = [
    ending for ending in ('.png', '.tif', '.jpg', '.webp', '.avif', '.bmp', '.jxl') if ending in registry.WRITABLE
]
UNREADABLE = {'.jxl'}  # if pillow-jxl-plugin is missing
MODERN = sys.version_info >= (3, 10)
D65 = (0.3127, 0.329)
WIDE = (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)  # BT.2020's
SRGB = (*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
TOLERANCE = 3  # of 255, in sRGB
OTHER_SHAPES = [(1, np.uint8), (2, np.uint8), (4, np.uint8), *((channels, np.uint16) for channels in (1, 2, 3, 4))]
SHAPES = [(3, np.uint8), *(pytest.param(*shape, marks=pytest.mark.slow) for shape in OTHER_SHAPES)]
SETTINGS = base.Settings(quality=100)


def numbers(primaries, transfer):
    return metadata.Metadata(png_colour={b'cICP': bytes([primaries, transfer, 0, 1])})


SPACES = {
    'nothing said': metadata.Metadata(),
    'a profile of sRGB': metadata.Metadata(
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    ),
    'a profile': metadata.Metadata(icc_profile=colour.make_profile(1.8, SRGB)),
    'a wide profile': metadata.Metadata(icc_profile=colour.make_profile(2.2, WIDE)),
    'a profile of grey': metadata.Metadata(icc_profile=colour.make_profile(1.8, SRGB, True)),
    'gAMA': metadata.Metadata(png_colour={b'gAMA': (55000).to_bytes(4, 'big')}),
    'Display P3 by numbers': numbers(12, 13),
    'BT.2020 by numbers': numbers(9, 14),
    'PQ': numbers(9, 16),
    'HLG': numbers(9, 18),
}

USUAL_SPACES = ['a profile', 'BT.2020 by numbers', 'PQ']
OTHER_SPACES = sorted(set(SPACES) - set(USUAL_SPACES))


def patches(channels, kind):
    """Return a picture (48, 96, channels) of 24 patches; alpha is opaque."""
    rng = np.random.default_rng(0)
    values = np.linspace(0.35, 0.55, 24).reshape(4, 6, 1) + rng.uniform(-0.03, 0.03, (4, 6, 3))  # all within sRGB
    values[0] = np.linspace(0.2, 0.9, 6)[:, None]  # greys
    planes = np.dstack([values, np.ones((4, 6, 1))])[:, :, {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]]
    return np.rint(planes * np.iinfo(kind).max).astype(kind).repeat(12, 0).repeat(16, 1)


def seen(array, said):
    """Return the mean colour of each patch, (24, 3), in sRGB, 0 to 255, clipped."""
    array = array * (255 / np.iinfo(array.dtype).max)
    colours = array[:, :, :3] if array.shape[2] > 2 else array[:, :, [0, 0, 0]]
    means = colours.reshape(4, 12, 6, 16, 3)[:, 2:-2, :, 2:-2].mean((1, 3)).reshape(24, 3)
    if said.png_colour and b'cICP' in said.png_colour and not said.icc_profile:
        return by_numbers(means / 255, *said.png_colour[b'cICP'][:2]) * 255
    if said.png_colour and not said.icc_profile:
        said = metadata.Metadata(icc_profile=colour.profile_of_png(said.png_colour))
    if not said.icc_profile:
        return means
    image = Image.fromarray(np.rint(means).astype(np.uint8)[None])
    source = ImageCms.ImageCmsProfile(io.BytesIO(said.icc_profile))
    if source.profile.xcolor_space.strip() == 'GRAY':
        image = Image.fromarray(np.asarray(image)[:, :, 0])
    return np.asarray(ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB'))[
        0
    ].astype(float)


def by_numbers(coded, primaries, transfer):
    """Convert coded values to sRGB, 0 to 1. The matrices are from BT.2407 and P3's standard; white is 203 cd/m2."""
    if transfer == 16:
        power = coded ** (1 / 78.84375)
        light = (
            (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125) * 10000 / 203
        )
    elif transfer == 18:
        scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        light = scene * (scene @ [0.2627, 0.678, 0.0593])[:, None] ** 0.2 * 1000 / 203
    elif transfer == 14:
        light = np.where(coded < 0.081, coded / 4.5, ((coded + 0.0993) / 1.0993) ** (1 / 0.45))
    else:
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    matrix = {
        1: np.eye(3),
        9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
        12: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]],
    }[primaries]
    light = np.clip(light @ np.transpose(matrix), 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def saved(path, array, said):
    """Write an array, and return the notes."""
    height, width, channels = array.shape
    canvas = writer.Canvas(width, height, channels, array.dtype, path.suffix)
    canvas.put(slice(0, height), slice(0, width), array)
    with open(str(path), 'w+b') as file:
        return canvas.save(file, said, SETTINGS)


@pytest.mark.skipif('.avif' not in TARGETS, reason='this Pillow writes no AVIF')
def test_a_note_says_that_avif_has_fewer_bits_only_if_the_picture_has_more(tmp_path):
    coarse = (np.arange(1024, dtype=np.uint32) * 65535 + 511) // 1023
    for values, are_lost in [(coarse, False), (np.arange(1024) * 64, True)]:
        array = np.broadcast_to(values.astype(np.uint16).reshape(32, 32, 1), (32, 32, 3)).copy()
        canvas = writer.Canvas(32, 32, 3, array.dtype, '.avif')
        canvas.put(slice(0, 32), slice(0, 32), array)
        with open(str(tmp_path / 'a.avif'), 'w+b') as file:
            notes = canvas.save(file, metadata.Metadata(), SETTINGS, array)
        assert any('10 bits a channel' in note for note in notes) == are_lost


@pytest.mark.parametrize('ending', TARGETS)
@pytest.mark.parametrize(
    'space', [*USUAL_SPACES, *(pytest.param(each, marks=pytest.mark.slow) for each in OTHER_SPACES)]
)
@pytest.mark.parametrize(('channels', 'kind'), SHAPES)
def test_colours_stay_or_a_note_says_why_not(tmp_path, ending, space, kind, channels):
    said, array = SPACES[space], patches(channels, kind)
    is_grey, has_rgb_profile = channels < 3, said.icc_profile and space != 'a profile of grey'
    notes = saved(tmp_path / ('a' + ending), array, said)
    if any('without its profile' in note for note in notes):
        # Only a profile for other channels may be dropped.
        assert said.icc_profile and is_grey == bool(has_rgb_profile)
        return
    try:
        result = reader.read_picture(str(tmp_path / ('a' + ending)))
    except ValueError:
        if ending not in UNREADABLE or MODERN:
            raise
        pytest.skip('reading JPEG XL needs Python 3.10 or later')
    # libjxl returns PQ and HLG as profiles that reduce the brightness for a screen: compare only names and pixels.
    if ending == '.jxl' and space in ('PQ', 'HLG'):
        found = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(result.said.icc_profile or b'')))
        assert (
            found.strip() in {'PQ': ('Rec2100PQ', 'Gra_D65_Rel_PeQ'), 'HLG': ('Rec2100HLG', 'Gra_D65_Rel_HLG')}[space]
        )
        assert np.array_equal(result.pixels, array)
    else:
        # 8 bits are coarse in a wide colour space, and AVIF also rounds YCbCr to 8 bits.
        is_coarse = ending == '.avif' and kind == np.uint8
        limit = TOLERANCE * (4 if is_coarse else 1)
        assert np.abs(seen(result.pixels, result.said) - seen(array, said)).max() <= limit
    is_converted = space in ('PQ', 'HLG') and ending not in ('.png', '.avif', '.jxl')
    is_flattened = ending in ('.jpg', '.bmp') and channels in (2, 4)
    loses_bits = kind == np.uint16 and ending in ('.jpg', '.webp', '.avif', '.bmp')
    assert len(notes) == is_converted + is_flattened + loses_bits, notes


@pytest.mark.parametrize('channels', [1, 3])
def test_the_header_of_a_bmp_points_to_its_profile(tmp_path, channels):
    """The offsets are those of BITMAPV5HEADER. OpenCV and Pillow read the pixels."""
    path, array, profile = tmp_path / 'a.bmp', patches(channels, np.uint8)[:, :93], colour.make_profile(2.2, WIDE)
    assert saved(path, array, metadata.Metadata(icc_profile=profile, dpi=(300, 300))) == []
    content = path.read_bytes()
    size, pixels_start, header = (int.from_bytes(content[place : place + 4], 'little') for place in (2, 10, 14))
    assert size == len(content)
    place, length = (int.from_bytes(content[start : start + 4], 'little') for start in (14 + 112, 14 + 116))
    assert header == 124 and content[14 + 56 : 14 + 60] == b'DEBM'
    assert content[14 + place : 14 + place + length] == profile and pixels_start < 14 + place
    plain = array[:, :, 0] if channels == 1 else array
    with Image.open(str(path)) as image:
        assert np.array_equal(np.asarray(image), plain)
        assert image.info['dpi'] == pytest.approx((300, 300), rel=0.001)
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read is not None and np.array_equal(read if channels == 1 else read[:, :, ::-1], plain)


def test_hdr_becomes_srgb_for_the_screen():
    array = patches(3, np.uint16)
    shown = np.asarray(writer.for_screen(array, SPACES['PQ']))
    assert np.abs(seen(shown, SPACES['nothing said']) - seen(array, SPACES['PQ'])).max() <= 1


@pytest.mark.skipif('.avif' not in TARGETS, reason='this Pillow writes no AVIF')
@pytest.mark.parametrize('depth, is_said', [(10, False), (16, True)])
def test_the_console_says_that_the_result_has_fewer_bits(upscale, depth, is_said):
    steps = np.arange(16 * 24, dtype=np.uint32).reshape(16, 24)
    values = steps * 170 if depth == 16 else (steps * 65535 + 511) // 1023
    path = str(upscale.source / 'a.tif')
    tifffile.imwrite(path, values.astype(np.uint16), photometric='minisblack')
    ended = upscale('--ext=avif')
    assert ended.status == 0 and ('saved with 10 bits a channel' in ended.out) == is_said, ended.out
