"""run.sh, the acceptance scripts and the README's commands on a current server: CANN 7 to 9, ais_bench, any chip."""

import json
import os
import re
import shutil
import subprocess
import sys

from rdn import files, run_record
from rdn.acceptance import batches
from rdn.accuracy import result
from rdn.devices import choice

import pytest
import torch

from helpers import (
    BARE_PATH,
    DIGEST,
    OTHER_DIGEST,
    ROOT,
    assert_refused,
    average,
    is_ignored,
    page_blocks,
    shell,
    snapshot,
)
from vendor import list_chips, summary

# --- the choice of chip and tool


def machine(**given):
    flags = dict(wanted=None, device_id=0, soc_version=None, steps='all')
    return choice.find_machine(**{**flags, **given})


@pytest.mark.parametrize(
    'card, device, chip, soc_version, devices',
    [
        ('310P3', 0, '310P3', 'Ascend310P3', 1),
        ('300I Duo', 1, '310P3', 'Ascend310P3', 2),
        ('310B4', 0, '310B4', 'Ascend310B4', 1),
        ('910B1', 0, '910B1', 'Ascend910B1', None),
    ],
)
def test_chip_and_tool_are_found(modern, card, device, chip, soc_version, devices):
    modern(card)
    found = machine(device_id=device)
    assert found.device.name == 'ais_bench' and found.chip == (chip, devices) and found.soc_version == soc_version
    described = found.describe([1, 4])
    assert described.startswith(f'ais_bench on {chip}, device {device}, batches of 1, 4 (atc and python3 -m ais_bench')


@pytest.mark.parametrize('value', ['0', 'x', '-1'])
def test_an_invalid_number_of_devices_is_named(modern, value):
    modern('310P3', CHIPS=value)
    with pytest.raises(ValueError, match=f'CHIPS={value}: '):
        machine()


def test_converted_models_are_measured_without_atc(modern):
    folder = modern('310P3')
    (folder / 'atc').unlink()
    found = machine(steps='measure')
    assert found.device.name == 'ais_bench' and found.chip.name == '310P3'
    assert machine().device.name == 'host'


@pytest.mark.parametrize('name', ['310B', '910'])
def test_a_family_is_refused_until_the_chip_is_named(modern, name):
    modern(name)
    with pytest.raises(ValueError, match=f"npu-smi shows only the chip's family, {name}.*--soc-version=Ascend"):
        machine()
    with pytest.raises(ValueError, match=f'a chip of the family {name}'):
        machine(soc_version='Ascend310P3')
    found = machine(soc_version=f'ascend{name.lower()}4')
    assert found.chip.name == f'{name}4' and found.soc_version == f'Ascend{name}4'


@pytest.mark.slow
def test_a_chip_that_the_toolkit_does_not_know_is_refused_before_anything_is_converted(modern, monkeypatch, tmp_path):
    modern('310B')
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(list_chips(tmp_path / 'cann', '310B1', '310B3', '310P3')))
    with pytest.raises(ValueError, match=r"npu-smi shows only the chip's family, 310B: .*\(310B1, 310B3;"):
        machine()
    with pytest.raises(ValueError, match='--soc-version=ascend310b3: the CANN toolkit spells it Ascend310B3'):
        machine(soc_version='ascend310b3')
    with pytest.raises(ValueError, match='--soc-version=Ascend310B4: .*the nearest names: .*Ascend310B1'):
        machine(soc_version='Ascend310B4')
    assert machine(soc_version='310B3').chip.name == '310B3'


@pytest.mark.parametrize('card, name', [('950PR', '950PR_9579'), ('910C', '910_9392')])
def test_chips_are_found_if_the_board_completes_their_name(modern, card, name):
    modern(card)
    found = machine()
    assert (found.device.name, found.chip.name, found.soc_version) == ('ais_bench', name, f'Ascend{name}')


