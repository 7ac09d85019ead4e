"""For tools.faults: each script's command, from what it starts, and what has to be true of its results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Callable, NamedTuple, Sequence

import rdn

from tools import fault_fork


class FaultCase(NamedTuple):
    """A script's command in its folder, and the results that may be old or new.

    Attributes:
        name: the script's path in the project.
        command: its arguments.
        results: files and folders that it writes.
        times: those of them that differ at each run.
        by_file: whether each file is old or new on its own, and not all of a result together.
        label: for the table; '': the name.
    """

    name: str
    command: list[str]
    results: list[str]
    times: list[str]
    by_file: bool = False
    label: str = ''

    @property
    def title(self) -> str:
        """The name in tables."""
        return self.label or self.name


TOOLKIT = """def _by_dynamic_static_union_version(shape):
    white_list_shape = [
        [2, 512],
        [1024, 91]
    ]
    return shape in white_list_shape
"""

WALK = 'project'  # the copy of this project in which run.sh works
WALK_RESULTS = 'rdn_x2.onnx rdn_x2.run.json prep_dataset RDN_prep_bin.info result result.json result.run.json'.split()
WALK_TIMES = ['result/perf_vision_batchsize_1_device_0.txt', 'result/perf_vision_batchsize_1_device_0.run.json']
WALK_TIMES += ['rdn_x2.run.json', 'result.run.json']  # with the path of the weights

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
    FaultCase(
        'RDN_upscale.py',
        '--input images --output large --model rdn_x2.onnx --overwrite'.split(),
        ['large'],
        ['large/.rdn-upscale.jsonl'],
        True,
    ),
    FaultCase(
        'RDN_upscale.py',
        '--input replaced --model tiny.pth --in-place --resume'.split(),
        ['replaced'],
        ['replaced/.rdn-upscale.jsonl'],
        True,
        'RDN_upscale.py --in-place',
    ),
    FaultCase(
        'RDN_upscale.py',
        '--input moving --output moved --model tiny.pth --all-frames --overwrite'.split(),
        ['moved'],
        ['moved/.rdn-upscale.jsonl'],
        True,
        'RDN_upscale.py --all-frames',
    ),
    FaultCase(
        'RDN_upscale.py',
        '--input small --output huge --model tiny.pth --scale 8 --overwrite'.split(),
        ['huge'],
        ['huge/.rdn-upscale.jsonl'],
        True,
        'RDN_upscale.py --scale',
    ),
    FaultCase(
        'RDN_quantize.py',
        '--input-file=rdn_x2.onnx --calibration images --output-file=rdn_x2_int8.onnx --images=4 --max-loss=9'.split(),
        ['rdn_x2_int8.onnx'],
        [],
    ),
    FaultCase('RDN_compare.py', '--weights=tiny.pth --model=tiny.pth --label-path=prep/label'.split(), [], []),
    FaultCase('tools/evaluate.py', '--weights tiny.pth images'.split(), [], []),
    FaultCase(
        'run.sh',
        '--weights tiny.pth --dataset images --with=host'.split(),
        [f'{WALK}/{name}' for name in WALK_RESULTS],
        [f'{WALK}/{name}' for name in WALK_TIMES],
        True,
    ),
    FaultCase('patch_transpose_whitelist.py', ['--transpose-py=transpose.py'], ['transpose.py'], []),
    FaultCase(
        'patch_transpose_whitelist.py',
        ['--transpose-py=transpose.py', '--revert'],
        ['transpose.py'],
        [],
        label='patch_transpose_whitelist.py --revert',
    ),
    FaultCase('sample_images.py', ['samples'], ['samples'], []),
    FaultCase(
        'RDN_train.py',
        '--train-path images --steps 4 --resume --overwrite --output-file trained.pth --num-blocks 1 --num-layers 1 --num-features 8 '
        '--growth-rate 8 --patch 16 --batch-size 2'.split(),
        ['trained.pth'],
        [],
    ),
]


def module_of(case: FaultCase) -> str:
    """A script's name as a module."""
    return case.name[:-3].replace('/', '.')


