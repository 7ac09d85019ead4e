"""The EXIF tags that depend on the picture's pixels: sizes, places, resolutions, and entries of a maker's note."""

from __future__ import annotations

import struct

from pictures.metadata import change, exif

RESOLUTIONS = exif.RESOLUTION[:2]
RESOLUTION_UNIT = exif.RESOLUTION[2]
FOCAL_PLANE_RESOLUTIONS = (0xA20E, 0xA20F)
SUBJECT_AREA, SUBJECT_LOCATION = 0x9214, 0xA214
RELATED_WIDTH, RELATED_HEIGHT = 0x1001, 0x1002
MICRO_VIDEO = 0x8897  # Xiaomi's: a video follows the picture in the file
RATIONAL, INCH = 5, 2
MAX_SHORT, MAX_LONG = (1 << 16) - 1, (1 << 32) - 1
UNITS_AN_INCH = {2: 1.0, 3: 2.54}  # ResolutionUnit: inch, centimetre
# The first bytes of maker's notes that may move, because their offsets count from the note itself.
MOVABLE = (
    b'Nikon\0\x02',
    b'OLYMPUS\0',
    b'OM SYSTEM\0',
    b'FUJIFILM',
    b'GENERALE',
    b'Apple iOS\0',
    b'PENTAX \0',
    b'HDRP',
)
APPLE = b'Apple iOS\0\0\1'
# Entries of Apple's note about the video and the gain map that belong to the picture.
APPLE_CLAIMS = (0x0011, 0x0017, 0x0021, 0x0030)


def follow(tags: exif.Tags, how: change.Change) -> exif.Tags:
    """Return the EXIF tags of the changed picture.

    Orientation, sizes, places and resolutions are adapted. Tags about a video or a gain map, which the result does not
    contain, are removed.

    Args:
        tags: of the file.
        how: the change from the file to the result.
    """
    numbers = {exif.ORIENTATION: 1, exif.WIDTH: how.after[0], exif.HEIGHT: how.after[1]}
    numbers.update({exif.PIXEL_X: how.after[0], exif.PIXEL_Y: how.after[1]})
    numbers.update({RELATED_WIDTH: how.after[0], RELATED_HEIGHT: how.after[1]})
    values = {tag: value for tag, value in tags.values.items() if tag != MICRO_VIDEO}
    for tag in numbers:
        if tag in values:
            values[tag] = _whole(tags.order, [numbers[tag]], is_short=tag == exif.ORIENTATION)
    for tag in (SUBJECT_AREA, SUBJECT_LOCATION):
        if tag in values:
            places = _numbers(tags.order, values.pop(tag))
            if len(places) >= 2:
                values[tag] = _whole(tags.order, how.subject_area(places), is_short=True)
    _follow_pair(tags.order, values, RESOLUTIONS, how, (1.0, 1.0))
    _follow_pair(tags.order, values, FOCAL_PLANE_RESOLUTIONS, how, how.factors)
    if exif.MAKER_NOTE in values:
        values[exif.MAKER_NOTE] = _without_claims(values[exif.MAKER_NOTE])
    return exif.Tags(tags.order, values, {tag: follow(child, how) for tag, child in tags.children.items()})


def resolution_of(tags: exif.Tags | None) -> tuple[float, float] | None:
    """Return the (horizontal, vertical) resolution in dots per inch; None if it is missing or has an unknown unit."""
    if tags is None:
        return None
    x, y = (_ratio_of(tags, tag) for tag in RESOLUTIONS)
    inch = UNITS_AN_INCH.get(tags.number(RESOLUTION_UNIT) or INCH)
    return None if x is None or y is None or inch is None else (x * inch, y * inch)


def with_resolution(tags: exif.Tags | None, dots: tuple[float, float], unit: int = INCH) -> exif.Tags:
    """Return tags with this resolution.

    Args:
        tags: of a picture; None to make new ones.
        dots: the (horizontal, vertical) resolution in dots per unit.
        unit: TIFF's ResolutionUnit: 1 for none, 2 for inch, 3 for centimetre.
    """
    tags = tags or exif.Tags('<', {}, {})
    values = dict(tags.values)
    values.update({tag: _rational(tags.order, value) for tag, value in zip(RESOLUTIONS, dots)})
    values[RESOLUTION_UNIT] = _whole(tags.order, [unit], is_short=True)
    return tags._replace(values=values)