def test_atc_without_npu_smi_asks_for_the_chip_unless_benchmark_is_installed(modern, monkeypatch, tmp_path):
    folder = modern()
    (folder / 'npu-smi').unlink()
    with pytest.raises(ValueError, match='npu-smi is missing, so the chip is unknown'):
        machine()
    assert machine(soc_version='310P3').chip.name == '310P3'
    assert machine(wanted='host').chip.name == 'host'
    shutil.copy(str(folder / 'atc'), str(folder / f'benchmark.{os.uname().machine}'))
    found = machine()
    assert (found.device.name, found.chip.name, found.soc_version) == ('benchmark', '310', 'Ascend310')


def test_atc_without_an_inference_tool_falls_back_to_the_host_and_says_why(modern):
    folder = modern()
    (folder / 'python3').write_text('#!/bin/sh\nexit 1\n')
    found = machine()
    assert found.device.name == 'host' and found.soc_version == 'Ascend310P3'  # the models are converted
    assert 'atc is here, but no benchmark.' in found.describe([1]) and 'no ais_bench in' in found.describe([1])


def test_the_computing_chip_is_recorded_even_if_atc_converts_for_another(modern, capsys):
    modern('310P3')
    found = machine(soc_version='Ascend310P1')
    assert found.chip.name == '310P3' and found.soc_version == 'Ascend310P1'
    assert 'npu-smi shows 310P3; atc converts for Ascend310P1' in capsys.readouterr().out


def test_the_user_can_give_the_number_of_devices_on_a_card(modern, monkeypatch):
    modern('310P3', CHIPS='2')
    assert machine().chip.card_devices == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    'flags, words',
    [
        ('--batch-size 1,x', '--batch-size'),
        ('--batch-size 0', '--batch-size'),
        ('--batch-size 4,4', 'twice'),
        ('--device-id=-1', 'a whole number of at least 0'),
        ('--batch-size 1,-4', 'whole numbers of at least 1'),
        ('--with gpu', '--with'),
        ('--with benchmark', '--with=benchmark: no benchmark'),
        ('--device-id 3', 'lists no device 3'),
    ],
)
def test_a_wrong_flag_is_named(house, modern, flags, words):
    modern('300I Duo')
    status, out, err = shell(f'bash run.sh {flags}', house)
    assert status not in (0, 127) and words in err and err.count('\n') == 1 and err.startswith('run.sh: '), out + err
    assert 'RDN_pth2onnx' not in out


# --- whole walks


def rates(folder):
    with open(os.path.join(str(folder), 'pure_summary.json')) as file:
        return json.load(file)['throughput']


@pytest.mark.slow
@pytest.mark.parametrize(
    'card, chip, devices', [('310P3', '310P3', 1), ('300I Duo', '310P3', 2), ('310B4', '310B4', 1)]
)
def test_run_sh_from_a_clone_ends_with_the_table(modern, tmp_path, narrow, image_folder, card, chip, devices):
    modern(card)
    clone = tmp_path / 'my clone' if card == '310B4' else tmp_path / 'clone'  # a path that ais_bench refuses
    subprocess.run(['git', 'clone', '-q', ROOT, str(clone)], check=True)
    status, out, err = shell(f'bash run.sh --weights {narrow[0]} --dataset {image_folder} --batch-size 1,4', clone)
    assert status == 0 and not err, out + err
    assert re.search(rf'^inference: ais_bench on {chip}, device 0, batches of 1, 4 ', out, re.MULTILINE)
    psnr = {}
    for size in (1, 4):
        rate = rates(clone / 'result' / f'bs{size}')
        with open(str(clone / 'result' / f'bs{size}' / 'result.json')) as file:
            psnr[size] = json.load(file)['value'][-1]['value']
        name = f'{chip}, {devices} a card' if devices > 1 else chip
        row = f'| {name} | {size} | images, centre crop | {psnr[size]} | {rate:.3f} | {rate * devices:.3f} |'
        assert row in out, out
        with open(str(clone / 'result' / 'batches.md')) as file:
            assert row in file.read()
    assert psnr[1] == psnr[4] and '| 47 |' in out and '| 37 |' in out and 'CANN 6.0.RC1' in out
    assert out.count('best') == 2  # once in each form of the table
    assert f'--soc_version=Ascend{chip}' in out and 'RDN_infer.py' not in out
    wrote = set(snapshot(clone)) - {'.git'} - set(git_files(clone))
    assert all(is_ignored(name) for name in wrote if not name.startswith('.git') and '__pycache__' not in name), wrote


