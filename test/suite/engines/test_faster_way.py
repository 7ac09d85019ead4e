"""The line on what would be faster: said once, where it is true, and only to who did not choose."""

import sys

from rdn import cpu, engines

import pytest

from helpers import INFER

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason='there is no OpenVINO with bf16 for it')


@pytest.fixture
def processor(monkeypatch):
    """processor('amx_bf16', ...): has these instruction sets, and OpenVINO is installed."""

    def install(*names, openvino=True):
        monkeypatch.setattr(cpu, 'instruction_sets', lambda: frozenset(names))
        monkeypatch.setattr(cpu.platform, 'machine', lambda: 'x86_64')
        monkeypatch.setattr('rdn.engines.openvino.is_installed', lambda: openvino)

    return install


@pytest.mark.parametrize('name, times', [('avx512_bf16', 'about twice'), ('amx_bf16', 'about 4 times')])
def test_both_scripts_name_the_flag_once(script, dataset, narrow, upscale, photo, processor, name, times):
    processor(name)
    photo.save(str(upscale.source / 'a.png'))
    for ended, flag in (
        (script('RDN_infer', f'-om_path={narrow[1]}', *INFER), ' -precision=bf16'),
        (upscale(), ' --precision=bf16'),
    ):
        assert ended.status == 0 and ended.out.count('bf16') == 2 and f'{flag} would be {times}' in ended.out


def test_nothing_is_said_without_the_instructions_or_to_who_chose(script, dataset, narrow, processor):
    processor('avx2')
    assert 'bf16' not in script('RDN_infer', f'-om_path={narrow[1]}', *INFER).out
    processor('avx512_bf16')
    assert 'bf16' not in script('RDN_infer', f'-om_path={narrow[1]}', '-precision=fp32', *INFER).out


def test_without_openvino_the_line_says_how_to_get_it(narrow, processor):
    processor('avx512_bf16', openvino=False)
    line = engines.faster_way(engines.OnnxRuntime(narrow[1], engines.Place('CPU')), '-precision')
    assert line and line.endswith('pip install openvino')
