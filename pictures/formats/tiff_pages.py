"""TIFF with several pages; each page has its own size, depth and tags."""

from __future__ import annotations

from typing import Any, BinaryIO, Iterator

from pictures.formats import base, decoders, frames, stderr_capture, tiff
from pictures.metadata import exif

import numpy as np
import tifffile

BIG_BYTES = (1 << 32) - (1 << 26)  # if the uncompressed pixels of all pages need more, the result is a BigTIFF


def read_frames(path: str, notes: list[str]) -> frames.Sequence:
    """Read all pages of a file; reduced versions of other pages do not count.

    Args:
        path: of the file.
        notes: receives notes on the parts of the pages that are left out or converted.

    Raises:
        ValueError: the file is damaged.
    """
    with open(path, 'rb') as file, stderr_capture.libraries(), tifffile.TiffFile(file) as opened:
        pages = _full_pages(opened)
        sizes = [(page.imagewidth, page.imagelength) for page in pages]
    return frames.Sequence(frames.PAGES, sizes, lambda: _read_pages(path, len(sizes), notes), is_lossless=True)


def _full_pages(opened: tifffile.TiffFile) -> list[Any]:
    opened.pages.useframes = False  # otherwise tifffile uses the first page's tags for later pages, too
    pages: list[Any] = list(opened.pages)
    return [page for page in pages if not page.subfiletype & tiff.REDUCED]


def _read_pages(path: str, count: int, notes: list[str]) -> Iterator[frames.Frame]:
    for index in range(count):
        try:
            array, said, orientation = decoders.read(FORMAT, path, notes, index)
        except Exception as error:  # for a damaged file, the libraries raise exceptions of all kinds
            raise ValueError(f'page {index + 1} of {count}: {error}')
        yield frames.turned(array, said, orientation)


def read_page(path: str, index: int, notes: list[str]) -> base.Content:
    """Read one page of a file.

    Args:
        path: of the file.
        index: from 0, among the pages that `read_frames` returns.
        notes: receives notes on the parts of the page that are left out or converted.

    Returns:
        The pixels (H, W, C), uint8 or uint16; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: the page is not supported, damaged or truncated.
    """
    with open(path, 'rb') as file, stderr_capture.libraries(), tifffile.TiffFile(file) as opened:
        page = _full_pages(opened)[index]
        return tiff.read_page(file, opened, page, notes, page.offset)


def save_frames(file: BinaryIO, pages: frames.Sequence, _: base.Settings, notes: list[str]) -> None:
    """Write pages one after the other, each compressed without loss, then the tags of each page.

    Args:
        file: a binary file, which is also open for reading.
        pages: the pages.
        notes: receives a note if the tags cannot be written.
    """
    area = sum(width * height for width, height in pages.sizes)
    written: list[exif.Tags] = []
    writer: tifffile.TiffWriter | None = None
    is_big = False
    for page in pages.frames():
        array = page.pixels
        if writer is None:
            # The sizes are those of the source; the first page shows the factor by which all pages grow.
            growth = array.shape[0] * array.shape[1] / (pages.sizes[0][0] * pages.sizes[0][1])
            is_big = growth * area * array.shape[2] * array.itemsize > BIG_BYTES
            writer = tifffile.TiffWriter(file, bigtiff=is_big)
        writer.write(
            np.ascontiguousarray(array if array.shape[2] > 1 else array[:, :, 0]), **tiff.options_for(array, page.said)
        )
        written.append(tiff.tags_for(page.said))
    assert writer
    writer.close()
    if is_big and any(not tags.is_empty() for tags in written):
        notes.append('without tags: the result needs a BigTIFF, in which tags are not supported')
    pointer = exif.FIRST_POINTER
    for tags in written:
        pointer = exif.add_to_tiff(file, tags, pointer)


FORMAT = tiff.FORMAT._replace(
    read_frames=read_frames, read_page=read_page, save_frames=save_frames, frame_kind=frames.PAGES
)
