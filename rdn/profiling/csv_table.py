"""CSV tables whose columns are found by their meaning: the vendor's versions order and name them differently."""

from __future__ import annotations

import csv
import math
import re
from typing import Any, Collection, Dict, Iterator, TextIO, Tuple

from rdn import files

Columns = Dict[str, Tuple[str, ...]]

MICROSECONDS = {'ns': 1e-3, 'us': 1, 'ms': 1e3, 's': 1e6}
MAX_TABLE_BYTES = 1 << 30
MAX_LINE_LENGTH = 1 << 20  # characters; a file of another kind is not read into memory whole


def read_header(path: str) -> list[str]:
    """The names of a file's columns, in small letters and digits alone, without units."""
    with _open(path) as file:
        return [_split_unit(cell)[0] for cell in next(_rows(file, path), (1, []))[1]]


def read(path: str, columns: Columns, numbers: Collection[str], needed: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a dict, meaning -> value, of each row of a CSV file: text or None; numbers as floats, times in microseconds.

    columns: meaning -> what its column may be called, in small letters and digits alone. numbers: the meanings of
    columns of numbers. needed: those without which a row says nothing.
    Raises ValueError, with the file's name, where a needed column is missing, a row or the file is cut off, or something
    else stands where a number should.
    """
    with _open(path) as file:
        rows = _rows(file, path)
        header = [_split_unit(cell) for cell in next(rows, (1, []))[1]]
        places = _find_columns([name for name, _ in header], columns, needed, path)
        for line, cells in rows:
            if len(cells) < len(header):
                raise ValueError(f'{path} line {line}: cut off: {len(cells)} of {len(header)} columns')
            row: dict[str, Any] = dict.fromkeys(columns)
            for key, place in places.items():
                text = cells[place].strip()
                row[key] = text or None
                if key in numbers:
                    try:
                        row[key] = _number(text, MICROSECONDS.get(header[place][1], 1))
                    except ValueError:
                        raise ValueError(f'{path} line {line}: {text[:40]!r} is not a number of its column')
            yield row


def _open(path: str) -> TextIO:
    files.check_plain(path, MAX_TABLE_BYTES)
    return open(path, encoding='utf-8-sig', errors='replace', newline='')


def _rows(file: TextIO, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of the rows of a CSV file that are not empty."""
    lines = iter(lambda: file.readline(MAX_LINE_LENGTH), '')  # each with its end
    reader = csv.reader(_check_line(line, path) for line in lines)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f'{path}: not a CSV file: {error}')


def _check_line(line: str, path: str) -> str:
    if len(line) == MAX_LINE_LENGTH or '\0' in line:
        raise ValueError(f'{path}: not a CSV file')
    if not line.endswith(('\n', '\r')):
        raise ValueError(f'{path}: cut off: its last line does not end')
    return line


def _find_columns(names: list[str], columns: Columns, needed: Collection[str], path: str) -> dict[str, int]:
    """Meaning -> place of its column, for those that are there."""
    places = {}
    for key, known in columns.items():
        name = next((name for name in known if name in names), None)
        if name is not None:
            places[key] = names.index(name)
        elif key in needed:
            raise ValueError(f'{path}: no column like {known[0]!r}: is it of msprof or torch_npu?')
    return places


def _split_unit(header: str) -> tuple[str, str]:
    """A column's name in small letters and digits alone, and its unit: 'Total Time(us)' -> ('totaltime', 'us')."""
    name, _, unit = header.strip().lower().replace('[', '(').replace(']', ')').partition('(')
    return re.sub('[^a-z0-9]', '', name), unit.partition(')')[0].strip()


def _number(text: str, unit: float) -> float | None:
    """A cell as float, times its unit; None where it says that there is none."""
    text = text.rstrip('%').strip()
    if text.lower() in ('', 'n/a', 'na', '-'):
        return None
    number = float(text) * unit
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number
