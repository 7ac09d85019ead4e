"""The upscaled picture: it is filled part by part, then saved in its format with the metadata of its source.

Pixels have the form of pictures/formats/pixels.py. registry.py finds the functions that write a format.
"""

from __future__ import annotations

from typing import BinaryIO, Iterator

from pictures.formats import base, frames, pixels, registry
from pictures.metadata import cicp, colour, metadata

import numpy as np
from PIL import Image

MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}
SCREEN = registry.BY_ENDING['.jpg']  # a format that stores colour spaces only as profiles


def check_size(width: int, height: int, ending: str) -> None:
    """Check that a format can store a picture of a size.

    Args:
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        ending: of the file's name, which determines the format.

    Raises:
        ValueError: the picture is too large for the format.
    """
    target = registry.BY_ENDING[ending]
    if target.max_side and max(width, height) > target.max_side:
        raise ValueError(f'{width} x {height} pixels: {target.name} allows at most {target.max_side} per side')


class Canvas:
    """An upscaled picture that is filled part by part, then saved.

    The pixels are in an array or in a PIL image, as the format's writer needs them, because a second copy of a picture
    of 400 megapixels would take too much memory.

    Args:
        width: in pixels.
        height: in pixels.
        channels: 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        dtype: of the pixels, uint8 or uint16.
        ending: of the result's file name, which determines its format.
    """

    def __init__(self, width: int, height: int, channels: int, dtype: np.dtype, ending: str):
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
        """Copy pixels (h, w, C) to the given rows and columns."""
        if self.pixels is not None:
            self.pixels[rows, columns] = part
        else:
            image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
            self.image.paste(image, (columns.start, rows.start))

    def crop(self, box: tuple[int, int, int, int]) -> np.ndarray:
        """Return the pixels (h, w, C) of a part. The box is (left, top, right, bottom), in pixels."""
        if self.pixels is not None:
            return self.pixels[box[1] : box[3], box[0] : box[2]]
        return pixels.as_planes_last(np.asarray(self.image.crop(box)))

    def save(
        self, file: BinaryIO, said: metadata.Metadata, settings: base.Settings, source: np.ndarray | None = None
    ) -> list[str]:
        """Write the picture.

        Args:
            file: a binary file, which is also open for reading.
            said: the metadata of the result.
            settings: how to write it.
            source: the pixels before they were enlarged, or None. If the format keeps all bits that they use, there is
                no note on lost bits.

        Returns:
            Notes on the colours, bits and metadata that the format could not store.
        """
        target = self._format
        assert target.save  # results have only endings of formats that can be written
        notes: list[str] = []
        array = self.pixels
        said, high_range = _fit(said, target, self._is_grey, notes)
        if high_range:
            array = cicp.to_srgb(pixels.as_planes_last(np.asarray(self.image)) if array is None else array, high_range)
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
    """Write all frames or pages of a picture.

    Args:
        file: a binary file, which is also open for reading.
        ending: of the file's name; its format must support this kind of frames.
        film: the enlarged frames or pages.
        settings: how to write them.

    Returns:
        Notes on the colours, bits and metadata that the format could not store.
    """
    target = registry.BY_ENDING[ending]
    assert target.save_frames  # such results have only endings of formats that are written with frames
    notes: list[str] = []

    def fitted() -> Iterator[frames.Frame]:
        for frame in film.frames():
            said, high_range = _fit(frame.said, target, frame.pixels.shape[2] < 3, notes)
            array = cicp.to_srgb(frame.pixels, high_range) if high_range else frame.pixels
            if array.dtype == np.uint16 and not target.save_16_bits:
                notes.append(f'saved with 8 bits a channel: {target.name} does not hold 16')
                array = pixels.to_8_bits(array)
            yield frame._replace(pixels=array, said=said)

    target.save_frames(file, film._replace(frames=fitted), settings, notes)
    return list(dict.fromkeys(notes))  # each note once, though several frames may cause it


def _fit(
    said: metadata.Metadata, target: base.Format, is_grey: bool, notes: list[str]
) -> tuple[metadata.Metadata, tuple[int, int] | None]:
    """Fit the metadata to a format, and return it with the numbers of HDR pixels that have to be converted to sRGB."""
    high_range = None
    if not target.has_colour_chunks:
        high_range = _numbers_to_convert(said, target)
        if high_range:
            notes.append('HDR colours converted to sRGB: values brighter than its white (203 cd/m²) are clipped')
            said = said._replace(png_colour={})
        said = _without_png_colour(said, target, is_grey, notes)
    return base.held(_with_fitting_profile(said, target, is_grey, notes), target, notes), high_range


def _numbers_to_convert(said: metadata.Metadata, target: base.Format) -> tuple[int, int] | None:
    """Return the H.273 numbers of HDR colours that a format cannot store; None if the pixels need no conversion."""
    numbers = cicp.numbers_of(said.png_colour)
    if numbers is None or said.icc_profile or not cicp.is_high_range(numbers) or target.holds_numbers(*numbers):
        return None
    return numbers


def _with_fitting_profile(
    said: metadata.Metadata, target: base.Format, is_grey: bool, notes: list[str]
) -> metadata.Metadata:
    """Drop or convert a profile that does not match the file's channels, because readers would fail on it."""
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
            pass  # a profile without a curve cannot be converted, so it is dropped
    notes.append(f'without its profile, which is for {own} pictures')
    return said._replace(icc_profile=None)


def _without_png_colour(
    said: metadata.Metadata, target: base.Format, is_grey: bool, notes: list[str]
) -> metadata.Metadata:
    """Replace PNG's colour chunks by numbers of H.273 or by a profile, for formats that do not have these chunks."""
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
    """Return a PIL image in RGB for a screen: 8 bits, sRGB, transparent parts on white.

    Args:
        array: pixels (H, W, C), uint8 or uint16.
        said: the metadata that contains their colour space.
    """
    numbers = cicp.numbers_of(said.png_colour)
    if numbers and cicp.is_high_range(numbers):
        array, said = cicp.to_srgb(array, numbers), said._replace(png_colour={}, icc_profile=None)
    image = _to_image(array)
    image = (_on_white(image) if image.mode in ('LA', 'RGBA') else image).convert('RGB')
    return colour.to_srgb(image, _without_png_colour(said, SCREEN, False, []).icc_profile)