def git_files(folder):
    listed = subprocess.run(['git', 'ls-files'], cwd=str(folder), capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    return names + sorted({os.path.dirname(name) for name in names} | {'test', 'rdn'})


@pytest.mark.slow
def test_one_batch_size_ends_like_the_guide(house, modern, narrow, image_folder):
    modern('910B1')
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    status, out, err = shell(f'bash run.sh --dataset {image_folder} --batch-size 4', house)
    assert status == 0 and not err, out + err
    assert 20 < average(house) < 40 and '| 910B1 | 4 |' in out and 'best' not in out
    status, out, _ = shell('python3 test/parse.py result/bs4/pure_summary.json', house)
    assert re.match(r'910B1 bs4 fps:[\d.]+\n$', out)
    # The figures of the walk before, on a device, do not mix with those of this machine's processor.
    status, out, err = shell(f'bash run.sh --dataset {image_folder} --batch-size 4 --with host', house)
    assert status == 0 and not err, out + err
    assert '| host | 4 |' in out and '910B1' not in out.split('test/batches.py')[1]
    assert not (house / 'result' / 'bs4' / 'pure_summary.json').exists()


@pytest.mark.slow
def test_a_second_walk_in_a_folder_is_refused_and_stale_results_are_removed(house, modern, narrow, image_folder):
    modern('310P3')
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    (house / 'result.json').write_text('{"value": [{"key": "Avg PSNR", "value": "99"}]}')
    command = f'bash run.sh --dataset {image_folder} --batch-size 1,2'
    both = f'{command} > first.log 2>&1 & sleep 3; {command}; status=$?; wait; exit $status'
    status, out, err = shell(both, house)
    assert status == 1 and 'another walk runs in this folder' in err and 'RDN_pth2onnx' not in out, out + err
    assert '| 310P3 | 2 |' in (house / 'first.log').read_text()
    assert not (house / 'result.json').exists()  # it was an earlier walk's; the new ones are in result/bs1 and bs2


@pytest.mark.slow
def test_a_failing_tool_ends_the_walk_without_a_fallback(house, modern, narrow, image_folder):
    folder = modern()
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    python = folder / 'python3'
    body = python.read_text()
    python.write_text(body.replace('#!/bin/sh\n', '#!/bin/sh\ncase "$*" in *--input*) echo E1; kill -9 $$ ;; esac\n'))
    status, out, err = shell(f'bash run.sh --dataset {image_folder}', house)
    assert status == 1 and err.startswith('E1\nrun.sh: ais_bench was killed by SIGKILL; its output is in result/bs1/')
    assert 'RDN_infer' not in out and 'PSNR' not in out and not (house / 'result.json').exists()
    (folder / 'atc').write_text('#!/bin/sh\necho E10001\nexit 1\n')
    status, out, err = shell(f'bash run.sh --dataset {image_folder}', house)
    assert status == 1 and err == 'E10001\nrun.sh: atc ended with status 1; its output is in result/bs1/atc.log\n'
    assert 'RDN_infer' not in out and 'ais_bench --' not in out


@pytest.mark.slow
def test_the_acceptance_scripts_use_ais_bench_and_several_batch_sizes(house, modern, narrow, image_folder, tmp_path):
    modern('310B4')
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    os.rename(str(image_folder), str(tmp_path / 'set5'))
    status, out, err = shell(f'bash test/eval_acc_perf.sh --datasets_path={tmp_path} --batch-size=1,4', house)
    assert status == 1 and 'rdn_x2_bs1.om: no such file: bash test/pth2om.sh writes it' in err
    status, out, err = shell('bash test/pth2om.sh rdn_x2.pth --batch-size=1,4', house)
    assert status == 0 and out.endswith('rdn_x2_bs1.om, rdn_x2_bs4.om ready\n'), out + err
    status, out, err = shell(f'bash test/eval_acc_perf.sh --datasets_path={tmp_path} --batch-size=1,4', house)
    assert status == 0 and 'other images, centre crop' in out, out + err  # five photographs in a folder named set5
    figures = r'==== accuracy ====\nPSNR:2\d\.\d+\n==== performance ====\n310B4 bs%d fps:[\d.]+\n'
    verdict = r'verdict    batches of %d: accuracy kept: loss 0\.00 dB on average, 0\.00 dB at most\n'
    ending = figures % 1 + figures % 4 + r'\n' + verdict % 1 + verdict % 4 + 'next       bash test/perf_gpu.sh'
    assert re.search(ending, out), out
    assert out.count('--reference=rdn_x2.pth') == 2  # the weights of the models' records


@pytest.mark.slow
def test_lost_accuracy_shows_in_the_verdict_and_the_status(house, modern, narrow, image_folder, tmp_path):
    """A model is measured with the weights of another network as reference."""
    modern('310P3')
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    os.rename(str(image_folder), str(tmp_path / 'set5'))
    assert shell('bash test/pth2om.sh rdn_x2.pth', house)[0] == 0
    measure = f'bash test/eval_acc_perf.sh --datasets_path={tmp_path}'
    state = torch.load(narrow[0])
    state['output.bias'] += 0.1
    torch.save(state, str(house / 'other.pth'))
    status, out, err = shell(f'{measure} --weights={house}/other.pth', house)
    assert status == 1 and 'rdn_x2_bs1.om: made from rdn_x2.pth, not from' in err, out + err
    torch.save(state, str(house / 'rdn_x2.pth'))
    status, out, err = shell(measure, house)
    assert status == 1 and 'made from rdn_x2.pth, which is missing or was changed since' in err
    status, out, err = shell(f'{measure} --no-reference', house)
    assert status == 0 and 'verdict    none: the outputs were not compared with PyTorch' in out, out + err
    (house / 'rdn_x2_bs1.run.json').unlink()  # as if the user had called atc
    assert 'verdict    none' in shell(measure, house)[1]
    status, out, err = shell(f'{measure} --weights={house}/other.pth', house)
    assert status == 3 and 'verdict    accuracy not kept: ' in out and '==== performance' in out, out + err
    following = re.search('^next       (python3 RDN_postprocess.py .*)$', out, re.MULTILINE)
    assert following and shell(following.group(1), house)[0] == 3
    assert (house / 'result' / 'bs1' / 'report' / 'index.html').exists()


@pytest.mark.slow
def test_the_readmes_commands_for_ais_bench_run_unchanged(house, modern, image_folder):
    folder = modern('310P3')
    toolkit = house.parent / 'home' / 'Ascend' / 'cann'  # only env.sh finds it
    (toolkit / 'bin').mkdir(parents=True)
    os.rename(str(folder / 'atc'), str(toolkit / 'bin' / 'atc'))
    (toolkit / 'set_env.sh').write_text(f'export PATH={toolkit}/bin:$PATH\n')
    text = [
        block.replace('/root/dataset/set5', str(image_folder)) for block in page_blocks('README.md', '## The guide')
    ]
    wanted = ('RDN_pth2onnx', 'atc --f', 'RDN_preprocess', 'ais_bench')
    blocks = [block for block in text if any(word in block for word in wanted)]
    assert len(blocks) == len(wanted)
    # As on the page, each block runs in a new shell with an active .venv.
    before = f'export PATH={folder}:{BARE_PATH} HOME={house.parent}/home; set -e; source {sys.prefix}/bin/activate'
    for block in blocks:
        block = block.replace('--soc_version=Ascend310)', '--soc_version=Ascend310P3)')
        status, out, err = shell(f'{before}\n{block}', house)
        assert status == 0, block + out + err
    assert abs(average(house) - 34.61) < 0.02  # the README's figure for these photographs
    assert re.search(r'^NPU bs1 fps:[\d.]+ \(ais_bench, no record\)$', out, re.MULTILINE), out


# --- pyACL, without benchmark and ais_bench


PYACL = os.path.join(ROOT, 'test', 'standins', 'pyacl')


@pytest.fixture
def bare_server(modern, monkeypatch):
    """bare_server('310P3'): a current server without ais_bench, whose toolkit's module acl is on PYTHONPATH."""

    def install(card='310P3'):
        folder = modern(card)
        real = (folder / 'python3').read_text()
        no_ais_bench = '#!/bin/sh\ncase "$*" in *ais_bench*) exit 1 ;; esac\n'
        (folder / 'python3').write_text(real.replace('#!/bin/sh\n', no_ais_bench))
        monkeypatch.setenv('PYTHONPATH', PYACL)
        return folder

    return install


@pytest.mark.slow
def test_pyacl_is_used_if_the_other_tools_are_missing(bare_server, monkeypatch):
    folder = bare_server()
    found = machine()
    assert (found.device.name, found.chip.name, found.soc_version) == ('acl', '310P3', 'Ascend310P3')
    assert found.describe([1]).startswith('RDN_infer.py with pyACL on 310P3, device 0, batches of 1 (atc and ')
    assert ', no benchmark.' in found.reason and ', no ais_bench' in found.reason
    monkeypatch.setenv('STANDIN_ACL_DEVICES', '0')  # a toolkit on a machine without a device
    without = machine()
    assert without.device.name == 'host' and 'pyACL does not run: pyACL: acl.rt.set_device failed' in without.reason
    monkeypatch.delenv('STANDIN_ACL_DEVICES')
    monkeypatch.setenv('STANDIN_ACL_CHIP', '310B4')
    (folder / 'npu-smi').write_text('#!/bin/sh\necho dcmi module initialize failed. ret is -8005\nexit 1\n')
    assert machine().soc_version == 'Ascend310B4'
    (folder / 'npu-smi').unlink()
    assert machine().soc_version == 'Ascend310B4'  # from pyACL
    monkeypatch.setenv('STANDIN_ACL_OLD', '1')
    with pytest.raises(ValueError, match='npu-smi is missing, so the chip is unknown'):
        machine()
    assert machine(soc_version='Ascend310P3').chip.name == '310P3'
    (folder / 'atc').unlink()
    assert machine().device.name == 'host' and 'pyACL is here, but no atc on PATH' in machine().reason


def test_pyacl_is_preferred_to_the_processor_but_not_to_ais_bench(modern, monkeypatch):
    modern()
    monkeypatch.setenv('PYTHONPATH', PYACL)
    assert machine().device.name == 'ais_bench' and machine(wanted='acl').device.name == 'acl'


@pytest.mark.parametrize(
    'content, words', [('import nothing_here', 'pyACL does not run: .*nothing_here'), ('x = 1', 'another module')]
)
def test_a_module_acl_that_does_not_load_is_named(bare_server, tmp_path, monkeypatch, content, words):
    bare_server()
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'acl.py').write_text(content)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path / 'other'))
    with pytest.raises(ValueError, match=f'--with=acl: .*{words}'):
        machine(wanted='acl')
    assert machine().device.name == 'host'
    monkeypatch.delenv('PYTHONPATH')
    with pytest.raises(ValueError, match='--with=acl: no pyACL'):
        machine(wanted='acl')


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', ['1', '1,4'])
def test_a_walk_with_pyacl_ends_with_the_devices_verdict_and_speed(
    house, bare_server, monkeypatch, narrow, image_folder, batch_size
):
    bare_server('300I Duo')
    monkeypatch.setenv('STANDIN_ACL_CHIP', '310P3')
    shutil.copy(narrow[0], str(house / 'rdn_x2.pth'))
    status, out, err = shell(f'bash run.sh --dataset {image_folder} --batch-size {batch_size}', house)
    assert status == 0 and not err, out + err
    assert 'python3 RDN_infer.py -model_type=vision -device_id=0 -batch_size=1 -om_path=./rdn_x2_bs1.om' in out
    assert 'verdict ' in out and 'accuracy kept: loss 0.00 dB on average' in out
    folder = house / 'result' if batch_size == '1' else house / 'result' / 'bs1'
    made = run_record.read(str(folder / 'dumpOutput_device0'))
    assert (
        made
        and (made.chip, made.card_devices, made.tool) == ('310P3', 2, 'RDN_infer.py')
        and 'pyACL' in str(made.engine)
    )
    if batch_size == '1':
        shown = re.search(r'^310P3 bs1 fps:([\d.]+)$', out, re.MULTILINE)
        with open(str(folder / 'perf_vision_batchsize_1_device_0.txt')) as file:
            rate = re.search(r'Interface throughputRate: ([\d.]+)', file.read())
        assert shown and rate and float(shown.group(1)) == pytest.approx(2 * float(rate.group(1)), rel=1e-4)
    else:
        assert re.search(r'^\| 310P3, 2 a card \| 4 \|', out, re.MULTILINE), out


