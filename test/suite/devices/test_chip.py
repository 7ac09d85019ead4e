"""The chip: its name in npu-smi's output from drivers of 2021 to 2026, and its name for atc."""

import os
import re
import sys

from rdn.devices import chip
from rdn.devices import npu_smi as tables

import pytest

from helpers import ROOT

NPU_SMI = os.path.join(ROOT, 'test', 'standins', 'npu-smi')

# Drivers' outputs: card numbers with gaps, two chips with one number, without the column Device, without hugepages.
DUO = """
+-------------------------------+-----------------+------------------------------------------------------+
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===============================+=================+======================================================+
| 32      310P3                 | OK              | NA           51                0     / 0             |
| 0       0                     | 0000:01:00.0    | 0            1615 / 44278                            |
+-------------------------------+-----------------+------------------------------------------------------+
| 32      310P3                 | OK              | NA           51                0     / 0             |
| 1       1                     | 0000:01:00.0    | 0            1322 / 43693                            |
+===============================+=================+======================================================+
| 32800   310P3                 | OK              | NA           50                0     / 0             |
| 0       2                     | 0000:02:00.0    | 0            1581 / 44278                            |
+===============================+=================+======================================================+
| NPU     Chip                  | Process id      | Process name             | Process memory(MB)        |
+===============================+=================+======================================================+
| 32      0                     | 2310            | python3                  | 104                       |
| No running processes found in NPU 32800                                                                |
+-------------------------------+-----------------+------------------------------------------------------+
"""
OLD_310 = """
| NPU     Name      | Health          | Power(W)          Temp(C)              |
| Chip    Device    | Bus-Id          | AICore(%)         Memory-Usage(MB)     |
| 1       310       | OK              | 12.8              49                   |
| 0       0         | 0000:01:00.0    | 0                 2621 / 8192          |
| 1       310       | OK              | 12.8              49                   |
| 1       1         | 0000:02:00.0    | 0                 2621 / 8192          |
"""
WITHOUT_DEVICE = """
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 0     910B4               | OK            | 88.2        30                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          26838/ 32768         |
| 1     Ascend910B3         | Warning       | 87.0        30                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          29356/ 32768         |
"""

# An A3 server: two chips on a card, their numbers in a column with another name, a chip without a value for power.
TWO_CHIPS = """
| npu-smi 25.3.rc1                 Version: 25.3.rc1                                             |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 3     Ascend910           | OK            | 171.2       41                0    / 0             |
| 0     6                   | 0000:0B:00.0  | 0           0    / 0          3100 / 65536         |
+------------------------------------------------------------------------------------------------+
| 3     Ascend910           | OK            | -           40                0    / 0             |
| 1     7                   | 0000:0C:00.0  | 0           0    / 0          2900 / 65536         |
"""
# The name has its own column, and the second line has no number; version 25.6 on a server without a bus.
OWN_COLUMN = """
+--------+------------------+---------------+-----------------------------------------------------+
| NPU ID | Name             | Health        | Power(W)    Temp(C)           Hugepages-Usage(page) |
|        |                  | Bus-Id        | NPU Util(%) Memory-Usage(MB)  HBM-Usage(MB)         |
+========+==================+===============+=====================================================+
| 4      | Ascend950DT      | OK            | 371.0       47                0     / 0             |
|        |                  | NA            | 0           0    / 0          6700  / 86016         |
+========+==================+===============+=====================================================+
| 5      | Ascend950DT      | Alarm         | 372.5       49                0     / 0             |
|        |                  | 0000:71:00.0  | 100         0    / 0          90100 / 114688        |
+---------------------------+---------------+-----------------------------------------------------+
| NPU ID                    | Process id    | Process name             | Process memory(MB)       |
+===========================+===============+=====================================================+
| 5                         | 4711          | python3                  | 104                      |
"""
OLD_910 = """
| NPU   Name           | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                 | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
| 2     910ProB        | OK            | 80.3        38                0    / 0             |
| 0                    | 0000:41:00.0  | 0           2319 / 15137      1    / 32768         |
"""
BOARD_310B = """
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
| 0       310B4                 | Alarm           | 0.0          51                15    / 15            |
| 0       0                     | NA              | 0            2214 / 7545                             |
"""
# As copied into web pages and chats, where several spaces become one.
WITHOUT_SPACES = """
| NPU Name | Health | Power(W) Temp(C) Hugepages-Usage(page) |
| Chip Device | Bus-Id | AICore(%) Memory-Usage(MB) |
| 24 310P3 | OK | NA 29 0 / 0 |
| 0 0 | 0000:04:00.0 | 0 1832 / 21527 |
"""


