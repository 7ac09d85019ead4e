"""What all picture formats share: a name, endings, how a file of it is known, read and written."""

from __future__ import annotations

from typing import Any, BinaryIO, Callable, NamedTuple, Sequence, Tuple

from pictures.formats import frames
from pictures.metadata import exif, metadata, pixel_tags
from rdn import images

import numpy as np

HEAD_BYTES = 1 << 16  # of a file: enough to know its format and size
# Fields of Metadata that not every format holds, as people call them.
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
ALL_FRAMES = ': --all-frames enlarges all'  # behind notes that only the first one is enlarged
SHOWN_KEYWORDS = 5  # of texts that are dropped
QUALITY = 95  # of JPEG, WebP, AVIF and JPEG XL, unless something else is asked for

# The pixels as pixels.py has them, what the file says beside them, and EXIF's orientation if they still have to be turned.
Content = Tuple[np.ndarray, metadata.Metadata, Any]


class Settings(NamedTuple):
    """How a picture is written.

    quality: 1 to 100, of JPEG, WebP, AVIF and JPEG XL; lossless: of WebP and JPEG XL; compression: of PNG.
    """

    quality: int = QUALITY
    lossless: bool = False
    compression: str = 'fast'


def size_by_pillow(path: str) -> tuple[int, int]:
    """(width, height) by Pillow, which reads the header alone."""
    with images.open_image(path) as image:
        return image.size


def size_by_head(parse: Callable[[bytes], tuple[int, int]]) -> Callable[[str], tuple[int, int]]:
    """A reader of a path's size from one of a file's first bytes."""

    def size(path: str) -> tuple[int, int]:
        with open(path, 'rb') as file:
            return parse(file.read(HEAD_BYTES))

    return size


def is_never_lossless(path: str) -> bool:
    """Return False: the default for formats that have no lossless setting to keep."""
    return False


def holds_no_numbers(primaries: int, transfer: int) -> bool:
    """Return False: the default for formats that say no colour space by numbers."""
    return False


class Format(NamedTuple):
    """A picture format.

    Attributes:
        name: for messages.
        endings: of file names, in lower case; the first is the usual one.
        written: those of the endings that results may have; empty if the format is only read.
        is_mine: whether a file is of this format, from its first bytes; None: let Pillow identify it.
        read: from a path and a list for notes, which it extends. Raises any kind of error for a broken file.
        size: (width, height) of a file by its header; (0, 0) if that is not known.
        save: 8-bit pixels, a PIL image, into a binary file, open for reading too, with what was said and notes; None if it
            is only read.
        save_8_bits: pixels (H, W, C), uint8, into a binary file, with what was said; None: as a PIL image.
        save_16_bits: the same of uint16; None if it holds 8 bits.
        bits: a channel that save_16_bits keeps.
        max_side: pixels; None for as many as one likes.
        has_grey: whether grey stays grey.
        has_alpha: whether it holds transparency.
        has_colour_chunks: whether it holds PNG's chunks on colour; all others get them as a profile.
        has_grey_profile: whether a grey picture has a profile of grey; of RGB otherwise.
        holds_numbers: whether it holds a colour space of these numbers of H.273: primaries, transfer function.
        has_loss: whether it always loses something.
        holds: those of NAMES that its files can hold; the others are dropped with a note.
        holds_places: whether its EXIF is a block of its own, in which a maker's note can lie where it lay before.
        is_lossless: whether a file is stored without loss, so that the result must be too.
        may_crash: whether libraries decode it that damaged files have crashed, so that decoders.py reads it.
        read_frames: all frames or pages of a path, with a list for notes; None if only the first one is read.
        read_page: a page of a path by its number, with a list for notes, for decoders.py; None without pages.
        save_frames: frames or pages into a binary file, open for reading too, with a list for notes; None if it is only
            written with one picture.
        frame_kind: the kind of frames that it holds, as of frames.Sequence; empty for one picture.
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
    """A reader of a path from one of a file's content."""

    def read_path(path: str, notes: list[str]) -> Content:
        with open(path, 'rb') as file:
            return read(file.read(), notes)

    return read_path


def held(said: metadata.Metadata, target: Format, notes: list[str]) -> metadata.Metadata:
    """The part of Metadata that a format holds. notes: is extended by the rest."""
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
    """EXIF as JPEG, WebP and AVIF hold it; empty without tags."""
    return exif.HEADER + exif.serialise(said.exif) if said.exif else b''


def exif_block_with_dpi(said: metadata.Metadata) -> bytes:
    """The same for formats that have no other place for the resolution."""
    if said.dpi and pixel_tags.resolution_of(said.exif) is None:
        said = said._replace(exif=pixel_tags.with_resolution(said.exif, said.dpi))
    return exif_block(said)
