"""BMP: read and written by Pillow."""

from __future__ import annotations

from typing import BinaryIO

from pictures.formats import base, pillow
from pictures.metadata import metadata

from PIL import Image


def save(file: BinaryIO, image: Image.Image, said: metadata.Metadata, _: base.Settings, notes: list[str]) -> None:
    """Write a PIL image in L or RGB."""
    image.save(file, 'BMP', **({'dpi': said.dpi} if said.dpi else {}))


FORMAT = base.Format('BMP', ('.bmp', '.dib'), None, pillow.read, written=('.bmp', '.dib'), save=save, has_alpha=False)
