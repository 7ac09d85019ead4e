"""Add metadata that AVIF encoders omit: H.273 numbers, a profile, EXIF, XMP (ISO 14496-12, ISO 23008-12)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pictures.formats import boxes
from pictures.metadata import cicp, exif, metadata

OFFSETS = b'\x44\x00'  # iloc's field sizes: four bytes for each offset and length, and no base offsets
XMP_TYPE = b'application/rdf+xml\0'


class _Added(NamedTuple):
    """An item that describes the picture.

    Attributes:
        number: the item's number.
        entry: the item's box in iinf.
        content: the metadata.
    """

    number: int
    entry: bytes
    content: bytes


def complete(data: bytes, said: metadata.Metadata) -> bytes:
    """Return an AVIF file with metadata.

    Args:
        data: the content of a file that libavif wrote: a still picture without metadata.
        said: the metadata. H.273 numbers, a profile, EXIF and XMP are added; fields that are None change nothing.

    Returns:
        The content of the new file.

    Raises:
        ValueError: the file has an unexpected layout.
    """
    found = next(((start, end) for name, start, end in boxes.boxes_of(data) if name == b'meta'), None)
    if found is None:
        raise ValueError('the encoder wrote an AVIF without a list of items')
    start, end = found
    parts = {name: data[begin:stop] for name, begin, stop in boxes.boxes_of(data, start + 4, end)}
    added = _descriptions(parts[b'iinf'], said)
    primary = int.from_bytes(parts[b'pitm'][4:6], 'big')
    parts[b'iprp'] = _with_colour(parts[b'iprp'], primary, said)
    if added:
        parts[b'iinf'] = _with_entries(parts[b'iinf'], added)
        parts[b'iref'] = _with_references(parts.get(b'iref', bytes(4)), primary, added)
    old_places = parts.pop(b'iloc')
    # All offsets have four bytes, so the length of meta is the same with preliminary offsets.
    growth = len(_meta(data[start : start + 4], parts, _with_places(old_places, end, 0, len(data), added))) - (
        end - start + 8
    )
    meta = _meta(data[start : start + 4], parts, _with_places(old_places, end, growth, len(data), added))
    rest = boxes.box(b'mdat', b''.join(each.content for each in added)) if added else b''
    return data[: start - 8] + meta + data[end:] + rest


def _meta(version: bytes, parts: dict[bytes, bytes], places: bytes) -> bytes:
    """Return the box meta. Its first box is hdlr, which the standard requires."""
    return boxes.box(b'meta', version + b''.join(boxes.box(*each) for each in [*parts.items(), (b'iloc', places)]))


def _descriptions(entries: bytes, said: metadata.Metadata) -> list[_Added]:
    """Return the items for EXIF and XMP; their numbers follow those in the content of iinf."""
    number = 1 + int.from_bytes(entries[4:6], 'big')
    added = []
    if said.exif:
        content = bytes(4) + exif.serialise(said.exif)
        added.append(_Added(number, _entry(number, b'Exif', b'Exif\0'), content))
    if said.xmp:
        number += len(added)
        added.append(_Added(number, _entry(number, b'mime', b'XMP\0' + XMP_TYPE), said.xmp))
    return added


def _entry(number: int, kind: bytes, names: bytes) -> bytes:
    return boxes.box(b'infe', struct.pack('>IHH', 2 << 24, number, 0) + kind + names)


def _with_entries(content: bytes, added: list[_Added]) -> bytes:
    count = int.from_bytes(content[4:6], 'big') + len(added)
    return content[:4] + struct.pack('>H', count) + content[6:] + b''.join(each.entry for each in added)


def _with_references(content: bytes, primary: int, added: list[_Added]) -> bytes:
    described = (boxes.box(b'cdsc', struct.pack('>HHH', each.number, 1, primary)) for each in added)
    return content + b''.join(described)


def _with_places(content: bytes, end: int, growth: int, size: int, added: list[_Added]) -> bytes:
    """Return the content of iloc with new offsets, and with entries for the added items.

    The box `meta` ended at offset `end` and grows by `growth` bytes. The added items are in a new box at the end of the
    file, which had `size` bytes before.
    """
    if content[:1] != b'\0' or content[4:6] != OFFSETS:
        raise ValueError('the encoder wrote an AVIF with an unexpected layout')
    count, position, entries = int.from_bytes(content[6:8], 'big'), 8, []
    for _ in range(count):
        item, source, extents = struct.unpack_from('>HHH', content, position)
        entries.append(struct.pack('>HHH', item, source, extents))
        position += 6
        for _ in range(extents):
            offset, length = struct.unpack_from('>II', content, position)
            entries.append(struct.pack('>II', offset + (growth if offset >= end else 0), length))
            position += 8
    place = size + growth + 8
    for each in added:
        entries.append(struct.pack('>HHHII', each.number, 0, 1, place, len(each.content)))
        place += len(each.content)
    return content[:6] + struct.pack('>H', count + len(added)) + b''.join(entries)


def _with_colour(content: bytes, primary: int, said: metadata.Metadata) -> bytes:
    """Return the content of iprp with the colour space, as H.273 numbers or as a profile."""
    parts = {name: content[start:end] for name, start, end in boxes.boxes_of(content)}
    properties = [(name, parts[b'ipco'][start:end]) for name, start, end in boxes.boxes_of(parts[b'ipco'])]
    numbers = cicp.numbers_of(said.png_colour)
    if numbers:
        properties = [(name, _with_numbers(name, each, numbers)) for name, each in properties]
    if said.icc_profile:
        properties.append((b'colr', b'prof' + said.icc_profile))
        parts[b'ipma'] = _with_index(parts[b'ipma'], primary, len(properties))
    parts[b'ipco'] = b''.join(boxes.box(*each) for each in properties)
    return b''.join(boxes.box(*each) for each in parts.items())


def _with_numbers(name: bytes, content: bytes, numbers: tuple[int, int]) -> bytes:
    """Return a property with new H.273 numbers if it is `nclx`; the YCbCr matrix in it does not change."""
    if name != b'colr' or content[:4] != b'nclx':
        return content
    return content[:4] + struct.pack('>HH', *numbers) + content[8:]


def _with_index(content: bytes, wanted: int, index: int) -> bytes:
    """Return the content of ipma, in which the item `wanted` has one more property."""
    if content[:4] != bytes(4) or index > 127:
        raise ValueError('the encoder wrote an AVIF with an unexpected layout')
    entries, position = [content[:8]], 8
    for _ in range(int.from_bytes(content[4:8], 'big')):
        item, count = struct.unpack_from('>HB', content, position)
        indices = content[position + 3 : position + 3 + count] + (bytes([index]) if item == wanted else b'')
        entries.append(struct.pack('>HB', item, len(indices)) + indices)
        position += 3 + count
    return b''.join(entries)