def without_lost_note(tags: exif.Tags, may_stay: bool, notes: list[str]) -> exif.Tags:
    """Remove a maker's note whose offsets would be wrong because it cannot keep its place in the block.

    Args:
        tags: of a picture.
        may_stay: whether the format allows the note to keep its old offset.
        notes: a note is added if the maker's note is removed.

    Returns:
        The tags, without a maker's note that has to go.
    """
    camera = tags.children.get(exif.EXIF_IFD)
    note = camera.values.get(exif.MAKER_NOTE) if camera else None
    if camera is None or note is None or note.data.startswith(MOVABLE):
        return tags
    if may_stay and exif.can_stay(note):
        return tags
    notes.append("without the camera's own data (maker's note), which is valid only in the original file")
    return tags._replace(children={**tags.children, exif.EXIF_IFD: camera.without(exif.MAKER_NOTE)})


def _follow_pair(
    order: str, values: dict[int, exif.Value], pair: tuple[int, int], how: change.Change, factors: change.Pair
) -> None:
    """Adapt a pair of resolutions in `values`: a quarter turn exchanges them, and the factors multiply them."""
    if not how.exchanges_sides and factors == (1.0, 1.0):
        return
    tags = exif.Tags(order, values, {})
    x, y = (_ratio_of(tags, tag) for tag in pair)
    if x is None or y is None:
        return
    for tag, value, factor in zip(pair, how.along((x, y)), factors):
        values[tag] = _rational(order, value * factor)


def _ratio_of(tags: exif.Tags, tag: int) -> float | None:
    value = tags.values.get(tag)
    if value is None or value.type != RATIONAL or value.number != 1:
        return None
    above, below = struct.unpack(tags.order + 'II', value.data)
    return above / below if above and below else None


def _rational(order: str, number: float) -> exif.Value:
    below = 1
    while below < 1_000_000 and number * below % 1 and number * below * 10 <= MAX_LONG:
        below *= 10
    return exif.Value(RATIONAL, 1, struct.pack(order + 'II', min(MAX_LONG, round(number * below)), below))


def _whole(order: str, numbers: list[int], is_short: bool) -> exif.Value:
    """Return whole numbers as a tag's value: 16 bits each if is_short and all of them fit, else 32 bits each."""
    is_short = is_short and max(numbers) <= MAX_SHORT
    letter, kind = ('H', exif.SHORT) if is_short else ('I', exif.LONG)
    return exif.Value(kind, len(numbers), struct.pack(f'{order}{len(numbers)}{letter}', *numbers))


def _numbers(order: str, value: exif.Value) -> list[float]:
    letter = {exif.SHORT: 'H', exif.LONG: 'I'}.get(value.type)
    return list(struct.unpack(f'{order}{value.number}{letter}', value.data)) if letter else []


def _without_claims(note: exif.Value) -> exif.Value:
    """Remove the entries of APPLE_CLAIMS from Apple's note. The data of the other entries keep their offsets."""
    start = len(APPLE) + 2
    if not note.data.startswith(APPLE) or len(note.data) < start + 2:
        return note
    order = '>' if note.data[start - 2 : start] == b'MM' else '<'
    count = struct.unpack_from(order + 'H', note.data, start)[0]
    end = start + 2 + 12 * count
    if count > exif.MAX_ENTRIES or end + 4 > len(note.data):
        return note
    entries = [note.data[i : i + 12] for i in range(start + 2, end, 12)]
    kept = [entry for entry in entries if struct.unpack_from(order + 'H', entry)[0] not in APPLE_CLAIMS]
    table = struct.pack(order + 'H', len(kept)) + b''.join(kept) + note.data[end : end + 4]
    return note._replace(data=note.data[:start] + table.ljust(2 + 12 * count + 4, b'\0') + note.data[end + 4 :])
