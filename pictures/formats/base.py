"""The parts that all picture formats share: the type Format, the settings for writing, and helpers."""

from __future__ import annotations

from typing import Any, BinaryIO, Callable, NamedTuple, Sequence, Tuple

from pictures.formats import frames
from pictures.metadata import exif, metadata, pixel_tags
from rdn import images

import numpy as np

HEAD_BYTES = 1 << 16  # enough of a file's start to find its format and size
# Fields of Metadata that some formats cannot store, with their names in notes to the user.
NAMES = {
    'exif': 'EXIF',
    'xmp': 'XMP',
    'icc_profile': 'colour profile',
    'dpi': 'resolution',
    'pixel_aspect': 'pixel aspect ratio',
    'text': 'texts',
    'photoshop': 'IPTC (captions, keywords)',
    'geo': 'place on Earth (GeoTIFF)',
}
ALL_FRAMES = ': --all-frames enlarges all'  # the end of notes which say that only the first frame is enlarged
SHOWN_KEYWORDS = 5  # in a note on dropped texts
QUALITY = 95  # the default for JPEG, WebP, AVIF and JPEG XL

# The pixels in the form of pixels.py, the metadata, and EXIF's orientation (None if the pixels are already upright).
Content = Tuple[np.ndarray, metadata.Metadata, Any]


class Settings(NamedTuple):
    """The settings for writing a picture.

    Attributes:
        quality: 1 to 100, for JPEG, WebP, AVIF and JPEG XL.
        lossless: whether WebP and JPEG XL are written without loss.
        compression: one of png_rows.COMPRESSIONS, for PNG.
    """

    quality: int = QUALITY
    lossless: bool = False
    compression: str = 'fast'


def size_by_pillow(path: str) -> tuple[int, int]:
    """Return (width, height) of a file in pixels. Pillow reads only its header."""
    with images.open_image(path) as image:
        return image.size


def size_by_head(parse: Callable[[bytes], tuple[int, int]]) -> Callable[[str], tuple[int, int]]:
    """Return a function that reads the size of the file at a path.

    Args:
        parse: returns (width, height) in pixels from the file's first HEAD_BYTES bytes.
    """

    def size(path: str) -> tuple[int, int]:
        with open(path, 'rb') as file:
            return parse(file.read(HEAD_BYTES))

    return size


def is_never_lossless(path: str) -> bool:
    """Return False: the default for formats that do not have both lossy and lossless files."""
    return False


def holds_no_numbers(primaries: int, transfer: int) -> bool:
    """Return False: the default for formats that cannot store a colour space as numbers of H.273."""
    return False