def test_the_table_lists_each_device_with_its_card_and_chip():
    assert tables.parse_info(DUO) == [(0, 32, 0, '310P3'), (1, 32, 1, '310P3'), (2, 32800, 0, '310P3')]
    assert tables.parse_info(OLD_310) == [(0, 1, 0, '310'), (1, 1, 1, '310')]
    assert tables.parse_info(WITHOUT_DEVICE) == [(0, 0, 0, '910B4'), (1, 1, 0, 'Ascend910B3')]
    assert tables.parse_info(TWO_CHIPS) == [(6, 3, 0, 'Ascend910'), (7, 3, 1, 'Ascend910')]
    assert tables.parse_info(OWN_COLUMN) == [(0, 4, 0, 'Ascend950DT'), (1, 5, 0, 'Ascend950DT')]
    assert tables.parse_info(OLD_910) == [(0, 2, 0, '910ProB')]
    assert tables.parse_info(BOARD_310B) == [(0, 0, 0, '310B4')]
    assert tables.parse_info(WITHOUT_SPACES) == [(0, 24, 0, '310P3')]


@pytest.mark.parametrize('kept, whole', [(1, 0), (2, 0), (4, 0), (5, 0), (6, 1), (8, 1), (9, 2), (12, 2)])
def test_a_truncated_table_yields_the_devices_with_complete_lines(kept, whole):
    assert len(tables.parse_info('\n'.join(OWN_COLUMN.strip().splitlines()[:kept]))) == whole


@pytest.mark.parametrize('text', ['', 'dcmi module initialize failed. ret is -8005\n', '| a | b |\n| 1 | 2 |\n'])
def test_other_texts_contain_no_device(text):
    assert tables.parse_info(text) == []


@pytest.fixture
def npu_smi(tmp_path):
    """npu_smi(content): makes a program that prints `content` for `info`; returns its path.

    board: its output about a board; refused: shell commands that it runs if asked about one chip of a board.
    """

    def make(content, board='', refused=''):
        path = tmp_path / 'npu-smi'
        path.write_text(
            f'#!/bin/sh\ncase "$*" in info) cat <<\'END\'\n{content}\nEND\n;;\n*-c*) {refused or ":"} ;;\nesac\n'
            f'[ "$*" = info ] || cat <<\'END\'\n{board}\nEND\n'
        )
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize(
    'card, number, name, devices',
    [
        ('310P3', 0, '310P3', 1),
        ('300I Duo', 0, '310P3', 2),
        ('300I Duo', 1, '310P3', 2),
        ('310', 3, '310', 4),
        ('Atlas 200', 0, '310', 1),
        ('310B4', 0, '310B4', 1),
        ('910B1', 0, '910B1', 1),
        ('910C', 1, '910_9392', 1),
        ('950PR', 0, '950PR_9579', 1),
    ],
)
def test_a_device_has_its_chip_and_its_cards_number_of_devices(monkeypatch, tmp_path, card, number, name, devices):
    monkeypatch.setenv('STANDIN_CHIP', card)
    program = tmp_path / 'npu-smi'
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {NPU_SMI} "$@"\n')
    program.chmod(0o755)
    found = chip.find_chip(number, str(program))
    assert found.name == name
    assert chip.devices_on_card(found.name, found.card_devices) == devices
    assert chip.choose_soc_version(found, None) == f'Ascend{name}'


