"""rdn/shipped_weights.py: which weights a walk uses, and the short names of the repository's weights."""

import os

import rdn
from rdn import shipped_weights

import pytest

from helpers import FULL, LITE, ROOT


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder that replaces the project's folder."""
    monkeypatch.setattr(rdn, 'ROOT', str(tmp_path))
    return tmp_path


@pytest.mark.parametrize('has_device', [False, True])
def test_the_users_own_file_comes_first(project, has_device):
    (project / 'rdn_x2.pth').write_text('weights')
    assert shipped_weights.choose(None, has_device).path == 'rdn_x2.pth'
    assert shipped_weights.choose('other.pth', has_device).path == 'other.pth'


def test_a_device_takes_the_guides_network_and_a_processor_the_compact_one(project):
    device, processor = (shipped_weights.choose(None, has_device) for has_device in (True, False))
    assert (device.path, processor.path) == ('weights/rdn_x2.pth', 'weights/rdn_x2_lite.pth')
    assert 'a device was found' in device.reason and '--weights lite' in device.reason
    assert 'no device' in processor.reason and '--weights full' in processor.reason


@pytest.mark.parametrize('name, path', [('lite', LITE), ('full', FULL)])
def test_a_short_name_means_the_repositorys_file_in_any_working_folder(name, path, tmp_path, monkeypatch):
    chosen = shipped_weights.choose(name, True).path
    monkeypatch.chdir(tmp_path)
    assert os.path.samefile(shipped_weights.locate(name), path)
    assert os.path.samefile(os.path.join(ROOT, chosen), path)
    assert shipped_weights.locate('my.pth') == 'my.pth'