# --- the table over batch sizes


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """measured(size, rate, chip='310P3') makes a folder like run.sh, and returns its name."""
    monkeypatch.chdir(tmp_path)

    def make(size, rate, chip='310P3', psnr=38.27, outputs_of=None, name=None):
        folder = name or f'bs{size}'
        os.makedirs(folder)
        record = run_record.Record('ais_bench', None, None, None, chip, size, DIGEST, None)
        origin = result.Origin(
            'crop', 'set5', 'rdn-pytorch', 2, (228, 228), 1, outputs_of or record, None, f'{folder}/outputs', DIGEST
        )
        result.write(f'{folder}/result.json', [psnr], origin)
        with open(f'{folder}/pure_summary.json', 'w') as file:
            file.write(summary(size, 1000 * size / rate, None))
        same_model = outputs_of.model if outputs_of and name else DIGEST
        run_record.write(f'{folder}/pure_summary.json', record._replace(model=same_model))
        return folder

    return make


def test_the_table_is_sorted_and_marks_the_fastest(script, measured):
    folders = [measured(16, 33), measured(4, 37), measured(1, 47)]
    ended = script('batches', *folders, '--dataset=set5', '--markdown=table.md')
    assert ended.status == 0, ended.err
    rows = [line.split(' | ') for line in ended.out.splitlines() if line.startswith('| 310P3')]
    assert [row[1] for row in rows] == ['1', '4', '16'] and [row[4] for row in rows] == ['47.000', '37.000', '33.000']
    assert ['best' in line for line in ended.out.splitlines() if line.startswith('310P3')] == [True, False, False]
    with open('table.md') as file:
        assert '| 310P3 | 1 | set5, centre crop | 38.27 | 47.000 | 47.000 | best | 47 |' in file.read()