def test_single_cards_next_to_a_duo_have_one_device(npu_smi):
    assert chip.find_chip(1, npu_smi(DUO)).card_devices == 2
    assert chip.find_chip(2, npu_smi(DUO)).card_devices is None


def test_the_error_for_a_missing_device_lists_the_others(npu_smi):
    with pytest.raises(ValueError, match=r'no device 2: it has 0 \(910B4\), 1 \(910B3\)'):
        chip.find_chip(2, npu_smi(WITHOUT_DEVICE))


def test_in_a_container_devices_are_numbered_from_0(npu_smi):
    """The container has only the server's device 2, which is its device 0."""
    inside = DUO[: DUO.index('| 32 ')] + DUO[DUO.index('| 32800 ') :]
    assert chip.find_chip(0, npu_smi(inside)) == ('310P3', None)
    with pytest.raises(ValueError, match=r'no device 1: it has 2 \(310P3\)'):
        chip.find_chip(1, npu_smi(inside))


@pytest.mark.parametrize('name, named', [('310B', '310B4'), ('910', '910A')])
def test_a_familys_name_is_not_enough_for_atc(npu_smi, name, named):
    table = WITHOUT_DEVICE.replace('910B4', name).replace('Ascend910B3', name)
    found = chip.find_chip(0, npu_smi(table))
    with pytest.raises(ValueError, match=f"the chip's family, {name}: give --soc-version=Ascend.*{named}"):
        chip.choose_soc_version(found, None)
    assert chip.choose_soc_version(found, named) == chip.choose_soc_version(found, f'Ascend{named}') == f'Ascend{named}'
    board = f'\tChip Type   : Ascend\n\tChip Name                      : {named}\n'
    assert chip.find_chip(0, npu_smi(table, board)).name == named


def test_a_910c_is_recognized_by_chip_and_npu(npu_smi):
    board = '\tNPU ID    : 0\n\tNPU Name                       : 9392\n\tChip Name                      : Ascend910\n'
    table = WITHOUT_DEVICE.replace('910B4', 'Ascend910')
    assert chip.choose_soc_version(chip.find_chip(0, npu_smi(table, board)), None) == 'Ascend910_9392'


BOARD_950 = '\tNPU ID    : 4\n\tNPU Name                       : 957b\n\tChip Name                      : Ascend950DT\n'


@pytest.mark.parametrize(
    'refused',
    [
        'echo Error: -c is not supported; exit 1',
        'echo This command is not supported.; exit 0',
        'exit 0',
        'echo "	Chip Name     : NA"; exit 0',
        'echo "	Chip Name     : Ascend910"; exit 255',
    ],
)
def test_without_a_page_for_the_chip_the_boards_page_is_read(npu_smi, refused):
    assert chip.find_chip(1, npu_smi(OWN_COLUMN, BOARD_950, refused)).name == '950DT_957b'


@pytest.mark.parametrize(
    'of_chip, of_board, name',
    [
        ('Ascend950DT', BOARD_950, '950DT_957b'),
        ('Ascend950', BOARD_950, '950DT_957b'),
        ('Ascend950DT_957b', '\tChip Name : Ascend950DT\n', '950DT_957b'),
        ('Ascend950DT_957b', '\tChip Name : Ascend910\n', '950DT_957b'),
        ('Ascend950DT', '\tChip Name : Ascend950DT\n', '950DT'),
        ('Ascend950DT', '\tProduct Name : IT21\n', '950DT'),
    ],
)
def test_the_fuller_name_of_chip_page_and_board_page_is_used(npu_smi, of_chip, of_board, name):
    program = npu_smi(OWN_COLUMN, of_board, refused=f'echo "Chip Name : {of_chip}"; exit 0')
    assert chip.find_chip(1, program).name == name


