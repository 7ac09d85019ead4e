"""Follow the guide like a user: the commands of the pages, the acceptance scripts, run.sh."""

import os
import re
import shlex
import shutil
import sys

import numpy as np
import pytest

from helpers import FULL, LITE, SET5, average, is_ignored, page_blocks, shell, snapshot
from vendor import CANN6, TENSORRT_7


def run_blocks(blocks, folder):
    """Run each block in a new shell, as a user may, and return (their stdout, their stderr)."""
    out = err = ''
    for block in blocks:
        status, printed, complained = shell(f'set -e; deactivate() {{ :; }}\n{block}', folder)
        assert status == 0, block + printed + complained
        out, err = out + printed, err + complained
    return out, err


@pytest.mark.slow
def test_the_readmes_commands_run_unchanged(server, image_folder, tmp_path):
    trtexec = tmp_path / 'tools' / 'trtexec'
    trtexec.write_text(
        f"#!/bin/sh\n[ \"$*\" = '--onnx=rdn_x2.onnx --fp16 --shapes=image:1x3x114x114' ] || exit 1\ncat <<'END'\n{TENSORRT_7}END\n"
    )
    trtexec.chmod(0o755)
    blocks = [
        block.replace('/root/dataset/set5', str(image_folder)) for block in page_blocks('README.md', '## The guide')
    ]
    tools = ('RDN_pth2onnx', 'atc --f', 'ais_bench', 'benchmark.x86_64 -m', 'RDN_infer', 'perf_gpu', 'accept.py')
    assert [tool for tool in tools if tool not in ''.join(blocks)] == []
    blocks = [block for block in blocks if 'ais_bench' not in block]  # test_today.py
    last = blocks.pop()  # the verdicts
    out, _ = run_blocks(blocks, server)
    assert abs(average(server) - 34.61) < 0.02  # the README's figure for these photographs
    assert '[1, 64, 2, 2, 114, 114] added' in out and 'outputs: RDN_infer.py' in out
    # RDN_infer.py wrote the last outputs, so the speed is this machine's, and the accuracy is that of crops.
    status, out, err = shell(last, server)
    assert status == 1, out + err
    assert re.search(r'^host bs1 fps:[\d.]+$', out, re.MULTILINE) and 'T4 bs1 fps:25.393 (trtexec, no record)' in out
    assert re.search(r' 34\.61 \(centre crop\) +other images$', out, re.MULTILINE), out
    assert re.search(r' T4 25\.393 +host [\d.]+ +not met$', out, re.MULTILINE) and 'by RDN_infer.py' in out, out
    kernel = tmp_path / 'cann' / 'latest' / CANN6
    assert b'[1, 64, 2, 2, 114, 114]' in kernel.read_bytes()


@pytest.mark.slow
def test_the_other_pages_commands_run_unchanged(house):
    small = 'import sys; from PIL import Image; [Image.open(p).reduce(4).save(p) for p in sys.argv[1:]]'
    before = [
        'python3 sample_images.py sample_images',
        f'python3 RDN_pth2onnx.py --input-file={LITE} --output-file=rdn_x2.onnx',
        f"python3 -c '{small}' sample_images/*",  # whole photographs would take too long
    ]
    pictures, profile = page_blocks('docs/pictures.md'), page_blocks('docs/performance.md')
    assert 'RDN_upscale.py' in ''.join(pictures) and '--tile' in ''.join(pictures) and '-profiling' in ''.join(profile)
    out, err = run_blocks(before + pictures + profile, house)
    assert not err and '5 done, in enlarged' in out and 'report: ./result/index.html' in out
    assert (house / 'enlarged' / 'index.html').exists() and (house / 'enlarged' / 'rocket_x2.jpg').exists()
    assert 'Transpose' in out


@pytest.mark.slow
def test_a_device_uses_the_guides_network_without_a_download(house, modern):
    modern('310P3')
    (house / 'rdn_x2.pth').unlink()
    shutil.copy(FULL, str(house / 'weights'))
    status, out, err = shell('python3 -m rdn.walk --steps=convert', house)
    assert status == 0 and not err, out + err
    assert '\nweights: weights/rdn_x2.pth (' in '\n' + out and 'rdn_x2_bs1.om' in out.splitlines()[-1]
    assert '22,123,395' in out and re.search(r'^operators +150 Conv, 129 Concat, .*\b1 Transpose', out, re.MULTILINE), (
        out
    )


