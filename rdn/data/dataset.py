"""The prepared set: the inputs in data/, what they are compared with in label/, manifest.json beside the two.

data/STEM.bin      an input: float32 (3, height, width), RGB, 0...1
label/STEM.npy     what the network should make of it: float32 (1, 3, scale*height, scale*width), 0...1
manifest.json      the flags of the preparation and the SHA-256 of each file, so that no later step counts another

Of a picture in tiles the inputs are data/STEM_tile_rROWcCOLUMN.bin, and label/STEM.json says how they lie. The guide's
tools know no manifest; where it is not there, nothing is checked against it.
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
MAX_SIDE_PIXELS = 1 << 17  # of a picture that a layout may speak of


class Preparation(NamedTuple):
    """The flags of a preparation, as manifest.json keeps them.

    Attributes:
        width: of an input, pixels.
        height: of an input, pixels.
        scale: of the network.
        fit: the protocol's name.
        tile: whether the inputs are tiles.
        overlap: of tiles, pixels of the input.
        no_label: whether the images are the inputs.
    """

    width: int
    height: int
    scale: int
    fit: str
    tile: bool
    overlap: int
    no_label: bool


class PreparedImage(NamedTuple):
    """What is prepared of one image.

    Attributes:
        stem: its file's name without the ending.
        source: its file's path.
        digest: known_sets.digest of its pixels.
        lr: the input, float32 (3, h, w), RGB, 0...1.
        hr: the label, float32 (3, scale*h, scale*w), RGB, 0...1; None without a label.
    """

    stem: str
    source: str
    digest: str
    lr: np.ndarray
    hr: np.ndarray | None


class Case(NamedTuple):
    """An image to judge. label_path: None where the original is not known; layout, source: None but for tiles."""

    stem: str
    label_path: str | None = None
    layout: tiles.Layout | None = None
    source: str | None = None

    def input_stems(self) -> list[str]:
        """The names of its inputs, and so of its outputs, without ending."""
        return list(input_tiles(self.stem, self.layout)) if self.layout else [self.stem]


def input_name(stem: str) -> str:
    """The name in data/ of an input."""
    return f'{stem}.bin'


def input_tiles(stem: str, layout: tiles.Layout) -> dict[str, tiles.Tile]:
    """Name of an input, without ending -> Tile, for a picture of that stem; row by row."""
    rows = tiles.tile_rows(layout)
    return {f'{stem}_tile_r{r:03}c{c:03}': tile for r, row in enumerate(rows) for c, tile in enumerate(row)}


# --- writing


@contextlib.contextmanager
def writing(folder: str, settings: Preparation) -> Iterator[Callable[[PreparedImage], int]]:
    """Yield write(image), which writes what is prepared of an image and returns the number of its inputs.

    Threads may call it at once. When the block ends well the new set takes the place of an earlier one in the folder;
    otherwise the earlier one stays. Raises ValueError, with the folder's name, where data/ and label/ hold files of
    which no manifest says whose they are.
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
    manifest.commit(folder)  # after a kill before this, the older one tells that data or labels are not its own


def _write_image(image: PreparedImage, settings: Preparation, data: str, labels: str) -> dict[str, str]:
    """Write what is prepared of an image into two folders; returns 'data/x.bin' -> SHA-256."""
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
    """'data' and 'label' -> names of the files there that an earlier preparation wrote, or was writing."""
    known = manifest.earlier_files(folder)
    parts = {}
    for part in PARTS:
        place = os.path.join(folder, part)
        present = sorted(os.listdir(place)) if os.path.isdir(place) else []
        visible = [name for name in present if not name.startswith('.')]
        if visible and known is None:
            raise ValueError(
                f'{os.path.join(place, visible[0])}: no manifest says what this is: prepare into a new folder, '
                'or move the old one away'
            )
        parts[part] = {name for name in present if known and f'{part}/{name}' in known}
    return parts


# --- reading


def find_inputs(folder: str, width: int, height: int) -> list[str]:
    """Paths of the inputs in a set's data/, sorted by name.

    Raises ValueError, with the file's name, where there is none, one is missing or changed, or is of another size.
    """
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith('.bin') and not name.startswith('.'))
    if not names:
        raise ValueError(f'{folder}: no bin files in it')
    paths = [os.path.join(folder, name) for name in names]
    for path in paths:
        arrays.check_float32(path, (3, height, width))
    manifest.check_flags(folder, width=width, height=height)
    manifest.check_complete(folder, names)
    return paths


def check_inputs(paths: Iterable[str], width: int, height: int) -> None:
    """Raises ValueError, with the file's name, for an input that its manifest does not list so, or of another size."""
    paths = list(paths)
    for folder in sorted({os.path.dirname(path) for path in paths}):
        manifest.check_flags(folder, width=width, height=height)
    manifest.check_files(paths)


def read_input(path: str, width: int, height: int) -> np.ndarray:
    """An input, float32 (3, height, width). Raises ValueError, with the file's name, for another size."""
    return arrays.read_float32(path, (3, height, width))


