"""The names of benchmark's and ais_bench's output files. ais_bench cuts the inputs' names at the first dot."""

from __future__ import annotations

import re
from typing import Iterable

from rdn import files

# Names of a run's results in a batch size's folder: outputs, speeds, and the records of both.
OF_A_RUN = re.compile(
    r'(dumpOutput_device\d+|(dumpOutput_device\d+|pure)_summary\.json|(perf_vision|PureInfer_perf)_\w+\.txt|'
    r'(dumpOutput|pure|perf_vision|PureInfer_perf)\w*\.run\.json)$'
)
# Files with a model's speed, in order of preference: the run without data comes before the run over the images.
SPEEDS = ('pure_summary.json', 'PureInfer_perf_of_*.txt', 'ais_bench_pure.log', 'perf_vision_*.txt')


def output_folder(device_id: int) -> str:
    """Return the name of the folder into which benchmark dumps a device's outputs."""
    return f'dumpOutput_device{device_id}'


def performance_name(batch_size: int, device_id: int) -> str:
    """Return the name of benchmark's performance file."""
    return f'perf_vision_batchsize_{batch_size}_device_{device_id}.txt'


def pure_performance_name(model: str, device_id: int) -> str:
    """Return the name of benchmark's file about pure inference.

    Args:
        model: the model's path.
        device_id: number of the device.
    """
    return f'PureInfer_perf_of_{files.stem_of(model)}_in_device_{device_id}.txt'


def output_name(stem: str, binary: bool, index: int = 0) -> str:
    """Return benchmark's name for an output.

    Args:
        stem: the input's name without its ending.
        binary: whether the output is binary (.bin) or text (.txt).
        index: the number of the output among the model's outputs, from 0.
    """
    return f'{stem}_{index + 1}.{"bin" if binary else "txt"}'


def output_prefix(stem: str) -> str:
    """Return the part before `_0` in ais_bench's name for an output: the input's name up to its first dot."""
    return stem.split('.')[0]


def clashing_stems(stems: Iterable[str]) -> list[list[str]]:
    """Return the groups of stems whose outputs ais_bench would give the same name, each group sorted."""
    groups: dict[str, list[str]] = {}
    for stem in sorted(stems):
        groups.setdefault(output_prefix(stem), []).append(stem)
    return [group for group in groups.values() if len(group) > 1]


def check_stems(stems: Iterable[str]) -> None:
    """Check that ais_bench gives the outputs of all images different names.

    Raises:
        ValueError: the outputs of several images would overwrite each other; names the images.
    """
    for group in clashing_stems(stems):
        raise ValueError(
            f'{" and ".join(group[:3])}: ais_bench cuts names at the first dot and would write all their outputs to '
            f'{output_prefix(group[0])}_0.bin: rename the images and prepare them again'
        )
