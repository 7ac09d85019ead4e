"""The device's chip: its name, as npu-smi shows it and atc wants it, and how many devices its card holds."""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

from rdn.devices import runner

PREFIX = 'Ascend'  # before the chip's name in --soc_version
# Names of families: atc asks which of them it is.
FAMILIES = {'310B': '310B1 or 310B4', '310P': '310P1 or 310P3', '910': '910A, 910B or 910ProB'}
# Devices on a card, by the chip's name; the others have one. Of a 300I Duo, with two of 310P3, npu-smi counts them.
CARD_DEVICES = {'310': 4, '300I Duo': 2}
CHIP_COUNT = re.compile(r'^\s*Chip Count\s*:\s*([1-9]\d?)\s*$', re.MULTILINE)
BOARD_LINE = re.compile(r'^\s*(NPU Name|Chip Name)\s*:\s*(\S.*?)\s*$', re.MULTILINE)


class Chip(NamedTuple):
    """name: as npu-smi shows it, 310P3 say. card_devices: how many devices the card holds; None where not known."""

    name: str
    card_devices: int | None = None


class Device(NamedTuple):
    """A device as `npu-smi info` lists it: its number, the numbers of card (NPU) and chip, the chip's name."""

    number: int
    npu: int
    chip: int
    name: str


def devices_on_card(name: str, counted: int | None = None) -> int:
    """How many devices a card with this chip holds. counted: what is known of the card itself."""
    return counted or CARD_DEVICES.get(name, 1)


def name_of(soc_version: str) -> str:
    """'Ascend310P3', 'ascend310p3' or '310P3' -> '310P3'."""
    name = soc_version[len(PREFIX) :] if soc_version.lower().startswith(PREFIX.lower()) else soc_version
    return name.upper() if name == name.lower() else name


def choose_soc_version(chip: Chip | None, asked: str | None) -> str:
    """What atc's --soc_version should be: what is asked for, else the chip's name.

    Raises ValueError where that does not say enough.
    """
    if asked:
        if chip and chip.name in FAMILIES and not name_of(asked).startswith(chip.name):
            raise ValueError(f'--soc-version={asked}: npu-smi shows a chip of the family {chip.name}')
        return PREFIX + name_of(asked)
    if chip is None:
        raise ValueError(
            'atc is here, but no npu-smi to say for which chip to convert: '
            'give --soc-version=Ascend310P3, say, or --with=host'
        )
    if chip.name in FAMILIES:
        raise ValueError(
            f'npu-smi calls the chip {chip.name}, and atc has to know which: give --soc-version={PREFIX}… '
            f"({FAMILIES[chip.name]}: the board's papers say)"
        )
    return PREFIX + chip.name


def find_chip(device_number: int, program: str, programs: runner.Runner = runner.LOCAL) -> Chip:
    """The Chip of a device, from npu-smi, whose path is `program`.

    Raises ValueError where npu-smi fails, or does not say which chip it is.
    """
    table = _ask(program, [], programs)
    devices = parse_info(table)
    mine = [device for device in devices if device.number == device_number]
    if not mine:  # in a container the devices that it has are counted anew
        mine = devices[device_number : device_number + 1]
    if not mine and devices:
        raise ValueError(f'npu-smi lists no device {device_number}: it has {_listed(devices)}')
    npu, number, name = (mine[0].npu, mine[0].chip, mine[0].name) if mine else (0, 0, '')
    if not name or name in FAMILIES:
        board = _ask(program, ['-t', 'board', '-i', str(npu), '-c', str(number)], programs)
        name = parse_board(board) or name
    if not name:
        said = ' '.join(table.split())[:100]
        raise ValueError(f'{program} info shows no device ("{said}"): --soc-version names the chip')
    neighbours = sum(device.npu == npu for device in devices)
    return Chip(name, _card_devices(name, neighbours, lambda: _ask(program, ['-t', 'board', '-i', str(npu)], programs)))


def _card_devices(name: str, neighbours: int, ask_board: Callable[[], str]) -> int | None:
    """How many devices a card of the 310's families holds: 4 of a 310, 1 of an Atlas 200; 2 of 310P on a 300I Duo.

    neighbours: how many npu-smi lists under the card's number; in a container that may be fewer than it holds, and
    then the board's own page says it. None where neither does, and for other chips.
    """
    if not name.startswith('310'):
        return None
    counted = CHIP_COUNT.search(ask_board())
    return max(neighbours, int(counted.group(1)) if counted else 0) if counted or neighbours > 1 else None


def _listed(devices: list[Device]) -> str:
    return ', '.join(f'{device.number} ({device.name})' for device in devices)


def _ask(program: str, flags: list[str], programs: runner.Runner) -> str:
    """What npu-smi info prints; nothing where it has nothing to say. Raises ValueError where it cannot be run."""
    try:
        return programs.ask([program, 'info', *flags]).text
    except ValueError as error:
        raise ValueError(f'{error}: --soc-version names the chip')


def parse_board(text: str) -> str | None:
    """The chip's name in what `npu-smi info -t board -i NPU -c CHIP` prints; None where it names none.

    Of a 910C its chip is `Ascend910` and its NPU `9392`: together 910_9392.
    """
    lines = {name: name_of(value.replace(' ', '')) for name, value in BOARD_LINE.findall(text)}
    chip, npu = lines.get('Chip Name'), lines.get('NPU Name', '')
    return f'{chip}_{npu}' if chip and npu.isdigit() else chip


def parse_info(text: str) -> list[Device]:
    """The Devices in the table of `npu-smi info`: of each two lines, `NPU Name | …` and `Chip Device | …`.

    Older and newer versions leave out the column Device: there devices are counted.
    """
    devices: list[Device] = []
    head = None  # (NPU, name) of the line before
    inside = False
    for line in text.splitlines():
        cells = [cell.split() for cell in line.strip().strip('|').split('|')]
        if not line.lstrip().startswith('|') or not cells[0]:
            continue
        if cells[0][:2] == ['NPU', 'Name']:
            inside = True
        elif 'Process' in line or 'process' in line:
            inside = False
        elif inside and cells[0][0].isdigit():
            if head is None:
                head = int(cells[0][0]), ''.join(cells[0][1:])
                continue
            numbers = [int(cell) for cell in cells[0] if cell.isdigit()]
            number = numbers[1] if len(numbers) > 1 else len(devices)
            devices.append(Device(number, head[0], numbers[0], name_of(head[1])))
            head = None
    return devices
