"""Outputs and figures keep the record of their origin, so no figure of this machine is attributed to a card."""

import json
import os

import pytest

from helpers import DUMP, ROOT, assert_refused, judge, prepare, run_python, snapshot

PERF = 'result/perf_vision_batchsize_1_device_0.txt'


def test_a_speed_of_this_machine_is_printed_as_the_hosts(script, inferred):
    ended = script('parse', PERF)
    assert ended.out.startswith('host bs1 fps:') and 'no record' not in ended.out
    with open(PERF) as file:
        rate = float(file.read().split('Interface throughputRate: ')[1].split(',')[0])
    assert float(ended.out.split('fps:')[1]) == pytest.approx(rate, abs=1e-3)  # not multiplied by four


def test_a_performance_file_of_the_vendors_tool_is_not_attributed_to_the_host(script, inferred):
    with open(PERF, 'w') as file:
        file.write('[infer] throughputRate: 6.8, Interface throughputRate: 7.39423, moduleLatency: 139\n')
    assert script('parse', PERF).out == '310 bs1 fps:29.577 (benchmark, no record)\n'


def test_the_batch_size_of_a_pure_inference_is_the_one_that_was_measured(script, tmp_path, narrow, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(narrow[1], 'rdn_x2.onnx')
    assert script('RDN_infer', '-round=2', '-om_path=./rdn_x2_bs4.onnx', '-batch_size=4').status == 0
    assert script('parse', 'result/PureInfer_perf_of_rdn_x2_bs4_in_device_0.txt').out.startswith('host bs4 fps:')
    assert script('RDN_infer', '-round=2', '-om_path=./rdn_x2.onnx', '-batch_size=2').status == 0
    assert script('parse', 'result/PureInfer_perf_of_rdn_x2_in_device_0.txt').out.startswith('host bs2 fps:')


@pytest.mark.parametrize(
    'chip, devices', [('Ascend310', 4), ('310', 4), ('Ascend310P3', 1), ('300I Duo', 2), ('910B1', 1)]
)
def test_a_device_says_its_chip_and_how_many_a_card_holds(script, inferred, tmp_path, chip, devices):
    with open(PERF, 'w') as file:
        file.write('[infer] throughputRate: 6.8, Interface throughputRate: 7.5, moduleLatency: 139\n')
    flags = ['--tool=benchmark', f'--chip={chip}', f'--model={inferred[1]}', '--inputs=prep_dataset/data']
    (tmp_path / 'x86_64-linux').mkdir()
    (tmp_path / 'x86_64-linux' / 'ascend_toolkit_install.info').write_text('package_name=a\nversion=7.0.RC1\n')
    environment = dict(os.environ, PYTHONPATH=ROOT, ASCEND_TOOLKIT_HOME=str(tmp_path))
    assert run_python('-m', 'rdn.devices.record', DUMP, PERF, *flags, env=environment).returncode == 0
    name = chip.replace('Ascend', '')
    assert script('parse', PERF).out == f'{name} bs1 fps:{7.5 * devices:.3f}\n'
    assert f'outputs: benchmark (CANN 7.0.RC1) on {name}, batches of 1; centre crop' in judge(script).out


def test_outputs_of_another_preparation_are_refused_by_their_record(script, inferred, tmp_path):
    """Crop and letterbox fit these images in nearly the same way, so only the record shows the difference."""
    assert prepare(script, '--fit=letterbox').status == 0
    ended = judge(script, '--allow-mismatch')
    assert_refused(ended, DUMP, 'another preparation')
    assert not os.path.exists('result.json')


def test_outputs_that_changed_since_are_of_unknown_origin(script, inferred):
    assert 'outputs: RDN_infer.py (ONNX Runtime' in judge(script).out
    name = sorted(os.listdir(DUMP))[0]
    with open(os.path.join(DUMP, name), 'rb+') as file:
        file.write(b'\0\0\0\0')
    assert 'outputs: origin unknown; centre crop' in judge(script).out


@pytest.mark.parametrize('content', ['', '[]', '{"of": "x"}', '{"of": 1, "tool": 2}'])
def test_a_broken_record_is_named(script, inferred, content):
    with open(DUMP + '.run.json', 'w') as file:
        file.write(content)
    assert_refused(judge(script), DUMP + '.run.json')


def test_nothing_is_written_into_the_folder_of_outputs(script, inferred):
    assert {name for name in snapshot('result') if name.endswith('.json')} == {
        'dumpOutput_device0.run.json',
        'perf_vision_batchsize_1_device_0.run.json',
    }
    with open(DUMP + '.run.json') as file:
        assert json.load(file)['chip'] == 'host'
