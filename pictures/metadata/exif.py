"""EXIF: the tags that a camera writes, in the structure of a TIFF file (TIFF 6.0, EXIF 2.32).

A Tags is a tree of image file directories (IFDs). Values keep the file's own bytes and byte order, so tags that this
program does not know are copied unchanged.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple

QUARTER_TURNS = (5, 6, 7, 8)  # values of ORIENTATION that exchange width and height
ORIENTATION, WIDTH, HEIGHT, XMP, ICC_PROFILE = 0x0112, 0x0100, 0x0101, 0x02BC, 0x8773
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD = 0x8769, 0x8825, 0xA005
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
IPTC, PHOTOSHOP = 0x83BB, 0x8649  # IPTC's records; Photoshop's resources, which may contain them too
MAKER_NOTE = 0x927C
RESOLUTION = (0x011A, 0x011B, 0x0128)  # horizontal, vertical, unit
SUB_IFDS = (EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD)
# Tags of a TIFF's own directory that a user or a camera wrote. The others describe how the pixels are stored.
DESCRIPTIVE = frozenset(
    (0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298)
    + (0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, EXIF_IFD, GPS_IFD)
)
HEADER = b'Exif\0\0'  # before the tags in JPEG and WebP
BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# The number of bytes that another byte order reverses; 1 for other types.
WORD_OF_TYPE = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
SHORT, LONG, UNDEFINED = 3, 4, 7
FIRST_POINTER = 4  # where a TIFF stores the offset of its first directory
MAX_BYTES = 1 << 24
MAX_ENTRIES = 4096  # of a directory
MAX_PLACE = 60_000  # bytes: a block that keeps a value at a later offset would be too large for JPEG


class Value(NamedTuple):
    """The content of a tag.

    Attributes:
        type: TIFF's number of the type.
        number: the number of values.
        data: the bytes of the values.
        place: a maker's note's offset in the old block or file, on which offsets inside the note may depend; None for
            other tags.
    """

    type: int
    number: int
    data: bytes
    place: int | None = None


class Tags(NamedTuple):
    """A directory.

    Attributes:
        order: the byte order of the values, '<' (little-endian) or '>' (big-endian).
        values: the values by their tags.
        children: the directories below it, by the tags that point to them.
    """

    order: str
    values: dict[int, Value]
    children: dict[int, Tags]

    def number(self, tag: int) -> int | None:
        """Return the first value of a tag; None if the tag is missing or has no unsigned whole numbers."""
        value = self.values.get(tag)
        if value is None or value.type not in (1, SHORT, LONG) or not value.number:
            return None
        return int.from_bytes(value.data[: BYTES_OF_TYPE[value.type]], 'little' if self.order == '<' else 'big')

    def only(self, kept: frozenset[int]) -> Tags:
        """Return a copy of this directory with only these tags."""
        values = {tag: value for tag, value in self.values.items() if tag in kept}
        return Tags(self.order, values, {tag: child for tag, child in self.children.items() if tag in kept})

    def without(self, tag: int) -> Tags:
        """Return a copy of this directory without one tag."""
        return self._replace(values={key: value for key, value in self.values.items() if key != tag})

    def is_empty(self) -> bool:
        """Return whether this directory and all below it have no values."""
        return not self.values and all(child.is_empty() for child in self.children.values())


def parse(data: bytes) -> Tags:
    """Read the tags of a block of EXIF, without its thumbnail.

    Args:
        data: the block, with or without the header `Exif`.

    Raises:
        ValueError: the block is damaged, or larger than 16 MiB.
    """
    if data.startswith(HEADER):
        data = data[len(HEADER) :]
    if data[:4] not in (b'II*\0', b'MM\0*') or len(data) > MAX_BYTES:
        raise ValueError('its EXIF is damaged or too large')
    order = '<' if data[:2] == b'II' else '>'
    try:
        return _parse_directory(data, struct.unpack_from(order + 'I', data, 4)[0], order, set(), [len(data)])
    except struct.error:
        raise ValueError('its EXIF is damaged')


def _parse_directory(data: bytes, offset: int, order: str, seen: set[int], room: list[int]) -> Tags:
    """Read the directory at an offset.

    Args:
        data: the block.
        offset: of the directory.
        order: the byte order, '<' or '>'.
        seen: the offsets of directories read before; this one is added.
        room: a list of one number, the bytes that further values may have in total. In a sound block values do not
            overlap, so together they are no larger than the block.
    """
    count = struct.unpack_from(order + 'H', data, offset)[0]
    if offset in seen or count > MAX_ENTRIES:
        raise ValueError('its EXIF is damaged')
    seen.add(offset)
    tags = Tags(order, {}, {})
    for position in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + 'HHI', data, position)
        if tag in SUB_IFDS:
            tags.children[tag] = _parse_directory(
                data, struct.unpack_from(order + 'I', data, position + 8)[0], order, seen, room
            )
            continue
        size = BYTES_OF_TYPE.get(kind, 0) * number
        start = position + 8 if size <= 4 else struct.unpack_from(order + 'I', data, position + 8)[0]
        if size and start + size <= len(data):  # skips a damaged tag; the others may be whole
            room[0] -= size
            if room[0] < 0:
                raise ValueError('its EXIF is damaged')
            tags.values[tag] = _value(tag, kind, number, data[start : start + size], start)
    return tags


def _value(tag: int, kind: int, number: int, data: bytes, place: int) -> Value:
    return Value(kind, number, data, place if tag == MAKER_NOTE and len(data) > 4 else None)


def can_stay(value: Value) -> bool:
    """Return whether a new block of EXIF can keep a value at its old offset."""
    return value.place is not None and value.place >= 8 and value.place + len(value.data) <= MAX_PLACE


class _Room:
    """The free space in a block: it is assigned from the start on, and one range that is taken is skipped."""

    def __init__(self, start: int, taken: tuple[int, int] = (0, 0)):
        self._next, self._taken = start, taken

    def take(self, size: int) -> int:
        """Reserve `size` bytes and return their offset, which is even, as TIFF requires for directories and values."""
        start = self._next + self._next % 2
        if start < self._taken[1] and start + size > self._taken[0]:
            start = self._taken[1] + self._taken[1] % 2
        self._next = start + size
        return start


def serialise(tags: Tags) -> bytes:
    """Return Tags as a block of EXIF without header. A maker's note keeps its old offset if `can_stay` allows it."""
    note = tags.children[EXIF_IFD].values.get(MAKER_NOTE) if EXIF_IFD in tags.children else None
    kept = note if note and can_stay(note) else None
    taken = (kept.place, kept.place + len(kept.data)) if kept and kept.place else (0, 0)
    parts: list[tuple[int, bytes]] = []
    start = _lay_out(tags, _Room(8, taken), parts, kept)
    mark = b'II*\0' if tags.order == '<' else b'MM\0*'
    return _joined([(0, mark + struct.pack(tags.order + 'I', start)), *parts], 0)


