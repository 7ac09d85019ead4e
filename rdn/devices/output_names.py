"""How benchmark and ais_bench name what they write; ais_bench cuts the inputs' names at the first dot."""

from __future__ import annotations

import re
from typing import Iterable

from rdn import files

# Names in a batch size's folder of what a run leaves: outputs, speeds, and the records of both.
OF_A_RUN = re.compile(
    r'(dumpOutput_device\d+|(dumpOutput_device\d+|pure)_summary\.json|(perf_vision|PureInfer_perf)_\w+\.txt|'
    r'(dumpOutput|pure|perf_vision|PureInfer_perf)\w*\.run\.json)$'
)
# Files that say how fast a model is, the best first: alone, and over the images.
SPEEDS = ('pure_summary.json', 'PureInfer_perf_of_*.txt', 'ais_bench_pure.log', 'perf_vision_*.txt')


def output_folder(device_id: int) -> str:
    """The name of the folder that benchmark dumps a device's outputs into."""
    return f'dumpOutput_device{device_id}'


def performance_name(batch_size: int, device_id: int) -> str:
    """The name of benchmark's performance file."""
    return f'perf_vision_batchsize_{batch_size}_device_{device_id}.txt'


def pure_performance_name(model: str, device_id: int) -> str:
    """The name of benchmark's file on pure inference with a model, whose path is given."""
    return f'PureInfer_perf_of_{files.stem_of(model)}_in_device_{device_id}.txt'


def output_name(stem: str, binary: bool, index: int = 0) -> str:
    """The name under which benchmark dumps an output of `stem`. index: from 0, the number among the model's outputs."""
    return f'{stem}_{index + 1}.{"bin" if binary else "txt"}'


def output_prefix(stem: str) -> str:
    """What stands before the `_0` in the name of an output: the input's name up to its first dot."""
    return stem.split('.')[0]


def clashing_stems(stems: Iterable[str]) -> list[list[str]]:
    """The groups of stems whose outputs would have one name, each sorted."""
    groups: dict[str, list[str]] = {}
    for stem in sorted(stems):
        groups.setdefault(output_prefix(stem), []).append(stem)
    return [group for group in groups.values() if len(group) > 1]


def check_stems(stems: Iterable[str]) -> None:
    """Raises ValueError, with their names, for images whose outputs ais_bench would write over each other."""
    for group in clashing_stems(stems):
        raise ValueError(
            f'{" and ".join(group[:3])}: ais_bench cuts names at the first dot, and would write the outputs of all as '
            f'{output_prefix(group[0])}_0.bin: rename the images and prepare them again'
        )
