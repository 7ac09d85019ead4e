"""A result without a network, for tests of what stands beside the pixels."""

import os

from pictures import processing
from pictures.formats import reader, writer

import numpy as np

WIDTH, HEIGHT, FACTOR = 96, 64, 1.5  # of small pictures; the factor is no whole number, as for --width


def enlarge(source, target, factor=FACTOR, **options):
    """Write a picture enlarged by its nearest pixels; return the notes. options: of processing.Options."""
    source, target = str(source), str(target)
    picture = reader.read_picture(source)
    height, width, channels = picture.pixels.shape
    rows, columns = (np.arange(round(side * factor)) * side // round(side * factor) for side in (height, width))
    canvas = writer.Canvas(len(columns), len(rows), channels, picture.pixels.dtype, os.path.splitext(target)[1])
    pixels = np.ascontiguousarray(picture.pixels[rows][:, columns])
    canvas.put(slice(0, len(rows)), slice(0, len(columns)), pixels)
    job = processing.PictureJob(source, os.path.basename(source), target)
    return processing.save(job, picture, canvas, processing.Options(**options))