def run(
    case: FaultCase, folder: str, in_process: Callable[[], None] | None = None, more_path: str = ''
) -> subprocess.Popen | fault_fork.Fork:
    """The case's process in a folder. in_process: is called in it at first; more_path: of Python's modules, for run.sh."""
    if not case.name.endswith('.sh'):
        return fault_fork.Fork(module_of(case), case.command, folder, in_process)
    environment = {'PYTHONPATH': more_path, 'RDN_VENV': sys.prefix}
    return subprocess.Popen(
        ['bash', os.path.join(folder, WALK, case.name), *case.command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(os.environ, **environment),
        preexec_fn=in_process,
    )


def finish(process: subprocess.Popen | fault_fork.Fork, wanted: int | None = 0) -> int:
    """Wait for a process; raises ValueError with what it said unless it ended as wanted (None: either way)."""
    _, error = process.communicate(timeout=300)
    if wanted is not None and process.returncode != wanted:
        raise ValueError(f'{process.args!r} ended with {process.returncode}: {error.decode(errors="replace")[-500:]}')
    assert process.returncode is not None
    return process.returncode


def finish_said(process: subprocess.Popen | fault_fork.Fork) -> tuple[int, str]:
    """Wait for a process; its status, and what it wrote to stderr."""
    error = process.communicate(timeout=300)[1]
    assert process.returncode is not None
    return process.returncode, error.decode(errors='replace')


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
    return sorted(
        name
        for _, folders, names in os.walk(folder)
        for name in folders + names
        if name.endswith(('.partial', '.old', '.lock'))
    )


def check(case: FaultCase, folder: str, old: dict, new: dict) -> None:
    """Raises ValueError unless each result is old or new and whole; a folder's files all of one of the two."""
    now = states(folder, case.results)
    for path in case.results:
        inside = [name for name in set(old) | set(new) | set(now) if name == path or name.startswith(path + '/')]
        if path not in case.times:
            inside = [name for name in inside if name not in case.times]
        if path in case.times:
            broken = [name for name in inside if not (now.get(name) or b'\n').endswith(b'\n')]
        elif case.by_file:
            cleared = f'{WALK}/result/images/'  # run.sh removes those of an earlier walk before it makes its own
            inside = [name for name in inside if not (name.startswith(cleared) and now.get(name) is None)]
            broken = [name for name in inside if now.get(name) not in (old.get(name), new.get(name))]
        else:
            whole = any(all(now.get(name) == state.get(name) for name in inside) for state in (old, new))
            broken = [] if whole else inside
        if case.command[-2:-1] == ['--in-place']:
            broken += [name for name in inside if is_lost(name, now, old, new)]
        if broken:
            raise ValueError(f'{case.name}: neither old nor new: {", ".join(sorted(broken)[:5])}')


def is_lost(name: str, now: dict, old: dict, new: dict) -> bool:
    """Whether a picture that --in-place replaced has no backup."""
    return now.get(name) != old.get(name) and name + '.orig' in new and now.get(name + '.orig') != old.get(name)


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
    from rdn.training import trainer

    from PIL import Image

    import models
    import sample_images

    models.torch.manual_seed(version)
    model = models.RDN(2, 3, 8, 8, 1, 1)
    trainer.begin_as_interpolation(model)  # its outputs are the pictures: others are refused
    models.torch.save(model.state_dict(), os.path.join(folder, 'tiny.pth'))
    for name in ('images', 'replaced', 'moving', 'small'):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        os.mkdir(os.path.join(folder, name))
    for index, path in enumerate(sample_images.sample_paths()):
        picture = Image.open(path).convert('RGB').crop((0, 0, 240, 240 + 2 * index + version))
        picture.save(os.path.join(folder, 'images', f'{index + version}.png'))
        picture.crop((0, 0, 100, 90)).save(os.path.join(folder, 'replaced', f'{index + version}.png'))
        frames = [picture.crop((step, 0, step + 60, 50)) for step in range(4)]
        ending = ('gif', 'png', 'tif')[index % 3]
        frames[0].save(
            os.path.join(folder, 'moving', f'{index + version}.{ending}'), save_all=True, append_images=frames[1:]
        )
        picture.crop((0, 0, 40, 36)).save(os.path.join(folder, 'small', f'{index + version}.png'))


def copy_project(folder: str) -> None:
    """What run.sh needs of this project, in the folder WALK: it works in its own folder."""
    for name in ('rdn', 'pictures', 'tools', 'test'):
        ignored = shutil.ignore_patterns('.venv*', '__pycache__', '.*', 'suite')
        shutil.copytree(os.path.join(rdn.ROOT, name), os.path.join(folder, WALK, name), ignore=ignored)
    for name in os.listdir(rdn.ROOT):
        if name.endswith(('.py', '.sh')):
            shutil.copy(os.path.join(rdn.ROOT, name), os.path.join(folder, WALK, name))
