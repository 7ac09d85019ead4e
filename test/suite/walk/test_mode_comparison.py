"""run.sh --compare-modes: a row for each graph and mode, and the fastest one that keeps accuracy."""

import os
import re
import shlex
import shutil
import sys
from typing import Any

from rdn import configuration, mode_comparison, walk, walk_steps
from rdn.accuracy import agreement
from rdn.devices import base, choice, host

import pytest

from helpers import shell

GRAPH, OTHER = mode_comparison.GRAPHS[:2]
FAST, SLOW = host.MODES[2], host.MODES[0]


def row(change=0.0, image_change=0.0, rate=1.0, mode=FAST, graph=GRAPH):
    return mode_comparison.ModeRow(graph, mode, agreement.Verdict(change, image_change, 0.05, 0.1), rate)


def plan_of(weights, dataset=None):
    machine = choice.find_machine('host', 0, None, 'all')
    config = configuration.Configuration(str(weights), 2)
    return walk_steps.Plan('all', config, machine, [1], str(weights), '', dataset)


def test_the_fastest_row_within_both_limits_is_marked():
    rows = [row(rate=1), row(-0.04, -0.09, 2), row(-0.06, -0.06, 3), row(-0.01, -0.11, 4)]
    assert mode_comparison.fastest(rows) is rows[1]
    cells = mode_comparison.cells_of(rows)
    assert [cell[0] for cell in cells[1:]] == ['', '>', '', '']
    assert [cell[3:] for cell in cells[2:4]] == [('0.040', '0.090', '2', 'kept'), ('0.060', '0.060', '3', 'not kept')]


def test_a_row_without_a_finite_loss_is_never_the_fastest():
    assert mode_comparison.fastest([row(float('nan'), 0.0, 9)]) is None


def test_each_graph_is_compared_in_each_mode_and_pytorch_only_once():
    pairs = mode_comparison.pairs_of(host.MODES)
    assert len(set(pairs)) == len(pairs) == 4 * 3 + 2
    assert [graph.name for graph, mode in pairs if mode.title == 'fp16, PyTorch'] == ['']


def test_the_reasons_of_failed_rows_follow_the_table_and_no_row_is_recommended():
    failed = mode_comparison.ModeRow(OTHER, FAST, reason='RDN_infer.py: no OpenVINO')
    lines = mode_comparison.describe(plan_of('w.pth'), [failed, row(-1.0, -2.0)])
    assert any(
        line.startswith('failed ') and line.endswith('deconv, concat | bf16, OpenVINO: RDN_infer.py: no OpenVINO')
        for line in lines
    )
    assert 'no mode is within the limits' in lines[-1]


def test_a_failed_command_is_a_rows_reason_and_ctrl_c_ends_the_comparison():
    def ended(status):
        return mode_comparison.attempt(lambda run: walk_steps.check(status))

    assert ended(0) == '' and ended(1) == 'ended with status 1'
    with pytest.raises(KeyboardInterrupt):
        ended(130)


@pytest.mark.parametrize('status', [129, 143])
def test_a_signal_ends_the_comparison(status):
    def signalled(run):
        sys.exit(status)  # like the handlers of SIGHUP and SIGTERM

    with pytest.raises(SystemExit) as ended:
        mode_comparison.attempt(signalled)
    assert ended.value.code == status


def test_the_reason_is_the_last_line_of_the_commands_stderr():
    line = "import sys; print('a', file=sys.stderr); sys.exit('b: no such file')"
    assert mode_comparison.attempt(lambda run: walk_steps.check(run('python3', '-c', line))) == 'b: no such file'


def test_the_time_left_is_estimated_from_the_finished_rows():
    assert mode_comparison.describe_progress(0, 14, 0.0) == 'row 1 of 14'
    assert mode_comparison.describe_progress(2, 14, 120.0) == 'row 3 of 14, about 12 minutes left'


