"""Build AVIF and HEIC files for tests, box by box, from coded pictures (ISO 14496-12, ISO 23008-12)."""

import struct
from typing import NamedTuple

from pictures.formats import boxes

ESSENTIAL = (b'av1C', b'hvcC', b'clap', b'irot', b'imir')  # a decoder that does not know them must not show the item


class Item(NamedTuple):
    """An item of a file.

    Attributes:
        kind: its type.
        content: its data.
        properties: its properties as whole boxes.
        is_hidden: whether viewers must not show it.
    """

    kind: bytes
    content: bytes
    properties: tuple = ()
    is_hidden: bool = False


def box(name, *parts):
    content = b''.join(parts)
    return struct.pack('>I', 8 + len(content)) + name + content


def full_box(name, *parts, flags=0, version=0):
    return box(name, struct.pack('>I', version << 24 | flags), *parts)


def ispe(width, height):
    return full_box(b'ispe', struct.pack('>II', width, height))


def nclx(primaries, transfer, matrix=6):
    return box(b'colr', b'nclx', struct.pack('>HHHB', primaries, transfer, matrix, 0x80))


def profile(content):
    return box(b'colr', b'prof', content)


def clap(width, height, across=0, down=0, divisor=1):
    """Return a crop whose centre is the picture's centre plus (across, down) / divisor."""
    return box(b'clap', struct.pack('>IIIIiIiI', width, 1, height, 1, across, divisor, down, divisor))


def irot(quarters):
    return box(b'irot', bytes([quarters]))


def imir(axis):
    return box(b'imir', bytes([axis]))


def auxiliary(kind):
    return full_box(b'auxC', kind + b'\0')


def grid(rows, columns, width, height):
    """Return the content of an item of the type grid."""
    return struct.pack('>BBBBHH', 0, 0, rows - 1, columns - 1, width, height)


def coded(file):
    """Return the content of a file's only picture, and the properties that its decoder needs."""
    wanted = (b'av1C', b'hvcC', b'pixi')
    meta = (boxes.content_of(file, b'meta') or b'')[4:]
    start, end = next((begin, end) for name, begin, end in boxes.boxes_of(meta) if name == b'iprp')
    start, end = next((begin, end) for name, begin, end in boxes.boxes_of(meta, start, end) if name == b'ipco')
    known = [(name, meta[begin:stop]) for name, begin, stop in boxes.boxes_of(meta, start, end)]
    return boxes.content_of(file, b'mdat'), tuple(box(name, content) for name, content in known if name in wanted)


def build(items, references=(), primary=1, brand=b'avif', places_last=False):
    """Return the content of a file.

    Args:
        items: the items; their numbers are 1, 2 and so on.
        references: (reason, source, targets), with the numbers of items.
        primary: the number of the item that is the picture.
        brand: of the file.
        places_last: whether the list of all properties starts with those of the last item.
    """
    listed = [each for item in (reversed(items) if places_last else items) for each in item.properties]
    listed = list(dict.fromkeys(listed))
    infe, ipma, sizes = [], [], []
    for number, item in enumerate(items, 1):
        infe.append(full_box(b'infe', struct.pack('>HH', number, 0), item.kind, b'\0', flags=item.is_hidden, version=2))
        indices = [listed.index(each) + 1 | (0x80 if each[4:8] in ESSENTIAL else 0) for each in item.properties]
        ipma.append(struct.pack('>HB', number, len(indices)) + bytes(indices))
        sizes.append(len(item.content))
    refs = (struct.pack(f'>HH{len(to)}H', source, len(to), *to) for _, source, to in references)
    iref = [box(reason, content) for (reason, _, _), content in zip(references, refs)]
    head = box(b'ftyp', brand, b'\0\0\0\0', brand, b'mif1', b'miaf')

    def meta(start):
        places = (start + sum(sizes[:index]) for index in range(len(items)))
        iloc = [struct.pack('>HHHII', n, 0, 1, place, size) for n, (place, size) in enumerate(zip(places, sizes), 1)]
        return full_box(
            b'meta',
            full_box(b'hdlr', b'\0\0\0\0pict', b'\0' * 13),
            full_box(b'pitm', struct.pack('>H', primary)),
            full_box(b'iloc', b'\x44\0', struct.pack('>H', len(items)), *iloc),
            full_box(b'iinf', struct.pack('>H', len(items)), *infe),
            full_box(b'iref', *iref) if iref else b'',
            box(b'iprp', box(b'ipco', *listed), full_box(b'ipma', struct.pack('>I', len(items)), *ipma)),
        )

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b'mdat', *(item.content for item in items))