def find_cases(folder: str, width: int, height: int, scale: int) -> list[Case]:
    """The Case of each image that was prepared, from a set's label/, sorted by stem.

    Raises ValueError, with the file's name, where there is none, where a label is missing, changed, or was prepared
    for another size.
    """
    manifest.check_flags(folder, width=width, height=height, scale=scale)
    names = sorted(name for name in os.listdir(folder) if name.endswith(('.npy', '.json')) and not name.startswith('.'))
    cases: dict[str, Case] = {}
    for name in names:  # a layout stands before its label: .json, .npy
        stem, path = files.stem_of(name), os.path.join(folder, name)
        if name.endswith('.npy'):
            cases[stem] = cases.get(stem, Case(stem))._replace(label_path=path)
            continue
        cases[stem], has_label = _read_layout(path)
        layout = cases[stem].layout
        if layout and (list(layout.tile), layout.scale) != ([height, width], scale):
            raise ValueError(
                f'{path}: prepared for tiles of {layout.tile[1]} x {layout.tile[0]} and scale {layout.scale}, '
                'not as the flags say'
            )
        if has_label and f'{stem}.npy' not in names:
            raise ValueError(f'{folder}: no label {stem}.npy beside its layout')
    if not cases:
        raise ValueError(f'{folder}: no labels (.npy) in it: RDN_preprocess.py writes them')
    manifest.check_complete(folder, names)
    return list(cases.values())


def input_path(label_folder: str, stem: str) -> str:
    """The path of an input, by its name without ending, in the set whose label/ is given."""
    return os.path.join(os.path.dirname(os.path.realpath(label_folder)), 'data', input_name(stem))


def reference_folder(label_folder: str, weights_digest: str) -> str:
    """Where PyTorch's outputs for a set and for weights are kept: reference/ beside data/ and label/.

    Other weights or another preparation have another folder. Raises ValueError as manifest_digest does.
    """
    name = f'{manifest_digest(label_folder)[:16]}-{weights_digest[:16]}'
    return os.path.join(os.path.dirname(os.path.realpath(label_folder)), 'reference', name)


def manifest_digest(label_folder: str) -> str:
    """The SHA-256 of the manifest of the set whose label/ is given.

    Raises ValueError, with the folder's name, where the set has none to tell one preparation from another.
    """
    digest = manifest.digest_beside(label_folder)
    if digest is None:
        raise ValueError(f'{label_folder}: no {manifest.NAME} beside it, which tells one preparation from another')
    return digest


def size_of(label_folder: str) -> tuple[int, int, int] | None:
    """The width and height of a set's inputs, in pixels, and its scale; None without a manifest."""
    flags = manifest.read_flags(label_folder)
    if flags is None:
        return None
    return flags['width'], flags['height'], flags['scale']


def protocol_of(label_folder: str) -> protocols.Protocol | None:
    """The protocol by which a set was prepared; None without a manifest."""
    flags = manifest.read_flags(label_folder)
    return protocols.of_flags(flags) if flags is not None else None


def known_set_of(label_folder: str) -> str | None:
    """The name of the known set that was prepared, known_sets.OTHER for other images; None where nothing says it."""
    originals = manifest.read_images(label_folder)
    return known_sets.identify(originals.values()) if originals is not None else None


def output_shape(case: Case, width: int, height: int, scale: int) -> tuple[int, int, int]:
    """(3, H, W) of what the network makes of a case's whole image."""
    if case.layout:
        height, width = case.layout.height, case.layout.width
    return 3, height * scale, width * scale


def read_label(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """A label as float (3, H, W), 0...1. Raises ValueError, with the file's name, for another shape or range."""
    label = arrays.read_npy(path)
    if label.shape != (1, *shape):
        raise ValueError(
            f'{path}: shape {list(label.shape)}, expected {[1, *shape]}: prepared for another size or scale'
        )
    if not (label.min() >= 0 and label.max() <= 1):  # also for nan
        raise ValueError(f'{path}: values outside 0...1: RDN_preprocess.py writes none')
    return label[0]


def _read_layout(path: str) -> tuple[Case, bool]:
    """The Case that a layout file speaks of, still without label, and whether it has one.

    Raises ValueError, with the file's name, for other content.
    """
    what = 'a layout of tiles, as RDN_preprocess.py --tile writes it'
    content = files.read_json(path, MAX_LAYOUT_BYTES, what)
    try:
        source, has_label = content.pop('source'), content.pop('label')
        layout = tiles.Layout(**content)
        numbers = [layout.height, layout.width, layout.overlap, layout.scale, *layout.tile]
        if len(layout.tile) != 2 or any(type(number) is not int for number in numbers):
            raise ValueError('sizes are whole numbers')
        if layout.wraps is not False:
            raise ValueError('its tiles do not wrap')
        if min(numbers) < 0 or max(numbers) > MAX_SIDE_PIXELS or not (layout.height and layout.width and layout.scale):
            raise ValueError(f'sizes are from 1 to {MAX_SIDE_PIXELS} pixels')
        tiles.spans(layout.height, layout.tile[0], layout.overlap)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: not {what}: {error}')
    return Case(files.stem_of(path), layout=layout, source=source), bool(has_label)
