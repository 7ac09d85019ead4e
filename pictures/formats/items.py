"""The items of an AVIF or HEIC file: the primary item, which is the picture, and its properties (ISO 23008-12).

Such a file can also contain thumbnails, gain maps, depth maps and further pictures, each with its own properties.
"""

from __future__ import annotations

from fractions import Fraction
from typing import BinaryIO, Iterator, NamedTuple

from pictures.formats import boxes
from pictures.metadata import exif

# Types of items that contain a picture: a coded one, or one that is derived from other items.
PICTURE_TYPES = (b'av01', b'hvc1', b'hev1', b'avc1', b'jpeg', b'j2k1', b'vvc1', b'unci', b'grid', b'iovl', b'iden')
GAIN_MAP = b'tmap'  # a picture for HDR screens, derived from the primary item and a gain map (ISO 21496-1)
ALPHA_TYPES = (
    b'urn:mpeg:mpegB:cicp:systems:auxiliary:alpha',
    b'urn:mpeg:hevc:2015:auxid:1',
    b'urn:mpeg:avc:2015:auxid:1',
)
SAMPLE_ENTRY_BYTES = 8 + 8 + 78  # before the boxes in the first entry of stsd, which is a visual sample entry
MAX_DEPTH = 8  # of a chain of derived items, which could be endless in a damaged file
TURNS = {0: 1, 1: 8, 2: 3, 3: 6}  # irot's anticlockwise quarter turns: EXIF's orientation
# For a picture that is turned, then mirrored: {imir's axis: {EXIF's orientation of the turn: that of turn and mirror}}.
TURNED_AND_MIRRORED = {0: {1: 4, 8: 5, 3: 2, 6: 7}, 1: {1: 2, 8: 7, 3: 4, 6: 5}}


class Reference(NamedTuple):
    """A reference from an item to other items.

    Attributes:
        reason: its type: `thmb` (thumbnail of), `auxl` (auxiliary picture of), `dimg` (derived from), `cdsc`
            (describes) or another one.
        source: the number of the item that refers to the others.
        targets: the numbers of the others.
    """

    reason: bytes
    source: int
    targets: tuple[int, ...]


