"""Results without a network, for tests of metadata."""

import os

from pictures import processing
from pictures.formats import reader, writer

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FACTOR = 96, 64, 1.5  # of small pictures; as with --width, the factor need not be a whole number


def enlarge(source, target, factor=FACTOR, **options):
    """Enlarge a picture by nearest neighbour, write it, and return the notes; `options`: of processing.Options."""
    return write_enlarged(reader.read_picture(str(source)), str(target), factor, **options)


def write_enlarged(picture, target, factor=FACTOR, **options):
    """Do the same for a reader.Picture."""
    height, width, channels = picture.pixels.shape
    rows, columns = (np.arange(round(side * factor)) * side // round(side * factor) for side in (height, width))
    canvas = writer.Canvas(len(columns), len(rows), channels, picture.pixels.dtype, os.path.splitext(target)[1])
    pixels = np.ascontiguousarray(picture.pixels[rows][:, columns])
    canvas.put(slice(0, len(rows)), slice(0, len(columns)), pixels)
    job = processing.PictureJob(target, target, target)
    return processing.save(job, picture, canvas, processing.Options(**options))


def exif_of(path):
    """Read the EXIF tags with Pillow; a TIFF file is itself a block of EXIF, which Pillow for Python 3.7 does not read."""
    path, tags = str(path), Image.Exif()
    if path.endswith('tif'):
        with open(path, 'rb') as file:
            tags.load(b'Exif\0\0' + file.read())
        return tags
    with Image.open(path) as image:
        return image.getexif()
