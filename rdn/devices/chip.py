"""The device's chip: its name, as npu-smi shows it and atc wants it, and how many devices its card holds."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple, Sequence

from rdn import toolkit
from rdn.devices import npu_smi, runner

# Names that npu-smi shows for several chips, and these chips as atc names them: for machines whose toolkit has no list.
FAMILIES = {
    '310B': ('310B1', '310B2', '310B3', '310B4'),
    '310P': ('310P1', '310P3', '310P5', '310P7'),
    '910': ('910A', '910B', '910ProA', '910ProB', '910PremiumA')
    + ('910_9362', '910_9372', '910_9381', '910_9382', '910_9391', '910_9392'),
    '950PR': ('950PR_9579', '950PR_957b', '950PR_957c', '950PR_957d', '950PR_9589', '950PR_958a', '950PR_958b')
    + ('950PR_9599', '950PR_950z'),
    '950DT': ('950DT_950x', '950DT_950y', '950DT_95A1', '950DT_95A2', '950DT_9591', '950DT_9592', '950DT_9581'),
}
# Devices on a card, by the chip's name; the others have one. Of a 300I Duo, with two of 310P3, npu-smi counts them.
CARD_DEVICES = {'310': 4, '300I Duo': 2}


class Chip(NamedTuple):
    """name: as npu-smi shows it, 310P3 say. card_devices: how many devices the card holds; None where not known."""

    name: str
    card_devices: int | None = None


def devices_on_card(name: str, counted: int | None = None) -> int:
    """How many devices a card with this chip holds. counted: what is known of the card itself."""
    return counted or CARD_DEVICES.get(name, 1)


def name_of(soc_version: str, known: Sequence[str] = ()) -> str:
    """Return a chip's name without `Ascend`: 'Ascend310P3', 'ascend310p3' or '310P3' -> '310P3'.

    Args:
        soc_version: the name, in any case.
        known: the chips that the toolkit knows, without `Ascend`; their spelling counts.
    """
    name = toolkit.chip_name(soc_version)
    spellings = [*known, *(chip for chips in FAMILIES.values() for chip in chips)]
    spelled = next((chip for chip in spellings if chip.lower() == name.lower()), None)
    return spelled or (name.upper() if name == name.lower() else name)


def is_family(name: str, known: Sequence[str] = ()) -> bool:
    """Whether several chips have this name in common, so that atc has to be told which one.

    Args:
        name: the chip's name, without `Ascend`.
        known: the chips that the toolkit knows; empty if it has no list.
    """
    if not known:
        return name in FAMILIES
    member = re.escape(name) + ('.' if name in FAMILIES else r'[_\d]')  # 310P3 is no member of 310, which is a chip
    return name not in known and any(re.match(member, chip) for chip in known)


def choose_soc_version(chip: Chip | None, asked: str | None, known: Sequence[str] = ()) -> str:
    """Choose atc's --soc_version: the one that the user asks for, else the chip's name.

    Args:
        chip: the device's; None without npu-smi.
        asked: what the user asks for.
        known: the chips that the toolkit knows, without `Ascend`; empty if it has no list: then nothing is refused.

    Raises:
        ValueError: neither says enough, or the toolkit does not know the chip; with the nearest names.
    """
    if asked:
        _check_spelling(asked, known)
        if chip and is_family(chip.name, known) and not name_of(asked, known).startswith(chip.name):
            raise ValueError(f'--soc-version={asked}: npu-smi shows a chip of the family {chip.name}')
        return toolkit.PREFIX + name_of(asked, known)
    if chip is None:
        raise ValueError(
            'atc is here, but no npu-smi to say for which chip to convert: '
            'give --soc-version=Ascend310P3, say, or --with=host'
        )
    if is_family(chip.name, known):
        raise ValueError(
            f'npu-smi calls the chip {chip.name}, and atc has to know which: give --soc-version={toolkit.PREFIX}… '
            f"({', '.join(_nearest(chip.name, known))}: the board's papers say)"
        )
    name = name_of(chip.name, known)
    if known and name not in known:
        raise ValueError(
            f'npu-smi shows the chip {name}, which this CANN toolkit does not know: '
            f'convert with a version that does ({_hint(name, known)})'
        )
    return toolkit.PREFIX + name


def _check_spelling(asked: str, known: Sequence[str]) -> None:
    """Raise ValueError, with the nearest names, where the toolkit does not know a chip by exactly this name."""
    exact = asked if asked.lower().startswith(toolkit.PREFIX.lower()) else toolkit.PREFIX + asked
    if not known or exact in {toolkit.PREFIX + chip for chip in known}:
        return
    name = name_of(asked, known)
    if name in known:
        raise ValueError(f'--soc-version={asked}: the CANN toolkit spells it {toolkit.PREFIX}{name}')
    raise ValueError(f'--soc-version={asked}: the CANN toolkit knows no such chip; {_hint(name, known)}')


def _hint(name: str, known: Sequence[str]) -> str:
    """The names for atc that are nearest to a name which the toolkit does not know; all names if none is near."""
    nearest = _nearest(name, known)
    listed = ', '.join(toolkit.PREFIX + chip for chip in nearest or known)
    return f'the nearest names: {listed}' if nearest else f'the toolkit knows {listed}'


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """The chips of a family, or those whose names look most like a name."""
    whole = [chip for chip in known or FAMILIES.get(name, ()) if 'Vir' not in chip]  # Vir: a part of a device
    family = [chip for chip in whole if chip.lower().startswith(name.lower())]
    by_lower = {chip.lower(): chip for chip in whole}
    return family or [by_lower[near] for near in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.3)]


def find_chip(device_number: int, program: str, programs: runner.Runner = runner.LOCAL) -> Chip:
    """Ask npu-smi for a device's chip.

    For a 910C and a 950, the table shows only the family, so the board's pages are read, too. npu-smi has a page for a
    chip (`-c`) and a page for the whole board. Either may lack the name or show only its beginning: the fuller name
    counts.

    Args:
        device_number: the device's.
        program: the path of npu-smi.
        programs: runs it.

    Raises:
        ValueError: npu-smi fails, or does not say which chip it is.
    """
    table = npu_smi.ask(program, programs)
    devices = npu_smi.parse_info(table)
    mine = [device for device in devices if device.number == device_number]
    if not mine:  # in a container the devices that it has are counted anew
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
    """Return a chip's name from the closer of two sources, unless the other source's name begins with it."""
    return name if name.startswith(closer) else closer


def _card_devices(name: str, neighbours: int, board: str) -> int | None:
    """How many devices a card of the 310's families holds: 4 of a 310, 1 of an Atlas 200; 2 of 310P on a 300I Duo.

    neighbours: how many npu-smi lists under the card's number; in a container that may be fewer than it holds, and
    then the page of the whole board says it. None where neither does, and for other chips. board: that page.
    """
    if not name.startswith('310'):
        return None
    counted = npu_smi.count_chips(board)
    return max(neighbours, counted or 0) if counted or neighbours > 1 else None
