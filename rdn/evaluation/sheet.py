"""A sheet to look at: versions of one picture side by side, and their hardest detail enlarged."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from PIL import Image, ImageDraw

MARGIN, CAPTION = 8, 18  # pixels
ZOOM = 4


def compose(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """[(caption, PIL RGB image)] of one size -> a sheet; the last panel is the original.

    Below each picture stands, ZOOM times as large, the detail in which the first panel (the baseline)
    differs most from the last.
    """
    width, height = panels[0][1].size
    box = hardest_box(panels[0][1], panels[-1][1], max(1, width // ZOOM), max(1, height // ZOOM))
    sheet = Image.new(
        'RGB', (MARGIN + (width + MARGIN) * len(panels), 2 * (height + MARGIN) + CAPTION + MARGIN), 'white'
    )
    draw = ImageDraw.Draw(sheet)
    for index, (caption, image) in enumerate(panels):
        left = MARGIN + index * (width + MARGIN)
        draw.text((left, MARGIN // 2), caption, fill='black')
        sheet.paste(image, (left, CAPTION + MARGIN // 2))
        draw.rectangle(
            (left + box[0] - 1, CAPTION + MARGIN // 2 + box[1] - 1, left + box[2], CAPTION + MARGIN // 2 + box[3]),
            outline='red',
        )
        detail = image.crop(box).resize((width, height), Image.NEAREST)
        sheet.paste(detail, (left, CAPTION + MARGIN // 2 + height + MARGIN))
    return sheet


def hardest_box(baseline: Image.Image, original: Image.Image, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the width x height window of the largest squared difference."""
    error = np.square(np.asarray(baseline, np.float64) - np.asarray(original, np.float64)).sum(2)
    total = np.pad(error, ((1, 0), (1, 0)), mode='constant').cumsum(0).cumsum(1)  # summed-area table
    windows = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(left), int(top), int(left) + width, int(top) + height