def _lay_out(tags: Tags, room: _Room, parts: list[tuple[int, bytes]], kept: Value | None = None) -> int:
    """Assign offsets to a directory and to everything that it points to.

    Args:
        tags: the directory.
        room: the free space.
        parts: a list, to which (offset, bytes) of each part is added.
        kept: a value that keeps its old offset.

    Returns:
        The directory's offset.
    """
    numbers = sorted({*tags.values, *tags.children})
    offset = room.take(2 + 12 * len(numbers) + 4)
    entries = b''
    for tag in numbers:
        if tag in tags.children:
            entries += struct.pack(tags.order + 'HHII', tag, LONG, 1, _lay_out(tags.children[tag], room, parts, kept))
            continue
        value = tags.values[tag]
        entries += struct.pack(tags.order + 'HHI', tag, value.type, value.number)
        if len(value.data) <= 4:
            entries += value.data.ljust(4, b'\0')
            continue
        place = value.place if value is kept and value.place else room.take(len(value.data))
        entries += struct.pack(tags.order + 'I', place)
        parts.append((place, value.data))
    parts.append((offset, struct.pack(tags.order + 'H', len(numbers)) + entries + b'\0\0\0\0'))
    return offset


def _joined(parts: list[tuple[int, bytes]], start: int) -> bytes:
    """Return the bytes of a file from the offset `start` on, with each part at its offset."""
    block = bytearray(max(place + len(part) for place, part in parts) - start)
    for place, part in parts:
        block[place - start : place - start + len(part)] = part
    return bytes(block)


def convert(tags: Tags, order: str) -> Tags:
    """Convert Tags to a byte order, '<' or '>'."""
    if order == tags.order:
        return tags
    values = {tag: value._replace(data=_swapped(value)) for tag, value in tags.values.items()}
    return Tags(order, values, {tag: convert(child, order) for tag, child in tags.children.items()})


def _swapped(value: Value) -> bytes:
    width = WORD_OF_TYPE.get(value.type, 1)
    return b''.join(value.data[i : i + width][::-1] for i in range(0, len(value.data), width))


