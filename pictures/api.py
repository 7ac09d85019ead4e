"""The Python interface: enlarge a picture in memory.

from PIL import Image
from pictures import Upscaler
upscale = Upscaler()
upscale(Image.open('photo.jpg')).save('large.png')
upscale(Image.open('photo.jpg'), width=3840).save('wide.png')

Numpy arrays work too.
"""

from __future__ import annotations

import tempfile
from typing import Any, TypeVar

from pictures import channel_roles, passes, processing, request, spill, target_size, upscaler
from pictures.formats import pillow, pixels
from pictures.metadata import colour, exif, print_size
from rdn import engines, tiles

import numpy as np
from PIL import Image, ImageOps

Picture = TypeVar('Picture', Image.Image, np.ndarray)


class Upscaler:
    """A model that enlarges pictures, as RDN_upscale.py does.

    Attributes:
        model: the engine that runs the model.
        scale: how many times the model enlarges each side.
    """

    def __init__(
        self,
        model: str | None = None,
        precision: str = engines.AUTO,
        engine: str = engines.AUTO,
        device: str | None = None,
        self_ensemble: bool = False,
        **tiling: Any,
    ):
        """Load a model.

        Args:
            model: the path of weights (.pth), of an ONNX file (from RDN_pth2onnx.py, or another model that enlarges
                RGB), or of an offline model (.om). An offline model holds memory of an Ascend device until
                `self.model.close()` is called or this object is deleted. 'lite' is the compact network and 'full' the
                guide's, both with the weights of this repository; None means 'lite'.
            precision: 'fp32', 'fp16', 'bf16', 'int8' or 'auto'. 'auto' is the fastest that loses at most 0.05 dB, and
                fp32 for pictures of more than 8 bits a channel; if `engine` is named, the model's own precision.
            engine: 'onnxruntime', 'openvino', 'pytorch', 'om' or 'auto'. 'auto' is the fastest that is installed.
            device: the device for PyTorch, for example 'cuda:1'; None: the first that works.
            self_ensemble: whether to average over the eight flips and turns, which takes eight times as long.
            tiling: `tile_size`: side of a tile in pixels, for a model that takes any height and width; `overlap`: of
                tiles, in pixels of the input; `wrap`: whether opposite edges meet, as in a texture that repeats;
                `alpha`: 'opacity', or 'data' for an alpha channel that does not hide colours.

        Raises:
            ValueError: the file is not such a model, this machine does not support the precision, `alpha` is unknown, or
                the model does not accept tiles of this size and overlap.
            TypeError: `tiling` has an unknown name.
        """
        unknown = set(tiling) - {'tile_size', 'overlap', 'wrap', 'alpha'}
        if unknown:
            raise TypeError(f'{", ".join(sorted(unknown))}: expected only tile_size, overlap, wrap and alpha')
        self.wrap, self.alpha = tiling.get('wrap', False), tiling.get('alpha', channel_roles.OPACITY)
        if self.alpha not in channel_roles.ALPHAS:
            raise ValueError(f'alpha {self.alpha}: expected one of {", ".join(channel_roles.ALPHAS)}')
        wanted = request.ChosenModel(model, engine, precision, engines.Place(device=device))
        self.model = engines.open_model(wanted.file, engine, precision, wanted.busy_place())
        self.scale = engines.scale_of(self.model, wanted.file)
        self.tile_size = tiling.get('tile_size', processing.TILE_SIZE)
        self.overlap, self.self_ensemble = tiling.get('overlap', tiles.OVERLAP), self_ensemble
        upscaler.check_tiles(self.model, self.tile_size, self.overlap)

    def __call__(
        self, picture: Picture, dpi: float | None = None, keep_print_size: bool = False, **size: float
    ) -> Picture:
        """Enlarge a picture.

        Without a size, the model runs once. With a size, it runs as often as needed, and LANCZOS reduces the result to
        the exact size. A picture larger than that size is only reduced. Grey pictures stay grey, alpha is enlarged too,
        and 16 bits stay 16 bits.

        Args:
            picture: a PIL image, or an array (H, W) or (H, W, C), uint8 or uint16, with C 1 (grey), 2 (grey, alpha),
                3 (RGB) or 4 (RGB, alpha).
            dpi: for PIL images: resolution of the result, in dots per inch; None: that of the picture.
            keep_print_size: for PIL images: whether to multiply the resolution by the scale, which keeps the print
                size.
            size: one of `scale` (times each side, above 1), `width`, `height`, `max_side` (pixels of the result) and
                `megapixels` (of the result).

        Returns:
            A PIL image or an array, like `picture`: `self.scale` times as high and wide, or of the given size. A PIL
            image is upright, has the mode L, LA, RGB, RGBA or I;16, and keeps the ICC profile and the resolution.

        Raises:
            ValueError: the array or the mode of the image is not supported, or the size is out of range.
            TypeError: `size` has an unknown name, or more than one.
        """
        wanted = target_size.of_keywords(**size)
        passes.check(self.scale, wanted)
        if isinstance(picture, np.ndarray):
            return self._enlarge_array(picture, wanted)
        return self._enlarge_image(picture, wanted, print_size.PrintSize(dpi, keep_print_size))

    def _enlarge_array(self, array: np.ndarray, wanted: target_size.TargetSize | None) -> np.ndarray:
        if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or array.size == 0:
            raise ValueError(f'an array {array.shape} of {array.dtype}: expected (H, W) or (H, W, C), uint8 or uint16')
        planes = pixels.as_planes_last(array)
        height, width, channels = planes.shape
        if channels > 4:
            raise ValueError(f'an array {array.shape}: expected 1 to 4 channels as the last axis')
        plan = passes.make_plan(height, width, self.scale, wanted)
        spill.check_memory(plan.size, channels, array.dtype)
        result = np.empty((plan.size[1], plan.size[0], channels), array.dtype)
        cutting = upscaler.Cutting(self.tile_size, self.overlap, 0, self.self_ensemble, self.wrap, self.alpha)
        folder = tempfile.gettempdir()
        for rows, columns, part in passes.upscale(planes, self.model, plan, cutting, folder, lambda _: None):
            result[rows, columns] = part
        return result if array.ndim == 3 else result[:, :, 0]

    def _enlarge_image(
        self, image: Image.Image, wanted: target_size.TargetSize | None, asked: print_size.PrintSize
    ) -> Image.Image:
        kept = {name: image.info[name] for name in ('icc_profile', 'dpi') if image.info.get(name)}
        # Read before exif_transpose, which removes the orientation.
        if 'dpi' in kept and image.getexif().get(exif.ORIENTATION) in exif.QUARTER_TURNS:
            kept['dpi'] = kept['dpi'][::-1]
        upright = ImageOps.exif_transpose(image) or image
        if upright.mode.startswith('I;16'):
            array = np.asarray(upright).astype(np.uint16)
        elif upright.mode[:1] in 'IF' or upright.mode == 'LAB':
            raise ValueError(f'an image of the mode {upright.mode}: convert it to L, RGB or I;16')
        elif upright.mode == 'CMYK':
            array = np.asarray(colour.cmyk_image_to_rgb(upright, kept.pop('icc_profile', None)))
        else:
            array = np.asarray(pillow.to_plain_mode(upright))
        result = Image.fromarray(self._enlarge_array(array, wanted))
        if asked.dpi:
            kept['dpi'] = asked.dpi, asked.dpi
        elif asked.is_kept and 'dpi' in kept:
            sides = zip(kept['dpi'], result.size, upright.size)
            kept['dpi'] = tuple(float(dpi) * after / before for dpi, after, before in sides)
        result.info.update(kept)
        return result
