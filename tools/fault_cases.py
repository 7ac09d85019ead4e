"""For tools.faults: each script's command, the files that it starts from, and the checks of its results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Callable, NamedTuple, Sequence

import rdn

from tools import fault_fork


class FaultCase(NamedTuple):
    """A script's command and results. After an attack each result has to be the old or the new one.

    Attributes:
        name: the script's path in the project.
        command: the arguments.
        results: the files and folders that it writes.
        times: those of the results that differ in each run, for example because they contain times.
        by_file: whether each file in a folder may be old or new; otherwise all have to be old, or all new.
        label: the name in the table; empty for the script's name.
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
    """Return the name of a script's module."""
    return case.name[:-3].replace('/', '.')


def run(
    case: FaultCase, folder: str, in_process: Callable[[], None] | None = None, more_path: str = ''
) -> subprocess.Popen | fault_fork.Fork:
    """Start a case's command.

    Args:
        case: the case.
        folder: the folder to work in.
        in_process: called in the new process before the command.
        more_path: a folder of Python modules for run.sh's processes; other cases ignore it.

    Returns:
        The process.
    """
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
    """Wait for a process and return its status.

    Args:
        process: from `run`.
        wanted: the expected status; None for any.

    Raises:
        ValueError: the status is another one; the error contains the end of stderr.
        subprocess.TimeoutExpired: the process takes longer than 300 seconds.
    """
    _, error = process.communicate(timeout=300)
    if wanted is not None and process.returncode != wanted:
        raise ValueError(f'{process.args!r} ended with {process.returncode}: {error.decode(errors="replace")[-500:]}')
    assert process.returncode is not None
    return process.returncode


def finish_said(process: subprocess.Popen | fault_fork.Fork) -> tuple[int, str]:
    """Wait for a process, and return (its status, the text of its stderr)."""
    error = process.communicate(timeout=300)[1]
    assert process.returncode is not None
    return process.returncode, error.decode(errors='replace')


def states(folder: str, paths: Sequence[str]) -> dict[str, bytes | None]:
    """Read files, and all finished files below folders.

    Args:
        folder: the folder that the paths are relative to.
        paths: of files and folders.

    Returns:
        The contents by relative paths; None for a missing file.
    """
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
    """Return a file's content; None if there is no such file."""
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as file:
        return file.read()


def leftovers(folder: str) -> list[str]:
    """Return the names of unfinished files and folders, and of locks, below a folder."""
    return sorted(name for _, folders, names in os.walk(folder) for name in folders + names if is_unfinished(name))


def is_unfinished(name: str) -> bool:
    """Return whether a name is that of an unfinished file or folder, or of a lock."""
    return name.endswith(('.partial', '.old', '.lock'))


def check(case: FaultCase, folder: str, old: dict, new: dict) -> None:
    """Check that each result is complete, and either old or new.

    Args:
        case: the case.
        folder: its folder after an attack.
        old: the results of `states` before the command.
        new: the results of `states` after an undisturbed command.

    Raises:
        ValueError: a result is neither old nor new, or `--in-place` replaced a picture without a backup.
    """
    now = states(folder, case.results)
    for path in case.results:
        inside = [name for name in set(old) | set(new) | set(now) if name == path or name.startswith(path + '/')]
        # Without permission to write, nothing can remove an unfinished file; `check_rerun` looks for what is left.
        inside = [name for name in inside if not any(map(is_unfinished, name.split('/')))]
        if path not in case.times:
            inside = [name for name in inside if name not in case.times]
        if path in case.times:
            broken = [name for name in inside if not (now.get(name) or b'\n').endswith(b'\n')]
        elif case.by_file:
            cleared = f'{WALK}/result/images/'  # run.sh empties this folder before it writes new images
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
    """Return whether `--in-place` replaced a picture without a backup.

    Args:
        name: the picture's path.
        now: the contents after an attack.
        old: the contents before the command.
        new: the contents after an undisturbed command.
    """
    return now.get(name) != old.get(name) and name + '.orig' in new and now.get(name + '.orig') != old.get(name)


def check_rerun(case: FaultCase, folder: str, new: dict) -> None:
    """Check that the same command succeeds after an attack.

    Args:
        case: the case.
        folder: its folder after an attack.
        new: the results of `states` after an undisturbed command.

    Raises:
        ValueError: the command fails, its results are not the new ones, or an unfinished file or a lock is left.
    """
    # If the attack came after the revert, the rerun has nothing to revert and may fail.
    reverted = case.command[-1] == '--revert' and states(folder, case.results) == new
    finish(run(case, folder), None if reverted else 0)
    now = states(folder, case.results)
    for name in set(new) | set(now):
        if now.get(name) != new.get(name) and not any(name.startswith(path) for path in case.times):
            raise ValueError(f'{case.name}: after a rerun {name} is not the new one')
    if leftovers(folder):
        raise ValueError(f'{case.name}: a rerun left {leftovers(folder)}')


def write_sources(folder: str, version: int) -> None:
    """Write the files that the cases start from: weights and pictures.

    Args:
        folder: the folder to write to.
        version: 0 or 1, with different weights and pictures.
    """
    from rdn.training import trainer

    from PIL import Image

    import models
    import sample_images

    models.torch.manual_seed(version)
    model = models.RDN(2, 3, 8, 8, 1, 1)
    trainer.begin_as_interpolation(model)  # RDN_postprocess.py refuses outputs that do not resemble the pictures
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
    """Copy the parts of this project that run.sh needs to the folder WALK, because it works in its own folder."""
    for name in ('rdn', 'pictures', 'tools', 'test'):
        ignored = shutil.ignore_patterns('.venv*', '__pycache__', '.*', 'suite')
        shutil.copytree(os.path.join(rdn.ROOT, name), os.path.join(folder, WALK, name), ignore=ignored)
    for name in os.listdir(rdn.ROOT):
        if name.endswith(('.py', '.sh')):
            shutil.copy(os.path.join(rdn.ROOT, name), os.path.join(folder, WALK, name))