def read_tiff(file: BinaryIO, kept: frozenset[int] = DESCRIPTIVE, offset: int | None = None) -> Tags:
    """Read tags of one directory of a TIFF file.

    Args:
        file: open for reading.
        kept: the tags to read.
        offset: of the directory; None for the first one.

    Raises:
        ValueError: the tags are damaged, or the file is a BigTIFF.
    """
    file.seek(0)
    head = file.read(8)
    if head[:4] not in (b'II*\0', b'MM\0*'):
        raise ValueError('the tags of a BigTIFF are not read')
    order = '<' if head[:2] == b'II' else '>'
    place = struct.unpack(order + 'I', head[4:])[0] if offset is None else offset
    return _read_directory(file, place, order, kept, set(), [MAX_BYTES])


def _read_directory(
    file: BinaryIO, offset: int, order: str, kept: frozenset[int] | None, seen: set[int], room: list[int]
) -> Tags:
    """Read a directory of a file that may be too large for memory.

    Args:
        file: open for reading.
        offset: of the directory.
        order: the byte order, '<' or '>'.
        kept: the tags to read; None for all.
        seen: see `_parse_directory`.
        room: see `_parse_directory`.
    """
    tags = Tags(order, {}, {})
    try:
        count = struct.unpack(order + 'H', _at(file, offset, 2))[0]
        if offset in seen or count > MAX_ENTRIES:
            raise ValueError('its tags are damaged')
        seen.add(offset)
        for tag, kind, number, inline in struct.iter_unpack(order + 'HHI4s', _at(file, offset + 2, 12 * count)):
            size = BYTES_OF_TYPE.get(kind, 0) * number
            place = struct.unpack(order + 'I', inline)[0]
            if kept is not None and tag not in kept:
                continue
            if tag in SUB_IFDS:
                tags.children[tag] = _read_directory(file, place, order, None, seen, room)
            elif 0 < size <= room[0]:
                room[0] -= size
                data = inline[:size] if size <= 4 else _at(file, place, size)
                if len(data) == size:
                    tags.values[tag] = _value(tag, kind, number, data, place)
    except struct.error:
        raise ValueError('its tags are damaged')
    return tags


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def add_to_tiff(file: BinaryIO, tags: Tags, pointer: int = FIRST_POINTER) -> int:
    """Add Tags to a directory of a TIFF that was just written.

    The new directory is appended to the file. Tags that the file has already keep their values, except RESOLUTION.
    A BigTIFF is not changed, and neither is a file that would exceed 4 GiB.

    Args:
        file: open for reading and writing.
        tags: the tags to add.
        pointer: where the file stores the directory's offset.

    Returns:
        Where the file stores the next directory's offset.
    """
    file.seek(0)
    head = file.read(8)
    if head[:4] not in (b'II*\0', b'MM\0*'):
        return pointer
    order = '<' if head[:2] == b'II' else '>'
    offset = struct.unpack(order + 'I', _at(file, pointer, 4))[0]
    count = struct.unpack(order + 'H', _at(file, offset, 2))[0]
    raw = _at(file, offset + 2, 12 * count + 4)
    entries = {struct.unpack_from(order + 'H', raw, 12 * i)[0]: raw[12 * i : 12 * i + 12] for i in range(count)}
    added, own_tags = convert(tags, order), entries.keys() - set(RESOLUTION)
    added = Tags(order, {tag: value for tag, value in added.values.items() if tag not in own_tags}, added.children)
    file.seek(0, 2)
    end = file.tell() + file.tell() % 2
    total = len({*entries, *added.values, *added.children})
    rest_start = end + 2 + 12 * total + 4
    # The added tags are laid out as a directory of their own, whose entries then go into the new one.
    parts: list[tuple[int, bytes]] = []
    _lay_out(added, _Room(rest_start), parts)
    block = _joined(parts, rest_start)
    own = len(added.values) + len(added.children)
    for entry in struct.iter_unpack('12s', block[2 : 2 + 12 * own]):
        entries[struct.unpack_from(order + 'H', entry[0])[0]] = entry[0]
    if rest_start + len(block) >= 1 << 32:
        return offset + 2 + 12 * count
    directory = struct.pack(order + 'H', total) + b''.join(entries[tag] for tag in sorted(entries)) + raw[12 * count :]
    file.seek(end)
    file.write(directory + block)
    file.seek(pointer)
    file.write(struct.pack(order + 'I', end))
    file.seek(0, 2)
    return end + 2 + 12 * total
