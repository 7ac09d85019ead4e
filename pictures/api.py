"""The Python interface: enlarge a picture in memory.

from PIL import Image
from pictures import Upscaler
upscale = Upscaler()
upscale(Image.open('photo.jpg')).save('large.png')
upscale(Image.open('photo.jpg'), width=3840).save('wide.png')
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
        **tiling: Any,
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
            tiling: `tile_size`, pixels, for a model of free height and width; `overlap` of tiles, pixels of the input;
                `wrap`: whether opposite edges meet, as those of a texture that tiles; `alpha`: 'opacity', or 'data' for
                an alpha that hides nothing.

        Raises:
            ValueError: the file is not such a model, or this machine does not offer the precision.
        """
        wanted = request.ChosenModel(model, engine, precision, engines.Place(device=device))
        self.model = engines.open_model(wanted.file, engine, precision, wanted.busy_place())
        self.scale = engines.scale_of(self.model, wanted.file)
        if set(tiling) - {'tile_size', 'overlap', 'wrap', 'alpha'}:
            raise TypeError(f'{", ".join(tiling)}: only tile_size, overlap, wrap and alpha are expected')
        self.wrap, self.alpha = tiling.get('wrap', False), tiling.get('alpha', channel_roles.OPACITY)
        if self.alpha not in channel_roles.ALPHAS:
            raise ValueError(f'alpha {self.alpha}: one of {", ".join(channel_roles.ALPHAS)}')
        self.tile_size = tiling.get('tile_size', processing.TILE_SIZE)
        self.overlap, self.self_ensemble = tiling.get('overlap', tiles.OVERLAP), self_ensemble
        upscaler.check_tiles(self.model, self.tile_size, self.overlap)

    def __call__(
        self, picture: Picture, dpi: float | None = None, keep_print_size: bool = False, **size: float
    ) -> Picture:
        """Enlarge a picture.

        Without a size the model runs once. With one it runs as often as needed, and LANCZOS reduces the result to the
        exact size; a larger picture is only reduced. Grey stays grey, alpha is enlarged too, 16 bits stay 16 bits.

        Args:
            picture: a PIL image, or an array (H, W) or (H, W, C), uint8 or uint16, with C 1 (grey), 2 (grey, alpha),
                3 (RGB) or 4 (RGB, alpha).
            dpi: of a PIL image: its resolution, in dots an inch; None: as the given one has it.
            keep_print_size: of a PIL image: whether its resolution grows with it, so that a print stays as large.
            size: one of `scale` (times each side, above 1), `width`, `height`, `max_side` (pixels of the result) and
                `megapixels` (of the result).

        Returns:
            The same kind as given, `self.scale` times as high and wide, or of the size. A PIL image is upright, and has the
            mode L, LA, RGB, RGBA or I;16, and the ICC profile and resolution of the given one.

        Raises:
            ValueError: the picture is of another kind, or the size makes no sense.
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
            raise ValueError(f'an array {array.shape}: 1 to 4 channels are expected, last')
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
        if 'dpi' in kept and image.getexif().get(exif.ORIENTATION) in exif.QUARTER_TURNS:  # which a turn may remove
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
