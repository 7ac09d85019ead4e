"""What a network in PyTorch reaches on a folder of images, as papers and as the guide measure it."""

import collections

from rdn.evaluation import metrics
from rdn.imaging import images

import numpy as np
import torch

# A Score is of one image, or a mean over a folder: dB and SSIM (None where it was not asked for).
Score = collections.namedtuple('Score', 'psnr bicubic_psnr ssim bicubic_ssim')
CROP = 228  # pixels of the guide's label


def centre(image, scale):
    """The guide's crop: 228 x 228 pixels, so that a x2 input has 114 x 114. Raises ValueError for a smaller image."""
    size = CROP // scale * scale
    return images.crop_centre(image, size, size)


PROTOCOLS = {'whole images': images.crop_to_multiples, 'centre crops': centre}


def score(model, image, scale, with_ssim=False):
    """The Score of a network's enlargement of a PIL image that was reduced with Pillow's BICUBIC.

    model: (1, 3, H, W) -> (1, 3, scale*H, scale*W), RGB, 0...1, on the device of its weights.
    """
    lr, hr = images.reduce(image, scale), images.to_chw(image)
    device = next(model.parameters()).device
    with torch.no_grad():
        sr = model(torch.from_numpy(images.to_chw(lr))[None].to(device))[0].float().cpu().numpy()
    pair = sr, images.to_chw(images.enlarge(lr, scale))
    psnr = [metrics.sr_psnr(x, hr, scale) for x in pair]
    ssim = [metrics.sr_ssim(x, hr, scale) if with_ssim else None for x in pair]
    return Score(psnr[0], psnr[1], ssim[0], ssim[1])


def fit(path, scale, protocol):
    """The PIL image that a protocol, a key of PROTOCOLS, makes of a file. Raises ValueError, with the file's name."""
    image = images.read_rgb(path)
    try:
        return PROTOCOLS[protocol](image, scale)
    except ValueError as error:
        raise ValueError('%s: %s' % (path, error))


def evaluate(model, paths, scale, protocol, with_ssim=False):
    """The mean Score over image files. Raises ValueError, with the file's name, for one that `fit` refuses."""
    scores = [score(model, fit(path, scale, protocol), scale, with_ssim) for path in paths]
    return Score(*[None if column[0] is None else float(np.mean(column)) for column in zip(*scores)])
