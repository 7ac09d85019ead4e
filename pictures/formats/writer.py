"""The upscaled picture: filled part by part, then saved in its format, with what the source's file said.

Pixels are as in pictures/formats/pixels.py. Each format has one way out (registry.py).
"""

from __future__ import annotations

from typing import BinaryIO, Iterator

from pictures.formats import base, frames, pixels, registry
from pictures.metadata import cicp, colour, metadata

import numpy as np
from PIL import Image

MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}
SCREEN = registry.BY_ENDING['.jpg']  # a format that has profiles alone


def check_size(width: int, height: int, ending: str) -> None:
    """Raises ValueError for a picture too large for the format of a file name's ending."""
    target = registry.BY_ENDING[ending]
    if target.max_side and max(width, height) > target.max_side:
        raise ValueError(f'{width} x {height} pixels: {target.name} holds {target.max_side} a side at most')


class Canvas:
    """An upscaled picture that is filled part by part, then saved.

    Pixels lie where the format's writer takes them from, in an array or in Pillow's image: two copies of a picture of 400
    megapixels are too many.
    """

    def __init__(self, width: int, height: int, channels: int, dtype: np.dtype, ending: str):
        """ending: of the result's file name, which says its format."""
        self.width, self.height = width, height
        self.has_16_bits = dtype == np.uint16
        self._format = registry.BY_ENDING[ending]
        self.pixels: np.ndarray | None = None
        if self.has_16_bits or self._format.save_8_bits:
            self.pixels = np.empty((height, width, channels), dtype)
        else:
            self.image = Image.new(MODES[channels], (width, height))
        self._is_grey = channels < 3

    def put(self, rows: slice, columns: slice, part: np.ndarray) -> None:
        """Put pixels (h, w, C) at slices of rows and columns."""
        if self.pixels is not None:
            self.pixels[rows, columns] = part
        else:
            image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
            self.image.paste(image, (columns.start, rows.start))

    def crop(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """The pixels (h, w, C) of a part; box: left, top, right, bottom."""
        if self.pixels is not None:
            return self.pixels[box[1] : box[3], box[0] : box[2]]
        return pixels.as_planes_last(np.asarray(self.image.crop(box)))

    def save(
        self, file: BinaryIO, said: metadata.Metadata, settings: base.Settings, source: np.ndarray | None = None
    ) -> list[str]:
        """Write to a binary file, open for reading too, with what was said.

        source: the pixels before they were enlarged, whose depth the result need not exceed; None if they are gone.

        Returns notes of what the format could not hold.
        """
        target = self._format
        assert target.save  # or nobody would have named a file so
        notes: list[str] = []
        array = self.pixels
        if not target.has_colour_chunks:
            numbers = _numbers_to_convert(said, target)
            if numbers:
                notes.append('HDR colours converted to sRGB: what is brighter than its white (203 cd/m²) is cut off')
                array = cicp.to_srgb(pixels.as_planes_last(np.asarray(self.image)) if array is None else array, numbers)
                said = said._replace(png_colour={})
            said = _without_png_colour(said, target, self._is_grey, notes)
        said = _with_fitting_profile(said, target, self._is_grey, notes)
        said = base.held(said, target, notes)
        save_pixels = target.save_16_bits if self.has_16_bits else target.save_8_bits
        if array is not None and save_pixels:
            if self.has_16_bits and target.bits < 16 and not (source is not None and pixels.fits(source, target.bits)):
                notes.append(f'saved with {target.bits} bits a channel, fewer than the picture has')
            save_pixels(file, array, said, settings)
        else:
            image = self.image if array is None else _to_image(array)
            if self.has_16_bits:
                notes.append(f'saved with 8 bits a channel: {target.name} does not hold 16')
            if image.mode in ('LA', 'RGBA') and not target.has_alpha:
                notes.append(f'transparency became white: {target.name} has none')
                image = _on_white(image)
            target.save(file, image, said, settings, notes)
        return notes


def save_frames(file: BinaryIO, ending: str, film: frames.Sequence, settings: base.Settings) -> list[str]:
    """Write frames or pages to a binary file, open for reading too; return notes of what the format could not hold.

    ending: of the file's name, of a format that holds the kind of frames.
    """
    target = registry.BY_ENDING[ending]
    assert target.save_frames  # or nobody would have named a file so
    notes: list[str] = []

    def fitted() -> Iterator[frames.Frame]:
        for frame in film.frames():
            is_grey, said = frame.pixels.shape[2] < 3, frame.said
            if not target.has_colour_chunks:
                said = _without_png_colour(said, target, is_grey, notes)
            said = base.held(_with_fitting_profile(said, target, is_grey, notes), target, notes)
            array = frame.pixels
            if array.dtype == np.uint16 and not target.save_16_bits:
                notes.append(f'saved with 8 bits a channel: {target.name} does not hold 16')
                array = pixels.to_8_bits(array)
            yield frame._replace(pixels=array, said=said)

    target.save_frames(file, film._replace(frames=fitted), settings, notes)
    return list(dict.fromkeys(notes))  # of all frames


def _numbers_to_convert(said: metadata.Metadata, target: base.Format) -> tuple[int, int] | None:
    """The numbers of a high dynamic range that a format cannot say; None where its pixels stay."""
    numbers = cicp.numbers_of(said.png_colour)
    if numbers is None or said.icc_profile or not cicp.is_high_range(numbers) or target.holds_numbers(*numbers):
        return None
    return numbers


def _with_fitting_profile(
    said: metadata.Metadata, target: base.Format, is_grey: bool, notes: list[str]
) -> metadata.Metadata:
    """Without a profile of other channels than the file will have, which readers would trip over."""
    if not said.icc_profile:
        return said
    own = colour.space_of(said.icc_profile)
    wanted = 'GRAY' if is_grey and target.has_grey and target.has_grey_profile else 'RGB'
    if own == wanted:
        return said
    if own == 'GRAY' and is_grey:
        try:
            return said._replace(icc_profile=colour.rgb_of_grey(said.icc_profile))
        except ValueError:
            pass  # it has no curve: as one of other channels
    notes.append(f'without its profile, which is for {own} pictures')
    return said._replace(icc_profile=None)


def _without_png_colour(
    said: metadata.Metadata, target: base.Format, is_grey: bool, notes: list[str]
) -> metadata.Metadata:
    """For formats that have no such chunks: what they say, by numbers or as a profile."""
    numbers = cicp.numbers_of(said.png_colour)
    if numbers and target.holds_numbers(*numbers):
        return said._replace(png_colour={cicp.CHUNK: said.png_colour[cicp.CHUNK]}, icc_profile=None)
    chunks, said = said.png_colour, said._replace(png_colour={})
    if not chunks or said.icc_profile:
        return said
    try:
        profile = cicp.profile_of(numbers, is_grey) if numbers else colour.profile_of_png(chunks, is_grey)
        return said._replace(icc_profile=profile)
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
    numbers = cicp.numbers_of(said.png_colour)
    if numbers and cicp.is_high_range(numbers):
        array, said = cicp.to_srgb(array, numbers), said._replace(png_colour={}, icc_profile=None)
    image = _to_image(array)
    image = (_on_white(image) if image.mode in ('LA', 'RGBA') else image).convert('RGB')
    return colour.to_srgb(image, _without_png_colour(said, SCREEN, False, []).icc_profile)
