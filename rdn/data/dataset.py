"""Write and read a prepared set: inputs in data/, labels in label/, and manifest.json in the folder above them.

data/STEM.bin      an input: float32 (3, height, width), RGB, 0...1
label/STEM.npy     its label, the image that the network should return: float32 (1, 3, scale*height, scale*width), 0...1
manifest.json      the flags of the preparation and the SHA-256 of each file; later steps refuse all other files

If a picture is cut into tiles, its inputs are data/STEM_tile_rROWcCOLUMN.bin, and label/STEM.json has their layout.
The guide's tools write no manifest. Without a manifest, later steps check only the arrays' shapes and values.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Callable, Iterable, Iterator, NamedTuple

from rdn import arrays, files, tiles
from rdn.data import known_sets, manifest, protocols

import numpy as np

PARTS = ('data', 'label')
MAX_LAYOUT_BYTES = 1 << 20
MAX_SIDE_PIXELS = 1 << 17  # of a picture in a layout file


class Preparation(NamedTuple):
    """The flags of a preparation, as manifest.json stores them.

    Attributes:
        width: width of an input, in pixels.
        height: height of an input, in pixels.
        scale: scale of the network.
        fit: name of the protocol.
        tile: whether the inputs are tiles.
        overlap: overlap of neighbouring tiles, in pixels of the input.
        no_label: whether the images themselves are the inputs, so that there are no labels.
    """

    width: int
    height: int
    scale: int
    fit: str
    tile: bool
    overlap: int
    no_label: bool


class PreparedImage(NamedTuple):
    """The input and the label of one image.

    Attributes:
        stem: name of the image file without the ending.
        source: path of the image file.
        digest: `known_sets.digest` of the image.
        lr: input, float32 (3, h, w), RGB, 0...1.
        hr: label, float32 (3, scale*h, scale*w), RGB, 0...1; None without a label.
    """

    stem: str
    source: str
    digest: str
    lr: np.ndarray
    hr: np.ndarray | None


class Case(NamedTuple):
    """An image of a prepared set, whose output is to be scored.

    Attributes:
        stem: name of the image file without the ending.
        label_path: path of the label; None if there is no label.
        layout: layout of the tiles; None if the image is not cut into tiles.
        source: path of the image file; None if the image is not cut into tiles.
    """

    stem: str
    label_path: str | None = None
    layout: tiles.Layout | None = None
    source: str | None = None

    def input_stems(self) -> list[str]:
        """Return the names of the image's inputs, without the ending. Its outputs are named after them."""
        return list(input_tiles(self.stem, self.layout)) if self.layout else [self.stem]


def input_name(stem: str) -> str:
    """Return the file name in data/ of the input `stem`."""
    return f'{stem}.bin'


def input_tiles(stem: str, layout: tiles.Layout) -> dict[str, tiles.Tile]:
    """Return the tiles of the picture `stem`, row by row: name of the input without the ending -> Tile."""
    rows = tiles.tile_rows(layout)
    return {f'{stem}_tile_r{r:03}c{c:03}': tile for r, row in enumerate(rows) for c, tile in enumerate(row)}


# --- writing


@contextlib.contextmanager
def writing(folder: str, settings: Preparation) -> Iterator[Callable[[PreparedImage], int]]:
    """Write a prepared set, and replace the earlier set in the folder.

    The earlier set is replaced when the block ends. If the block raises an error, the earlier set stays.

    Args:
        folder: the folder that contains data/ and label/.
        settings: the flags of the preparation.

    Yields:
        A function that writes a PreparedImage and returns the number of its inputs. Threads may call it at once.

    Raises:
        ValueError: data/ or label/ contains files, but no manifest lists them; the message names a file.
    """
    earlier = _earlier_files(folder)
    data_path, label_path = (os.path.join(folder, part) for part in PARTS)
    digests: dict[str, str] = {}
    originals: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        labels = stack.enter_context(files.atomic_folder(label_path, earlier['label']))
        data = stack.enter_context(files.atomic_folder(data_path, earlier['data']))

        def write(image: PreparedImage) -> int:
            written = _write_image(image, settings, data, labels)
            digests.update(written)
            originals[image.stem] = image.digest
            return sum(key.startswith('data/') for key in written)

        yield write
        manifest.write_next(folder, settings._asdict(), digests, originals)
    # If the process is killed before this line, the older manifest does not match the new files: readers refuse them.
    manifest.commit(folder)


