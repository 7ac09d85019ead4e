"""Profiles of operators on a device, from msprof (CANN 5 to 9) or from PyTorch's profiler on Ascend (torch_npu).

msprof writes op_statistic_*.csv and op_summary_*.csv. torch_npu writes op_statistic.csv; its kernel_details.csv is an
op_summary with other column names. The columns differ between versions, so each one is searched by all its known names.
Other columns are ignored.
"""

from __future__ import annotations

import collections
import csv
import functools
import io
import json
import operator
import os
import re
from typing import Iterable, Iterator, NamedTuple, Sequence

from rdn.profiling import csv_table


class Statistic(NamedTuple):
    """The runs of an operator type. Times are in microseconds.

    Attributes:
        model: the model's name; None if unknown.
        op_type: the type of the operator.
        core_type: the type of the processor core; None if unknown.
        calls: the number of runs.
        total: the time of all runs.
        min: the time of the shortest run; None if unknown.
        avg: the mean time of a run.
        max: the time of the longest run; None if unknown.
        ratio: percent of its device's total time; None if not computed yet.
        device: the device's number; None if unknown.
    """

    model: str | None
    op_type: str
    core_type: str | None
    calls: int
    total: float
    min: float | None
    avg: float
    max: float | None
    ratio: float | None
    device: str | None = None


class Task(NamedTuple):
    """One run of one operator. Times are in microseconds.

    Attributes:
        model: the model's name; None if unknown.
        name: the operator's name; None if unknown.
        op_type: the type of the operator.
        core_type: the type of the processor core; None if unknown.
        duration: the time of the run.
        shapes: the shapes of its inputs; None if unknown.
        start: the time when it started.
        device: the device's number; None if unknown.
    """

    model: str | None
    name: str | None
    op_type: str
    core_type: str | None
    duration: float
    shapes: list[list[int]] | None
    start: float = 0.0
    device: str | None = None


# The names of each column in all versions, in small letters and digits only, without units.
STATISTIC_COLUMNS = {
    'model': ('modelname',),
    'op_type': ('optype', 'operatortype'),
    'core_type': ('coretype', 'tasktype', 'accelerator'),
    'calls': ('count', 'totalcount', 'calls', 'occurrences'),
    'total': ('totaltime', 'totalduration', 'total'),
    'min': ('mintime', 'minduration', 'min', 'minimumtime'),
    'avg': ('avgtime', 'avgduration', 'averagetime', 'meantime', 'avg'),
    'max': ('maxtime', 'maxduration', 'max', 'maximumtime'),
    'ratio': ('ratio', 'percentage'),
    'device': ('deviceid',),
}
SUMMARY_COLUMNS = {
    'model': ('modelname',),
    'name': ('opname', 'operatorname', 'name'),
    'op_type': ('optype', 'operatortype', 'type'),
    'core_type': ('tasktype', 'coretype', 'accelerator', 'acceleratorcore'),
    'duration': ('taskduration', 'duration', 'tasktime'),
    'shapes': ('inputshapes', 'inputshape'),
    'device': ('deviceid',),
}
NUMBERS = {'calls', 'total', 'min', 'avg', 'max', 'ratio', 'duration'}
TRANSPOSES = ('TransposeD', 'Transpose')
# CANN 5's headers.
STATISTIC_HEADER = 'Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)'
SUMMARY_HEADER = (
    'Model Name,Model ID,Task ID,Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),'
    'Task Wait Time(us),Block Dim,Input Shapes'
)
WORTHWHILE_PERCENT = 1.0  # a transpose's least share of the total time for which white-listing its shape is worthwhile
# A transpose is slow if it moves fewer elements per microsecond. The guide's moves 3.6 before the fix and 328 after it.
SLOW_ELEMENTS = 30.0
# Beginning of a file's name -> kind of the file.
KINDS = {'op_statistic': 'op_statistic', 'op_summary': 'op_summary', 'kernel_details': 'op_summary'}
PYTORCH_OUTPUT = 'ASCEND_PROFILER_OUTPUT'  # the folder of torch_npu's tables; msprof's, its source, are next to it
NO_TYPE = 'N/A'


