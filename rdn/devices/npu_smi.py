"""The output of the driver's npu-smi: the table of devices, the board's page, and errors."""

from __future__ import annotations

import re
from typing import NamedTuple

from rdn.devices import runner

CHIP_COUNT = re.compile(r'^\s*Chip Count\s*:\s*([1-9]\d?)\s*$', re.MULTILINE)
BOARD_LINE = re.compile(r'^\s*(NPU Name|Chip Name)\s*:\s*(\S.*?)\s*$', re.MULTILINE)
NO_NAMES = {'NA', 'MCU'}  # a missing value, and the board's microcontroller
BORDER = re.compile(r'[-+=|\s]*')
# Columns of the table, and the field of a Device for each. A cell of the header may contain two column names.
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
    """A device in the table of `npu-smi info`.

    Attributes:
        number: the device's number.
        npu: the card's number.
        chip: the chip's number on the card.
        name: the chip's name, with or without `Ascend`.
    """

    number: int
    npu: int
    chip: int
    name: str


def ask(program: str, programs: runner.Runner) -> str:
    """Return the output of `npu-smi info`.

    Args:
        program: the path of npu-smi.
        programs: runs it.

    Raises:
        ValueError: npu-smi cannot be run.
    """
    try:
        return programs.ask([program, 'info']).text
    except ValueError as error:
        raise ValueError(f'{error}: name the chip with --soc-version')


def ask_board(program: str, flags: list[str], programs: runner.Runner) -> str:
    """Return the output of `npu-smi info -t board`; empty if this version refuses the flags or does not answer.

    Args:
        program: the path of npu-smi.
        flags: further flags, which choose the card and the chip.
        programs: runs npu-smi.
    """
    try:
        answer = programs.ask([program, 'info', '-t', 'board', *flags])
    except ValueError:
        return ''
    return '' if answer.status else answer.text


def explain(text: str) -> str:
    """Explain an output without devices: quote its first line that is not a border, and add a remedy."""
    lines = [line.strip(' |\t') for line in text.splitlines() if not BORDER.fullmatch(line)]
    remedies = [remedy for code, remedy in REMEDIES.items() if code in text]
    return f'("{lines[0] if lines else ""}"): {"; or ".join([*remedies, "name the chip with --soc-version"])}'


def parse_board(text: str) -> str | None:
    """Read the chip's name in the output of `npu-smi info -t board -i NPU`, with or without `-c CHIP`.

    For a 910C, `Chip Name` is Ascend910 and `NPU Name` is 9392, so the result is Ascend910_9392. A 950 is similar.

    Returns:
        The name, with or without `Ascend` as in the text; None if the text has no name.
    """
    lines: dict[str, str] = {}
    for key, value in BOARD_LINE.findall(text):
        if value.upper() not in NO_NAMES:
            lines.setdefault(key, value.replace(' ', ''))
    chip, npu = lines.get('Chip Name'), lines.get('NPU Name')
    return chip if not chip or not npu or chip.endswith(npu) else f'{chip}_{npu}'


def count_chips(text: str) -> int | None:
    """Read the number of chips on the card in the output of `npu-smi info -t board -i NPU`; None if it is missing."""
    counted = CHIP_COUNT.search(text)
    return int(counted.group(1)) if counted else None


def parse_info(text: str) -> list[Device]:
    """Read the devices in the table of `npu-smi info` by the names of its columns. Each device has two lines.

    The header depends on the version:

    - In most versions its lines are `NPU  Name | …` and `Chip  Device | …`.
    - Some versions name the column Device `Phy-ID`. If it is missing, the devices are numbered in their order.
    - For the 950, and since 2026 for others, the header is `NPU ID | Name | …`. The column for the chip's number is
      missing, so that number is 0.
    """
    devices: list[Device] = []
    headers: list[list[list[str]]] = []  # for the first and second line of a device: the columns in each cell
    first: dict[str, str] = {}  # the values in a device's first line
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
    """Return the columns in a cell of the header: ' NPU     Name ' -> ['npu', 'name']; empty for unknown columns."""
    return [COLUMNS[name] for name in COLUMN_NAMES.findall(cell)] if HEADER_CELL.fullmatch(cell) else []


def _values(cells: list[str], columns: list[list[str]]) -> dict[str, str]:
    """Return column -> value for a line of the table. A name may have several words."""
    found: dict[str, str] = {}
    for cell, names in zip(cells, columns):
        words = cell.split()
        for index, name in enumerate(names):
            found[name] = ''.join(words[index:] if name == 'name' else words[index : index + 1])
    return found


def _device(values: dict[str, str], counted: int) -> Device:
    """Make a Device from a row's values. If they contain no number of the device, it is `counted`."""
    numbers = {name: int(value) for name, value in values.items() if value.isdigit()}
    return Device(numbers.get('number', counted), numbers['npu'], numbers.get('chip', 0), values.get('name', ''))
