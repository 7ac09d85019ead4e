"""Reading with Pillow, 8 bits per channel: GIF, TGA and others, and the files that other modules pass here."""

from __future__ import annotations

from pictures.formats import base, pixels, tga
from pictures.metadata import colour, metadata
from rdn import images

import numpy as np
from PIL import Image

RUN_BY_PROGRAMS = ('EPS', 'WMF')  # refused, because Pillow starts another program for them


def read(path: str, notes: list[str]) -> base.Content:
    """Read the first picture of a file with Pillow.

    Args:
        path: of the file.
        notes: receives notes on the parts of the file that are left out or converted.

    Returns:
        The pixels (H, W, C), uint8; the metadata; EXIF's orientation, which is not applied yet.

    Raises:
        ValueError: Pillow would read the file wrongly, or would start another program.
    """
    with images.open_image(path) as image:
        if image.format in RUN_BY_PROGRAMS:
            raise ValueError(f'{image.format} is not supported: save it as PNG')
        if image.mode[:1] in 'IF' or image.mode == 'LAB':
            raise ValueError(f'{image.format} in mode {image.mode} is not supported: save it as RGB with 8 or 16 bits')
        images.check_pixels(*image.size)
        _check_depth(path, image)
        said = read_info(image, notes)
        image.load()
        note_frames(path, notes)
        if image.format == 'GIF':
            image = _with_uncovered(image)
        if image.mode == 'CMYK':
            notes.append('CMYK became RGB')
            plain, said = colour.cmyk_image_to_rgb(image, said.icc_profile), said._replace(icc_profile=None)
        else:
            plain = to_plain_mode(image)
        array = pixels.as_planes_last(np.asarray(plain))
        if image.format in ('BMP', 'DIB', 'TGA') and array.shape[2] in pixels.ALPHA:
            array = _with_true_alpha(path, image.format, array, notes)
        return array, said, metadata.orientation_of(said)


def _with_true_alpha(path: str, kind: str, array: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the pixels of a BMP or TGA; if the last channel is not alpha in this file, return them without it."""
    meaning = tga.alpha_of(path) if kind == 'TGA' else tga.STRAIGHT
    alpha = array[:, :, -1]
    is_uniform = alpha.min() == alpha.max()
    if meaning == tga.NONE or not alpha.any():  # programs fill a channel that they do not use with 0
        if meaning != tga.NONE:
            notes.append('treated as opaque: its alpha is 0 everywhere')
        elif not is_uniform:
            notes.append('without its last channel: the file does not say that it is transparency')
        return np.ascontiguousarray(array[:, :, :-1])
    return pixels.divide_by_alpha(array) if meaning == tga.PREMULTIPLIED else array


def _check_depth(path: str, image: Image.Image) -> None:
    """Raise ValueError for a file if Pillow would assume a wrong number of bits per pixel."""
    with open(path, 'rb') as file:
        head = file.read(30)
    if image.format == 'SGI' and head[3] == 2:
        raise ValueError('SGI with 16 bits is not supported: save it as PNG')
    if image.format == 'BMP' and image.mode == '1' and head[14] >= 40 and head[28] != 1:
        raise ValueError(f'BMP with two colours and {head[28]} bits per pixel is not supported: save it as PNG')


def _with_uncovered(image: Image.Image) -> Image.Image:
    """Return the first frame of a GIF; the part of the picture that it does not cover is transparent."""
    box = getattr(image, 'dispose_extent', None)
    if not box or tuple(box) == (0, 0, *image.size):
        return image
    frame = image.convert('RGBA')
    covered = Image.new('RGBA', image.size)
    covered.paste(frame.crop(box), box[:2])
    return covered


def note_frames(path: str, notes: list[str]) -> None:
    """Add a note if a file contains more than its first picture.

    The file is opened again, because Pillow moves to later frames when it counts them.

    Args:
        path: of the file.
        notes: receives the note.
    """
    try:
        with images.open_image(path) as image:
            count, kind = getattr(image, 'n_frames', 1), image.format
    except Exception:  # the first frame is read even if later ones are damaged
        notes.append('only the first frame: later ones are damaged')
        return
    if count > 1:
        what = 'pictures in the file' if kind == 'MPO' else 'frames'
        notes.append(f'the first of {count} {what}{base.ALL_FRAMES if kind in ("GIF", "WEBP") else ""}')


def read_info(image: Image.Image, notes: list[str]) -> metadata.Metadata:
    """Return the metadata of an image that Pillow opened.

    Args:
        image: the opened image; its pixels need not be loaded.
        notes: receives notes on damaged metadata.
    """
    xmp = image.info.get('xmp')
    for name, content in getattr(image, 'applist', []):  # only JPEG has it
        if name == 'APP1' and content.startswith(metadata.XMP_HEADER):
            xmp = content[len(metadata.XMP_HEADER) :]
    comment = image.info.get('comment') if image.format == 'GIF' else None
    return metadata.Metadata(
        text=(metadata.comment(comment),) if comment else (),
        exif=metadata.read_exif(image.info.get('exif'), notes),
        xmp=xmp.encode('utf-8') if isinstance(xmp, str) else xmp,
        icc_profile=image.info.get('icc_profile') or None,
        dpi=metadata.read_dpi(image.info.get('dpi'), notes),
    )


def to_plain_mode(image: Image.Image) -> Image.Image:
    """Return the image in mode L, LA, RGB or RGBA."""
    grey = image.mode in ('1', 'L', 'LA', 'La')
    alpha = image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info
    if image.mode == 'La':
        image = image.convert('LA')
    if alpha and grey and image.mode != 'LA':
        image = image.convert('RGBA').convert('LA')  # Pillow cannot convert L with a transparent value to LA directly
    mode = ('LA' if alpha else 'L') if grey else ('RGBA' if alpha else 'RGB')
    return image if image.mode == mode else image.convert(mode)


TGA = base.Format('TGA', ('.tga', '.icb', '.vda', '.vst'), None, read)
