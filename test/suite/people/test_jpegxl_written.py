"""Writing JPEG XL: libjxl reads the same pixels, colours, EXIF and XMP."""

import io
import sys

from pictures.formats import base, jpegxl_colour, jpegxl_writer, reader, registry, writer
from pictures.metadata import cicp, exif, metadata

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from helpers import opened

MODERN = sys.version_info >= (3, 10)
needs_reader = pytest.mark.skipif(not MODERN, reason='pillow-jxl-plugin needs Python 3.10 or later')
USUAL_SHAPES = [(3, np.uint8), (2, np.uint16)]
OTHER_SHAPES = [(1, np.uint8), (2, np.uint8), (4, np.uint8), (1, np.uint16), (3, np.uint16), (4, np.uint16)]
SHAPES = [*USUAL_SHAPES, *(pytest.param(*shape, marks=pytest.mark.slow) for shape in OTHER_SHAPES)]
NOTHING = metadata.Metadata()
LOSSLESS = base.Settings(lossless=True)
ADOBE = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


@pytest.fixture
def pixels(photo):
    """Return pixels(channels, dtype), a part (60, 90, channels) of a photograph; 16-bit pixels use more than 8 bits."""

    def make(channels, kind):
        colours = np.asarray(photo)[:60, :90].astype(np.uint16)
        planes = np.dstack([colours, colours[::-1, :, :1]])[
            :, :, {1: [1], 2: [1, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
        ]
        return planes.astype(np.uint8) if kind == np.uint8 else planes * np.uint16(257) - planes % np.uint16(7)

    return make


def written(array, said=NOTHING, settings=LOSSLESS):
    height, width, channels = array.shape
    canvas = writer.Canvas(width, height, channels, array.dtype, '.jxl')
    canvas.put(slice(0, height), slice(0, width), array)
    file = io.BytesIO()
    notes = canvas.save(file, said, settings)
    return file.getvalue(), notes


def profile_in(content):
    import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow

    with Image.open(io.BytesIO(content)) as image:
        return image.info.get('icc_profile')


def seen(array, icc_profile):
    """Return the colours (H, W, 3), 0 to 255, that littleCMS converts to sRGB."""
    values = array if array.dtype == np.uint8 else np.rint(array / 257).astype(np.uint8)
    image = Image.fromarray(values[:, :, 0] if values.shape[2] < 3 else values[:, :, :3])
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return np.asarray(
        ImageCms.profileToProfile(image, source, ImageCms.createProfile('sRGB'), outputMode='RGB')
    ).astype(int)


def profile_of(channels, gamma=2.2):
    from pictures.metadata import colour

    return colour.make_profile(gamma, ADOBE, channels < 3)


@pytest.mark.parametrize(('channels', 'kind'), SHAPES)
def test_lossless_pixels_are_exact(pixels, channels, kind):
    array = pixels(channels, kind)
    content, notes = written(array)
    decoded = imagecodecs.jpegxl_decode(content)
    assert decoded.dtype == kind and notes == []
    assert np.array_equal(decoded.reshape(array.shape), array)


@needs_reader
@pytest.mark.parametrize(('channels', 'kind'), SHAPES)
def test_a_picture_without_a_profile_is_srgb(pixels, channels, kind):
    """Without a colour space in the header, libjxl assumes linear light for 16 bits."""
    array = pixels(channels, kind)
    for settings in (LOSSLESS, base.Settings(quality=95)):
        content, _ = written(array, settings=settings)
        decoded = imagecodecs.jpegxl_decode(content).reshape(array.shape)
        plain = (array if kind == np.uint8 else np.rint(array / 257)).astype(int)[:, :, : 3 if channels > 2 else 1]
        assert np.abs(seen(decoded, profile_in(content)) - plain).mean() < (0.5 if settings.lossless else 2)


@needs_reader
@pytest.mark.parametrize(('channels', 'kind'), SHAPES)
@pytest.mark.parametrize('settings', [LOSSLESS, base.Settings(quality=80)])
def test_a_profile_is_kept_to_the_last_byte(pixels, channels, kind, settings):
    profile = profile_of(channels)
    content, notes = written(pixels(channels, kind), metadata.Metadata(icc_profile=profile), settings)
    assert profile_in(content) == profile and notes == []
    assert np.array_equal(imagecodecs.jpegxl_decode(content).reshape(60, 90, channels), pixels(channels, kind))


@needs_reader
@pytest.mark.parametrize(
    ('numbers', 'name'), [((9, 16), 'Rec2100PQ'), ((9, 18), 'Rec2100HLG'), ((12, 13), 'DisplayP3')]
)
def test_libjxl_reads_the_h273_numbers(pixels, numbers, name):
    said = metadata.Metadata(png_colour={cicp.CHUNK: bytes([*numbers, 0, 1])})
    content, notes = written(pixels(3, np.uint16), said)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_in(content)))
    assert ImageCms.getProfileDescription(profile).strip() == name and notes == []


