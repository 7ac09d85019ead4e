"""A TIFF's ImageDescription where a program wrote of the pixels in it: tifffile, ImageJ, OME-XML."""

from __future__ import annotations

import json
import re

from pictures.metadata import change, exif

TAG = 0x010E
OME_PIXELS = re.compile(r'<(?:\w+:)?Pixels\b[^>]*>')
OF_IMAGEJ = re.compile(r'(?:images|slices|frames|channels|hyperstack|mode|loop)=')  # lines on its stack of pictures


def follow(tags: exif.Tags, how: change.Change, notes: list[str]) -> exif.Tags:
    """Tags whose description is true of the changed picture.

    Args:
        tags: of the file's first directory.
        how: the picture's change.
        notes: is extended where a description is dropped.
    """
    value = tags.values.get(TAG)
    if value is None or value.type != 2:
        return tags
    try:
        text = value.data.rstrip(b'\0').decode('utf-8')
    except UnicodeDecodeError:
        return tags  # of no program: they write ASCII or UTF-8
    followed = _followed(text, how, notes)
    if followed == text:
        return tags
    if not followed:
        return tags.without(TAG)
    data = followed.encode('utf-8') + b'\0'
    return tags._replace(values={**tags.values, TAG: exif.Value(2, len(data), data)})


def _followed(text: str, how: change.Change, notes: list[str]) -> str:
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
    """Whether OME-XML's element is of one picture, neither a stack nor a film."""
    return all(size == '1' for size in re.findall(r'\bSize[ZT]="(\d+)"', element))


def _without_shape(text: str) -> str:
    """tifffile's description without the array's shape; empty where it says nothing else."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return text
    kept = {key: value for key, value in said.items() if key != 'shape'}
    return json.dumps(kept) if kept else ''


def _ome_pixels(element: str, how: change.Change) -> str:
    """OME-XML's element with the sizes of the picture and of its pixels."""
    for axis, size, factor in zip('XY', how.after, how.factors):
        element = re.sub(rf'\bSize{axis}="\d+"', f'Size{axis}="{size}"', element)

        def divide(match: re.Match, factor: float = factor) -> str:
            try:
                return f'{match.group(1)}{float(match.group(2)) / factor:.12g}"'
            except ValueError:
                return match.group()

        element = re.sub(rf'(\bPhysicalSize{axis}=")([^"]*)"', divide, element)
    return element
