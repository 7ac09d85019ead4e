"""The Python interface: Upscaler enlarges pictures in memory as RDN_upscale.py enlarges files; engines run arrays."""

import os
import re
import shlex
import subprocess
import sys

from pictures import Upscaler
from rdn import engines

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from helpers import ROOT, shell


@pytest.fixture(scope='module')
def enlarge(narrow):
    return Upscaler(narrow[1], precision='fp32')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'LA', 'RGBA'])
def test_an_image_is_enlarged_as_the_script_enlarges_its_file(upscale, enlarge, photo, mode):
    image = photo.convert(mode)
    if mode in ('LA', 'RGBA'):
        image.putalpha(photo.convert('L').point(lambda x: 255 if x > 90 else 0))
    image.save(str(upscale.source / 'a.png'))
    assert upscale().status == 0
    large = enlarge(image)
    assert large.mode == mode and large.size == (2 * image.width, 2 * image.height)
    with Image.open(str(upscale.target / 'a_x2.png')) as written:
        assert (np.asarray(large) == np.asarray(written)).all()


@pytest.mark.parametrize('shape', [(), (1,), (2,), (3,), (4,)])
def test_arrays_keep_their_form_and_depth(enlarge, photo, shape):
    channels = shape[0] if shape else 1
    rgba = np.asarray(photo.convert('RGBA'))[:40, :30, :channels]
    array = rgba[..., 0] if not shape else rgba
    eight = enlarge(array)
    assert eight.dtype == np.uint8 and eight.shape == (80, 60, *shape)
    sixteen = enlarge(array.astype(np.uint16) * 257)
    assert sixteen.dtype == np.uint16 and sixteen.shape == eight.shape
    assert np.abs(sixteen / 257 - eight).max() < 1


def test_palettes_cmyk_and_turned_images_are_made_plain(enlarge, photo):
    assert enlarge(photo.convert('P')).mode == 'RGB'
    assert enlarge(photo.convert('CMYK')).mode == 'RGB'
    assert enlarge(photo.convert('L').convert('1')).mode == 'L'
    turned = photo.copy()
    turned.getexif()[0x0112] = 6  # a quarter turn
    assert enlarge(turned).size == (2 * photo.height, 2 * photo.width)
    deep = Image.fromarray(np.asarray(photo.convert('L')).astype(np.uint16) * 257)
    assert enlarge(deep).mode == 'I;16'


def test_profile_and_resolution_are_kept(enlarge, photo):
    image = photo.copy()
    image.info.update(icc_profile=b'profile', dpi=(300, 300))
    assert enlarge(image).info == {'icc_profile': b'profile', 'dpi': (300, 300)}


@pytest.mark.parametrize(
    'picture',
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros((2, 4, 4, 3), np.uint8)]
    + [np.zeros((0, 4), np.uint8), Image.new('F', (4, 4)), Image.new('I', (4, 4))],
)
def test_unsupported_arrays_and_modes_are_refused(enlarge, picture):
    with pytest.raises(ValueError, match='expected|convert it'):
        enlarge(picture)
    assert enlarge(np.zeros((4, 4, 3), np.uint8)).shape == (8, 8, 3)


def test_a_model_runs_arrays(narrow, prepared):
    model = engines.open_model(narrow[1])
    inputs = np.stack(list(prepared[0].values()))
    session = onnxruntime.InferenceSession(narrow[1], providers=['CPUExecutionProvider'])
    assert np.abs(model(inputs) - session.run(None, {'image': inputs})[0]).max() < 1e-6
    with pytest.raises(ValueError, match='failed on an input'):
        model(inputs[:, :1])


def test_importing_the_packages_changes_nothing_in_the_importing_program():
    code = (
        'import signal, sys; hook, handler = sys.excepthook, signal.getsignal(signal.SIGINT)\n'
        'import rdn, pictures; from rdn import cli, engines; from pictures import Upscaler\n'
        'assert sys.excepthook is hook and signal.getsignal(signal.SIGINT) is handler'
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    code = 'import pictures, sys; assert "onnxruntime" not in sys.modules'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_python_examples_of_the_pages_work(house):
    """The README uses Upscaler, and the guide only the network, after run.sh."""
    lines = []
    for page in ('README.md', os.path.join('docs', 'guide.md')):
        with open(os.path.join(ROOT, page), encoding='utf-8') as file:
            lines += re.findall(r'^```python\n(.*?)^```$', file.read(), re.DOTALL | re.MULTILINE)
    assert len(lines) == 2
    status, out, err = shell('bash run.sh', house)
    assert status == 0, out + err
    for code in lines:
        status, out, err = shell(f'python3 -c {shlex.quote(code)}', house)
        assert status == 0, out + err
    with Image.open(str(house / 'sample_images' / 'coffee.png')) as small, Image.open(
        str(house / 'large.png')
    ) as large:
        assert large.size == (2 * small.width, 2 * small.height)
