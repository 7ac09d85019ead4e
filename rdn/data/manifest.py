"""manifest.json: the flags of a preparation and the SHA-256 of each file. rdn/data/dataset.py writes and reads it."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, NamedTuple

from rdn import cpu, fields, files

NAME = 'manifest.json'
# Of files that are taking the place of others just now, or were when the process was killed.
NEXT_NAME = 'manifest.next.json'
MAX_BYTES = 1 << 28
MAX_SIDE_PIXELS = 1 << 17  # of an input
MAX_SCALE = 100
_side, _scale = fields.whole_number(1, MAX_SIDE_PIXELS), fields.whole_number(1, MAX_SCALE)
FLAGS = {
    'width': _side,
    'height': _side,
    'scale': _scale,
    'fit': fields.may_lack(fields.TEXT),
    'tile': fields.may_lack(fields.BOOLEAN),
    'overlap': fields.may_lack(fields.whole_number(0, MAX_SIDE_PIXELS)),
    'no_label': fields.may_lack(fields.BOOLEAN),
    'dataset': fields.may_lack(fields.ANYTHING),  # of older versions, which nothing reads any more
}


def _is_key(key: str) -> bool:
    """Whether a name is that of a file in data/ or label/."""
    part, _, name = key.partition('/')
    return part in ('data', 'label') and bool(name) and '/' not in name and '\0' not in name


FIELDS = {
    'flags': fields.ANYTHING,  # by FLAGS
    'sha256': fields.mapping_of(fields.SHA256, _is_key, 'files in data/ and label/'),
    'images': fields.may_lack(fields.mapping_of(fields.SHA256, bool, "images' names")),
}


class Manifest(NamedTuple):
    """What a preparation says of itself.

    Attributes:
        path: of the manifest.
        flags: of the preparation, by their names.
        digests: 'data/x.bin' -> SHA-256, of each file.
        images: stem of each image -> known_sets.digest of its pixels; None in manifests that do not say it.
    """

    path: str
    flags: dict[str, Any]
    digests: dict[str, str]
    images: dict[str, str] | None = None


def write_next(folder: str, flags: dict[str, Any], digests: dict[str, str], images: dict[str, str]) -> None:
    """Write the manifest of a set, to be in force from `commit` on. The arguments are as in Manifest."""
    content = {'flags': flags, 'sha256': digests, 'images': images}
    files.write_text(os.path.join(folder, NEXT_NAME), json.dumps(content, indent=1, sort_keys=True) + '\n')


def commit(folder: str) -> None:
    """Put the manifest that `write_next` wrote into force: the files that it lists are in their places."""
    os.replace(os.path.join(folder, NEXT_NAME), os.path.join(folder, NAME))


def read(folder: str, name: str = NAME) -> Manifest | None:
    """The manifest of the set in a folder; None where there is none.

    Raises ValueError, with the file's name, for a file that is not a manifest.
    """
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    what = 'a manifest of RDN_preprocess.py: prepare into a new folder'
    content = files.read_json(path, MAX_BYTES, what)
    try:
        fields.check(content, FIELDS)
        fields.check(content['flags'], FLAGS)
    except ValueError as error:
        raise ValueError(f'{path}: not {what}: {error}')
    return Manifest(path, content['flags'], content['sha256'], content.get('images'))


def earlier_files(folder: str) -> set[str] | None:
    """The files of the set in a folder, 'data/x.bin', also of one being written; None where no manifest is there."""
    manifests = [manifest for manifest in (read(folder, NAME), read(folder, NEXT_NAME)) if manifest]
    return {key for manifest in manifests for key in manifest.digests} if manifests else None


def check_flags(part_folder: str, **given: int) -> None:
    """Raises ValueError, with the manifest's name, where a step's flags are not those of the preparation.

    part_folder: a set's data/ or label/. Nothing is checked where there is no manifest.
    """
    manifest = _beside(part_folder)
    if manifest is None:
        return
    for name, value in given.items():
        prepared = manifest.flags.get(name)
        if prepared != value:
            raise ValueError(
                f'{manifest.path}: prepared with {name} {prepared}, not {value}: give the same, or prepare again'
            )


def check_complete(part_folder: str, names: Iterable[str]) -> None:
    """Raises ValueError, with the file's name, unless a folder's files are just those that its manifest lists, unchanged."""
    manifest, names = _beside(part_folder), set(names)
    part = os.path.basename(os.path.realpath(part_folder)) + '/'
    listed = manifest.digests if manifest else {}
    missing = sorted(key for key in listed if key.startswith(part) and key[len(part) :] not in names)
    if missing:
        raise ValueError(f'{part_folder}: {missing[0][len(part) :]} is missing, of those prepared: prepare again')
    paths = [os.path.join(part_folder, name) for name in sorted(names)]
    _check_unchanged(paths, {os.path.realpath(part_folder): manifest})


def check_files(paths: Iterable[str]) -> None:
    """Raises ValueError, with the file's name, for a file in data/ or label/ that is not as its manifest says."""
    paths = list(paths)
    folders = {os.path.realpath(os.path.dirname(path)) for path in paths}
    _check_unchanged(paths, {folder: _beside(folder) for folder in folders})


def _check_unchanged(paths: Iterable[str], manifests: dict[str, Manifest | None]) -> None:
    """As check_files. manifests: of each folder, its links resolved."""

    def check(path: str) -> None:
        folder, name = os.path.realpath(os.path.dirname(path)), os.path.basename(path)
        manifest = manifests[folder]
        if manifest is None:
            return
        wanted = manifest.digests.get(f'{os.path.basename(folder)}/{name}')
        if wanted is None:
            raise ValueError(f'{path}: not of the images that {manifest.path} lists: remove it, or prepare again')
        if files.digest(path) != wanted:
            raise ValueError(f'{path}: changed since it was prepared, says {manifest.path}: prepare again')

    for _ in cpu.map_in_order(check, paths):
        pass


def read_flags(part_folder: str) -> dict[str, Any] | None:
    """The flags in the manifest beside a set's data/ or label/; None where there is none."""
    manifest = _beside(part_folder)
    return manifest.flags if manifest else None


def read_images(part_folder: str) -> dict[str, str] | None:
    """The images in the manifest beside a set's data/ or label/; None where nothing says which they were."""
    manifest = _beside(part_folder)
    return manifest.images if manifest else None


def digest_beside(part_folder: str) -> str | None:
    """The SHA-256 of the manifest beside a set's data/ or label/; None where there is none."""
    manifest = _beside(part_folder)
    return files.digest(manifest.path) if manifest else None


def _beside(part_folder: str) -> Manifest | None:
    """The manifest of the set whose data/ or label/ is the given folder."""
    return read(os.path.dirname(os.path.realpath(part_folder)))
