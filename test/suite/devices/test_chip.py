"""The chip: read off npu-smi as drivers of 2021 to 2026 print it, and what atc is told."""

import os
import sys

from rdn.devices import chip

import pytest

from helpers import ROOT

NPU_SMI = os.path.join(ROOT, 'test', 'standins', 'npu-smi')

# As drivers print it: numbers of cards with gaps, two chips under one number, no column Device, no column of hugepages.
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


def test_the_table_gives_each_device_with_its_card_and_chip():
    assert chip.parse_info(DUO) == [(0, 32, 0, '310P3'), (1, 32, 1, '310P3'), (2, 32800, 0, '310P3')]
    assert chip.parse_info(OLD_310) == [(0, 1, 0, '310'), (1, 1, 1, '310')]
    assert chip.parse_info(WITHOUT_DEVICE) == [(0, 0, 0, '910B4'), (1, 1, 0, '910B3')]


@pytest.mark.parametrize('text', ['', 'dcmi module initialize failed. ret is -8005\n', '| a | b |\n| 1 | 2 |\n'])
def test_other_texts_hold_no_device(text):
    assert chip.parse_info(text) == []


@pytest.fixture
def npu_smi(tmp_path):
    """npu_smi(content): a program that prints it for `info` alone; returns its path."""

    def make(content, board=''):
        path = tmp_path / 'npu-smi'
        path.write_text(
            f"#!/bin/sh\nif [ \"$*\" = info ]; then cat <<'END'\n{content}\nEND\nelse cat <<'END'\n{board}\nEND\nfi\n"
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


def test_single_cards_beside_a_duo_count_one(npu_smi):
    assert chip.find_chip(1, npu_smi(DUO)).card_devices == 2
    assert chip.find_chip(2, npu_smi(DUO)).card_devices is None


def test_a_device_that_is_not_there_is_named_with_those_that_are(npu_smi):
    with pytest.raises(ValueError, match=r'no device 2: it has 0 \(910B4\), 1 \(910B3\)'):
        chip.find_chip(2, npu_smi(WITHOUT_DEVICE))


def test_in_a_container_devices_are_counted_anew(npu_smi):
    """Device 2 of the server, the only one inside, is device 0 there."""
    inside = DUO[: DUO.index('| 32 ')] + DUO[DUO.index('| 32800 ') :]
    assert chip.find_chip(0, npu_smi(inside)) == ('310P3', None)
    with pytest.raises(ValueError, match=r'no device 1: it has 2 \(310P3\)'):
        chip.find_chip(1, npu_smi(inside))


@pytest.mark.parametrize('name, named', [('310B', '310B4'), ('910', '910A')])
def test_a_familys_name_is_not_enough_for_atc(npu_smi, name, named):
    table = WITHOUT_DEVICE.replace('910B4', name).replace('Ascend910B3', name)
    found = chip.find_chip(0, npu_smi(table))
    with pytest.raises(ValueError, match=f'{name}, and atc has to know which: give --soc-version=Ascend.*{named}'):
        chip.choose_soc_version(found, None)
    assert chip.choose_soc_version(found, named) == chip.choose_soc_version(found, f'Ascend{named}') == f'Ascend{named}'
    board = f'\tChip Type   : Ascend\n\tChip Name                      : {named}\n'
    assert chip.find_chip(0, npu_smi(table, board)).name == named


def test_a_910c_is_told_by_chip_and_npu(npu_smi):
    board = '\tNPU ID    : 0\n\tNPU Name                       : 9392\n\tChip Name                      : Ascend910\n'
    table = WITHOUT_DEVICE.replace('910B4', 'Ascend910')
    assert chip.choose_soc_version(chip.find_chip(0, npu_smi(table, board)), None) == 'Ascend910_9392'


def test_without_npu_smi_atc_has_to_be_told(npu_smi):
    with pytest.raises(ValueError, match='--soc-version=Ascend310P3, say, or --with=host'):
        chip.choose_soc_version(None, None)
    assert chip.choose_soc_version(None, '310B4') == 'Ascend310B4'


def test_an_npu_smi_that_fails_is_named(npu_smi, tmp_path):
    with pytest.raises(ValueError, match='shows no device .*ret is -8005'):
        chip.find_chip(0, npu_smi('dcmi module initialize failed. ret is -8005'))
    (tmp_path / 'npu-smi').write_text('not a program')
    with pytest.raises(ValueError, match='npu-smi cannot be run: .*--soc-version'):
        chip.find_chip(0, str(tmp_path / 'npu-smi'))