@pytest.mark.parametrize(
    'board, name',
    [
        ('\tNPU Name : 9362\n\tChip Name : Ascend910\n', 'Ascend910_9362'),
        ('\tNPU Name : 9362\n\tChip Name : Ascend910_9362\n', 'Ascend910_9362'),
        ('\tNPU Name : NA\n\tChip Name : 910B4-1\n', '910B4-1'),
        ('\tChip Name : Ascend 310B4\n\n\tChip Name : mcu\n', 'Ascend310B4'),
        ('\tChip Name : MCU\n', None),
        ('\tProduct Name : IT21DUA02\n\tChip Count : 2\n', None),
        ('There is no NPU card on this server.\n', None),
    ],
)
def test_the_boards_page_names_the_chip(board, name):
    assert tables.parse_board(board) == name


def test_the_tables_name_is_used_if_it_is_fuller_than_the_boards(npu_smi):
    assert chip.find_chip(1, npu_smi(WITHOUT_DEVICE, '\tChip Name : Ascend910\n')).name == '910B3'


def test_without_a_board_page_the_tables_name_is_used(npu_smi):
    assert chip.find_chip(0, npu_smi(OLD_910, refused='exit 1')).name == '910ProB'


@pytest.mark.parametrize(
    'text, name',
    [
        ('ascend310p3', '310P3'),
        ('Ascend910ProB', '910ProB'),
        ('ascend910prob', '910ProB'),
        ('ASCEND910PREMIUMA', '910PremiumA'),
        ('ascend950pr_9579', '950PR_9579'),
        ('950PR_957B', '950PR_957b'),
        ('950dt_95a1', '950DT_95A1'),
        ('910b4-1', '910B4-1'),
        ('npu', 'NPU'),
    ],
)
def test_a_chips_name_has_its_usual_spelling(text, name):
    assert chip.name_of(text) == name


KNOWN = ('310B1', '310B4', '310P3', '310P3Vir01', '310P5', '910A', '910B', '910B4', '910ProB', '910_9392', '960XY_1a')


def test_the_toolkits_spelling_is_preferred_to_the_usual_one():
    assert chip.name_of('960xy_1A', KNOWN) == '960XY_1a'
    assert chip.name_of('950pr_957b', ['950PR_957B']) == '950PR_957B'
    assert chip.choose_soc_version(chip.Chip('960XY_1A'), None, KNOWN) == 'Ascend960XY_1a'


@pytest.mark.parametrize('asked', ['Ascend310P3', '310P3', 'Ascend910ProB', '910_9392', 'Ascend310P3Vir01'])
def test_a_chip_that_the_toolkit_knows_is_taken(asked):
    assert chip.choose_soc_version(chip.Chip('310P3'), asked, KNOWN) == 'Ascend' + asked.replace('Ascend', '')


@pytest.mark.parametrize(
    'asked, words',
    [
        ('ascend310p3', 'the CANN toolkit spells it Ascend310P3$'),
        ('Ascend310p3', 'the CANN toolkit spells it Ascend310P3$'),
        ('910PROB', 'the CANN toolkit spells it Ascend910ProB$'),
        ('Ascend310B', 'the CANN toolkit knows no such chip; the nearest names: Ascend310B1, Ascend310B4$'),
        ('Ascend310P4', 'the CANN toolkit knows no such chip; the nearest names: .*Ascend310P3'),
        ('Ascend9392', 'the CANN toolkit knows no such chip; the nearest names: Ascend910_9392'),
        (
            'Ascend310',
            'the CANN toolkit knows no such chip; the nearest names: Ascend310B1, Ascend310B4, Ascend310P3, Ascend310P5$',
        ),
        ('T4', 'the CANN toolkit knows no such chip; the toolkit knows Ascend310B1, .*Ascend960XY_1a$'),
    ],
)
@pytest.mark.parametrize('found', [None, chip.Chip('310P3')])
def test_a_wrong_or_wrongly_spelled_name_is_refused_with_the_nearest(found, asked, words):
    with pytest.raises(ValueError, match=f'--soc-version={asked}: {words}'):
        chip.choose_soc_version(found, asked, KNOWN)


