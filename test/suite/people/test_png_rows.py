"""pictures/formats/png_rows.py: Pillow and OpenCV read the same pixels, and files are about as small as Pillow's."""

import io

from pictures.formats import base, png, png_rows
from pictures.metadata import metadata
from rdn import cpu

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw


def written(array, compression='fast', said=metadata.Metadata()):  # noqa: B008 - a NamedTuple cannot change
    file = io.BytesIO()
    png.write(file, array, said, base.Settings(compression=compression))
    return file.getvalue()


def pixels_of(shape, dtype, seed=0):
    """Return random pixels, some of them equal, so that each neighbour is the nearest one somewhere."""
    random = np.random.RandomState(seed)
    return (random.randint(0, 7, shape) * (np.iinfo(dtype).max // 6)).astype(dtype)


@pytest.mark.parametrize('compression', png_rows.COMPRESSIONS)
@pytest.mark.parametrize('channels, mode', [(1, 'L'), (2, 'LA'), (3, 'RGB'), (4, 'RGBA')])
@pytest.mark.parametrize('size', [(1, 1), (1, 300), (300, 1), (17, 23)])
def test_pillow_reads_the_pixels_that_were_written(size, channels, mode, compression):
    array = pixels_of((*size, channels), np.uint8)
    with Image.open(io.BytesIO(written(array, compression))) as image:
        assert image.mode == mode
        assert np.array_equal(np.asarray(image).reshape(array.shape), array)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_opencv_reads_16_bits_that_were_written(channels):
    array = np.random.RandomState(1).randint(0, 65536, (31, 40, channels)).astype(np.uint16)
    read = np.asarray(cv2.imdecode(np.frombuffer(written(array), np.uint8), cv2.IMREAD_UNCHANGED)).reshape(array.shape)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert np.array_equal(read[:, :, order], array)


def test_grey_of_16_bits_with_alpha_is_read_back():
    array = np.random.RandomState(2).randint(0, 65536, (9, 5, 2)).astype(np.uint16)
    assert np.array_equal(png.read(written(array), [])[0], array)


@pytest.mark.parametrize('large', [1, 1 << 40])
def test_bands_join_to_the_same_picture_on_one_core_and_on_several(monkeypatch, large):
    monkeypatch.setattr(cpu, 'available_cores', lambda: 3)
    monkeypatch.setattr(png_rows, 'LARGE_BYTES', large)
    monkeypatch.setattr(png_rows, 'BAND_BYTES', 1000)
    array = pixels_of((50, 70, 3), np.uint8)
    turned = array[::-1].transpose(1, 0, 2)  # pixels that are not contiguous in memory
    for each in (array, turned):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(written(each)))), each)


def test_the_paeth_filter_follows_the_specification():
    """PNG, third edition, 9.4, computed with more than eight bits."""
    left, up, corner = (x.ravel() for x in np.meshgrid(*[np.arange(0, 256, 5)] * 3))
    sums = left + up - corner
    distances = np.abs(np.stack([left, up, corner]) - sums)
    # argmin returns the first of equals.
    expected = np.stack([left, up, corner])[distances.argmin(0), np.arange(len(sums))]
    found = png_rows.paeth(*(x.astype(np.uint8) for x in (left, up, corner)))
    assert np.array_equal(found, expected)


def drawing():
    image = Image.new('RGB', (500, 400), 'white')
    draw = ImageDraw.Draw(image)
    for number in range(60):
        draw.text((5 + 90 * (number % 5), 30 * (number // 5)), f'network {number % 7}', fill=(0, 0, 90))
    return image


def test_files_are_about_as_small_as_pillows(photos):
    photograph = Image.open(photos[0]).convert('RGB').crop((0, 0, 300, 200)).resize((600, 400), Image.BICUBIC)
    for image, most in ((photograph, 1.03), (drawing(), 1.2)):
        usual = io.BytesIO()
        image.save(usual, 'PNG')
        size = len(written(np.asarray(image)))
        assert size < most * len(usual.getvalue())
        assert len(written(np.asarray(image), 'small')) < 1.005 * size
