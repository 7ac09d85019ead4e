"""The upscaled picture: filled part by part, then saved in its format, with what the source's file said.

Pixels are as in pictures/formats/pixels.py. Each format has one way out (registry.py).
"""

from __future__ import annotations

from typing import BinaryIO

from pictures.formats import base, pixels, registry
from pictures.metadata import colour, metadata

import numpy as np
from PIL import Image

MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}


def check_size(width: int, height: int, ending: str) -> None:
    """Raises ValueError for a picture too large for the format of a file name's ending."""
    target = registry.BY_ENDING[ending]
    if target.max_side and max(width, height) > target.max_side:
        raise ValueError(f'{width} x {height} pixels: {target.name} holds {target.max_side} a side at most')


class Canvas:
    """An upscaled picture that is filled part by part, then saved.

    8-bit pixels go straight into Pillow's image: two copies of a picture of 400 megapixels are too many.
    """

    def __init__(self, width: int, height: int, channels: int, dtype: np.dtype):
        self.width, self.height = width, height
        self.has_16_bits = dtype == np.uint16
        if self.has_16_bits:
            self.pixels = np.empty((height, width, channels), np.uint16)
        else:
            self.image = Image.new(MODES[channels], (width, height))

    def put(self, rows: slice, columns: slice, part: np.ndarray) -> None:
        """Put pixels (h, w, C) at slices of rows and columns."""
        if self.has_16_bits:
            self.pixels[rows, columns] = part
        else:
            image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
            self.image.paste(image, (columns.start, rows.start))

    def crop(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """The pixels (h, w, C) of a part; box: left, top, right, bottom."""
        if self.has_16_bits:
            return self.pixels[box[1] : box[3], box[0] : box[2]]
        return pixels.as_planes_last(np.asarray(self.image.crop(box)))

    def save(self, file: BinaryIO, ending: str, said: metadata.Metadata, settings: base.Settings) -> list[str]:
        """Write to a binary file, open for reading too, in the format of a file name's ending, with what was said.

        Returns notes of what the format could not hold.
        """
        target = registry.BY_ENDING[ending]
        assert target.save  # or nobody would have named a file so
        notes: list[str] = []
        is_grey = (self.pixels.shape[2] if self.has_16_bits else len(self.image.getbands())) < 3
        if not target.has_colour_chunks:
            said = _without_png_colour(said, is_grey, notes)
        said = _with_fitting_profile(said, is_grey and target.has_grey, notes)
        if self.has_16_bits and target.save_16_bits:
            target.save_16_bits(file, self.pixels, said)
        else:
            image = _to_image(self.pixels) if self.has_16_bits else self.image
            if self.has_16_bits:
                notes.append(f'8 bits: {target.name} holds no 16')
            if image.mode in ('LA', 'RGBA') and not target.has_alpha:
                notes.append('without transparency, on white')
                image = _on_white(image)
            target.save(file, image, said, settings, notes)
        return notes


def _with_fitting_profile(said: metadata.Metadata, is_grey: bool, notes: list[str]) -> metadata.Metadata:
    """Without a profile of other channels than the file will have, which readers would trip over."""
    if not said.icc_profile or colour.space_of(said.icc_profile) == ('GRAY' if is_grey else 'RGB'):
        return said
    notes.append(f'without its profile, which is of {colour.space_of(said.icc_profile)}')
    return said._replace(icc_profile=None)


def _without_png_colour(said: metadata.Metadata, is_grey: bool, notes: list[str]) -> metadata.Metadata:
    """For formats that have no such chunks: what they say, as a profile."""
    if not said.png_colour or said.icc_profile:
        return said
    try:
        return said._replace(icc_profile=colour.profile_of_png(said.png_colour, is_grey))
    except ValueError as error:
        notes.append(f'without {error}')
        return said


def _to_image(array: np.ndarray) -> Image.Image:
    array = pixels.to_8_bits(array)
    return Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new(image.mode[:-1], image.size, 'white')
    white.paste(image.convert(white.mode), mask=image.getchannel('A'))
    return white


def for_screen(array: np.ndarray, said: metadata.Metadata) -> Image.Image:
    """Pixels as a PIL RGB image for a screen: 8 bits, sRGB, alpha on white."""
    image = _to_image(array)
    image = (_on_white(image) if image.mode in ('LA', 'RGBA') else image).convert('RGB')
    return colour.to_srgb(image, _without_png_colour(said, False, []).icc_profile)