def _write_image(image: PreparedImage, settings: Preparation, data: str, labels: str) -> dict[str, str]:
    """Write an image's inputs and label into the folders `data` and `labels`; return 'data/x.bin' -> SHA-256."""
    written = {}

    def place(part: str, folder: str, name: str) -> str:
        written[f'{part}/{name}'] = os.path.join(folder, name)
        return written[f'{part}/{name}']

    inputs = {image.stem: image.lr}
    if settings.tile:
        size = [settings.height, settings.width]
        layout = tiles.Layout(image.lr.shape[1], image.lr.shape[2], size, settings.overlap, settings.scale)
        inputs = {stem: tiles.cut(image.lr, tile) for stem, tile in input_tiles(image.stem, layout).items()}
        content = dict(layout._asdict(), source=os.path.abspath(image.source), label=image.hr is not None)
        with open(place('label', labels, f'{image.stem}.json'), 'w') as file:
            file.write(json.dumps(content, indent=1) + '\n')
    for stem, lr in inputs.items():
        np.ascontiguousarray(lr).tofile(place('data', data, input_name(stem)))
    if image.hr is not None:
        np.save(place('label', labels, f'{image.stem}.npy'), image.hr[np.newaxis])
    return {key: files.digest(path) for key, path in written.items()}


def _earlier_files(folder: str) -> dict[str, set[str]]:
    """Return the names of the files that an earlier preparation wrote, finished or not, for 'data' and for 'label'."""
    known = manifest.earlier_files(folder)
    parts = {}
    for part in PARTS:
        place = os.path.join(folder, part)
        present = sorted(os.listdir(place)) if os.path.isdir(place) else []
        visible = [name for name in present if not name.startswith('.')]
        if visible and known is None:
            raise ValueError(
                f'{os.path.join(place, visible[0])}: not replaced, because no {manifest.NAME} lists it: '
                'prepare into a new folder, or move this one away'
            )
        parts[part] = {name for name in present if known and f'{part}/{name}' in known}
    return parts


# --- reading


def find_inputs(folder: str, width: int, height: int) -> list[str]:
    """Return the paths of all inputs in a set's data/, sorted by name.

    Args:
        folder: the set's data/.
        width: width of an input, in pixels.
        height: height of an input, in pixels.

    Raises:
        ValueError: there are no inputs, or an input is missing, was changed or has another size; the message names the
            file.
    """
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith('.bin') and not name.startswith('.'))
    if not names:
        raise ValueError(f'{folder}: no bin files in it: give the data/ folder that RDN_preprocess.py wrote')
    paths = [os.path.join(folder, name) for name in names]
    for path in paths:
        arrays.check_float32(path, (3, height, width))
    manifest.check_flags(folder, width=width, height=height)
    manifest.check_complete(folder, names)
    return paths


def check_inputs(paths: Iterable[str], width: int, height: int) -> None:
    """Check that inputs are those that their manifest lists, unchanged and of this size.

    Args:
        paths: the inputs, in the data/ folders of one or more sets.
        width: width of an input, in pixels.
        height: height of an input, in pixels.

    Raises:
        ValueError: an input is not listed or was changed, or its set has another size; the message names the file.
    """
    paths = list(paths)
    for folder in sorted({os.path.dirname(path) for path in paths}):
        manifest.check_flags(folder, width=width, height=height)
    manifest.check_files(paths)


def read_input(path: str, width: int, height: int) -> np.ndarray:
    """Read an input: float32 (3, height, width), RGB, 0...1.

    Raises:
        ValueError: the input has another size; the message names the file.
    """
    return arrays.read_float32(path, (3, height, width))


def find_cases(folder: str, width: int, height: int, scale: int) -> list[Case]:
    """Return the Case of each image in a prepared set, sorted by stem.

    Args:
        folder: the set's label/.
        width: width of an input, in pixels.
        height: height of an input, in pixels.
        scale: scale of the network.

    Raises:
        ValueError: there are no labels, or a label is missing, was changed or was prepared for another size; the
            message names the file.
    """
    manifest.check_flags(folder, width=width, height=height, scale=scale)
    names = sorted(name for name in os.listdir(folder) if name.endswith(('.npy', '.json')) and not name.startswith('.'))
    cases: dict[str, Case] = {}
    for name in names:  # sorted, so x.json (the layout) comes before x.npy (the label)
        stem, path = files.stem_of(name), os.path.join(folder, name)
        if name.endswith('.npy'):
            cases[stem] = cases.get(stem, Case(stem))._replace(label_path=path)
            continue
        cases[stem], has_label = _read_layout(path)
        layout = cases[stem].layout
        if layout and (list(layout.tile), layout.scale) != ([height, width], scale):
            raise ValueError(
                f'{path}: prepared for tiles of {layout.tile[1]} x {layout.tile[0]} and scale {layout.scale}, '
                f'not {width} x {height} and scale {scale}: give the same values, or prepare again'
            )
        if has_label and f'{stem}.npy' not in names:
            raise ValueError(f'{folder}: {stem}.npy, the label that belongs to {name}, is missing: prepare again')
    if not cases:
        raise ValueError(f'{folder}: no labels (.npy) in it: RDN_preprocess.py writes them')
    manifest.check_complete(folder, names)
    return list(cases.values())


