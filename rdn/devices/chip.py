"""The device's chip: its name for npu-smi and for atc, and the number of devices on its card."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple, Sequence

from rdn import toolkit
from rdn.devices import npu_smi, runner

# Names that npu-smi shows for several chips, and atc's names of these chips. Used if the toolkit has no list of chips.
FAMILIES = {
    '310B': ('310B1', '310B2', '310B3', '310B4'),
    '310P': ('310P1', '310P3', '310P5', '310P7'),
    '910': ('910A', '910B', '910ProA', '910ProB', '910PremiumA')
    + ('910_9362', '910_9372', '910_9381', '910_9382', '910_9391', '910_9392'),
    '950PR': ('950PR_9579', '950PR_957b', '950PR_957c', '950PR_957d', '950PR_9589', '950PR_958a', '950PR_958b')
    + ('950PR_9599', '950PR_950z'),
    '950DT': ('950DT_950x', '950DT_950y', '950DT_95A1', '950DT_95A2', '950DT_9591', '950DT_9592', '950DT_9581'),
}
# Devices on a card, by the chip's name; other cards have one. A 300I Duo has two, but its chip is 310P3, like that of
# cards with one, so `find_chip` counts its devices with npu-smi.
CARD_DEVICES = {'310': 4, '300I Duo': 2}


class Chip(NamedTuple):
    """A chip.

    Attributes:
        name: npu-smi's name, for example 310P3.
        card_devices: the number of devices on the card; None if unknown.
    """

    name: str
    card_devices: int | None = None


def devices_on_card(name: str, counted: int | None = None) -> int:
    """Return the number of devices on a card with this chip.

    Args:
        name: the chip's name.
        counted: the number that npu-smi counts on this card; None if unknown.
    """
    return counted or CARD_DEVICES.get(name, 1)


def name_of(soc_version: str, known: Sequence[str] = ()) -> str:
    """Return a chip's name without `Ascend`: 'Ascend310P3', 'ascend310p3' or '310P3' -> '310P3'.

    Args:
        soc_version: the name, in upper or lower case.
        known: the chips that the toolkit knows, without `Ascend`; the result is spelled as in this list.
    """
    name = toolkit.chip_name(soc_version)
    spellings = [*known, *(chip for chips in FAMILIES.values() for chip in chips)]
    spelled = next((chip for chip in spellings if chip.lower() == name.lower()), None)
    return spelled or (name.upper() if name == name.lower() else name)


def is_family(name: str, known: Sequence[str] = ()) -> bool:
    """Return whether several chips share this name, so that atc needs a more exact one.

    Args:
        name: the chip's name, without `Ascend`.
        known: the chips that the toolkit knows; empty if it has no list.
    """
    if not known:
        return name in FAMILIES
    member = re.escape(name) + ('.' if name in FAMILIES else r'[_\d]')  # 310 is a chip, and 310P3 does not belong to it
    return name not in known and any(re.match(member, chip) for chip in known)


def choose_soc_version(chip: Chip | None, asked: str | None, known: Sequence[str] = ()) -> str:
    """Choose atc's --soc_version: the one that the user asks for, else the chip's name.

    Args:
        chip: the device's chip; None without npu-smi.
        asked: the user's name of the chip; None if the user gave none.
        known: the chips that the toolkit knows, without `Ascend`; empty if it has no list. Then every name is accepted.

    Raises:
        ValueError: neither argument names one chip, or the toolkit does not know the chip; names the nearest chips.
    """
    if asked:
        _check_spelling(asked, known)
        if chip and is_family(chip.name, known) and not name_of(asked, known).startswith(chip.name):
            raise ValueError(f'--soc-version={asked}: npu-smi shows a chip of the family {chip.name}')
        return toolkit.PREFIX + name_of(asked, known)
    if chip is None:
        raise ValueError(
            'atc is here, but npu-smi is missing, so the chip is unknown: '
            'name it (for example --soc-version=Ascend310P3), or use --with=host'
        )
    if is_family(chip.name, known):
        raise ValueError(
            f"npu-smi shows only the chip's family, {chip.name}: give --soc-version={toolkit.PREFIX}… "
            f"({', '.join(_nearest(chip.name, known))}; see the board's documents)"
        )
    name = name_of(chip.name, known)
    if known and name not in known:
        raise ValueError(
            f'npu-smi shows the chip {name}, which this CANN toolkit does not know: '
            f'convert with a version that does ({_hint(name, known)})'
        )
    return toolkit.PREFIX + name


def _check_spelling(asked: str, known: Sequence[str]) -> None:
    """Raise ValueError if the toolkit does not know a chip by exactly this name; the message has the nearest names."""
    exact = asked if asked.lower().startswith(toolkit.PREFIX.lower()) else toolkit.PREFIX + asked
    if not known or exact in {toolkit.PREFIX + chip for chip in known}:
        return
    name = name_of(asked, known)
    if name in known:
        raise ValueError(f'--soc-version={asked}: the CANN toolkit spells it {toolkit.PREFIX}{name}')
    raise ValueError(f'--soc-version={asked}: the CANN toolkit knows no such chip; {_hint(name, known)}')


def _hint(name: str, known: Sequence[str]) -> str:
    """List atc's names that are nearest to an unknown name; all names if no name is near."""
    nearest = _nearest(name, known)
    listed = ', '.join(toolkit.PREFIX + chip for chip in nearest or known)
    return f'the nearest names: {listed}' if nearest else f'the toolkit knows {listed}'


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return the chips of the family `name`, else up to three chips with similar names."""
    whole = [chip for chip in known or FAMILIES.get(name, ()) if 'Vir' not in chip]  # Vir: a part of a device
    family = [chip for chip in whole if chip.lower().startswith(name.lower())]
    by_lower = {chip.lower(): chip for chip in whole}
    return family or [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.3)]


def find_chip(device_number: int, program: str, programs: runner.Runner = runner.LOCAL) -> Chip:
    """Ask npu-smi for a device's chip.

    For a 910C and a 950, npu-smi's table shows only the family, so its pages about the board are read too. There is a
    page for each chip (`-c`) and one for the whole board. Either may lack the name or show only its beginning, so the
    fuller name is used.

    Args:
        device_number: the number of the device.
        program: the path of npu-smi.
        programs: runs it.

    Raises:
        ValueError: npu-smi fails, does not list the device, or does not name its chip.
    """
    table = npu_smi.ask(program, programs)
    devices = npu_smi.parse_info(table)
    mine = [device for device in devices if device.number == device_number]
    if not mine:  # a container numbers its devices from 0, but npu-smi may show the host's numbers
        mine = devices[device_number : device_number + 1]
    if not mine and devices:
        listed = ', '.join(f'{device.number} ({name_of(device.name)})' for device in devices)
        raise ValueError(f'npu-smi lists no device {device_number}: it has {listed}')
    device = mine[0] if mine else npu_smi.Device(device_number, 0, 0, '')

    def ask_board(*flags: str) -> str:
        return npu_smi.ask_board(program, ['-i', str(device.npu), *flags], programs)

    board = ask_board()
    pages = (board, ask_board('-c', str(device.chip)))  # npu-smi refuses `-c` for a 950
    of_board, of_chip = (name_of(npu_smi.parse_board(page) or '') for page in pages)
    name = _fuller(name_of(device.name), _fuller(of_board, of_chip))
    if not name:
        raise ValueError(f'{program} info shows no device {npu_smi.explain(table)}')
    neighbours = sum(other.npu == device.npu for other in devices)
    return Chip(name, _card_devices(name, neighbours, board))


def _fuller(name: str, closer: str) -> str:
    """Return the name from the closer source, or the other name if that begins with it."""
    return name if name.startswith(closer) else closer


def _card_devices(name: str, neighbours: int, board: str) -> int | None:
    """Count the devices on a card with a chip of the 310's families.

    A 310 card has 4, an Atlas 200 has 1, a 300I Duo (310P) has 2.

    Args:
        name: the chip's name.
        neighbours: the number of devices that npu-smi lists for the card; a container may see only some of them.
        board: npu-smi's page about the whole board, which may have the full number.

    Returns:
        The number of devices; None if neither source has it, and for other chips.
    """
    if not name.startswith('310'):
        return None
    counted = npu_smi.count_chips(board)
    return max(neighbours, counted or 0) if counted or neighbours > 1 else None
