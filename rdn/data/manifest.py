"""Write, read and check manifest.json: the flags of a preparation, and the SHA-256 of each file in data/ and label/."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, NamedTuple

from rdn import cpu, fields, files

NAME = 'manifest.json'
# The manifest of a set that is being written. It stays if the process is killed.
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
    'dataset': fields.may_lack(fields.ANYTHING),  # older versions wrote it; it is ignored
}


def _is_key(key: str) -> bool:
    """Return whether `key` has the form 'data/NAME' or 'label/NAME'."""
    part, _, name = key.partition('/')
    return part in ('data', 'label') and bool(name) and '/' not in name and '\0' not in name


FIELDS = {
    'flags': fields.ANYTHING,  # `read` checks them against FLAGS
    'sha256': fields.mapping_of(fields.SHA256, _is_key, 'files in data/ and label/'),
    'images': fields.may_lack(fields.mapping_of(fields.SHA256, bool, "images' names")),
}


class Manifest(NamedTuple):
    """The content of a manifest.json.

    Attributes:
        path: path of the manifest.
        flags: flags of the preparation: name -> value.
        digests: SHA-256 of each file: 'data/x.bin' -> digest.
        images: stem of each image -> its `known_sets.digest`; None in manifests of older versions.
    """

    path: str
    flags: dict[str, Any]
    digests: dict[str, str]
    images: dict[str, str] | None = None


def write_next(folder: str, flags: dict[str, Any], digests: dict[str, str], images: dict[str, str]) -> None:
    """Write the manifest of a new set under its temporary name; `commit` puts it into force.

    Args:
        folder: the folder that contains data/ and label/.
        flags: flags of the preparation: name -> value.
        digests: SHA-256 of each file: 'data/x.bin' -> digest.
        images: stem of each image -> its `known_sets.digest`.
    """
    content = {'flags': flags, 'sha256': digests, 'images': images}
    files.write_text(os.path.join(folder, NEXT_NAME), json.dumps(content, indent=1, sort_keys=True) + '\n')


def commit(folder: str) -> None:
    """Replace manifest.json with the manifest from `write_next`, once the files that it lists are in place."""
    os.replace(os.path.join(folder, NEXT_NAME), os.path.join(folder, NAME))


def read(folder: str, name: str = NAME) -> Manifest | None:
    """Read the manifest of the set in a folder; return None if there is no manifest.

    Args:
        folder: the folder that contains data/ and label/.
        name: file name of the manifest: NAME or NEXT_NAME.

    Raises:
        ValueError: the file is not a manifest; the message names it.
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
    """Return the files of the sets in a folder, as 'data/x.bin'; None if there is no manifest.

    These are the files of the finished set, and those of a set whose preparation did not finish.
    """
    manifests = [manifest for manifest in (read(folder, NAME), read(folder, NEXT_NAME)) if manifest]
    return {key for manifest in manifests for key in manifest.digests} if manifests else None


def check_flags(part_folder: str, **given: int) -> None:
    """Check that a step has the same flags as the preparation. Without a manifest, check nothing.

    Args:
        part_folder: the set's data/ or label/.
        **given: the step's flags: name -> value.

    Raises:
        ValueError: a flag differs; the message names the manifest.
    """
    manifest = _beside(part_folder)
    if manifest is None:
        return
    for name, value in given.items():
        prepared = manifest.flags.get(name)
        if prepared != value:
            raise ValueError(
                f'{manifest.path}: prepared with {name} {prepared}, not {value}: give the same value, or prepare again'
            )


def check_complete(part_folder: str, names: Iterable[str]) -> None:
    """Check that a folder has exactly the files that its manifest lists, unchanged. Without a manifest, check nothing.

    Args:
        part_folder: the set's data/ or label/.
        names: names of the files in it.

    Raises:
        ValueError: a file is missing, not listed or changed; the message names it.
    """
    manifest, names = _beside(part_folder), set(names)
    part = os.path.basename(os.path.realpath(part_folder)) + '/'
    listed = manifest.digests if manifest else {}
    missing = sorted(key for key in listed if key.startswith(part) and key[len(part) :] not in names)
    if missing:
        raise ValueError(f'{part_folder}: {missing[0][len(part) :]} was prepared, but is missing: prepare again')
    paths = [os.path.join(part_folder, name) for name in sorted(names)]
    _check_unchanged(paths, {os.path.realpath(part_folder): manifest})


def check_files(paths: Iterable[str]) -> None:
    """Check that files in data/ or label/ are listed in their manifest and unchanged.

    Files of a set without a manifest are not checked.

    Raises:
        ValueError: a file is not listed or was changed; the message names it.
    """
    paths = list(paths)
    folders = {os.path.realpath(os.path.dirname(path)) for path in paths}
    _check_unchanged(paths, {folder: _beside(folder) for folder in folders})


def _check_unchanged(paths: Iterable[str], manifests: dict[str, Manifest | None]) -> None:
    """Check files against the manifests of their folders: real path of a folder -> Manifest, or None."""

    def check(path: str) -> None:
        folder, name = os.path.realpath(os.path.dirname(path)), os.path.basename(path)
        manifest = manifests[folder]
        if manifest is None:
            return
        wanted = manifest.digests.get(f'{os.path.basename(folder)}/{name}')
        if wanted is None:
            raise ValueError(f'{path}: not listed in {manifest.path}: remove it, or prepare again')
        if files.digest(path) != wanted:
            raise ValueError(f'{path}: changed since {manifest.path} was written: prepare again')

    for _ in cpu.map_in_order(check, paths):
        pass


def read_flags(part_folder: str) -> dict[str, Any] | None:
    """Return the flags in the manifest of the set whose data/ or label/ is given; None if it has no manifest."""
    manifest = _beside(part_folder)
    return manifest.flags if manifest else None


def read_images(part_folder: str) -> dict[str, str] | None:
    """Return the images in the manifest of the set whose data/ or label/ is given.

    Returns:
        Stem of each image -> its `known_sets.digest`; None if there is no manifest, or an older one without images.
    """
    manifest = _beside(part_folder)
    return manifest.images if manifest else None


def digest_beside(part_folder: str) -> str | None:
    """Return the SHA-256 of the manifest of the set whose data/ or label/ is given; None if it has no manifest."""
    manifest = _beside(part_folder)
    return files.digest(manifest.path) if manifest else None


def _beside(part_folder: str) -> Manifest | None:
    """Read the manifest of the set whose data/ or label/ is given; return None if it has no manifest."""
    return read(os.path.dirname(os.path.realpath(part_folder)))
