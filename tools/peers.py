"""Do the guide's steps 4.2 and 6 by the method of the public ModelZoo scripts, only for comparison in tools.bench.

    python3 -m tools.peers preprocess IMAGES prep_dataset
    python3 -m tools.peers postprocess result/dumpOutput_device0 prep_dataset/label

It processes one image after another, with mmcv and torch, and reads text by np.loadtxt.
"""

import os
import sys

import mmcv
import numpy as np
import torch
from PIL import Image


def preprocess(source, target):
    """Write inputs and labels for a folder of images."""
    for part in ('data', 'label'):
        os.makedirs(os.path.join(target, part), exist_ok=True)
    for name in os.listdir(source):
        image = mmcv.imread(os.path.join(source, name), channel_order='rgb')
        top, left = (image.shape[0] - 228) // 2, (image.shape[1] - 228) // 2
        hr = image[top : top + 228, left : left + 228]
        lr = np.array(Image.fromarray(hr).resize((114, 114), Image.BICUBIC))
        label, data = (np.expand_dims(x.astype(np.float32).transpose(2, 0, 1) / 255, 0) for x in (hr, lr))
        stem = os.path.splitext(name)[0]
        data.tofile(os.path.join(target, 'data', stem + '.bin'))
        np.save(os.path.join(target, 'label', stem + '.npy'), label)


def luma(image):
    """Return the luma of an RGB image (3, H, W), 0 to 255."""
    return 16 + (64.738 * image[0] + 129.057 * image[1] + 25.064 * image[2]) / 256


def postprocess(predictions, labels):
    """Print the average PSNR of a folder of predictions in dB."""
    values = []
    for name in os.listdir(predictions):
        sr = np.loadtxt(os.path.join(predictions, name)).reshape(3, 228, 228)
        hr = np.load(os.path.join(labels, name.replace('_1.txt', '.npy')))[0]
        sr, hr = (torch.from_numpy(x).clamp(0, 1).double() * 255 for x in (sr, hr))
        difference = (luma(sr) - luma(hr))[2:-2, 2:-2]
        values.append(float(10 * torch.log10(255**2 / torch.mean(difference**2))))
    print(f'{sum(values) / len(values):.2f}')


if __name__ == '__main__':
    {'preprocess': preprocess, 'postprocess': postprocess}[sys.argv[1]](*sys.argv[2:])
