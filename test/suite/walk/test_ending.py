"""The last lines of run.sh: the next commands."""

import os
import sys
import types
from typing import Any

from rdn import configuration, shipped_weights, walk, walk_steps

import pytest

from helpers import LITE, ROOT

KEPT = types.SimpleNamespace(is_kept=True, summarize=lambda: 'accuracy kept')
LOST = types.SimpleNamespace(is_kept=False, summarize=lambda: 'accuracy not kept')


def next_lines(weights=shipped_weights.LITE, is_accelerator=False, verdict=KEPT, steps='all'):
    device = types.SimpleNamespace(is_accelerator=is_accelerator)
    machine: Any = types.SimpleNamespace(device=device, describe=lambda sizes: 'there')
    config = configuration.Configuration(weights, 2)
    plan = walk_steps.Plan(steps, config, machine, [1], weights, '', None)
    measured = walk.Measured('result', 'result.json', 'speed.txt', ['python3', 'RDN_postprocess.py'], verdict)
    return [line[11:] for line in walk.describe_end(plan, [measured]) if line.startswith('next ')]


@pytest.fixture(autouse=True)
def project_folder(monkeypatch):
    """The walk runs in the project's folder."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def activated(monkeypatch):
    monkeypatch.setattr(sys, 'prefix', os.path.join(ROOT, '.venv'))


@pytest.mark.parametrize('weights', [shipped_weights.LITE, LITE])
def test_the_last_line_shows_how_to_enlarge_a_photograph(activated, weights):
    assert next_lines(weights) == ['source .venv/bin/activate && python3 RDN_upscale.py photo.jpg']


def test_an_environment_elsewhere_has_its_full_path(monkeypatch):
    monkeypatch.setattr(sys, 'prefix', '/my environments/a')
    assert next_lines() == ["source '/my environments/a/bin/activate' && python3 RDN_upscale.py photo.jpg"]
    monkeypatch.setattr(sys, 'prefix', sys.base_prefix)
    assert next_lines() == ['python3 RDN_upscale.py photo.jpg']


def test_weights_are_named_unless_they_are_the_compact_ones(activated):
    assert next_lines('/my/rdn_x2.pth')[-1].endswith(' python3 RDN_upscale.py photo.jpg --model /my/rdn_x2.pth')


def test_on_a_device_the_comparison_with_the_gpu_comes_first(activated):
    lines = next_lines(is_accelerator=True)
    assert [line.split()[:2] for line in lines[:2]] == [['bash', 'test/perf_gpu.sh'], ['python3', 'test/accept.py']]
    assert lines[2].endswith('RDN_upscale.py photo.jpg') and len(lines) == 3
    assert len(next_lines(is_accelerator=True, steps='measure')) == 2


def test_after_lost_accuracy_the_only_line_makes_a_report():
    assert next_lines(verdict=LOST) == ['python3 RDN_postprocess.py --report=result/report']