class Format(NamedTuple):
    """A picture format.

    Attributes:
        name: the name in messages.
        endings: the endings of file names, in lower case with the dot; the first is the usual one.
        written: the endings that results may have; empty if the format is only read.
        is_mine: returns whether a file has this format, from its first bytes; None: Pillow identifies it.
        read: reads a picture from a path and appends to a list of notes. A damaged file can raise any exception.
        size: returns (width, height) in pixels from a file's header; (0, 0) if they are not in the header.
        save: writes a PIL image of 8 bits per channel and its metadata to a binary file, which is also open for
            reading, and appends to a list of notes. None if the format is only read.
        save_8_bits: writes pixels (H, W, C), uint8, and their metadata to a binary file; None: `save` writes them.
        save_16_bits: writes pixels (H, W, C), uint16, and their metadata; None if the format has 8 bits per channel.
        bits: the number of bits per channel that save_16_bits keeps.
        max_side: the greatest width and height in pixels; None if there is no limit.
        has_grey: whether grey pictures stay grey; otherwise they become RGB.
        has_alpha: whether the format has an alpha channel.
        has_colour_chunks: whether the format has PNG's colour chunks; otherwise they become a profile.
        has_grey_profile: whether a grey picture has a grey profile; otherwise it has an RGB profile.
        holds_numbers: returns whether the format can store a colour space as these numbers of H.273: the primaries and
            the transfer function.
        has_loss: whether the format is always lossy.
        holds: the fields of NAMES that the format can store; the others are dropped with a note.
        holds_places: whether its EXIF is a separate block, in which a maker's note can keep its offset.
        is_lossless: returns whether a file is stored without loss; its result must then be lossless, too.
        may_crash: whether damaged files can crash its decoder; decoders.py then reads the files in a worker process.
        read_frames: reads all frames or pages from a path and appends to a list of notes. None if only the first
            picture is read.
        read_page: reads one page from a path, by its number from 0, and appends to a list of notes; only decoders.py
            uses it. None if the format has no pages.
        save_frames: writes frames or pages to a binary file, which is also open for reading, and appends to a list of
            notes. None if the format is only written with one picture.
        frame_kind: the kind of its frames, frames.ANIMATION or frames.PAGES; empty for formats with one picture.
    """

    name: str
    endings: tuple[str, ...]
    is_mine: Callable[[bytes], bool] | None
    read: Callable[[str, list[str]], Content]
    size: Callable[[str], tuple[int, int]] = size_by_pillow
    written: tuple[str, ...] = ()
    save: Callable[..., None] | None = None
    save_8_bits: Callable[[BinaryIO, np.ndarray, metadata.Metadata, Settings], None] | None = None
    save_16_bits: Callable[[BinaryIO, np.ndarray, metadata.Metadata, Settings], None] | None = None
    bits: int = 16
    max_side: int | None = None
    has_grey: bool = True
    has_alpha: bool = True
    has_colour_chunks: bool = False
    has_grey_profile: bool = True
    holds_numbers: Callable[[int, int], bool] = holds_no_numbers
    has_loss: bool = False
    holds: frozenset[str] = frozenset()
    holds_places: bool = True
    is_lossless: Callable[[str], bool] = is_never_lossless
    may_crash: bool = False
    read_frames: Callable[[str, list[str]], frames.Sequence] | None = None
    read_page: Callable[[str, int, list[str]], Content] | None = None
    save_frames: Callable[[BinaryIO, frames.Sequence, Settings, list[str]], None] | None = None
    frame_kind: str = ''


def whole(read: Callable[[bytes, list[str]], Content]) -> Callable[[str, list[str]], Content]:
    """Return a function that reads the picture at a path.

    Args:
        read: reads a picture from a file's content and appends to a list of notes.
    """

    def read_path(path: str, notes: list[str]) -> Content:
        with open(path, 'rb') as file:
            return read(file.read(), notes)

    return read_path


def held(said: metadata.Metadata, target: Format, notes: list[str]) -> metadata.Metadata:
    """Return the part of the metadata that a format can store.

    Args:
        said: the metadata of a picture.
        target: the format.
        notes: receives a note for each field that is dropped.
    """
    empty = metadata.Metadata()
    for field, name in NAMES.items():
        value = getattr(said, field)
        if value and field not in target.holds:
            notes.append(f'without its {_with_keywords(name, value) if field == "text" else name}')
            said = said._replace(**{field: getattr(empty, field)})
    if said.exif:
        said = said._replace(exif=pixel_tags.without_lost_note(said.exif, target.holds_places, notes))
    return said


def _with_keywords(name: str, text: Sequence[metadata.Text]) -> str:
    keywords = list(dict.fromkeys(each.keyword for each in text))
    rest = ', …' if len(keywords) > SHOWN_KEYWORDS else ''
    return f'{name} ({", ".join(keywords[:SHOWN_KEYWORDS])}{rest})'


def exif_block(said: metadata.Metadata) -> bytes:
    """Return the EXIF block as JPEG, WebP and AVIF store it; empty if there are no tags."""
    return exif.HEADER + exif.serialise(said.exif) if said.exif else b''


def exif_block_with_dpi(said: metadata.Metadata) -> bytes:
    """Return the EXIF block with the resolution in it, for formats that store the resolution nowhere else."""
    if said.dpi and pixel_tags.resolution_of(said.exif) is None:
        said = said._replace(exif=pixel_tags.with_resolution(said.exif, said.dpi))
    return exif_block(said)
