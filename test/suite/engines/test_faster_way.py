"""The hint at a faster option appears once, only if it is true, and only if the user chose no precision."""

import sys

from rdn import cpu, engines

import pytest

from helpers import INFER

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason='OpenVINO with bf16 needs Python 3.8')


@pytest.fixture
def processor(monkeypatch):
    """processor('amx_bf16', ...): simulates a processor with these instruction sets, and an installed OpenVINO."""

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


def test_there_is_no_hint_without_the_instructions_or_after_a_choice(script, dataset, narrow, processor):
    processor('avx2')
    assert 'bf16' not in script('RDN_infer', f'-om_path={narrow[1]}', *INFER).out
    processor('avx512_bf16')
    assert 'bf16' not in script('RDN_infer', f'-om_path={narrow[1]}', '-precision=fp32', *INFER).out


def test_without_openvino_the_hint_says_how_to_install_it(narrow, processor):
    processor('avx512_bf16', openvino=False)
    line = engines.faster_way(engines.OnnxRuntime(narrow[1], engines.Place('CPU')), '-precision')
    assert line and line.endswith('pip install openvino')
