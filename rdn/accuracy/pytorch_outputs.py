"""PyTorch's outputs for a prepared set, with which a device's are compared: computed once, kept, believed unchanged only."""

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
    """What PyTorch is to compute.

    Attributes:
        weights: the path of the checkpoint.
        label_folder: label/ of the prepared set.
        stems: the names of the inputs, without ending.
        width: of an input, pixels.
        height: of an input, pixels.
    """

    weights: str
    label_folder: str
    stems: Sequence[str]
    width: int
    height: int


def find(job: ReferenceRun) -> Callable[[str], np.ndarray]:
    """A function from the name of an input, without ending, to PyTorch's output (3, scale*H, scale*W), float32.

    The outputs are computed once, in fp32 on the CPU, and kept beside the prepared set with their digests.

    Raises:
        ValueError: weights or inputs cannot be read, or a kept output is not as it was computed; with the file's name.
            The function raises it, too.
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
            raise ValueError(f'{path}: is missing: remove {folder}, and all are computed again')
        if files.digest(path) != digests.get(_name(stem)):
            raise ValueError(f'{path}: not as PyTorch computed it: remove {folder}, and all are computed again')
        return arrays.read_npy(path)

    return read


def _name(stem: str) -> str:
    return f'{stem}.npy'


def _read_digests(folder: str, of: dict[str, str]) -> dict[str, str] | None:
    """Name -> SHA-256 of the kept outputs; None where there are none, or only those of older versions, which say nothing.

    of: the digests of weights and manifest. Raises ValueError, with the file's name, for a record of another form or of
    others.
    """
    path = os.path.join(folder, RECORD_NAME)
    if not os.path.exists(path):
        return None
    what = f"a record of PyTorch's outputs: remove {folder}, and they are computed again"
    content = files.read_json(path, MAX_RECORD_BYTES, what)
    with files.errors_naming(path):
        try:
            fields.check(content, _FIELDS)
        except ValueError as error:
            raise ValueError(f'not {what} ({error})')
        for name, words in (('weights', 'other weights'), ('manifest', 'another manifest')):
            if content[name] != of[name]:
                raise ValueError(f'computed with {words}: remove {folder}, and the outputs are computed again')
    return content['sha256']


def _compute(job: ReferenceRun, folder: str, of: dict[str, str]) -> dict[str, str]:
    """Compute and keep the outputs; return name -> SHA-256. of: as of _read_digests."""
    from rdn.network import checkpoint

    import torch  # seconds that only this costs

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
