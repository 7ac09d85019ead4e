"""test/perf_gpu.sh with TensorRT of several generations, by a stand-in for trtexec."""

import os
import re
import shutil

import pytest

from helpers import install_standin, shell
from vendor import TENSORRT_7

GUIDE = '--onnx=rdn_x2.onnx --fp16 --shapes=image:1x3x114x114'
FPS = re.compile(r' bs1 fps:222\.222')  # 4.5 ms, the stand-in's figure in fp16


@pytest.fixture
def gpu_server(house, narrow, tmp_path, monkeypatch):
    """gpu_server(11): a copy of the project, with a small exported model, beside a trtexec of that TensorRT."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    install_standin('trtexec', tools / 'trtexec')
    for path, name in zip(narrow, ('rdn_x2.pth', 'rdn_x2.onnx')):
        shutil.copy(path, str(house / name))
    monkeypatch.setenv('PATH', str(tools), prepend=os.pathsep)

    def install(version):
        monkeypatch.setenv('STANDIN_TENSORRT', str(version))
        return house

    return install


def command_in(house):
    """The flags that the log says trtexec was called with."""
    first = (house / 'RDN_bs1.log').read_text().splitlines()[0]
    return first.partition('# trtexec ')[2]


@pytest.mark.parametrize('version', [8, 10])
def test_versions_with_fp16_run_the_guides_command(gpu_server, version):
    house = gpu_server(version)
    (house / 'rdn_x2.pth').unlink()  # which the guide's command does not need
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and FPS.search(out), out + err
    assert command_in(house) == GUIDE and not (house / 'rdn_x2_fp16.onnx').exists()


def test_tensorrt_11_measures_a_model_in_fp16(gpu_server):
    house = gpu_server(11)
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and FPS.search(out), out + err
    assert command_in(house) == '--onnx=rdn_x2_fp16.onnx --shapes=image:1x3x114x114'


def test_tensorrt_11_takes_other_weights_as_the_second_argument(gpu_server, narrow):
    house = gpu_server(11)
    (house / 'rdn_x2.pth').unlink()
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 1 and err.count('\n') == 1 and 'rdn_x2.pth' in err and 'rdn_x2.onnx WEIGHTS' in err, err
    assert not (house / 'RDN_bs1.log').exists()
    status, out, err = shell(f'bash test/perf_gpu.sh rdn_x2.onnx {narrow[0]}', house)
    assert status == 0 and FPS.search(out), out + err


def test_a_failed_export_ends_before_anything_is_measured(gpu_server):
    house = gpu_server(11)
    (house / 'rdn_x2.pth').write_text('no weights')
    status, _, err = shell('bash test/perf_gpu.sh', house)
    assert status == 1 and 'rdn_x2.pth: not a state dict' in err
    assert not (house / 'RDN_bs1.log').exists() and not (house / 'rdn_x2_fp16.onnx').exists()


def test_a_trtexec_whose_help_says_nothing_gets_the_guides_command(gpu_server, tmp_path):
    house = gpu_server(7)
    lines = f"[ \"$*\" = '{GUIDE}' ] || exit 1\ncat <<'END'\n{TENSORRT_7}END\n"
    (tmp_path / 'tools' / 'trtexec').write_text(f'#!/bin/sh\n{lines}')
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and 'bs1 fps:25.393' in out, out + err
