"""What Pillow reads with 8 bits a channel: GIF, TGA and others, and what other modules leave to it."""

from __future__ import annotations

from pictures.formats import base, pixels, tga
from pictures.metadata import colour, metadata
from rdn import images

import numpy as np
from PIL import Image

RUN_BY_PROGRAMS = ('EPS', 'WMF')  # formats for which Pillow starts another program


def read(path: str, notes: list[str]) -> base.Content:
    """By Pillow, which knows them with 8 bits a channel."""
    with images.open_image(path) as image:
        if image.format in RUN_BY_PROGRAMS:
            raise ValueError(f'{image.format} is not read: save it as PNG')
        if image.mode[:1] in 'IF' or image.mode == 'LAB':
            raise ValueError(f'{image.format} of the kind {image.mode} is not read: save it as RGB with 8 or 16 bits')
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
    """(H, W, 2 or 4) with the alpha that a file of BMP or TGA means; (H, W, 1 or 3) where it means none."""
    meaning = tga.alpha_of(path) if kind == 'TGA' else tga.STRAIGHT
    alpha = array[:, :, -1]
    is_uniform = alpha.min() == alpha.max()
    if meaning == tga.NONE or not alpha.any():  # programs leave 0 in a channel that they do not use
        if meaning != tga.NONE:
            notes.append('opaque: its transparency is 0 everywhere')
        elif not is_uniform:
            notes.append('without its last channel: the file does not say that it is transparency')
        return np.ascontiguousarray(array[:, :, :-1])
    return pixels.divide_by_alpha(array) if meaning == tga.PREMULTIPLIED else array


def _check_depth(path: str, image: Image.Image) -> None:
    """Raises ValueError for files whose pixels have other bits than Pillow takes them for."""
    with open(path, 'rb') as file:
        head = file.read(30)
    if image.format == 'SGI' and head[3] == 2:
        raise ValueError('SGI of 16 bits is not read: save it as PNG')
    if image.format == 'BMP' and image.mode == '1' and head[14] >= 40 and head[28] != 1:
        raise ValueError(f'BMP of two colours in {head[28]} bits a pixel is not read: save it as PNG')


def _with_uncovered(image: Image.Image) -> Image.Image:
    """The first frame of a GIF; where it does not cover the whole picture, the rest is transparent."""
    box = getattr(image, 'dispose_extent', None)
    if not box or tuple(box) == (0, 0, *image.size):
        return image
    frame = image.convert('RGBA')
    covered = Image.new('RGBA', image.size)
    covered.paste(frame.crop(box), box[:2])
    return covered


def note_frames(path: str, notes: list[str]) -> None:
    """Say that there are more. The file is opened anew: counting frames turns to them."""
    try:
        with images.open_image(path) as image:
            count, kind = getattr(image, 'n_frames', 1), image.format
    except Exception:  # later ones are broken, which does not touch the first
        notes.append('the first frame: later ones are broken')
        return
    if count > 1:
        what = 'pictures in the file' if kind == 'MPO' else 'frames'
        notes.append(f'the first of {count} {what}{base.ALL_FRAMES if kind in ("GIF", "WEBP") else ""}')


def read_info(image: Image.Image, notes: list[str]) -> metadata.Metadata:
    """The Metadata of a file that Pillow opened."""
    xmp = image.info.get('xmp')
    for name, content in getattr(image, 'applist', []):  # of JPEG
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
    """The image in mode L, LA, RGB or RGBA."""
    grey = image.mode in ('1', 'L', 'LA', 'La')
    alpha = image.mode in ('LA', 'La', 'PA', 'RGBA', 'RGBa') or 'transparency' in image.info
    if image.mode == 'La':
        image = image.convert('LA')
    if alpha and grey and image.mode != 'LA':
        image = image.convert('RGBA').convert('LA')  # Pillow has no way from L with a transparent value to LA
    mode = ('LA' if alpha else 'L') if grey else ('RGBA' if alpha else 'RGB')
    return image if image.mode == mode else image.convert(mode)


TGA = base.Format('TGA', ('.tga', '.icb', '.vda', '.vst'), None, read)
