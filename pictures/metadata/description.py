"""Keep a TIFF's ImageDescription true where a program describes pixels in it: tifffile, ImageJ, OME-XML."""

from __future__ import annotations

import json
import re

from pictures.metadata import change, exif

TAG = 0x010E
OME_PIXELS = re.compile(r'<(?:\w+:)?Pixels\b[^>]*>')
OF_IMAGEJ = re.compile(r'(?:images|slices|frames|channels|hyperstack|mode|loop)=')  # lines about its stack of pictures


def follow(tags: exif.Tags, how: change.Change, notes: list[str]) -> exif.Tags:
    """Return tags whose description fits the changed picture.

    Args:
        tags: of the file's first directory.
        how: the change from the file to the result.
        notes: a note is added if the description is dropped.
    """
    value = tags.values.get(TAG)
    if value is None or value.type != 2:
        return tags
    try:
        text = value.data.rstrip(b'\0').decode('utf-8')
    except UnicodeDecodeError:
        return tags  # programs write ASCII or UTF-8, so this is a user's text
    followed = _followed(text, how, notes)
    if followed == text:
        return tags
    if not followed:
        return tags.without(TAG)
    data = followed.encode('utf-8') + b'\0'
    return tags._replace(values={**tags.values, TAG: exif.Value(2, len(data), data)})


def _followed(text: str, how: change.Change, notes: list[str]) -> str:
    """Return the description for the changed picture; empty if it has to go."""
    if text.startswith('{') and '"shape"' in text:
        return _without_shape(text)
    if text.startswith('ImageJ='):
        return '\n'.join(line for line in text.split('\n') if not OF_IMAGEJ.match(line))
    if '<OME' not in text[:2000] and ':OME' not in text[:2000]:
        return text
    pixels = OME_PIXELS.findall(text)
    if (
        len(pixels) != 1
        or not _is_one_plane(pixels[0])
        or how.orientation != 1
        or re.search(r'<(?:\w+:)?(?:ROI|StageLabel)\b', text)
    ):
        notes.append('without its OME-XML, which describes more than this picture')
        return ''
    return text.replace(pixels[0], _ome_pixels(pixels[0], how))


def _is_one_plane(element: str) -> bool:
    """Return whether OME-XML's Pixels element describes a single picture, neither a stack nor a film."""
    return all(size == '1' for size in re.findall(r'\bSize[ZT]="(\d+)"', element))


def _without_shape(text: str) -> str:
    """Return tifffile's description without the array's shape; empty if nothing else is in it."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    kept = {key: value for key, value in said.items() if key != 'shape'}
    return json.dumps(kept) if kept else ''


def _ome_pixels(element: str, how: change.Change) -> str:
    """Return OME-XML's Pixels element with the new sizes of the picture and of one pixel."""
    for axis, size, factor in zip('XY', how.after, how.factors):
        element = re.sub(rf'\bSize{axis}="\d+"', f'Size{axis}="{size}"', element)

        def divide(match: re.Match, factor: float = factor) -> str:
            try:
                return f'{match.group(1)}{float(match.group(2)) / factor:.12g}"'
            except ValueError:
                return match.group()

        element = re.sub(rf'(\bPhysicalSize{axis}=")([^"]*)"', divide, element)
    return element
