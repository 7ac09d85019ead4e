"""Profiles as msprof of CANN 5 to 8 writes them: op_statistic_*.csv and op_summary_*.csv.

The columns of the versions differ; they are found by their meaning, and others are passed over.
"""

import collections
import csv
import io
import math
import os
import re

from rdn import files

# Times in microseconds, ratio in percent of the total; model is None where the file names none.
Statistic = collections.namedtuple('Statistic', 'model op_type core_type count total min avg max ratio')
# One run of one operator; duration in microseconds, shapes of its inputs, None where unknown.
Task = collections.namedtuple('Task', 'model name op_type core_type duration shapes')

MICROSECONDS = {'ns': 1e-3, 'us': 1, 'ms': 1e3, 's': 1e6}
# What a column is called, in small letters without units and other signs, over the versions.
STATISTIC = {
    'model': ('modelname',),
    'op_type': ('optype', 'operatortype'),
    'core_type': ('coretype', 'tasktype', 'accelerator'),
    'count': ('count', 'totalcount', 'calls', 'occurrences'),
    'total': ('totaltime', 'totalduration', 'total'),
    'min': ('mintime', 'minduration', 'min', 'minimumtime'),
    'avg': ('avgtime', 'avgduration', 'averagetime', 'meantime', 'avg'),
    'max': ('maxtime', 'maxduration', 'max', 'maximumtime'),
    'ratio': ('ratio', 'percentage'),
}
SUMMARY = {
    'model': ('modelname',),
    'name': ('opname', 'operatorname'),
    'op_type': ('optype', 'operatortype'),
    'core_type': ('tasktype', 'coretype', 'accelerator'),
    'duration': ('taskduration', 'duration', 'tasktime'),
    'shapes': ('inputshapes', 'inputshape'),
}
NUMBERS = ('count', 'total', 'min', 'avg', 'max', 'ratio', 'duration')
TRANSPOSES = ('TransposeD', 'Transpose')
# As CANN 5 writes them.
STATISTIC_HEADER = 'Model Name,OP Type,Core Type,Count,Total Time(us),Min Time(us),Avg Time(us),Max Time(us),Ratio(%)'
SUMMARY_HEADER = (
    'Model Name,Model ID,Task ID,Stream ID,Infer ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),'
    'Task Wait Time(us),Block Dim,Input Shapes'
)
WORTHWHILE = 1.0  # percent of the time that a transpose takes before its shape is worth white-listing
LARGEST = 1 << 30  # bytes
LONGEST_LINE = 1 << 20  # characters; a file of another kind is not read into memory whole


def find_profile(paths):
    """(path of op_statistic, path of op_summary) among files and in folders, either None where it is not there.

    Raises ValueError where there is neither, or several of a kind.
    """
    found = {'op_statistic': [], 'op_summary': []}
    for path in paths:
        if not os.path.isdir(path):
            found[kind_of(path)].append(path)
            continue
        for parent, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                for kind in found:
                    if name.startswith(kind) and name.endswith('.csv'):
                        found[kind].append(os.path.join(parent, name))
    for several in found.values():
        if len(several) > 1:
            raise ValueError(
                '%s and %s: two profiles of one kind: name one (two are compared with --after)' % tuple(several[:2])
            )
    if not any(found.values()):
        raise ValueError('%s: no op_statistic_*.csv and no op_summary_*.csv in it' % paths[0])
    return tuple(several[0] if several else None for several in found.values())


def kind_of(path):
    """'op_statistic' or 'op_summary', by the columns of a file. Raises ValueError, with its name, for neither."""
    with _open(path) as file:
        header = {_plain(cell)[0] for cell in next(_rows(file, path), (1, []))[1]}
    if header.intersection(SUMMARY['duration']) and header.intersection(SUMMARY['name']):
        return 'op_summary'
    if header.intersection(STATISTIC['total']):
        return 'op_statistic'
    raise ValueError('%s: no op_statistic and no op_summary of msprof: its first line names other columns' % path)


def read_statistics(path):
    """The Statistics of an op_statistic file, longest total first. Raises ValueError, with file and line."""
    rows = []
    for row in _table(path, STATISTIC, needed=('op_type', 'count', 'total')):
        if row['count'] and row['total'] is not None:
            average = row['avg'] if row['avg'] is not None else row['total'] / row['count']
            rows.append(Statistic(**dict(row, op_type=row['op_type'] or 'N/A', count=int(row['count']), avg=average)))
    return _with_ratios(rows, path)


def read_tasks(path):
    """Yield the Tasks of an op_summary file that have a duration, row by row. Raises ValueError, with file and line."""
    for row in _table(path, SUMMARY, needed=('op_type', 'duration')):
        if row['duration'] is not None:
            yield Task(**dict(row, op_type=row['op_type'] or 'N/A', shapes=_shapes(row['shapes'])))


