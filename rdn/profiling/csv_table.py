"""Reads CSV tables whose columns have other names and another order in each of the vendor's versions."""

from __future__ import annotations

import csv
import math
import re
from typing import Any, Collection, Dict, Iterator, TextIO, Tuple

from rdn import files

Columns = Dict[str, Tuple[str, ...]]

MICROSECONDS = {'ns': 1e-3, 'us': 1, 'ms': 1e3, 's': 1e6}
MAX_TABLE_BYTES = 1 << 30
MAX_LINE_LENGTH = 1 << 20  # characters; so a file of another kind is not read into memory as one line


def read_header(path: str) -> list[str]:
    """Return the names of a file's columns, reduced to small letters and digits, without units.

    Raises:
        OSError: there is no such file.
        ValueError: the file is not a CSV file, or is truncated; names the file.
    """
    with _open(path) as file:
        return [_split_unit(cell)[0] for cell in next(_rows(file, path), (1, []))[1]]


def read(path: str, columns: Columns, numbers: Collection[str], needed: Collection[str]) -> Iterator[dict[str, Any]]:
    """Read the rows of a CSV file.

    Args:
        path: the file.
        columns: meaning -> possible names of its column, in small letters and digits only.
        numbers: the meanings whose columns contain numbers.
        needed: the meanings whose columns must exist.

    Yields:
        For each row a dict, meaning -> value. Numbers are floats, times are in microseconds, other values are text. A
        value is None if its column or its cell is missing.

    Raises:
        OSError: there is no such file.
        ValueError: a needed column is missing, a row or the file is truncated, or a cell does not contain a number
            although it should; names the file.
    """
    with _open(path) as file:
        rows = _rows(file, path)
        header = [_split_unit(cell) for cell in next(rows, (1, []))[1]]
        places = _find_columns([name for name, _ in header], columns, needed, path)
        for line, cells in rows:
            if len(cells) < len(header):
                raise ValueError(f'{path} line {line}: truncated: {len(cells)} of {len(header)} columns')
            row: dict[str, Any] = dict.fromkeys(columns)
            for key, place in places.items():
                text = cells[place].strip()
                row[key] = text or None
                if key in numbers:
                    try:
                        row[key] = _number(text, MICROSECONDS.get(header[place][1], 1))
                    except ValueError:
                        raise ValueError(f'{path} line {line}: {text[:40]!r} is not a valid number for its column')
            yield row


def _open(path: str) -> TextIO:
    files.check_plain(path, MAX_TABLE_BYTES)
    return open(path, encoding='utf-8-sig', errors='replace', newline='')


def _rows(file: TextIO, path: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) for each row of a CSV file that is not empty."""
    lines = iter(lambda: file.readline(MAX_LINE_LENGTH), '')  # each with its line end
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
        raise ValueError(f'{path}: truncated: its last line does not end')
    return line


def _find_columns(names: list[str], columns: Columns, needed: Collection[str], path: str) -> dict[str, int]:
    """Return meaning -> index of its column, for the columns that exist."""
    places = {}
    for key, known in columns.items():
        name = next((name for name in known if name in names), None)
        if name is not None:
            places[key] = names.index(name)
        elif key in needed:
            raise ValueError(f'{path}: no column like {known[0]!r}: is it a table of msprof or torch_npu?')
    return places


def _split_unit(header: str) -> tuple[str, str]:
    """Return a column's name in small letters and digits, and its unit: 'Total Time(us)' -> ('totaltime', 'us')."""
    name, _, unit = header.strip().lower().replace('[', '(').replace(']', ')').partition('(')
    return re.sub('[^a-z0-9]', '', name), unit.partition(')')[0].strip()


def _number(text: str, unit: float) -> float | None:
    """Return a cell's number multiplied by its unit; None if the cell is empty or says that there is no value."""
    text = text.rstrip('%').strip()
    if text.lower() in ('', 'n/a', 'na', '-'):
        return None
    number = float(text) * unit
    if not 0 <= number < math.inf:
        raise ValueError(text)
    return number