@pytest.fixture
def in_this_process(script, monkeypatch, tmp_path, photos):
    """Run the walk's steps in this process, in a folder with one photograph."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    shutil.copy(photos[0], str(tmp_path / 'photos'))

    def run_and_keep(errors, *command):
        ended = script(os.path.splitext(command[1])[0], *command[2:])
        errors.extend(ended.err.splitlines())
        return ended.status

    monkeypatch.setattr(walk_steps, 'run_and_keep', run_and_keep)
    monkeypatch.setattr(walk_steps, 'run_step', lambda *command: run_and_keep([], *command))
    return 'photos'


@pytest.mark.slow
def test_a_comparison_on_this_machine_continues_after_a_failed_row(in_this_process, narrow, monkeypatch, capsys):
    modes = (
        SLOW._replace(is_slow=True),
        base.Mode('impossible', 'impossible', ['-engine=onnxruntime', '-precision=fp16']),
    )
    monkeypatch.setattr(host, 'MODES', modes)
    monkeypatch.setattr(mode_comparison, 'GRAPHS', (GRAPH, mode_comparison.GRAPHS[3]))
    assert walk.compare_modes(plan_of(narrow[0], in_this_process)) == 0
    with open('result/modes/modes.md') as file:
        table = [[cell.strip() for cell in line.split('|')[1:-1]] for line in file.read().splitlines()]
    measured, refused = table[2::2], table[3::2]
    assert [cells[1] for cells in measured] == ['shuffle, concat', 'deconv, split']
    assert [cells[3:5] + cells[6:] for cells in measured] == 2 * [['0.000', '0.000', 'kept']]
    assert all(float(cells[5]) > 0 for cells in measured) and [cells[0] for cells in measured].count('>') == 1
    assert [cells[3:] for cells in refused] == 2 * [['-', '-', '-', 'failed']]
    out = capsys.readouterr().out
    assert 'impossible: RDN_infer.py: ./rdn_x2.onnx: ONNX Runtime computes in the precision of the file' in out
    exported, inferred = [shlex.split(line) for line in out.splitlines()[-2:]]
    assert exported[1] == 'RDN_pth2onnx.py' and inferred[1] == 'RDN_infer.py' and '-precision=fp32' in inferred


def rows_of(out):
    """Return the rows of the last table: (graph, mode) -> [loss, worst image, images/s, accuracy]."""
    cells: Any = (re.split(r'  +', line[3:].strip()) for line in out.split('worst image')[-1].splitlines()[1:])
    return {(each[0], each[1]): each[2:] for each in cells if len(each) == 6}


@pytest.mark.slow
def test_run_sh_compares_the_modes_of_an_old_toolkit(server, narrow, photos, tmp_path):
    (tmp_path / 'photos').mkdir()
    shutil.copy(photos[0], str(tmp_path / 'photos'))
    status, out, err = shell(f'bash run.sh --compare-modes --weights {narrow[0]} --dataset {tmp_path}/photos', server)
    assert status == 0, out + err
    rows = rows_of(out)
    assert len(rows) == 4 * 5, out
    assert rows['shuffle, split', 'precision_mode=must_keep_origin_dtype'][3] == 'kept'
    assert float(rows['shuffle, concat', 'precision_mode=allow_mix_precision'][0]) < 0.05
    assert rows['deconv, concat', 'default (force_fp16)'] == ['-', '-', '-', 'failed']  # CANN 5 has no ConvTranspose
    assert 'E19010: No parser is registered' in out.split('worst image')[-1]
    line = out.splitlines()[-1].strip()
    assert '--soc_version=Ascend310' in line and '.om' not in ' '.join(os.listdir(str(server)))
    copied = re.sub(r'\(deactivate; (.*)\)', r'\1', line)
    status, out, err = shell(copied, server)
    assert status == 0 and any(name.endswith('.om') for name in os.listdir(str(server))), out + err


@pytest.mark.slow
def test_modes_that_the_chip_lacks_are_failed_rows(in_this_process, modern, narrow, monkeypatch, capsys):
    modern()
    monkeypatch.setattr(mode_comparison, 'GRAPHS', (GRAPH,))
    machine = choice.find_machine('ais_bench', 0, None, 'all')
    plan = plan_of(narrow[0], in_this_process)._replace(machine=machine)
    assert walk.compare_modes(plan) == 0
    out = capsys.readouterr().out
    rows = {mode: cells for (_, mode), cells in rows_of(out).items()}
    assert list(rows) == [
        'default (fp16)',
        'precision_mode_v2=origin',
        'precision_mode_v2=mixed_bfloat16',
        'precision_mode_v2=cube_hif8',
        'op_select_implmode=high_precision',
    ]
    assert rows['precision_mode_v2=cube_hif8'][3] == 'failed' and rows['default (fp16)'][3] == 'kept'
    assert abs(float(rows['precision_mode_v2=mixed_bfloat16'][0])) > 0  # its weights are rounded
    assert 'E10001: Value [cube_hif8] for parameter [--precision_mode_v2] is invalid' in out
