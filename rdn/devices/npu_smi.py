"""The output of the driver's npu-smi: the table of devices, the board's page, and errors."""

from __future__ import annotations

import re
from typing import NamedTuple

from rdn.devices import runner

CHIP_COUNT = re.compile(r'^\s*Chip Count\s*:\s*([1-9]\d?)\s*$', re.MULTILINE)
BOARD_LINE = re.compile(r'^\s*(NPU Name|Chip Name)\s*:\s*(\S.*?)\s*$', re.MULTILINE)
NO_NAMES = {'NA', 'MCU'}  # a value that is missing, and the board's microcontroller
BORDER = re.compile(r'[-+=|\s]*')
# Columns of the table, and the field of a Device that each fills. A cell of the header may name two.
COLUMNS = {
    'NPU ID': 'npu',
    'NPU': 'npu',
    'Name': 'name',
    'Chip ID': 'chip',
    'Chip': 'chip',
    'Device': 'number',
    'Phy-ID': 'number',
}
COLUMN_NAMES = re.compile('|'.join(COLUMNS))
HEADER_CELL = re.compile(rf'\s*(({COLUMN_NAMES.pattern})\s*)+')
# Errors of the driver's library dcmi, and their remedies.
REMEDIES = {
    '-8005': 'the driver answers only root and the group HwHiAiUser: run this as root, or join the group '
    '(usermod -a -G HwHiAiUser USER, then log in again); docs/ascend.md has other causes',
    '-8020': 'another container holds the device: stop it there, or pass another device in',
}


class Device(NamedTuple):
    """A device as `npu-smi info` lists it.

    Attributes:
        number: the device's.
        npu: the card's number.
        chip: the chip's number on the card.
        name: the chip's name as it stands there.
    """

    number: int
    npu: int
    chip: int
    name: str


def ask(program: str, programs: runner.Runner) -> str:
    """Return what `npu-smi info` prints. Raises ValueError if the program at this path cannot be run."""
    try:
        return programs.ask([program, 'info']).text
    except ValueError as error:
        raise ValueError(f'{error}: --soc-version names the chip')


def ask_board(program: str, flags: list[str], programs: runner.Runner) -> str:
    """Return what `npu-smi info -t board` prints; nothing if this version refuses the flags, or does not answer."""
    try:
        answer = programs.ask([program, 'info', '-t', 'board', *flags])
    except ValueError:
        return ''
    return '' if answer.status else answer.text


def explain(text: str) -> str:
    """Explain an output without devices: its first line that is not a border, and the remedy if there is one."""
    lines = [line.strip(' |\t') for line in text.splitlines() if not BORDER.fullmatch(line)]
    remedies = [remedy for code, remedy in REMEDIES.items() if code in text]
    return f'("{lines[0] if lines else ""}"): {"; or ".join([*remedies, "name the chip with --soc-version"])}'


def parse_board(text: str) -> str | None:
    """Read the chip's name in the text of `npu-smi info -t board -i NPU`, with or without `-c CHIP`.

    The chip of a 910C is `Ascend910` and its NPU `9392`: together Ascend910_9392. That of a 950 has such a name, too.

    Returns:
        The name as it stands there, with or without `Ascend`; None if the text has none.
    """
    lines: dict[str, str] = {}
    for key, value in BOARD_LINE.findall(text):
        if value.upper() not in NO_NAMES:
            lines.setdefault(key, value.replace(' ', ''))
    chip, npu = lines.get('Chip Name'), lines.get('NPU Name')
    return chip if not chip or not npu or chip.endswith(npu) else f'{chip}_{npu}'


def count_chips(text: str) -> int | None:
    """Read the number of chips on the card in the text of `npu-smi info -t board -i NPU`; None if it has none."""
    counted = CHIP_COUNT.search(text)
    return int(counted.group(1)) if counted else None


def parse_info(text: str) -> list[Device]:
    """Read the devices in the table of `npu-smi info`, each of two lines, by the names of the columns.

    In most versions the header is `NPU  Name | …` and below it `Chip  Device | …`. Some versions call the column
    Device `Phy-ID`, or lack it: then the devices are counted. For the 950, and since 2026 for others, the header is
    `NPU ID | Name | …`, without a column for the chip's number: then it is 0.
    """
    devices: list[Device] = []
    headers: list[list[list[str]]] = []  # of the first and the second line of a device: the columns in each cell
    first: dict[str, str] = {}  # what the first line of a device holds
    for line in text.splitlines():
        if not line.lstrip().startswith('|'):
            continue
        cells = line.strip().strip('|').split('|')
        columns = [_columns(cell) for cell in cells]
        if {'npu', 'name'} <= {column for names in columns for column in names}:
            headers, first = [columns], {}
        elif len(headers) == 1:
            headers.append(columns)
        elif 'process' in line.lower():  # the table of processes
            headers = []
        elif headers and first:
            devices.append(_device({**first, **_values(cells, headers[1])}, len(devices)))
            first = {}
        elif headers:
            found = _values(cells, headers[0])
            first = found if found.get('npu', '').isdigit() else {}
    return devices


def _columns(cell: str) -> list[str]:
    """The columns that a cell of the header names: ' NPU     Name ' -> ['npu', 'name']; none if it names others."""
    return [COLUMNS[name] for name in COLUMN_NAMES.findall(cell)] if HEADER_CELL.fullmatch(cell) else []


def _values(cells: list[str], columns: list[list[str]]) -> dict[str, str]:
    """Column -> value in a line of the table. A name may be of several words."""
    found: dict[str, str] = {}
    for cell, names in zip(cells, columns):
        words = cell.split()
        for index, name in enumerate(names):
            found[name] = ''.join(words[index:] if name == 'name' else words[index : index + 1])
    return found


def _device(values: dict[str, str], counted: int) -> Device:
    """The Device with the values of a row; counted: how many came before it."""
    numbers = {name: int(value) for name, value in values.items() if value.isdigit()}
    return Device(numbers.get('number', counted), numbers['npu'], numbers.get('chip', 0), values.get('name', ''))
