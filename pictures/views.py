"""The views of the report: the middle of a picture, enlarged by bicubic interpolation and by the model."""

from __future__ import annotations

import math

from pictures import passes, processing
from pictures.formats import reader, writer
from pictures.report import report

from PIL import Image


def views_of(
    job: processing.PictureJob, upscaled: processing.Upscaled | None, scale: int, options: processing.Options
) -> report.Views:
    """Return the views of a picture for the report.

    Args:
        job: the picture and its result.
        upscaled: the picture and the canvas of its result; None: both are read from their files.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.

    Raises:
        ValueError: the result of an earlier run does not have the size that this run would make; the error names it.
    """
    picture = upscaled.picture if upscaled else reader.read_picture(job.source)
    height, width = picture.pixels.shape[:2]
    size = passes.make_plan(height, width, scale, options.size).size
    across, down = size[0] / width, size[1] / height
    side = max(1, int(report.SHOWN_SIDE_PIXELS / max(across, down)))
    left, top = max(0, width - side) // 2, max(0, height - side) // 2
    right, bottom = min(width, left + side), min(height, top + side)
    small = writer.for_screen(picture.pixels[top:bottom, left:right], picture.said)
    # `box`: the whole pixels of the result within the shown part. `part`: their position in the source's pixels.
    box = math.ceil(left * across), math.ceil(top * down), int(right * across), int(bottom * down)
    box = box[0], box[1], max(box[0] + 1, box[2]), max(box[1] + 1, box[3])
    part = (
        max(0, box[0] / across - left),
        max(0, box[1] / down - top),
        min(small.width, box[2] / across - left),
        min(small.height, box[3] / down - top),
    )
    if upscaled:
        large = writer.for_screen(upscaled.canvas.crop(box), picture.said)
    else:
        result = reader.read_picture(job.target)
        check_size(job.target, result.pixels.shape[1::-1], size)
        large = writer.for_screen(result.pixels[box[1] : box[3], box[0] : box[2]], result.said)
    return report.Views(small.resize(large.size, Image.BICUBIC, part), large, size=size)


def check_done(job: processing.PictureJob, scale: int, options: processing.Options) -> None:
    """Check that the result of an earlier run has the size that this run would make.

    The sizes are read from the headers. Only if they disagree, the source is read, because reading may turn or crop it.

    Args:
        job: the picture and its result.
        scale: how many times the model enlarges each side.
        options: how pictures are enlarged.

    Raises:
        ValueError: the result has another size.
    """
    found, source = reader.read_size(job.target), reader.read_size(job.source)
    if 0 in found or 0 in source:
        return
    if found != passes.make_plan(source[1], source[0], scale, options.size).size:
        height, width = reader.read_picture(job.source).pixels.shape[:2]
        check_size(job.target, found, passes.make_plan(height, width, scale, options.size).size)


def check_size(target: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Check the size of a result of an earlier run.

    Args:
        target: the result's path.
        found: its (width, height) in pixels.
        expected: the (width, height) that this run would make.

    Raises:
        ValueError: the sizes differ.
    """
    if found != expected:
        raise ValueError(
            f'{target}: {found[0]} x {found[1]} pixels, expected {expected[0]} x {expected[1]} for this picture, model '
            'and size: remove it, or replace all results with --overwrite'
        )