def test_lower_quality_makes_smaller_files_with_limited_loss(pixels):
    array, sizes = pixels(3, np.uint8), []
    for quality, limit in ((99, 1.5), (95, 2.5), (50, 8)):
        content, _ = written(array, settings=base.Settings(quality=quality))
        assert np.abs(imagecodecs.jpegxl_decode(content).astype(int) - array).mean() < limit
        sizes.append(len(content))
    assert sizes == sorted(sizes, reverse=True) and sizes[0] < len(written(array)[0])


@pytest.mark.parametrize(('quality', 'distance'), [(90, 1.0), (100, 0.1), (30, 6.4), (10, 15.267)])
def test_the_distance_for_a_quality_is_that_of_libjxl(quality, distance):
    """cjxl --verbose prints these values for -q."""
    assert jpegxl_writer.distance_of(quality) == pytest.approx(distance, abs=0.001)


@needs_reader
@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_exif_and_xmp_are_kept(pixels, kind, tmp_path):
    tags = exif.Tags('<', {0x010F: exif.Value(2, 6, b'maker\0')}, {})
    content, notes = written(pixels(3, kind), metadata.Metadata(exif=tags, xmp=b'<x:xmpmeta/>'))
    (tmp_path / 'a.jxl').write_bytes(content)
    said = reader.read_picture(str(tmp_path / 'a.jxl')).said
    assert said.exif == tags and said.xmp == b'<x:xmpmeta/>' and notes == []
    import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow

    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif()[0x010F] == 'maker'


@pytest.mark.slow
@needs_reader
def test_a_lossless_file_stays_lossless(upscale, photo, narrow):
    small = photo.crop((0, 0, 40, 30))
    small.save(str(upscale.source / 'a.png'))
    (upscale.source / 'b.jxl').write_bytes(imagecodecs.jpegxl_encode(np.asarray(small), lossless=True))
    (upscale.source / 'c.jxl').write_bytes(imagecodecs.jpegxl_encode(np.asarray(small), lossless=False, distance=0.5))
    assert upscale().status == 0
    exact = np.asarray(opened(upscale.target / 'a_x2.png'))
    assert np.array_equal(imagecodecs.jpegxl_decode((upscale.target / 'b_x2.jxl').read_bytes()), exact)
    assert not registry.BY_ENDING['.jxl'].is_lossless(str(upscale.target / 'c_x2.jxl'))
    assert upscale('--ext', 'jxl', '--lossless', '--overwrite').status == 0
    assert np.array_equal(imagecodecs.jpegxl_decode((upscale.target / 'a_x2.jxl').read_bytes()), exact)


def test_an_unexpected_header_is_refused(pixels):
    content, _ = written(pixels(3, np.uint8), settings=base.Settings(quality=80))
    with pytest.raises(ValueError, match='XYB'):
        jpegxl_colour.with_colour(jpegxl_writer.codestream_of(content), None, (1, 13))
    with pytest.raises(ValueError, match='the file is truncated'):
        jpegxl_colour.with_colour(b'\xff\x0a\x01', None, (1, 13))
