"""What the tests share: real photographs, an exported network, and calling a script as a person does."""

import collections
import importlib
import os
import shutil
import signal
import subprocess
import sys

from rdn import cli

import numpy as np
import pytest
from PIL import Image

import models
import sample_images

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

SET5 = os.path.join(ROOT, os.pardir, 'shared', 'data', 'set5')
LITE = os.path.join(ROOT, 'weights', 'rdn_x2_lite.pth')

Ended = collections.namedtuple('Ended', 'status out err')


@pytest.fixture
def script(capsys, monkeypatch):
    """script('RDN_preprocess', '--src-path=...'): runs it in this process, returns (status, out, err)."""

    def call(name, *arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, 'argv', [name + '.py'] + [str(argument) for argument in arguments])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.run(importlib.import_module(name).main)
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Ended(ended.value.code or 0, *capsys.readouterr())

    return call


def assert_refused(ended, *words):
    """One line on stderr that holds the words, and a status that is not 0."""
    assert ended.status, ended
    assert ended.err.count('\n') == 1 and 'Traceback' not in ended.err, ended.err
    for word in words:
        assert str(word) in ended.err, ended.err


def run_python(*arguments, **kwargs):
    """A Python process in the project's folder or elsewhere, its output as text."""
    return subprocess.run(
        [sys.executable] + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        **kwargs,
    )


def snapshot(folder):
    """Relative path -> bytes of all files below a folder, and of its folders None."""
    found = {}
    for parent, folders, names in os.walk(str(folder)):
        for name in folders + names:
            path = os.path.join(parent, name)
            with open(path, 'rb') if name in names else open(os.devnull, 'rb') as file:
                found[os.path.relpath(path, str(folder))] = file.read() if name in names else None
    return found


def tiny_rdn(scale=2, seed=0):
    """A small network of random weights, and its state dict's file-ready form."""
    models.torch.manual_seed(seed)
    return models.RDN(scale, 3, 16, 8, 3, 2).eval()


@pytest.fixture(scope='session')
def photos():
    """Paths of five real photographs."""
    return sample_images.sample_paths()


@pytest.fixture
def image_folder(tmp_path, photos):
    """A folder with the five photographs and nothing else."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for path in photos:
        shutil.copy(path, str(folder))
    return folder


@pytest.fixture(scope='session')
def lite_onnx(tmp_path_factory):
    """The compact network, exported."""
    path = tmp_path_factory.mktemp('model') / 'rdn_x2.onnx'
    done = run_python('RDN_pth2onnx.py', '--input-file=' + LITE, '--output-file=%s' % path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return str(path)


@pytest.fixture(scope='session')
def narrow(tmp_path_factory):
    """(weights, ONNX) of a network that sees 6 pixels far: tiles that overlap by 16 give what the whole image gives.

    It repeats each pixel, a little disturbed by random weights.
    """
    folder = tmp_path_factory.mktemp('narrow')
    models.torch.manual_seed(0)
    network = models.RDN(2, 3, 8, 8, 1, 1)
    with models.torch.no_grad():
        for tensor in network.parameters():
            tensor.mul_(0.1)
        for channel in range(3):
            network.sfe1.weight[channel, channel, 1, 1] += 1
            network.upscale[0].weight[4 * channel : 4 * channel + 4, channel, 1, 1] += 1
            network.output.weight[channel, channel, 1, 1] += 1
    models.torch.save(network.state_dict(), str(folder / 'narrow.pth'))
    done = run_python(
        'RDN_pth2onnx.py',
        '--input-file=%s' % (folder / 'narrow.pth'),
        '--output-file=%s' % (folder / 'narrow.onnx'),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return str(folder / 'narrow.pth'), str(folder / 'narrow.onnx')


@pytest.fixture(scope='session')
def prepared(tmp_path_factory, photos):
    """(inputs, labels) of the five photographs, by stem: float32 (3, 114, 114) and (3, 228, 228).

    Computed here, with numpy and Pillow alone, from the contract's words.
    """
    inputs, labels = collections.OrderedDict(), collections.OrderedDict()
    for path in sorted(photos, key=os.path.basename):
        picture = np.asarray(Image.open(path).convert('RGB'))
        top, left = (picture.shape[0] - 228) // 2, (picture.shape[1] - 228) // 2
        crop = picture[top : top + 228, left : left + 228]
        small = np.asarray(Image.fromarray(crop).resize((114, 114), Image.BICUBIC))
        stem = os.path.splitext(os.path.basename(path))[0]
        labels[stem] = np.moveaxis(crop / 255.0, 2, 0).astype(np.float32)
        inputs[stem] = np.moveaxis(small / 255.0, 2, 0).astype(np.float32)
    return inputs, labels


@pytest.fixture
def dataset(tmp_path, prepared, monkeypatch):
    """A working folder, made the current one, with the prepared files and RDN_prep_bin.info in it."""
    monkeypatch.chdir(tmp_path)
    inputs, labels = prepared
    (tmp_path / 'prep_dataset' / 'data').mkdir(parents=True)
    (tmp_path / 'prep_dataset' / 'label').mkdir()
    lines = []
    for index, stem in enumerate(inputs):
        path = './prep_dataset/data/%s.bin' % stem
        inputs[stem].tofile(path)
        np.save('./prep_dataset/label/%s.npy' % stem, labels[stem][np.newaxis])
        lines.append('%d %s 114 114\n' % (index, path))
    (tmp_path / 'RDN_prep_bin.info').write_text(''.join(lines))
    return tmp_path