def input_path(label_folder: str, stem: str) -> str:
    """Return the path of an input, given its set's label/ and its name without the ending."""
    return os.path.join(os.path.dirname(os.path.realpath(label_folder)), 'data', input_name(stem))


def reference_folder(label_folder: str, weights_digest: str) -> str:
    """Return the folder for PyTorch's outputs: a subfolder of reference/, which is next to data/ and label/.

    Each preparation and each weights file has its own subfolder.

    Args:
        label_folder: the set's label/.
        weights_digest: the SHA-256 of the weights.

    Raises:
        ValueError: the set has no manifest; the message names the folder.
    """
    name = f'{manifest_digest(label_folder)[:16]}-{weights_digest[:16]}'
    return os.path.join(os.path.dirname(os.path.realpath(label_folder)), 'reference', name)


def manifest_digest(label_folder: str) -> str:
    """Return the SHA-256 of the manifest of the set whose label/ is given.

    Raises:
        ValueError: the set has no manifest, so its preparation cannot be identified; the message names the folder.
    """
    digest = manifest.digest_beside(label_folder)
    if digest is None:
        raise ValueError(
            f'{label_folder}: no {manifest.NAME} beside it, so the preparation cannot be identified: prepare again'
        )
    return digest


def size_of(label_folder: str) -> tuple[int, int, int] | None:
    """Return width and height of a set's inputs, in pixels, and the scale; None if the set has no manifest."""
    flags = manifest.read_flags(label_folder)
    if flags is None:
        return None
    return flags['width'], flags['height'], flags['scale']


def protocol_of(label_folder: str) -> protocols.Protocol | None:
    """Return the protocol by which a set was prepared; None if no manifest names a known one."""
    flags = manifest.read_flags(label_folder)
    return protocols.of_flags(flags) if flags is not None else None


def known_set_of(label_folder: str) -> str | None:
    """Return the name of the known set that was prepared, or known_sets.OTHER; None if no manifest lists the images."""
    originals = manifest.read_images(label_folder)
    return known_sets.identify(originals.values()) if originals is not None else None


def output_shape(case: Case, width: int, height: int, scale: int) -> tuple[int, int, int]:
    """Return the shape (3, H, W) of the network's output for a case's whole image.

    Args:
        case: the image.
        width: width of an input, in pixels; ignored for an image in tiles.
        height: height of an input, in pixels; ignored for an image in tiles.
        scale: scale of the network.
    """
    if case.layout:
        height, width = case.layout.height, case.layout.width
    return 3, height * scale, width * scale


def read_label(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read a label: float (3, H, W), 0...1.

    Args:
        path: the .npy file.
        shape: the expected (3, H, W).

    Raises:
        ValueError: the label has another shape, or values outside 0...1; the message names the file.
    """
    label = arrays.read_npy(path)
    if label.shape != (1, *shape):
        raise ValueError(
            f'{path}: shape {list(label.shape)}, expected {[1, *shape]}: give the size and scale of its preparation'
        )
    if not (label.min() >= 0 and label.max() <= 1):  # also for nan
        raise ValueError(f'{path}: values outside 0...1, which RDN_preprocess.py does not write: prepare again')
    return label[0]


def _read_layout(path: str) -> tuple[Case, bool]:
    """Read a layout file; return the Case, without its label_path, and whether the image has a label.

    Raises:
        ValueError: the content is not a layout; the message names the file.
    """
    what = 'a layout of tiles, as RDN_preprocess.py --tile writes it'
    content = files.read_json(path, MAX_LAYOUT_BYTES, what)
    try:
        source, has_label = content.pop('source'), content.pop('label')
        layout = tiles.Layout(**content)
        numbers = [layout.height, layout.width, layout.overlap, layout.scale, *layout.tile]
        if len(layout.tile) != 2 or any(type(number) is not int for number in numbers):
            raise ValueError('its sizes must be whole numbers')
        if layout.wraps is not False:
            raise ValueError('its tiles must not wrap')
        if min(numbers) < 0 or max(numbers) > MAX_SIDE_PIXELS or not (layout.height and layout.width and layout.scale):
            raise ValueError(f'its sizes must be from 1 to {MAX_SIDE_PIXELS} pixels')
        tiles.spans(layout.height, layout.tile[0], layout.overlap)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: not {what}: {error}')
    return Case(files.stem_of(path), layout=layout, source=source), bool(has_label)
