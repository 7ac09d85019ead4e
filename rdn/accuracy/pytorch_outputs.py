"""Compute PyTorch's outputs for a prepared set, keep them, and verify by their SHA-256 that they are unchanged."""

from __future__ import annotations

import json
import os
from typing import Callable, NamedTuple, Sequence

from rdn import arrays, cli, fields, files, sanity
from rdn.data import dataset

import numpy as np

RECORD_NAME = 'reference.json'  # in the folder of the outputs
MAX_RECORD_BYTES = 1 << 28
_FIELDS = {
    'weights': fields.SHA256,
    'manifest': fields.SHA256,
    'sha256': fields.Field(
        lambda value: isinstance(value, dict) and all(map(fields.SHA256.is_valid, value.values())),
        'names of files with a SHA-256 each',
    ),
}


class ReferenceRun(NamedTuple):
    """The weights and inputs for which PyTorch computes outputs.

    Attributes:
        weights: path of the checkpoint.
        label_folder: label/ of the prepared set.
        stems: names of the inputs without the ending.
        width: width of an input, in pixels.
        height: height of an input, in pixels.
    """

    weights: str
    label_folder: str
    stems: Sequence[str]
    width: int
    height: int


def find(job: ReferenceRun) -> Callable[[str], np.ndarray]:
    """Return a function that reads PyTorch's outputs; if they are not there yet, compute them.

    PyTorch computes them in fp32 on the CPU. They and their SHA-256 are kept in reference/, next to the set's label/.

    Args:
        job: the weights and inputs.

    Returns:
        A function from an input's name, without the ending, to PyTorch's output: float32 (3, scale*H, scale*W). It
        raises ValueError if the kept output is missing or was changed.

    Raises:
        ValueError: the weights, an input or the record of the kept outputs cannot be used; the message names the file.
    """
    of = {'weights': files.digest(job.weights), 'manifest': dataset.manifest_digest(job.label_folder)}
    folder = dataset.reference_folder(job.label_folder, of['weights'])
    digests = _read_digests(folder, of)
    if digests is None:
        dataset.check_inputs([dataset.input_path(job.label_folder, stem) for stem in job.stems], job.width, job.height)
        digests = _compute(job, folder, of)

    def read(stem: str) -> np.ndarray:
        path = os.path.join(folder, _name(stem))
        if not os.path.exists(path):
            raise ValueError(f'{path}: is missing: remove {folder} to compute all outputs again')
        if files.digest(path) != digests.get(_name(stem)):
            raise ValueError(f'{path}: changed since PyTorch computed it: remove {folder} to compute all again')
        return arrays.read_npy(path)

    return read


def _name(stem: str) -> str:
    return f'{stem}.npy'


def _read_digests(folder: str, of: dict[str, str]) -> dict[str, str] | None:
    """Return name -> SHA-256 of the kept outputs; None if the folder has no record, as in older versions.

    Args:
        folder: folder of the outputs.
        of: SHA-256 of 'weights' and 'manifest', which the record must have too.

    Raises:
        ValueError: the file is not a record, or has another SHA-256; the message names it.
    """
    path = os.path.join(folder, RECORD_NAME)
    if not os.path.exists(path):
        return None
    what = f"a record of PyTorch's outputs: remove {folder} to compute the outputs again"
    content = files.read_json(path, MAX_RECORD_BYTES, what)
    with files.errors_naming(path):
        try:
            fields.check(content, _FIELDS)
        except ValueError as error:
            raise ValueError(f'not {what} ({error})')
        for name, words in (('weights', 'other weights'), ('manifest', 'another manifest')):
            if content[name] != of[name]:
                raise ValueError(f'computed with {words}: remove {folder} to compute the outputs again')
    return content['sha256']


def _compute(job: ReferenceRun, folder: str, of: dict[str, str]) -> dict[str, str]:
    """Compute the outputs and write them with a record; return name -> SHA-256. For `of` see `_read_digests`."""
    from rdn.network import checkpoint

    import torch  # takes seconds to import, and only this function needs it

    model = checkpoint.load(job.weights)
    digests: dict[str, str] = {}
    earlier = [RECORD_NAME, *map(_name, job.stems)]
    with files.atomic_folder(folder, earlier) as partial, torch.no_grad():
        for stem in cli.progress(job.stems, 'image of PyTorch'):
            lr = dataset.read_input(dataset.input_path(job.label_folder, stem), job.width, job.height)
            output = model(torch.from_numpy(lr)[None])[0].numpy()
            sanity.check(output, job.weights)
            path = os.path.join(partial, _name(stem))
            np.save(path, output)
            digests[_name(stem)] = files.digest(path)
        files.write_text(os.path.join(partial, RECORD_NAME), json.dumps({**of, 'sha256': digests}, indent=1) + '\n')
    return digests