@pytest.mark.parametrize('known_set, shown', [('set5', 'set5'), ('other', 'other images'), (None, 'images unknown')])
def test_a_sets_name_is_shown_only_for_its_own_images(script, measured, known_set, shown):
    folder = measured(1, 47)
    origin = result.read_origin(f'{folder}/result.json')
    assert origin
    result.write(f'{folder}/result.json', [38.27], origin._replace(known_set=known_set))
    assert f'| 310P3 | 1 | {shown}, centre crop |' in script('batches', folder, '--dataset=set5').out
    assert '| 310P3 | 1 | mine, centre crop |' in script('batches', folder, '--dataset=mine').out


def test_a_card_of_four_devices_has_four_times_the_rate(script, measured):
    guides = script('batches', measured(1, 7.39423, '310')).out
    assert '| 310, 4 a card | 1 | images, centre crop | 38.27 | 7.394 | 29.577 |' in guides
    host = script('batches', measured(4, 5.0, 'host')).out
    assert '| host | 4 | images, centre crop | 38.27 | 5.000 | - |' in host


def test_speed_and_accuracy_of_different_runs_are_not_combined(script, measured):
    other = run_record.Record('RDN_infer.py', None, None, None, 'host', 4, DIGEST, None)
    assert_refused(
        script('batches', measured(4, 37, outputs_of=other)),
        'bs4/result.json',
        'bs4/pure_summary.json',
        'of two runs: chip host',
    )
    assert_refused(script('batches', measured(1, 47), measured(1, 40, name='again')), 'same batch size')
    os.remove('bs1/pure_summary.json')
    assert_refused(script('batches', 'bs1'), 'bs1', 'no file with the speed')
    os.remove('bs1/result.json')
    assert_refused(script('batches', 'bs1'), 'bs1/result.json')