class Items(NamedTuple):
    """The items of a file.

    Attributes:
        primary: the number of the item that is the picture.
        types: the types of all items, by item number.
        hidden: the numbers of the items that viewers must not show.
        properties: (name, content) of an item's properties in the file's order, by item number.
        references: the references between items.
        places: the offset in the file at which an item's content starts, by item number.
    """

    primary: int
    types: dict[int, bytes]
    hidden: frozenset[int]
    properties: dict[int, list[tuple[bytes, bytes]]]
    references: list[Reference]
    places: dict[int, int]

    def start(self) -> int | None:
        """Return the offset in the file at which the primary item, or its first part, starts; None if unknown."""
        item = self.primary
        for _ in range(MAX_DEPTH):
            parts = (each.targets for each in self.references if each.reason == b'dimg' and each.source == item)
            item = next((targets[0] for targets in parts if targets), item)
        return self.places.get(item)

    def contents(self, name: bytes, depth: int = 0, item: int | None = None) -> list[bytes]:
        """Return the contents of all properties of an item that have the given name.

        A derived item (a grid, an overlay or a copy) without such a property uses those of the first item that it is
        derived from.

        Args:
            name: four bytes, for example b'colr'.
            depth: the number of derived items between the primary item and this one.
            item: the item's number; None: the primary item.
        """
        item = self.primary if item is None else item
        own = [content for found, content in self.properties.get(item, []) if found == name]
        parts = [each.targets for each in self.references if each.reason == b'dimg' and each.source == item]
        if own or not parts or not parts[0] or depth == MAX_DEPTH:
            return own
        return self.contents(name, depth + 1, parts[0][0])

    def own_content(self, name: bytes) -> bytes | None:
        """Return the content of the primary item's own property with the given name; None if there is none."""
        return next((content for found, content in self.properties.get(self.primary, []) if found == name), None)

    def pictures(self) -> list[int]:
        """Return the numbers of the items that are separate pictures, not thumbnails or parts of others."""
        inner = {each.source for each in self.references if each.reason in (b'thmb', b'auxl')}
        for each in self.references:
            if each.reason == b'dimg' and self.types.get(each.source) != GAIN_MAP:
                inner.update(each.targets)
        shown = (item for item, kind in self.types.items() if kind in PICTURE_TYPES and item not in self.hidden)
        return [item for item in shown if item == self.primary or item not in inner | self._gain_maps()]

    def auxiliary_types(self) -> list[bytes]:
        """Return the types of the primary item's auxiliary pictures: depth maps, alpha and others."""
        owned = (each.source for each in self.references if each.reason == b'auxl' and self.primary in each.targets)
        contents = (dict(self.properties.get(item, [])).get(b'auxC', b'') for item in owned)
        return [content[4:].partition(b'\0')[0] for content in contents]

    def notes(self) -> list[str]:
        """Return notes on the items that are left out: other pictures, gain maps, depth maps."""
        notes = []
        count = len(self.pictures())
        if count > 1:
            notes.append(f'has {count} pictures: the main (primary) one is enlarged')
        others = [kind for kind in self.auxiliary_types() if kind not in ALPHA_TYPES]
        if self._gain_maps() or any(b'gainmap' in kind for kind in others):
            notes.append('without its gain map for HDR screens')
        if any(b'gainmap' not in kind for kind in others):
            notes.append('without its auxiliary pictures, a depth map for example')
        return notes

    def _gain_maps(self) -> set[int]:
        made = (each for each in self.references if each.reason == b'dimg' and self.types.get(each.source) == GAIN_MAP)
        return {target for each in made for target in each.targets} - {self.primary}

    def orientation(self) -> int:
        """Return EXIF's orientation (1 to 8) for the primary item's irot and imir, which apply in this order."""
        turn, mirror = self.own_content(b'irot'), self.own_content(b'imir')
        turned = TURNS[turn[0] & 3] if turn else 1
        return TURNED_AND_MIRRORED[mirror[0] & 1][turned] if mirror else turned

    def size(self) -> tuple[int, int]:
        """Return (width, height) of the primary item in pixels, cropped but not turned; (0, 0) if it has no ispe."""
        extent = next(iter(self.contents(b'ispe')), b'')
        if len(extent) < 12:
            return 0, 0
        width, height = int.from_bytes(extent[4:8], 'big'), int.from_bytes(extent[8:12], 'big')
        left, top, right, bottom = self.crop(width, height) or (0, 0, width, height)
        return right - left, bottom - top

    def crop_for(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Return the crop that decoded pixels still need.

        Args:
            width: of the decoded pixels.
            height: of the decoded pixels.

        Returns:
            (left, top, right, bottom) as `crop` returns it; None if there is no crop or the decoder has applied it.

        Raises:
            ValueError: the crop is damaged or outside the picture.
        """
        extent = next(iter(self.contents(b'ispe')), b'')
        coded = int.from_bytes(extent[4:8], 'big'), int.from_bytes(extent[8:12], 'big')
        return None if extent and coded != (width, height) else self.crop(width, height)

    def crop(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Return the primary item's crop (clap), which applies before the turn.

        Args:
            width: of the coded picture, in pixels.
            height: of the coded picture, in pixels.

        Returns:
            (left, top, right, bottom) in pixels; None if the item has no crop.

        Raises:
            ValueError: the crop is damaged or outside the picture.
        """
        content = self.own_content(b'clap')
        if content is None:
            return None
        if len(content) < 32:
            raise ValueError('its crop (clap) is damaged')
        numbers = [int.from_bytes(content[i : i + 4], 'big', signed=i >= 16 and i % 8 == 0) for i in range(0, 32, 4)]
        if not all(numbers[1::2]):
            raise ValueError('its crop (clap) is damaged')
        wide, high, across, down = (Fraction(a, b) for a, b in zip(numbers[::2], numbers[1::2]))
        # The crop's centre is the picture's centre plus the offsets (ISO 14496-12, 12.1.4.1).
        left, top = across + (width - wide) / 2, down + (height - high) / 2
        box = round(left), round(top), round(left + wide), round(top + high)
        if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
            raise ValueError('its crop (clap) is outside the picture')
        return box


def of(data: bytes) -> Items | None:
    """Return the items in a file's content.

    Returns:
        The items; None if the file has no primary item, which is usual for a sequence.

    Raises:
        ValueError: the list of items is damaged.
    """
    meta = boxes.content_of(data, b'meta')
    try:
        found = _of_meta(meta[4:]) if meta and len(meta) > 4 else None
        return found if found and found.primary in found.types else None
    except IndexError:
        raise ValueError('its list of items is damaged')


def contents_of_track(data: bytes, name: bytes) -> list[bytes]:
    """Return the contents of boxes that describe the pictures in a sequence's first track (ISO 14496-12, 8.5.2).

    Args:
        data: the file's content.
        name: of the boxes.
    """
    description = boxes.content_of(data, b'moov', b'trak', b'mdia', b'minf', b'stbl', b'stsd') or b''
    found = boxes.boxes_of(description, SAMPLE_ENTRY_BYTES)
    return [description[begin:end] for each, begin, end in found if each == name]


def start_of_track(data: bytes) -> int | None:
    """Return the offset in the file at which the first picture of a sequence's first track starts.

    Args:
        data: the file's content.

    Returns:
        The offset; None if it is unknown.
    """
    for name, width in ((b'stco', 4), (b'co64', 8)):
        table = boxes.content_of(data, b'moov', b'trak', b'mdia', b'minf', b'stbl', name) or b''
        if len(table) >= 8 + width:
            return int.from_bytes(table[8 : 8 + width], 'big')
    return None


def size_of(path: str) -> tuple[int, int]:
    """Return (width, height) of a file's picture in pixels, cropped but not turned; (0, 0) if the file lacks them."""
    found = _of_file(path)
    return found.size() if found else (0, 0)


def upright_size_of(path: str) -> tuple[int, int]:
    """Return (width, height) of a file's picture in pixels, cropped and turned; (0, 0) if the file lacks them."""
    found = _of_file(path)
    size = found.size() if found else (0, 0)
    return size[::-1] if found and found.orientation() in exif.QUARTER_TURNS else size


def _of_file(path: str) -> Items | None:
    with open(path, 'rb') as file:
        return of(_head_of(file))


def _head_of(file: BinaryIO) -> bytes:
    """Return the box `meta` of an open file; skip the boxes before it without reading their contents."""
    while True:
        start = file.tell()
        head = file.read(16)
        if len(head) < 8:
            return b''
        length = int.from_bytes(head[8:16] if head[:4] == b'\0\0\0\1' else head[:4], 'big')
        if head[4:8] == b'meta':
            file.seek(start)
            return file.read(length or -1)
        if length < 8:
            return b''
        file.seek(start + length)


def _of_meta(meta: bytes) -> Items:
    parts = {name: meta[begin:end] for name, begin, end in boxes.boxes_of(meta)}
    primary = parts.get(b'pitm', b'')
    types, hidden = _read_types(parts.get(b'iinf', b''))
    return Items(
        int.from_bytes(primary[4:8] if primary[:1] > b'\0' else primary[4:6], 'big'),
        types,
        frozenset(hidden),
        _read_properties(parts.get(b'iprp', b'')),
        list(_read_references(parts.get(b'iref', b''))),
        _read_places(parts.get(b'iloc', b'')),
    )


def _read_places(content: bytes) -> dict[int, int]:
    """Return the offset of each item's first extent by item number, from the content of iloc (ISO 14496-12, 8.11.3)."""
    version, places, position = content[0] if content else 0, {}, 4

    def take(size: int) -> int:
        nonlocal position
        position += size
        return int.from_bytes(content[position - size : position], 'big')

    sizes = take(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    for _ in range(take(4 if version == 2 else 2)):
        if position >= len(content):
            break
        item = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        reference, base, extents = take(2), take(base_size), take(2)
        if extents and not method and not reference:
            start = position + index_size
            places[item] = base + int.from_bytes(content[start : start + offset_size], 'big')
        position += extents * (index_size + offset_size + length_size)
    return places


def _read_types(content: bytes) -> tuple[dict[int, bytes], set[int]]:
    """Return the types of all items by number, and the numbers of the hidden ones, from the content of iinf."""
    types, hidden = {}, set()
    for name, begin, end in boxes.boxes_of(content, 6 if content[:1] == b'\0' else 8):
        entry = content[begin:end]
        if name != b'infe' or entry[0] < 2:
            continue
        wide = 4 if entry[0] > 2 else 2
        item = int.from_bytes(entry[4 : 4 + wide], 'big')
        types[item] = entry[6 + wide : 10 + wide]
        if entry[3] & 1:
            hidden.add(item)
    return types, hidden


def _read_properties(content: bytes) -> dict[int, list[tuple[bytes, bytes]]]:
    """Return the properties of each item from the content of iprp: ipco lists them, ipma assigns them by index."""
    known: list[tuple[bytes, bytes]] = []
    for name, begin, end in boxes.boxes_of(content):
        if name == b'ipco':
            known += [(each, content[start:stop]) for each, start, stop in boxes.boxes_of(content, begin, end)]
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for name, begin, end in boxes.boxes_of(content):
        if name == b'ipma':
            for item, indices in associations(content[begin:end]):
                valid = (known[index - 1] for index in indices if 0 < index <= len(known))
                found.setdefault(item, []).extend(valid)
    return found


def associations(content: bytes) -> Iterator[tuple[int, list[int]]]:
    """Yield the number of each item and the indices of its properties.

    Args:
        content: of the box ipma.

    Yields:
        The item's number, and the positions of its properties in the box ipco, from 1.
    """
    wide, is_long = (4 if content[0] else 2), content[3] & 1
    step, position = 1 + is_long, 8
    for _ in range(int.from_bytes(content[4:8], 'big')):
        item, count = int.from_bytes(content[position : position + wide], 'big'), content[position + wide]
        position += wide + 1
        raw = (content[i : i + step] for i in range(position, position + count * step, step))
        yield item, [int.from_bytes(each, 'big') & (0x7FFF if is_long else 0x7F) for each in raw]
        position += count * step


def _read_references(content: bytes) -> Iterator[Reference]:
    """Yield the references in the content of iref."""
    wide = 4 if content[:1] > b'\0' else 2
    for reason, begin, end in boxes.boxes_of(content, 4):
        source, count = content[begin : begin + wide], content[begin + wide : begin + wide + 2]
        start = begin + wide + 2
        stop = min(end, start + wide * int.from_bytes(count, 'big'))
        targets = (int.from_bytes(content[i : i + wide], 'big') for i in range(start, stop, wide))
        yield Reference(reason, int.from_bytes(source, 'big'), tuple(targets))
