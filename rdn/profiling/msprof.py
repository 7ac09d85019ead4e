"""Profiles as msprof of CANN 5 to 9 writes them (op_statistic_*.csv, op_summary_*.csv), and PyTorch's profiler on Ascend.

The latter, torch_npu, writes op_statistic.csv, and op_summary under the name kernel_details.csv with other names for its
columns. The columns of the versions differ; they are found by their meaning, and others are passed over.
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
    """The runs of an operator type. Times in microseconds, ratio in percent of its device's total; None where not known.

    device: its number.
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
    """One run of one operator. Times in microseconds; shapes of its inputs, number of its device, None where unknown."""

    model: str | None
    name: str | None
    op_type: str
    core_type: str | None
    duration: float
    shapes: list[list[int]] | None
    start: float = 0.0
    device: str | None = None


# What a column is called, in small letters without units and other signs, over the versions.
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
# As CANN 5 writes them.
STATISTIC_HEADER = 'Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)'
SUMMARY_HEADER = (
    'Model Name,Model ID,Task ID,Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),'
    'Task Wait Time(us),Block Dim,Input Shapes'
)
WORTHWHILE_PERCENT = 1.0  # of the time that a transpose takes before its shape is worth white-listing
# Elements a microsecond of a slow transpose. The guide's has 3.6 before the fix and 328 after it.
SLOW_ELEMENTS = 30.0
# What the names of files begin with -> their kind.
KINDS = {'op_statistic': 'op_statistic', 'op_summary': 'op_summary', 'kernel_details': 'op_summary'}
PYTORCH_OUTPUT = 'ASCEND_PROFILER_OUTPUT'  # torch_npu's tables; msprof's, of which it makes them, lie beside it
NO_TYPE = 'N/A'


def find_profile(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """(paths of op_statistic, paths of op_summary) among files and in folders, either empty where none is there.

    Of a folder with several of msprof's PROF_* in it the newest counts. Several files of a kind are of one profile when
    they are slices of one table, or iterations of one model on one device. Raises ValueError where there is neither
    kind, or two profiles.
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
                    f'{several[0]} and {path}: two profiles of one kind: name one (two are compared with --after)'
                )
    if not any(found.values()):
        raise ValueError(f'{paths[0]}: no op_statistic*.csv, op_summary_*.csv or kernel_details.csv in it')
    return found['op_statistic'], found['op_summary']


def _tables_in(folder: str) -> list[tuple[str, str]]:
    """(path, kind) of the tables in a folder and below; those that torch_npu made count, not the ones they are made of."""
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
    """The newest of the profiles below a folder; the folder itself where it holds one at the most.

    They are msprof's folders PROF_* and torch_npu's *_ascend_pt. Newest by the time in the name,
    PROF_000001_20240101120000123_ABCDEF, else by the name.
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
    """What the files of one profile share: all of the path but the number of a slice or of an iteration.

    op_summary_0_1_2.csv (device, model, iteration), op_summary_0_1.csv, op_summary_20240101120000.csv and its slices
    op_summary_slice_0_20240101120000.csv; ais_bench adds _{model}_{hash} to any.
    """
    folder, name = os.path.split(path)
    words = re.sub(r'_slice_\d+', '', name[: -len('.csv')]).split('_')[2:]  # without op_summary, kernel_details
    count = next((i for i, word in enumerate(words) if not (word.isdigit() and len(word) <= 6)), len(words))
    return (folder, *words[: max(0, count - 1)], *words[count:])


def kind_of(path: str) -> str:
    """'op_statistic' or 'op_summary', by the columns of a file. Raises ValueError, with its name, for neither."""
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
    """The Statistics of a profile's op_statistic files, longest total first. Raises ValueError, with file and line."""
    rows = [row for path in paths for row in _read_statistics(path)]
    if len(paths) > 1:
        rows = _add_up(rows)
    return _with_ratios(rows, ' and '.join(paths))


def _add_up(rows: Iterable[Statistic]) -> list[Statistic]:
    """The Statistics of several runs or iterations as one: a row for each operator type, its ratio not yet known."""
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
    """Yield the Tasks in a profile's op_summary files that have a duration. Raises ValueError, with file and line."""
    for path in paths:
        for row in csv_table.read(path, SUMMARY_COLUMNS, NUMBERS, needed=('op_type', 'duration')):
            if row['duration'] is not None:
                yield Task(**dict(row, op_type=row['op_type'] or NO_TYPE, shapes=_shapes(row['shapes'])))


def read_onnxruntime_trace(path: str, model: str) -> list[Task]:
    """The Tasks in onnxruntime's own profile of a run, under a model's name, in the order in which they started."""
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
    """What op_statistic would say of Tasks: Statistics, longest total first.

    Args:
        tasks: the Tasks.
        origin: their file, for errors.

    Raises:
        ValueError: no task took any time, or none has an operator type.
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
    """Shapes of the transposes that move less than SLOW_ELEMENTS, each once, slowest first.

    Those that take less than WORTHWHILE_PERCENT of the time are left out.
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
    """The text of an op_statistic file of CANN 5 with these Statistics."""
    return _csv(STATISTIC_HEADER, [[*row[:4], *(f'{value:.7g}' for value in row[4:9])] for row in rows])


def format_tasks(tasks: Iterable[Task]) -> str:
    """The text of an op_summary file of CANN 5 with these Tasks, which are in the order of their starts."""
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
        raise ValueError(f'{path}: no operator in it took any time')
    rows = [
        row if row.ratio is not None else row._replace(ratio=100 * row.total / (totals[row.device] or 1))
        for row in rows
    ]
    return sorted(rows, key=lambda row: (-row.total, row.op_type, row.device or ''))


def _shapes(cell: str | None) -> list[list[int]] | None:
    """'"1,64,2,2,114,114;6"' -> [[1, 64, 2, 2, 114, 114], [6]]; None where unknown, an unknown input is []."""
    text = (cell or '').strip().strip('"\'').strip()
    if not set(text) <= set('0123456789,; ') or not set(text) & set('0123456789'):
        return None
    parts = [[size.strip() for size in part.split(',') if size.strip()] for part in text.split(';')]
    if any(len(size) > 9 or not size.isdigit() for part in parts for size in part):  # 9: Python refuses 4,300 digits
        return None
    return [[int(size) for size in part] for part in parts]