def test_speed_and_accuracy_of_different_networks_are_not_combined(script, measured):
    other = run_record.Record('ais_bench', None, None, None, '310P3', 4, OTHER_DIGEST, None)
    assert_refused(script('batches', measured(4, 37, outputs_of=other)), 'of two runs: model 222222222222')


def test_rows_of_different_prepared_sets_are_refused(script, measured):
    record = run_record.Record('ais_bench', None, None, None, '310P3', 1, DIGEST, DIGEST)
    folders = [
        measured(1, 47, outputs_of=record),
        measured(4, 37, outputs_of=record._replace(batch_size=4, manifest=OTHER_DIGEST)),
    ]
    assert_refused(script('batches', *folders), 'bs1 and bs4', 'two prepared sets')


def test_parameters_are_shown_only_for_the_measured_model(script, measured, narrow):
    folder = measured(1, 47)
    assert 'parameters' not in script('batches', folder, f'--model={narrow[1]}').out.split("vendor's 310P3: ")[0]
    digest = files.digest(narrow[1])
    record = run_record.Record('ais_bench', None, None, None, '310P3', 1, digest, None)
    out = script('batches', measured(1, 47, outputs_of=record, name='own'), f'--model={narrow[1]}').out
    assert '4,739 parameters' in out


def test_the_published_figures_are_the_vendors():
    assert batches.PUBLISHED == {1: 47, 4: 37, 8: 33, 16: 33, 32: 33, 64: 33}


