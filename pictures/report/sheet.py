"""A sheet for comparison: versions of one picture side by side, and below them their hardest detail, enlarged."""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = Tuple[int, int, int, int]  # left, top, right, bottom, in pixels

MARGIN, CAPTION, FRAME = 12, 26, 3  # pixels
ZOOM = 4


def compose(panels: Sequence[tuple[str, Image.Image]], box: Box | None = None) -> Image.Image:
    """Compose versions of one picture into a sheet.

    Below each version is its detail inside the box, enlarged to the version's width.

    Args:
        panels: (caption, Pillow RGB image), all of one size: the baseline first, the original last.
        box: (left, top, right, bottom) of the detail in pixels; None for the box where the baseline differs most from
            the original, with 1/ZOOM of the width and height.

    Returns:
        The sheet, a Pillow RGB image.
    """
    width, height = panels[0][1].size
    if box is None:
        box = hardest_box(panels[0][1], panels[-1][1], max(1, width // ZOOM), max(1, height // ZOOM))
    detail_height = round((box[3] - box[1]) * width / (box[2] - box[0]))
    size = MARGIN + (width + MARGIN) * len(panels), CAPTION + height + MARGIN + detail_height + MARGIN
    sheet = Image.new('RGB', size, 'white')
    draw, font = ImageDraw.Draw(sheet), _caption_font()
    for index, (caption, image) in enumerate(panels):
        left = MARGIN + index * (width + MARGIN)
        draw.text((left, 2), caption, fill='black', font=font)
        sheet.paste(image, (left, CAPTION))
        _draw_frame(draw, (left + box[0], CAPTION + box[1], left + box[2], CAPTION + box[3]))
        detail = image.crop(box).resize((width, detail_height), Image.NEAREST)
        top = CAPTION + height + MARGIN
        sheet.paste(detail, (left, top))
        _draw_frame(draw, (left, top, left + width, top + detail_height))
    return sheet


def hardest_box(baseline: Image.Image, original: Image.Image, width: int, height: int) -> Box:
    """Return the box with the largest sum of squared differences between two images.

    Args:
        baseline: a Pillow RGB image.
        original: one of the same size.
        width: of the box in pixels.
        height: of the box in pixels.

    Returns:
        (left, top, right, bottom) in pixels.
    """
    error = np.square(np.asarray(baseline, np.float64) - np.asarray(original, np.float64)).sum(2)
    total = np.pad(error, ((1, 0), (1, 0)), mode='constant').cumsum(0).cumsum(1)  # summed-area table
    windows = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(left), int(top), int(left) + width, int(top) + height


def _caption_font() -> ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size=18)
    except TypeError:  # Pillow below 10.1 has one small size
        return ImageFont.load_default()


def _draw_frame(draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Draw a red frame around a box, FRAME pixels wide, outside the box."""
    for distance in range(1, FRAME + 1):
        left, top, right, bottom = box
        draw.rectangle((left - distance, top - distance, right - 1 + distance, bottom - 1 + distance), outline='red')
