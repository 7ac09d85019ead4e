"""The Python interface: enlarge a picture in memory.

from PIL import Image
from pictures import Upscaler
upscale = Upscaler()
upscale(Image.open('photo.jpg')).save('large.png')
"""

from __future__ import annotations

from typing import TypeVar

from pictures import processing, request, upscaler
from pictures.formats import pillow, pixels
from pictures.metadata import colour
from rdn import engines, tiles

import numpy as np
from PIL import Image, ImageOps

Picture = TypeVar('Picture', Image.Image, np.ndarray)


class Upscaler:
    """A model that enlarges pictures, as RDN_upscale.py does.

    Attributes:
        model: the engine that computes.
        scale: how many times it enlarges.
    """

    def __init__(
        self,
        model: str | None = None,
        precision: str = engines.AUTO,
        engine: str = engines.AUTO,
        device: str | None = None,
        self_ensemble: bool = False,
        **tiling: int,
    ):
        """Load a model.

        Args:
            model: weights (.pth), an ONNX file of RDN_pth2onnx.py, another model that enlarges RGB, or an offline model
                (.om), which holds memory of an Ascend device until `self.model.close()` or the end of this object;
                'full' or 'lite': the guide's network or the compact one, with the weights of this repository;
                None: 'lite'.
            precision: 'fp32', 'fp16', 'bf16' or 'int8'; 'auto': the fastest that loses at most 0.05 dB, and fp32 for
                pictures of more than 8 bits a channel.
            engine: 'onnxruntime', 'openvino', 'pytorch' or 'om'; 'auto': the fastest that is installed.
            device: for PyTorch, 'cuda:1' for example; None: the first that works.
            self_ensemble: whether to average the eight flips and turns, for eight times the work.
            tiling: `tile_size`, pixels, for a model of free height and width; `overlap` of tiles, pixels of the input.

        Raises:
            ValueError: the file is not such a model, or this machine does not offer the precision.
        """
        wanted = request.ChosenModel(model, engine, precision, engines.Place(device=device))
        self.model = engines.open_model(wanted.file, engine, precision, wanted.busy_place())
        self.scale = engines.scale_of(self.model, wanted.file)
        if set(tiling) - {'tile_size', 'overlap'}:
            raise TypeError(f'{", ".join(tiling)}: only tile_size and overlap are expected')
        self.tile_size = tiling.get('tile_size', processing.TILE_SIZE)
        self.overlap, self.self_ensemble = tiling.get('overlap', tiles.OVERLAP), self_ensemble
        upscaler.check_tiles(self.model, self.tile_size, self.overlap)

    def __call__(self, picture: Picture) -> Picture:
        """Enlarge a picture.

        Grey stays grey, alpha is enlarged too, 16 bits stay 16 bits.

        Args:
            picture: a PIL image, or an array (H, W) or (H, W, C), uint8 or uint16, with C 1 (grey), 2 (grey, alpha),
                3 (RGB) or 4 (RGB, alpha).

        Returns:
            The same kind as given, `scale` times as high and wide. A PIL image is upright, and has the mode L, LA,
            RGB, RGBA or I;16, and the ICC profile and resolution of the given one.

        Raises:
            ValueError: the picture is of another kind.
        """
        if isinstance(picture, np.ndarray):
            return self._enlarge_array(picture)
        return self._enlarge_image(picture)

    def _enlarge_array(self, array: np.ndarray) -> np.ndarray:
        if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or array.size == 0:
            raise ValueError(f'an array {array.shape} of {array.dtype}: expected (H, W) or (H, W, C), uint8 or uint16')
        planes = pixels.as_planes_last(array)
        height, width, channels = planes.shape
        if channels > 4:
            raise ValueError(f'an array {array.shape}: 1 to 4 channels are expected, last')
        result = np.empty((height * self.scale, width * self.scale, channels), array.dtype)
        layout = upscaler.layout_for(self.model, (height, width), self.tile_size, self.overlap, self.scale)
        for tile, part in upscaler.upscale_pixels(planes, self.model, layout, self_ensemble=self.self_ensemble):
            rows, columns = tiles.target_slices(tile, self.scale)
            result[rows, columns] = part
        return result if array.ndim == 3 else result[:, :, 0]

    def _enlarge_image(self, image: Image.Image) -> Image.Image:
        kept = {name: image.info[name] for name in ('icc_profile', 'dpi') if image.info.get(name)}
        upright = ImageOps.exif_transpose(image) or image
        if upright.mode.startswith('I;16'):
            return Image.fromarray(self._enlarge_array(np.asarray(upright).astype(np.uint16)))
        if upright.mode[:1] in 'IF' or upright.mode == 'LAB':
            raise ValueError(f'an image of the mode {upright.mode}: convert it to L, RGB or I;16')
        if upright.mode == 'CMYK':
            plain = colour.cmyk_image_to_rgb(upright, kept.pop('icc_profile', None))
        else:
            plain = pillow.to_plain_mode(upright)
        result = Image.fromarray(self._enlarge_array(np.asarray(plain)))
        result.info.update(kept)
        return result