def statistics_of(tasks):
    """What op_statistic would say of Tasks: Statistics, longest total first."""
    sums = collections.OrderedDict()
    for task in tasks:
        key, us = (task.model, task.op_type, task.core_type), task.duration
        count, total, low, high = sums.get(key, (0, 0.0, us, us))
        sums[key] = count + 1, total + us, min(low, us), max(high, us)
    rows = [
        Statistic(*key, count=count, total=total, min=low, avg=total / count, max=high, ratio=None)
        for key, (count, total, low, high) in sums.items()
    ]
    return _with_ratios(rows, 'op_summary')


def slow_transposes(tasks):
    """Shapes of the transposes that take WORTHWHILE percent of the time or more, each once, slowest first."""
    total, times = 0.0, collections.Counter()
    for task in tasks:
        total += task.duration
        if task.op_type in TRANSPOSES and task.shapes and task.shapes[0]:
            times[tuple(task.shapes[0])] += task.duration
    return [list(shape) for shape, us in times.most_common() if us >= total * WORTHWHILE / 100]


def format_statistics(rows):
    """The text of an op_statistic file of CANN 5 with these Statistics."""
    return _csv(STATISTIC_HEADER, [list(row[:4]) + ['%.7g' % value for value in row[4:]] for row in rows])


def format_tasks(tasks, starts):
    """The text of an op_summary file of CANN 5 with these Tasks and the microseconds at which they started."""
    rows, end = [], None
    for number, (task, start) in enumerate(zip(tasks, starts)):
        wait = 0 if end is None else max(0, start - end)
        end = start + task.duration
        shapes = ';'.join(','.join(map(str, shape)) for shape in task.shapes or [])
        rows.append([task.model, 1, number, 0, 1, task.name, task.op_type, task.core_type, start, task.duration, wait])
        rows[-1] += [1, '"%s"' % shapes if shapes else 'N/A']
    return _csv(SUMMARY_HEADER, rows)


def _csv(header, rows):
    file = io.StringIO()
    csv.writer(file, lineterminator='\n').writerows([header.split(',')] + rows)
    return file.getvalue()


def _with_ratios(rows, path):
    total = sum(row.total for row in rows)
    if not total > 0:
        raise ValueError('%s: no operator in it took any time' % path)
    rows = [row if row.ratio is not None else row._replace(ratio=100 * row.total / total) for row in rows]
    return sorted(rows, key=lambda row: (-row.total, row.op_type))


def _open(path):
    files.check_size(path, LARGEST)
    return open(path, encoding='utf-8-sig', errors='replace', newline='')


def _rows(file, path):
    """Yield (line number, cells) of a CSV file that are not empty."""
    lines = iter(lambda: file.readline(LONGEST_LINE), '')
    reader = csv.reader(_check_line(line, path) for line in lines)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError('%s: not a CSV file: %s' % (path, error))


def _check_line(line, path):
    if len(line) == LONGEST_LINE or '\0' in line:
        raise ValueError('%s: not a CSV file' % path)
    return line


def _table(path, columns, needed):
    """Yield a dict, meaning -> value, of each row of a CSV file: text or None, numbers as floats, times in microseconds.

    Raises ValueError, with the file's name, where a needed column is missing or a row is cut off or holds no number
    where one should stand.
    """
    with _open(path) as file:
        rows = _rows(file, path)
        header = [_plain(cell) for cell in next(rows, (1, []))[1]]
        names = [name for name, _ in header]
        found = {key: next((n for n in known if n in names), None) for key, known in columns.items()}
        for key in needed:
            if found[key] is None:
                raise ValueError('%s: no column like %r: is it of msprof?' % (path, columns[key][0]))
        places = {key: names.index(name) for key, name in found.items() if name is not None}
        for line, cells in rows:
            if len(cells) <= max(places[key] for key in needed):
                raise ValueError('%s line %d: cut off' % (path, line))
            row = dict.fromkeys(columns)
            for key, place in places.items():
                text = cells[place].strip() if place < len(cells) else ''
                row[key] = text or None
                if key in NUMBERS:
                    try:
                        row[key] = _number(text, MICROSECONDS.get(header[place][1], 1))
                    except ValueError:
                        raise ValueError('%s line %d: %r is no number of its column' % (path, line, text[:40]))
            yield row


def _plain(header):
    """A column's name in small letters and digits alone, and its unit: 'Total Time(us)' -> ('totaltime', 'us')."""
    match = re.match(r'([^(\[]*)(?:[(\[]([^)\]]*)[)\]])?', header.strip().lower())
    return re.sub('[^a-z0-9]', '', match.group(1)), (match.group(2) or '').strip()


def _number(text, unit):
    """A cell as float, times its unit; None where it says that there is none."""
    text = text.rstrip('%').strip()
    if text.lower() in ('', 'n/a', 'na', '-'):
        return None
    number = float(text) * unit
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number


def _shapes(cell):
    """'"1,64,2,2,114,114;6"' -> [[1, 64, 2, 2, 114, 114], [6]]; None where unknown, an unknown input is []."""
    text = (cell or '').strip().strip('"\'').strip()
    if not re.match(r'[\d,; ]*\d[\d,; ]*$', text):
        return None
    return [[int(size) for size in part.split(',') if size.strip()] for part in text.split(';')]
