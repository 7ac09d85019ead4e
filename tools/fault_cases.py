"""For tools.faults: each script's command, from what it starts, and what has to be true of its results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any, NamedTuple, Sequence

import rdn


class FaultCase(NamedTuple):
    """A script's command in its folder, and the results that may be old or new; those in `times` differ at each run."""

    name: str
    command: list[str]
    results: list[str]
    times: list[str]


TOOLKIT = """def _by_dynamic_static_union_version(shape):
    white_list_shape = [
        [2, 512],
        [1024, 91]
    ]
    return shape in white_list_shape
"""

CASES = [
    FaultCase('RDN_pth2onnx.py', ['--input-file=tiny.pth', '--output-file=rdn_x2.onnx'], ['rdn_x2.onnx'], []),
    FaultCase(
        'RDN_preprocess.py',
        ['--src-path=images', '--save-path=prep'],
        ['prep/data', 'prep/label', 'prep/manifest.json'],
        [],
    ),
    FaultCase('gen_dataset_info.py', ['bin', 'prep/data', 'a.info', '114', '114'], ['a.info'], []),
    FaultCase(
        'RDN_infer.py',
        ['-om_path=rdn_x2.onnx', '-batch_size=1', '-input_text_path=a.info', '-profiling=prof'],
        ['result/dumpOutput_device0', 'result/perf_vision_batchsize_1_device_0.txt', 'prof'],
        ['result/perf_vision_batchsize_1_device_0.txt', 'prof'],
    ),
    FaultCase(
        'RDN_postprocess.py',
        '--pred-path=result/dumpOutput_device0 --label-path=prep/label --result-path=result.json --allow-mismatch '
        '--save-images=pictures --report=page'.split(),
        ['result.json', 'page/index.html'],
        [],
    ),
    FaultCase('RDN_upscale.py', '--input images --output large --model rdn_x2.onnx --overwrite'.split(), ['large'], []),
    FaultCase('patch_transpose_whitelist.py', ['--transpose-py=transpose.py'], ['transpose.py'], []),
    FaultCase('patch_transpose_whitelist.py', ['--transpose-py=transpose.py', '--revert'], ['transpose.py'], []),
    FaultCase('sample_images.py', ['samples'], ['samples'], []),
    FaultCase(
        'RDN_train.py',
        '--train-path images --steps 4 --resume --overwrite --output-file trained.pth --num-blocks 1 --num-layers 1 --num-features 8 '
        '--growth-rate 8 --patch 16 --batch-size 2'.split(),
        ['trained.pth'],
        [],
    ),
]


def run(case: FaultCase, folder: str, wrapper: Sequence[str] = (), **kwargs: Any) -> subprocess.Popen:
    """The case's command in a folder; wrapper: arguments between Python and the script."""
    command = [sys.executable] + list(wrapper) + [os.path.join(rdn.ROOT, case.name)] + case.command
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=rdn.ROOT),
        **kwargs,
    )


def finish(process: subprocess.Popen, wanted: int | None = 0) -> int:
    """Wait for a process; raises ValueError with what it said unless it ended as wanted (None: either way)."""
    _, error = process.communicate(timeout=300)
    if wanted is not None and process.returncode != wanted:
        raise ValueError(f'{process.args!r} ended with {process.returncode}: {error.decode(errors="replace")[-500:]}')
    return process.returncode


def states(folder: str, paths: Sequence[str]) -> dict[str, bytes | None]:
    """Path -> content (None where there is nothing) of files, and of all finished files below folders."""
    found = {}
    for path in paths:
        place = os.path.join(folder, path)
        if not os.path.isdir(place):
            found[path] = read(place)
        for parent, _, names in os.walk(place):
            for name in names:
                if '.partial' not in name:
                    found[os.path.relpath(os.path.join(parent, name), folder)] = read(os.path.join(parent, name))
    return found


def read(path: str) -> bytes | None:
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as file:
        return file.read()


def leftovers(folder: str) -> list[str]:
    """Names of unfinished files and folders below a folder."""
    return sorted(name for _, folders, names in os.walk(folder) for name in folders + names if '.partial' in name)


def check(case: FaultCase, folder: str, old: dict, new: dict) -> None:
    """Raises ValueError unless each result is old or new and whole; a folder's files all of one of the two."""
    now = states(folder, case.results)
    for path in case.results:
        inside = [name for name in set(old) | set(new) | set(now) if name == path or name.startswith(path + '/')]
        if path in case.times:
            broken = [name for name in inside if not (now.get(name) or b'\n').endswith(b'\n')]
        elif case.name == 'RDN_upscale.py':  # picture by picture
            broken = [name for name in inside if now.get(name) not in (old.get(name), new.get(name))]
        else:
            whole = any(all(now.get(name) == state.get(name) for name in inside) for state in (old, new))
            broken = [] if whole else inside
        if broken:
            raise ValueError(f'{case.name}: neither old nor new: {", ".join(sorted(broken)[:5])}')


def check_rerun(case: FaultCase, folder: str, new: dict) -> None:
    """Raises ValueError unless the same command now succeeds, with the new results and nothing beside them."""
    reverted = case.command[-1] == '--revert' and states(folder, case.results) == new  # before the kill: nothing to do
    finish(run(case, folder), None if reverted else 0)
    now = states(folder, case.results)
    for name in set(new) | set(now):
        if now.get(name) != new.get(name) and not any(name.startswith(path) for path in case.times):
            raise ValueError(f'{case.name}: after a rerun {name} is not the new one')
    if leftovers(folder):
        raise ValueError(f'{case.name}: a rerun left {leftovers(folder)}')


def write_sources(folder: str, version: int) -> None:
    """What the walk starts from, of one of two versions: weights, and pictures of other names and content."""
    from PIL import Image

    import models
    import sample_images

    models.torch.manual_seed(version)
    models.torch.save(models.RDN(2, 3, 8, 8, 1, 1).state_dict(), os.path.join(folder, 'tiny.pth'))
    shutil.rmtree(os.path.join(folder, 'images'), ignore_errors=True)
    os.mkdir(os.path.join(folder, 'images'))
    for index, path in enumerate(sample_images.sample_paths()):
        picture = Image.open(path).convert('RGB').crop((0, 0, 240, 240 + 2 * index + version))
        picture.save(os.path.join(folder, 'images', f'{index + version}.png'))
