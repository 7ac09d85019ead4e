"""A picture's pixels through the model, tile by tile: grey, colour and alpha, 8 and 16 bits."""

import itertools

from rdn import cpu, tiles

import cv2
import numpy as np


def scale_of(model, path):
    """The enlargement of a session.Model, from a run on black.

    Raises ValueError, with the model's path, for one that does not take RGB of a fixed size.
    """
    if model.shape[0] != 3 or not (model.shape[1] and model.shape[2]):
        raise ValueError('%s: its input is %s, expected RGB of a fixed size' % (path, model.shape))
    output = model(np.zeros([model.batch or 1] + model.shape, np.float32))
    scale, rest = divmod(output.shape[2], model.shape[1])
    if rest or not scale or output.shape[1:] != (3, model.shape[1] * scale, model.shape[2] * scale):
        raise ValueError('%s: makes %s of %s: no enlargement' % (path, output.shape[1:], model.shape))
    return scale


def enlarge(pixels, model, scale, overlap, batch_size=1, ensemble=False):
    """Yield (Tile, pixels (scale*h, scale*w, C) that it gives) for a picture's pixels (H, W, C).

    uint8 or uint16 in and out; C as in pictures.py. Holds `batch_size` runs at a time.
    """
    top = np.iinfo(pixels.dtype).max
    planes = pixels.transpose(2, 0, 1)
    height, width = pixels.shape[:2]
    rows = tiles.tile_rows(height, width, tuple(model.shape[1:]), overlap)
    tasks = ((tile, tiles.cut(planes, tile).astype(np.float32) / np.float32(top)) for row in rows for tile in row)
    runs, filled = itertools.tee((tile, part, _inputs(part)) for tile, part in tasks)
    inputs = (x for _, _, xs in runs for x in xs)
    if ensemble:
        outputs = (_ensemble(model, x, batch_size) for x in inputs)
    else:
        outputs = _batches(model, inputs, batch_size)
    for tile, part, xs in filled:
        given = _assemble(part, [tiles.give(next(outputs), tile, scale) for _ in xs])
        yield tile, np.rint(np.clip(given, 0, 1) * top).astype(pixels.dtype).transpose(1, 2, 0)


def _inputs(part):
    """What the model has to enlarge of a tile's planes (C, h, w), 0...1: RGB inputs (3, h, w)."""
    colour, alpha = (part[:-1], part[-1]) if len(part) in (2, 4) else (part, None)
    if alpha is not None:
        colour = bleed(colour, alpha)
    inputs = [colour if len(colour) == 3 else np.repeat(colour, 3, 0)]
    if alpha is not None and np.ptp(alpha):  # one that is the same all over stays so
        inputs.append(np.repeat(alpha[np.newaxis], 3, 0))
    return inputs


def _assemble(part, outputs):
    """The planes (C, ...) that a tile's `part` becomes, from the outputs of its inputs."""
    colour = outputs[0] if len(part) > 2 else outputs[0].mean(0, keepdims=True)
    if len(part) in (1, 3):
        return colour
    alpha = outputs[1].mean(0) if len(outputs) > 1 else np.full(colour.shape[1:], part[-1, 0, 0])
    return np.concatenate([colour, alpha[np.newaxis]])


def bleed(colour, alpha):
    """Give invisible pixels the colour of the nearest visible one: (C, h, w), (h, w) -> (C, h, w).

    What stands there is arbitrary, black mostly, and would darken the edges of what is visible.
    """
    invisible = alpha == 0
    if not invisible.any() or invisible.all():
        return colour
    _, labels = cv2.distanceTransformWithLabels(
        invisible.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((len(colour), labels.max() + 1), colour.dtype)
    table[:, labels[~invisible]] = colour[:, ~invisible]
    return table[:, labels]


def _batches(model, inputs, batch_size):
    """The model's outputs, one by one, of inputs (3, h, w), run `batch_size` at a time on each of its streams."""
    size = model.batch or batch_size

    def batches():
        for first in inputs:
            part = [first] + list(itertools.islice(inputs, size - 1))
            batch = np.zeros((size if model.batch else len(part),) + first.shape, np.float32)
            batch[: len(part)] = part
            yield batch, len(part)

    def run(task):
        batch, count = task
        return model(batch)[:count]

    for outputs in cpu.in_order(run, batches(), model.streams):
        yield from outputs


def _ensemble(model, x, batch_size):
    """The mean over the eight flips and turns of an input (the paper's RDN+, after arXiv 1707.02921)."""
    if x.shape[1] != x.shape[2]:
        raise ValueError('the self-ensemble turns the tiles: the model must take squares')
    turns = [(turn, flip) for turn in range(4) for flip in (False, True)]
    variants = (np.rot90(x[:, :, ::-1] if flip else x, turn, (1, 2)) for turn, flip in turns)
    total = 0
    for (turn, flip), y in zip(turns, _batches(model, variants, batch_size)):
        y = np.rot90(y, -turn, (1, 2))
        total = total + (y[:, :, ::-1] if flip else y)
    return total / len(turns)