def test_without_a_list_every_name_is_accepted():
    assert chip.choose_soc_version(chip.Chip('310P3'), 'Ascend123X', ()) == 'Ascend123X'
    assert chip.choose_soc_version(None, 'ascend310p3') == 'Ascend310P3'
    assert chip.choose_soc_version(chip.Chip('123X'), None) == 'Ascend123X'


@pytest.mark.parametrize(
    'name, known, named',
    [
        ('310B', KNOWN, '310B1, 310B4;'),
        ('310P', KNOWN, '310P3, 310P5;'),
        ('910', KNOWN, '910A, 910B, 910B4, 910ProB, 910_9392;'),
        ('960XY', KNOWN, '960XY_1a;'),
        ('310B', (), '310B1, 310B2, 310B3, 310B4;'),
        ('310P', (), '310P1, 310P3, 310P5, 310P7;'),
        ('910', (), '910A, 910B, 910ProA, 910ProB, 910PremiumA, 910_9362,'),
        ('950PR', (), '950PR_9579,'),
    ],
)
def test_a_familys_chips_are_those_of_the_toolkit(name, known, named):
    with pytest.raises(ValueError, match=rf"npu-smi shows only the chip's family, {name}: .*\({named}"):
        chip.choose_soc_version(chip.Chip(name), None, known)


@pytest.mark.parametrize('name', ['310', '950PR', '950DT_9591', '123X', 'T4'])
def test_a_chip_that_this_toolkit_does_not_know_is_refused(name):
    with pytest.raises(
        ValueError, match=f'npu-smi shows the chip {name}, which this CANN toolkit does not know'
    ) as said:
        chip.choose_soc_version(chip.Chip(name), None, KNOWN)
    assert set(re.findall(r'Ascend([\w-]+)', str(said.value))) <= set(KNOWN)
    with pytest.raises(ValueError, match='--soc-version=Ascend950PR_9579: the CANN toolkit knows no such chip') as said:
        chip.choose_soc_version(None, 'Ascend950PR_9579', KNOWN)
    assert set(re.findall(r'Ascend([\w-]+)', str(said.value).split('chip; ')[1])) <= set(KNOWN)


def test_the_310_is_a_chip_and_no_family():
    assert chip.choose_soc_version(chip.Chip('310'), None, (*KNOWN, '310')) == 'Ascend310'


def test_without_npu_smi_the_user_must_name_the_chip(npu_smi):
    with pytest.raises(ValueError, match='for example --soc-version=Ascend310P3.*--with=host'):
        chip.choose_soc_version(None, None)
    assert chip.choose_soc_version(None, '310B4') == 'Ascend310B4'


def test_an_npu_smi_that_fails_is_named(npu_smi, tmp_path):
    with pytest.raises(ValueError, match=r'info shows no device \("There is no NPU card."\): name the chip with'):
        chip.find_chip(0, npu_smi('+----+----+\n|    |    |\n+====+====+\n\n| There is no NPU card. |\n+---+\nmore'))
    with pytest.raises(ValueError, match=r'info shows no device \(""\): name the chip with --soc-version'):
        chip.find_chip(0, npu_smi(''))
    (tmp_path / 'npu-smi').write_text('not a program')
    with pytest.raises(ValueError, match='npu-smi cannot be run: .*--soc-version'):
        chip.find_chip(0, str(tmp_path / 'npu-smi'))


@pytest.mark.parametrize(
    'said, words',
    [
        ('DrvMngGetConsoleLogLevel failed. (ret=4)\ndcmi module initialize failed. ret is -8005', 'root.*HwHiAiUser'),
        ('dcmi module initialize failed. ret is -8005', 'usermod -a -G HwHiAiUser USER'),
        ('dcmi model initialized failed, because the device is used. ret is -8020', 'another container'),
    ],
)
def test_an_error_of_the_driver_has_its_remedy(npu_smi, said, words):
    first = said.splitlines()[0].replace('(', r'\(').replace(')', r'\)')
    with pytest.raises(ValueError, match=rf'info shows no device \("{first}"\): .*{words}.*--soc-version'):
        chip.find_chip(0, npu_smi(said, refused='exit 1'))
