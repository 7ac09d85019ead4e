"""The boxes in JPEG 2000, JPEG XL, AVIF and HEIC files (ISO 15444-1 annex I, ISO 14496-12)."""

from __future__ import annotations

from typing import Iterator


def boxes_of(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, start of its content, end of its content) of each box; stop at a box that is truncated.

    Args:
        data: the bytes that contain the boxes.
        start: the offset of the first box in `data`.
        end: the offset where the boxes end; None: the end of `data`.
    """
    position, end = start, len(data) if end is None else end
    while position + 8 <= end:
        length = int.from_bytes(data[position : position + 4], 'big')
        name, begin = data[position + 4 : position + 8], position + 8
        if length == 1:
            length, begin = int.from_bytes(data[position + 8 : position + 16], 'big'), position + 16
        stop = end if length == 0 else position + length
        if stop < begin or stop > end:
            return
        yield name, begin, stop
        position = stop


def contents_of(data: bytes, *path: bytes) -> list[bytes]:
    """Return the contents of all boxes at the end of a path of names.

    Args:
        data: the bytes that contain the outermost boxes.
        path: the names from outside to inside, for example b'jp2h', b'colr'. Of several outer boxes with the same name,
            only the first is searched.
    """
    start, end = 0, len(data)
    for wanted in path[:-1]:
        for name, begin, stop in boxes_of(data, start, end):
            if name == wanted:
                start, end = begin + (4 if name == b'meta' else 0), stop
                break
        else:
            return []
    return [data[begin:stop] for name, begin, stop in boxes_of(data, start, end) if name == path[-1]]


def content_of(data: bytes, *path: bytes) -> bytes | None:
    """Return the content of the first box at the end of a path of names; None if there is no such box.

    Args:
        data: the bytes that contain the outermost boxes.
        path: the names from outside to inside, for example b'jp2h', b'colr'.
    """
    return next(iter(contents_of(data, *path)), None)


def box(name: bytes, content: bytes) -> bytes:
    """Return a box with a name of four bytes and a content of less than 4 GiB."""
    return (8 + len(content)).to_bytes(4, 'big') + name + content