@pytest.mark.slow
def test_acceptance_scripts_convert_run_and_print_both_figures(server, image_folder, tmp_path):
    os.rename(str(image_folder), str(tmp_path / 'set5'))
    status, out, err = shell(f'bash test/pth2om.sh && bash test/eval_acc_perf.sh --datasets_path={tmp_path}', server)
    assert status == 0, out + err
    figures = r'==== accuracy ====\nPSNR:34\.\d+\n==== performance ====\n310 bs1 fps:[\d.]+\n'
    assert re.search(figures + r'\nverdict    accuracy kept: loss 0\.\d\d dB on average, ', out), out


@pytest.mark.parametrize(
    'command, words',
    [
        ('bash test/eval_acc_perf.sh', '--datasets_path'),
        ('bash test/eval_acc_perf.sh --datasets_path=/nowhere', '/nowhere/set5'),
        ('bash test/eval_acc_perf.sh --datasets_path=.. --what', '--what'),
        ('bash test/pth2om.sh nothing.pth', 'nothing.pth'),
        ('PATH=/usr/bin:/bin; bash test/perf_gpu.sh', 'trtexec'),
        ('bash run.sh --weights nothing.pth', 'nothing.pth'),
        ('bash run.sh --dataset nothing', 'nothing'),
        ('bash run.sh --weights', '--weights'),
        ('bash run.sh --what', '--what'),
    ],
)
def test_wrong_use_of_a_shell_script_prints_one_line(house, command, words):
    status, _, err = shell(command, house)
    assert status not in (0, 127) and words in err and err.count('\n') == 1, err


