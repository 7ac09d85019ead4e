"""test/perf_gpu.sh with several generations of TensorRT, with a stand-in for trtexec."""

import os
import re
import shutil

from rdn import run_record

import onnx
import pytest
import torch

import models
from helpers import DIGEST, install_standin, shell
from vendor import TENSORRT_7

GUIDE = '--onnx=rdn_x2.onnx --fp16 --shapes=image:1x3x114x114'
FPS = re.compile(r' bs1 fps:222\.222')  # 4.5 ms, the stand-in's figure in fp16


@pytest.fixture
def gpu_server(house, narrow, tmp_path, monkeypatch):
    """gpu_server(11): a copy of the project with a small exported model, and trtexec of TensorRT 11 on PATH."""
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
    """Return trtexec's flags, from its log."""
    first = (house / 'RDN_bs1.log').read_text().splitlines()[0]
    return first.partition('# trtexec ')[2]


@pytest.mark.parametrize('version', [8, 10])
def test_versions_with_fp16_run_the_guides_command(gpu_server, version):
    house = gpu_server(version)
    (house / 'rdn_x2.pth').unlink()  # the guide's command does not need it
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and FPS.search(out), out + err
    assert command_in(house) == GUIDE and not (house / 'rdn_x2_fp16.onnx').exists()


@pytest.mark.slow
def test_tensorrt_11_measures_a_model_in_fp16(gpu_server):
    house = gpu_server(11)
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and FPS.search(out), out + err
    assert command_in(house) == '--onnx=rdn_x2_fp16.onnx --shapes=image:1x3x114x114'


@pytest.mark.slow
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


def test_a_trtexec_without_help_runs_the_guides_command(gpu_server, tmp_path):
    house = gpu_server(7)
    lines = f"[ \"$*\" = '{GUIDE}' ] || exit 1\ncat <<'END'\n{TENSORRT_7}END\n"
    (tmp_path / 'tools' / 'trtexec').write_text(f'#!/bin/sh\n{lines}')
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 0 and 'bs1 fps:25.393' in out, out + err


@pytest.mark.slow
@pytest.mark.parametrize('version', [10, 11])
def test_the_models_own_size_and_weights_are_measured(gpu_server, version, tmp_path):
    """The model is x3, with inputs of 76 x 76 pixels, and its record names the weights."""
    house = gpu_server(version)
    weights = tmp_path / 'three times.pth'
    torch.save(models.RDN(3, 3, 8, 8, 1, 1).state_dict(), str(weights))
    command = f"python3 RDN_pth2onnx.py --input-file='{weights}' --output-file=rdn_x3.onnx --height=76 --width=76"
    assert shell(command, house)[0] == 0
    made = run_record.Record('RDN_pth2onnx.py', None, None, None, 'host', 1, DIGEST, None, weights=str(weights))
    run_record.write(str(house / 'rdn_x3.onnx'), made)
    status, out, err = shell('bash test/perf_gpu.sh rdn_x3.onnx', house)
    assert status == 0, out + err
    assert command_in(house).endswith('--shapes=image:1x3x76x76')
    if version == 11:
        model = onnx.load(str(house / 'rdn_x3_fp16.onnx'))
        assert [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim][1:] == [3, 76, 76]
        assert '--gpu-precision=strongly-typed' in out


def test_a_model_that_is_missing_is_named_before_anything_runs(gpu_server):
    house = gpu_server(10)
    (house / 'rdn_x2.onnx').unlink()
    status, out, err = shell('bash test/perf_gpu.sh', house)
    assert status == 1 and err == 'perf_gpu.sh: rdn_x2.onnx: no such model: RDN_pth2onnx.py writes it\n', out + err
