"""Regions of a picture in XMP, mostly faces: turned and enlarged with the picture.

It knows the forms of the Metadata Working Group (guidelines 2.0, 5.9), ACDSee, Microsoft (MP) and the IPTC
(ImageRegion).
"""

from __future__ import annotations

from typing import Sequence

from pictures.metadata import change, xmp

# Namespaces of the Metadata Working Group's form, and of ACDSee's, which resembles it.
MWG = ('http://www.metadataworkinggroup.com/schemas/regions/', 'http://ns.acdsee.com/regions/')
MICROSOFT = 'http://ns.microsoft.com/photo/1.2/t/Region#'
IPTC = 'http://iptc.org/std/Iptc4xmpExt/2008-02-29/'
PIXEL = 'pixel'  # the unit of absolute numbers; others are relative


def follow(packet: xmp.Packet, how: change.Change) -> None:
    """Turn and enlarge all regions of a packet with the picture."""
    for space in MWG:
        for regions in packet.find(space, 'Regions'):
            _follow_mwg(regions, space, how)
    for rectangle in packet.find(MICROSOFT, 'Rectangle'):
        numbers = [_number(part) for part in rectangle.text.split(',')]
        left, top, width, height = numbers if len(numbers) == 4 else [None] * 4
        if left is not None and top is not None and width is not None and height is not None:
            rectangle.put(', '.join(_written(x) for x in how.relative_box((left, top, width, height))))
    for boundary in packet.find(IPTC, 'RegionBoundary'):
        _follow_iptc(boundary, how)


def _follow_mwg(regions: xmp.Property, space: str, how: change.Change) -> None:
    dimensions = {}
    for applied in regions.find(space, 'AppliedToDimensions'):
        dimensions = applied.fields()
        width, height = (dimensions[name].number() if name in dimensions else None for name in 'wh')
        if width and height and _is_of_upright(width, height, how):
            how = how.without_turn()
        if width and height:
            _put((dimensions['w'], dimensions['h']), [round(x) for x in how.sides((width, height))])
    for name in ('Area', 'DLYArea', 'ALGArea'):
        for area in regions.find(space, name):
            _follow_area(area.fields(), how)


def _is_of_upright(width: float, height: float, how: change.Change) -> bool:
    """Return whether regions refer to the upright picture, although the file's pixels are turned.

    Args:
        width: of the picture that the regions refer to.
        height: of the same picture.
        how: the change from the file to the result.
    """
    return how.exchanges_sides and (width - height) * (how.upright[0] - how.upright[1]) > 0


def _follow_area(area: dict[str, xmp.Property], how: change.Change) -> None:
    """Change an area: its centre, and its sides or its diameter if it has them."""
    x, y, width, height = (area[name].number() if name in area else None for name in 'xywh')
    in_pixels = 'unit' in area and area['unit'].text == PIXEL
    if x is not None and y is not None:
        _put((area['x'], area['y']), how.point(x, y) if in_pixels else how.relative_point(x, y))
    if width is not None and height is not None:
        _put((area['w'], area['h']), how.sides((width, height)) if in_pixels else how.along((width, height)))
    diameter = area['d'].number() if 'd' in area else None
    if diameter is not None:
        area['d'].put(_written(_length(diameter, in_pixels, how)))


def _follow_iptc(boundary: xmp.Property, how: change.Change) -> None:
    """Change a rectangle (corner and sides), a circle (centre and radius) or a polygon (corners)."""
    fields = boundary.fields()
    in_pixels = 'rbUnit' in fields and fields['rbUnit'].text == PIXEL
    corners = [vertex.fields() for each in boundary.find(IPTC, 'rbVertices') for vertex in each.items()]
    for place in [fields, *corners]:
        names = ('rbX', 'rbY', 'rbW', 'rbH')
        x, y, width, height = (place[name].number() if name in place else None for name in names)
        if x is None or y is None:
            continue
        if width is None or height is None:
            _put((place['rbX'], place['rbY']), how.point(x, y) if in_pixels else how.relative_point(x, y))
        else:
            box = (x, y, width, height)
            changed = how.box_in(how.before, box) if in_pixels else how.relative_box(box)
            _put([place[name] for name in names], changed)
    radius = fields['rbRx'].number() if 'rbRx' in fields else None
    if radius is not None:
        fields['rbRx'].put(_written(_length(radius, in_pixels, how)))


def _length(length: float, in_pixels: bool, how: change.Change) -> float:
    """Return a radius or diameter after the turn and the enlargement; a relative one is a fraction of the width."""
    if in_pixels:
        return length * how.factors[0]
    return length * how.before[0] / how.upright[0]


def _put(places: Sequence[xmp.Property], values: Sequence[float]) -> None:
    for place, value in zip(places, values):
        place.put(_written(value))


def _written(value: float) -> str:
    return format(value, '.9g')


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
