"""GeoTIFF: adapt the tags that map a TIFF's pixels to places on Earth (OGC 19-008r4) to the enlarged picture."""

from __future__ import annotations

import struct

from pictures.metadata import change, exif

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
KEYS, DOUBLES, TEXTS = 34735, 34736, 34737
GDAL_METADATA, GDAL_NO_DATA, RATIONAL_POLYNOMIALS = 42112, 42113, 50844
TAGS = frozenset((PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, KEYS, DOUBLES, TEXTS))
OTHERS = frozenset((GDAL_METADATA, GDAL_NO_DATA, RATIONAL_POLYNOMIALS))  # wrong for the new pixels
RASTER_TYPE, PIXEL_IS_POINT = 1025, 2
DOUBLE = 12


def follow(tags: exif.Tags, how: change.Change, notes: list[str]) -> exif.Tags | None:
    """Return the GeoTIFF tags of the enlarged picture.

    Args:
        tags: of the file.
        how: the change from the file to the result.
        notes: a note is added for tags that are dropped.

    Returns:
        The tags; None if the file has none, if they are damaged, or if the picture is turned.
    """
    if tags.values.keys() & OTHERS:
        notes.append("without GDAL's tags, which describe the old pixels")
    tags = tags.only(TAGS)
    if not tags.values:
        return None
    try:
        if how.orientation != 1:
            raise ValueError
        return tags._replace(values=_followed(tags, how.factors))
    except (ValueError, struct.error):
        notes.append('without its place on Earth (GeoTIFF), which cannot be kept')
        return None


def _followed(tags: exif.Tags, factors: change.Pair) -> dict[int, exif.Value]:
    """Return the values for the enlarged picture; raise ValueError if they are damaged."""
    values = dict(tags.values)
    # Coordinates refer to pixels' corners or centres. A centre is half a pixel from its corner at both sizes.
    half = 0.5 if _is_of_points(tags) else 0.0
    if PIXEL_SCALE in values:
        x, y, *rest = _doubles(tags, PIXEL_SCALE, 3)
        values[PIXEL_SCALE] = _value(tags.order, [x / factors[0], y / factors[1], *rest])
    if TIE_POINTS in values:
        points = _doubles(tags, TIE_POINTS, 6)
        for start in range(0, len(points), 6):
            for axis, factor in enumerate(factors):
                points[start + axis] = (points[start + axis] + half) * factor - half
        values[TIE_POINTS] = _value(tags.order, points)
    if TRANSFORMATION in values:
        matrix = _doubles(tags, TRANSFORMATION, 16)
        for row in range(0, 16, 4):
            for axis, factor in enumerate(factors):
                matrix[row + 3] += matrix[row + axis] * (half / factor - half)
                matrix[row + axis] /= factor
        values[TRANSFORMATION] = _value(tags.order, matrix)
    return values


def _is_of_points(tags: exif.Tags) -> bool:
    """Return whether coordinates refer to the pixels' centres (GTRasterTypeGeoKey)."""
    keys = tags.values.get(KEYS)
    if keys is None or keys.type != exif.SHORT:
        return False
    numbers = struct.unpack(f'{tags.order}{keys.number}H', keys.data)
    return any(numbers[i] == RASTER_TYPE and numbers[i + 3] == PIXEL_IS_POINT for i in range(4, len(numbers) - 3, 4))


def _doubles(tags: exif.Tags, tag: int, group: int) -> list[float]:
    """Return the numbers of a tag; raise ValueError if they are not complete groups of this size."""
    value = tags.values[tag]
    if value.type != DOUBLE or value.number % group:
        raise ValueError
    return list(struct.unpack(f'{tags.order}{value.number}d', value.data))


def _value(order: str, numbers: list[float]) -> exif.Value:
    return exif.Value(DOUBLE, len(numbers), struct.pack(f'{order}{len(numbers)}d', *numbers))
