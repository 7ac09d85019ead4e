"""The XMP properties that depend on the picture's pixels, or on further data in its file."""

from __future__ import annotations

from pictures.metadata import change, regions, xmp

TIFF, EXIF = 'http://ns.adobe.com/tiff/1.0/', 'http://ns.adobe.com/exif/1.0/'
PANORAMA = 'http://ns.google.com/photos/1.0/panorama/'
WIDTHS, HEIGHTS = ('ImageWidth', 'PixelXDimension'), ('ImageLength', 'ImageHeight', 'PixelYDimension')
# Boxes of a panorama (left, top, width, height), each with the frame that contains it (width, height).
PANORAMA_BOXES = (
    (
        ('LargestValidInteriorRectLeft', 'LargestValidInteriorRectTop')
        + ('LargestValidInteriorRectWidth', 'LargestValidInteriorRectHeight'),
        ('CroppedAreaImageWidthPixels', 'CroppedAreaImageHeightPixels'),
    ),
    (
        ('CroppedAreaLeftPixels', 'CroppedAreaTopPixels')
        + ('CroppedAreaImageWidthPixels', 'CroppedAreaImageHeightPixels'),
        ('FullPanoWidthPixels', 'FullPanoHeightPixels'),
    ),
)
# Properties about data that the result does not contain: namespace, how the names begin, the data's name for the note.
VIDEO, GAIN_MAP, DEPTH_MAP = 'motion video', 'gain map for HDR screens', 'depth map'
CLAIMS = (
    ('http://ns.google.com/photos/1.0/camera/', 'MotionPhoto', VIDEO),
    ('http://ns.google.com/photos/1.0/camera/', 'MicroVideo', VIDEO),
    ('http://ns.google.com/photos/1.0/container/', 'Directory', ''),
    ('http://ns.adobe.com/hdr-gain-map/1.0/', '', GAIN_MAP),
    ('http://ns.apple.com/HDRGainMap/1.0/', '', GAIN_MAP),
    ('http://ns.apple.com/pixeldatainfo/1.0/', '', DEPTH_MAP),
    ('http://ns.google.com/photos/1.0/depthmap/', '', DEPTH_MAP),
    ('http://ns.google.com/photos/1.0/image/', '', 'second image'),
    ('http://ns.google.com/photos/1.0/audio/', '', 'sound'),
    ('http://ns.google.com/photos/dd/1.0/', '', DEPTH_MAP),
    ('http://ns.oplus.com/photos/1.0/camera/', '', VIDEO),
    ('http://ns.adobe.com/xap/1.0/', 'Thumbnails', ''),
)


def follow(data: bytes, how: change.Change, notes: list[str]) -> bytes | None:
    """Return the XMP packet of the changed picture.

    Properties about a video, a gain map or the like are removed, because the result contains only the picture.

    Args:
        data: the file's packet.
        how: the change from the file to the result.
        notes: a note is added for a damaged packet and for removed properties.

    Returns:
        The packet; None if it is damaged.
    """
    try:
        packet = xmp.Packet(data)
    except ValueError as error:
        notes.append(f'without its XMP: {error}')
        return None
    _put_sizes(packet, how)
    _follow_places(packet, how)
    _follow_panorama(packet, how)
    regions.follow(packet, how)
    _remove_claims(packet, notes)
    return packet.serialise()


def put_resolution(data: bytes, dpi: tuple[float, float]) -> bytes:
    """Return a packet in which this resolution replaces the old one, if there is one.

    Args:
        data: the packet.
        dpi: (horizontal, vertical) in dots per inch.

    Raises:
        ValueError: the packet is damaged.
    """
    packet = xmp.Packet(data)
    texts = {'XResolution': _ratio(dpi[0]), 'YResolution': _ratio(dpi[1]), 'ResolutionUnit': '2'}
    for name, text in texts.items():
        for found in packet.find(TIFF, name):
            found.put(text)
    return packet.serialise()


def _put_sizes(packet: xmp.Packet, how: change.Change) -> None:
    numbers = {'Orientation': 1, **dict.fromkeys(WIDTHS, how.after[0]), **dict.fromkeys(HEIGHTS, how.after[1])}
    for space, name, found in packet.properties():
        if space in (TIFF, EXIF) and name in numbers and found.is_simple and found.text != str(numbers[name]):
            found.put(str(numbers[name]))


def _follow_places(packet: xmp.Packet, how: change.Change) -> None:
    """Change the subject's place and the two pairs of resolutions, the picture's and the focal plane's."""
    for name in ('SubjectArea', 'SubjectLocation'):
        for found in packet.find(EXIF, name):
            items = found.items()
            numbers = [item.number() for item in items]
            if len(numbers) < 2 or None in numbers:
                found.remove()
                continue
            for item, number in zip(items, how.subject_area([x for x in numbers if x is not None])):
                item.put(str(number))
    for space, start, factors in ((TIFF, '', (1.0, 1.0)), (EXIF, 'FocalPlane', how.factors)):
        pair = [packet.find(space, f'{start}{axis}Resolution') for axis in 'XY']
        x, y = (places[0].number() if places else None for places in pair)
        if x is not None and y is not None and (how.exchanges_sides or factors != (1.0, 1.0)):
            for places, value, factor in zip(pair, how.along((x, y)), factors):
                places[0].put(_ratio(value * factor))


def _follow_panorama(packet: xmp.Packet, how: change.Change) -> None:
    found = {name: place for space, name, place in packet.properties() if space == PANORAMA}
    numbers = {name: place.number() for name, place in found.items()}
    changed: dict[str, float] = {}
    for box_names, frame_names in PANORAMA_BOXES:
        box, frame = [numbers.get(name) for name in box_names], [numbers.get(name) for name in frame_names]
        width, height = frame
        if not width or not height:
            continue
        changed.update(zip(frame_names, how.sides((width, height))))
        left, top, box_width, box_height = box
        if left is not None and top is not None and box_width is not None and box_height is not None:
            changed.update(zip(box_names, how.box_in((width, height), (left, top, box_width, box_height))))
    for name, value in changed.items():
        found[name].put(str(round(value)))


def _remove_claims(packet: xmp.Packet, notes: list[str]) -> None:
    gone = set()
    for space, name, found in packet.properties():
        for claimed, start, what in CLAIMS:
            if space.startswith(claimed) and name.startswith(start):
                found.remove()
                gone.add(what)
    if gone - {''}:
        notes.append(f'without its {" and ".join(sorted(gone - {""}))}')


def _ratio(value: float) -> str:
    return f'{round(value * 10000)}/10000' if value % 1 else f'{round(value)}/1'