def find_profile(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Find the files of one profile.

    Several files of a kind belong to one profile if they are slices of one table, or iterations of one model on one
    device.

    Args:
        paths: files and folders. In a folder with several of msprof's PROF_*, only the newest is used.

    Returns:
        The paths of op_statistic, and the paths of op_summary. One of the lists may be empty.

    Raises:
        OSError: there is no such file.
        ValueError: there are no files of these kinds, or files of two profiles.
    """
    paths = list(paths)
    found: dict[str, list[str]] = {'op_statistic': [], 'op_summary': []}
    for path in paths:
        if not os.path.isdir(path):
            found[kind_of(path)].append(path)
            continue
        for table, kind in _tables_in(newest_profile(path)):
            found[kind].append(table)
    for several in found.values():
        for path in several[1:]:
            if _profile_of(path) != _profile_of(several[0]):
                raise ValueError(
                    f'{several[0]} and {path} belong to two profiles: name only one (--after compares two)'
                )
    if not any(found.values()):
        raise ValueError(f'{paths[0]}: contains no op_statistic*.csv, op_summary_*.csv or kernel_details.csv')
    return found['op_statistic'], found['op_summary']


def _tables_in(folder: str) -> list[tuple[str, str]]:
    """Return (path, kind) for the tables in and below a folder. Ignore msprof's tables if torch_npu converted them."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        if PYTORCH_OUTPUT in folders and _tables_in(os.path.join(parent, PYTORCH_OUTPUT)):
            folders[:] = [name for name in folders if not name.startswith('PROF_')]
        for name in sorted(names):
            kind = next((kind for start, kind in KINDS.items() if name.startswith(start)), None)
            if kind and name.endswith('.csv'):
                found.append((os.path.join(parent, name), kind))
    return found


def newest_profile(folder: str) -> str:
    """Return the newest profile below a folder, or the folder itself if it contains at most one.

    Profiles are msprof's folders PROF_* and torch_npu's *_ascend_pt. They are compared by the time in their names, for
    example PROF_000001_20240101120000123_ABCDEF, then by the names.
    """
    found: list[str] = []
    for parent, folders, _ in os.walk(folder):
        profiles = [name for name in folders if name.startswith('PROF_') or name.endswith('_ascend_pt')]
        if PYTORCH_OUTPUT in folders:  # this folder is itself a profile
            profiles = []
            folders[:] = []
        found += [os.path.join(parent, name) for name in profiles]
        folders[:] = [name for name in folders if name not in profiles]
    return max(found, key=_time_of) if len(found) > 1 else folder


def _time_of(path: str) -> tuple[str, str]:
    name = os.path.basename(path)
    time = re.search(r'_(\d{14,})(?:_|$)', name)
    return time.group(1) if time else '', name


def _profile_of(path: str) -> tuple[str, ...]:
    """Return the part of a path that all files of one profile share: all but the number of a slice or iteration.

    Names are op_summary_0_1_2.csv (device, model, iteration), op_summary_0_1.csv, op_summary_20240101120000.csv, and
    op_summary_slice_0_20240101120000.csv for its slices. ais_bench adds _{model}_{hash} to any of them.
    """
    folder, name = os.path.split(path)
    words = re.sub(r'_slice_\d+', '', name[: -len('.csv')]).split('_')[2:]  # without op_summary, kernel_details
    count = next((i for i, word in enumerate(words) if not (word.isdigit() and len(word) <= 6)), len(words))
    return (folder, *words[: max(0, count - 1)], *words[count:])


def kind_of(path: str) -> str:
    """Return a file's kind, 'op_statistic' or 'op_summary', according to its columns.

    Raises:
        OSError: there is no such file.
        ValueError: the columns belong to neither kind; names the file.
    """
    header = set(csv_table.read_header(path))
    if header.intersection(SUMMARY_COLUMNS['duration']) and header.intersection(SUMMARY_COLUMNS['name']):
        return 'op_summary'
    if header.intersection(STATISTIC_COLUMNS['total']):
        return 'op_statistic'
    raise ValueError(
        f'{path}: neither op_statistic nor op_summary of msprof, nor kernel_details of torch_npu: '
        'its first line names other columns'
    )


def read_statistics(paths: Sequence[str]) -> list[Statistic]:
    """Read the Statistics in a profile's op_statistic files, the longest total time first.

    Raises:
        OSError: there is no such file.
        ValueError: a file is corrupt, or no operator took any time; names the file, and the line if there is one.
    """
    rows = [row for path in paths for row in _read_statistics(path)]
    if len(paths) > 1:
        rows = _add_up(rows)
    return _with_ratios(rows, ' and '.join(paths))


def _add_up(rows: Iterable[Statistic]) -> list[Statistic]:
    """Add up the Statistics of several runs or iterations: a row for each operator type, without ratios."""
    sums: dict[tuple[str | None, ...], Statistic] = {}
    for row in rows:
        key = row.model, row.op_type, row.core_type, row.device
        old = sums.get(key)
        if old:
            calls, total = old.calls + row.calls, old.total + row.total
            low = min((x for x in (old.min, row.min) if x is not None), default=None)
            high = max((x for x in (old.max, row.max) if x is not None), default=None)
            row = row._replace(calls=calls, total=total, min=low, avg=total / calls, max=high)
        sums[key] = row if row.ratio is None else row._replace(ratio=None)
    return list(sums.values())


def _read_statistics(path: str) -> list[Statistic]:
    rows = []
    for row in csv_table.read(path, STATISTIC_COLUMNS, NUMBERS, needed=('op_type', 'calls', 'total')):
        if row['calls'] and row['total'] is not None:
            average = row['avg'] if row['avg'] is not None else row['total'] / row['calls']
            rows.append(Statistic(**dict(row, op_type=row['op_type'] or NO_TYPE, calls=int(row['calls']), avg=average)))
    return rows


def read_tasks(*paths: str) -> Iterator[Task]:
    """Yield the Tasks in a profile's op_summary files that have a duration.

    Raises:
        OSError: there is no such file.
        ValueError: a file is corrupt; names the file, and the line if there is one.
    """
    for path in paths:
        for row in csv_table.read(path, SUMMARY_COLUMNS, NUMBERS, needed=('op_type', 'duration')):
            if row['duration'] is not None:
                yield Task(**dict(row, op_type=row['op_type'] or NO_TYPE, shapes=_shapes(row['shapes'])))


def read_onnxruntime_trace(path: str, model: str) -> list[Task]:
    """Read the Tasks in onnxruntime's own profile of a run, in the order in which they started.

    Args:
        path: the profile, a JSON file.
        model: the model's name for the Tasks.
    """
    with open(path, encoding='utf-8', errors='replace') as file:
        events = json.load(file)
    ending = '_kernel_time'
    tasks = [
        Task(
            model=model,
            name=event['name'][: -len(ending)],
            op_type=event['args']['op_name'],
            core_type=event['args']['provider'].replace('ExecutionProvider', ''),
            duration=event['dur'],
            shapes=[shape for each in event['args'].get('input_type_shape', []) for shape in each.values()] or None,
            start=event['ts'],
        )
        for event in events
        if event.get('cat') == 'Node' and event['name'].endswith(ending)
    ]
    return sorted(tasks, key=lambda task: task.start)


def statistics_of(tasks: Iterable[Task], origin: str = 'the profile') -> list[Statistic]:
    """Compute the Statistics that op_statistic would contain for these Tasks, the longest total time first.

    Args:
        tasks: the Tasks.
        origin: their file, for errors.

    Raises:
        ValueError: no task took any time, or no task has an operator type.
    """
    rows = _with_ratios(_add_up(map(_statistic_of, tasks)), origin)
    if all(row.op_type == NO_TYPE for row in rows):
        raise ValueError(f'{origin}: names no operator types: profile again with ProfilerLevel.Level1')
    return rows


def _statistic_of(task: Task) -> Statistic:
    us = task.duration
    core, device = task.core_type, task.device
    return Statistic(task.model, task.op_type, core, 1, total=us, min=us, avg=us, max=us, ratio=None, device=device)


def slow_transposes(tasks: Iterable[Task]) -> list[list[int]]:
    """Return the shapes of slow transposes, each once, the slowest first.

    A transpose is slow if it moves fewer than SLOW_ELEMENTS per microsecond. Shapes that take less than
    WORTHWHILE_PERCENT of the total time are left out.
    """
    total = 0.0
    times: dict[tuple[int, ...], float] = collections.defaultdict(float)
    for task in tasks:
        total += task.duration
        if task.op_type in TRANSPOSES and task.shapes and task.shapes[0]:
            elements = functools.reduce(operator.mul, task.shapes[0])
            if elements < SLOW_ELEMENTS * task.duration:
                times[tuple(task.shapes[0])] += task.duration
    slowest_first = sorted(times.items(), key=lambda item: -item[1])
    return [list(shape) for shape, us in slowest_first if us >= total * WORTHWHILE_PERCENT / 100]


def format_statistics(rows: Iterable[Statistic]) -> str:
    """Return the text of CANN 5's op_statistic file for these Statistics."""
    return _csv(STATISTIC_HEADER, [[*row[:4], *(f'{value:.7g}' for value in row[4:9])] for row in rows])


def format_tasks(tasks: Iterable[Task]) -> str:
    """Return the text of CANN 5's op_summary file for these Tasks, which must be in the order of their starts."""
    rows: list[list] = []
    end = None
    for number, task in enumerate(tasks):
        wait = 0 if end is None else max(0, task.start - end)
        end = task.start + task.duration
        shapes = ';'.join(','.join(map(str, shape)) for shape in task.shapes or [])
        rows.append([task.model, 1, number, 0, 1, task.name, task.op_type, task.core_type])
        rows[-1] += [task.start, task.duration, wait, 1, f'"{shapes}"' if shapes else 'N/A']
    return _csv(SUMMARY_HEADER, rows)


def _csv(header: str, rows: list[list]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator='\n').writerows([header.split(','), *rows])
    return file.getvalue()


def _with_ratios(rows: list[Statistic], path: str) -> list[Statistic]:
    totals: dict[str | None, float] = collections.defaultdict(float)
    for row in rows:
        totals[row.device] += row.total
    if not sum(totals.values()) > 0:
        raise ValueError(f'{path}: none of its operators took any time')
    rows = [
        row if row.ratio is not None else row._replace(ratio=100 * row.total / (totals[row.device] or 1))
        for row in rows
    ]
    return sorted(rows, key=lambda row: (-row.total, row.op_type, row.device or ''))


def _shapes(cell: str | None) -> list[list[int]] | None:
    """Parse shapes: '"1,64,2,2,114,114;6"' -> [[1, 64, 2, 2, 114, 114], [6]]. Return None if they are unknown.

    The shape of an unknown input is [].
    """
    text = (cell or '').strip().strip('"\'').strip()
    if not set(text) <= set('0123456789,; ') or not set(text) & set('0123456789'):
        return None
    parts = [[size.strip() for size in part.split(',') if size.strip()] for part in text.split(';')]
    if any(len(size) > 9 or not size.isdigit() for part in parts for size in part):  # 9: Python refuses 4,300 digits
        return None
    return [[int(size) for size in part] for part in parts]