@pytest.mark.parametrize('what, of_speed', [('precision', 'bf16'), ('engine', 'OpenVINO in bf16'), ('version', 'OpenVINO 2023.1')])  # fmt: skip
def test_speed_and_accuracy_of_different_engines_or_precisions_are_not_combined(script, measured, what, of_speed):
    known: dict = {'engine': 'CPUExecutionProvider', 'version': 'ONNX Runtime 1.22.0', 'precision': 'fp32'}
    record = run_record.Record('RDN_infer.py', chip='host', batch_size=1, model=DIGEST, manifest=None, **known)
    folder = measured(1, 47, outputs_of=record)
    run_record.write(f'{folder}/pure_summary.json', record)
    out = script('batches', folder).out
    assert 'batch 1: measured by RDN_infer.py (ONNX Runtime 1.22.0, CPUExecutionProvider, fp32)' in out
    for other in (of_speed, None):
        change: dict = {what: other}
        run_record.write(f'{folder}/pure_summary.json', record._replace(**change))
        said = f'of two runs: {what} {known[what]} and {other}'
        assert_refused(script('batches', folder), f'{folder}/result.json', f'{folder}/pure_summary.json', said)


def test_rows_of_different_precisions_are_distinguished(script, measured):
    for size, precision in ((1, 'fp32'), (4, 'bf16'), (8, 'bf16')):
        record = run_record.Record('RDN_infer.py', None, 'X', precision, 'host', size, DIGEST, None)
        run_record.write(f'{measured(size, 40, outputs_of=record)}/pure_summary.json', record)
    out = script('batches', 'bs4', 'bs8', 'bs1').out
    assert 'batch 1: measured by RDN_infer.py (X, fp32)\nbatch 4, 8: measured by RDN_infer.py (X, bf16)\n' in out


def test_a_figure_of_unknown_origin_is_marked(script, measured):
    folder = measured(1, 47)
    os.remove(f'{folder}/pure_summary.run.json')
    assert 'batch 1: measured by PSNR: ais_bench; images/s: origin unknown' in script('batches', folder).out