@pytest.mark.parametrize(
    'asked, machine, found',
    [
        ('python3.7', 'x86_64', 'root/versions/3.7.16/bin/python'),
        ('python3.7', 'aarch64', ''),
        ('python3.8', 'aarch64', 'root/versions/3.8.18/bin/python'),
        ('python3.9', 'x86_64', 'root/versions/3.9.1/bin/python'),
        ('', 'x86_64', 'python3'),
        ('python3.6', 'x86_64', ''),
    ],
)
def test_python_is_found_on_path_and_behind_pyenvs_shims(house, tmp_path, asked, machine, found):
    def program(path, version, works=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        body = f'import sys; sys.version_info = {version}; exec(sys.argv[2])'
        path.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{body}" "$@"\n' if works else '#!/bin/sh\nexit 127\n')
        path.chmod(0o755)

    shims = tmp_path / 'root' / 'shims'
    for version in ((3, 6, 15), (3, 7, 16), (3, 8, 18), (3, 9, 1)):
        program(shims / f'python3.{version[1]}', version, works=False)
        program(tmp_path / 'root' / 'versions' / '.'.join(map(str, version)) / 'bin' / 'python', version)
    program(shims / 'python3', (3, 12, 0))
    (shims / 'uname').write_text(f'#!/bin/sh\necho {machine}\n')
    (shims / 'uname').chmod(0o755)
    command = f'PATH={shims}:/usr/bin:/bin; . ./setup_venv.sh; find_python {asked}'
    status, out, err = shell(command, house)
    assert (status == 0, out.strip().endswith(found)) == (bool(found), True), (out, err)
    assert bool(err) == (not found) and ('no wheel for Arm' in err) == (machine == 'aarch64' and not found)


@pytest.mark.slow
def test_run_sh_uses_onnx_runtime_without_a_device(house):
    (house / 'rdn_x2.pth').unlink()
    before = set(snapshot(house))
    status, out, err = shell(f'cd / && bash {house}/run.sh', house)
    assert status == 0 and not err, out + err
    assert 'Avg PSNR: 34.61' in out and 'weights/rdn_x2_lite.pth' in out
    assert "inference: RDN_infer.py on this machine's processor, batches of 1 (neither atc nor benchmark" in out
    first = average(house)
    assert all(is_ignored(name) for name in set(snapshot(house)) - before)

    # The commands that it prints give the same result when copied.
    shown = [line[2:] for line in out.splitlines() if line.startswith('$ ')]
    for name in ('result.json', 'rdn_x2.onnx'):
        (house / name).unlink()
    status, out, err = shell('set -e\n' + '\n'.join(shown), house)
    assert status == 0 and average(house) == first, out + err

    # A second run, on other images and from another folder, starts over.
    (house / 'my own').mkdir()
    for name in ('coffee.png', 'chelsea.png'):
        shutil.copy(str(house / 'sample_images' / name), str(house / 'my own'))
    status, out, err = shell('cd test && bash ../run.sh --dataset="../my own"', house)
    assert status == 0, out + err
    named = [line.split()[0] for line in out.splitlines() if line.startswith(('coffee ', 'chelsea ', 'rocket '))]
    assert named == 2 * ['chelsea', 'coffee']  # in the comparison with PyTorch, and in the table of PSNRs
    assert 'verdict    accuracy kept: loss 0.00 dB' in out
    assert sorted(os.listdir(str(house / 'result' / 'images'))) == [
        'chelsea_sheet.png',
        'chelsea_x2.png',
        'coffee_sheet.png',
        'coffee_x2.png',
    ]


@pytest.mark.slow
def test_run_sh_uses_the_device_if_there_is_one(server):
    os.makedirs(str(server / 'result' / 'dumpOutput_device0'))
    (server / 'result' / 'dumpOutput_device0' / 'stale_1.txt').write_text('1')
    status, out, err = shell('bash run.sh', server)
    assert status == 0, out + err
    assert 'atc --framework=5' in out and './benchmark.' in out and 'RDN_infer.py' not in out
    assert 'inference: benchmark on 310, device 0, batches of 1 (atc and ./benchmark.' in out
    assert 'Avg PSNR: 34.61' in out and '310 bs1 fps:' in out


@pytest.mark.slow
def test_a_figure_of_an_earlier_run_is_not_shown_when_the_tool_fails(server, narrow):
    perf = server / 'result' / 'perf_vision_batchsize_1_device_0.txt'
    perf.parent.mkdir()
    perf.write_text('[infer] Interface throughputRate: 9999\n')
    (server / ('benchmark.' + os.uname().machine)).write_text('#!/bin/sh\n')  # ends with success, but runs nothing
    shutil.copy(narrow[0], str(server / 'rdn_x2.pth'))
    status, out, _ = shell('bash run.sh', server)
    assert status and './benchmark' in out and 'fps' not in out.split('./benchmark')[-1]
    assert perf.read_text() == '[infer] Interface throughputRate: 9999\n'  # unchanged


INTERPOLATING = (  # writes weights of a scale whose results resemble bicubic interpolation
    'import sys, torch, models; from rdn.training import trainer; scale = int(sys.argv[1]); '
    'network = models.RDN(scale, 3, 8, 8, 1, 1); trainer.begin_as_interpolation(network); '
    'torch.save(network.state_dict(), f"x{scale}.pth")'
)


@pytest.mark.slow
@pytest.mark.parametrize('scale, side', [(3, 76), (4, 57)])
def test_run_sh_uses_the_scale_of_the_weights(server, scale, side):
    """The device's tools run the model. The printed commands, with RDN_infer.py for the tool, give the same result."""
    make = f'python3 -c {shlex.quote(INTERPOLATING)} {scale}'
    status, out, err = shell(f'{make} && bash run.sh --weights x{scale}.pth', server)
    assert status == 0, out + err
    assert f'--input_shape=image:1,3,{side},{side}' in out and f'5 inputs of {side} x {side}' in out
    assert os.path.exists(str(server / f'rdn_x{scale}_bs1.om')) and not os.path.exists(str(server / 'rdn_x2.onnx'))
    label = np.load(str(server / 'prep_dataset' / 'label' / 'coffee.npy'))
    assert label.shape == (1, 3, 228, 228)
    first, line = average(server), next(line for line in out.splitlines() if line.startswith('average'))
    bicubic, rdn = (float(word) for word in line.split()[1:3])
    assert abs(bicubic - rdn) < 0.7
    shown = [line[2:] for line in out.splitlines() if line.startswith(('$ python3 RDN_pre', '$ python3 gen'))]
    infer = f'python3 RDN_infer.py -om_path=rdn_x{scale}_bs1.onnx -input_text_path=./RDN_prep_bin.info'
    judge = next(line[2:] for line in out.splitlines() if line.startswith('$ python3 RDN_postprocess'))
    (server / 'result.json').unlink()
    status, out, err = shell('set -e; rm -rf result\n' + '\n'.join([*shown, infer, judge]), server)
    assert status == 0 and abs(average(server) - first) < 0.01, out + err


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir(SET5), reason='the images of Set5 are missing')
def test_set5_has_the_psnr_of_the_readme(house):
    status, out, err = shell(f'bash run.sh --dataset {os.path.abspath(SET5)}', house)
    assert status == 0, out + err
    assert abs(average(house) - 38.76) < 0.02 and 'average      34.23' in out
