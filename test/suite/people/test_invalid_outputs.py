"""A model with invalid outputs is refused at its first tile, or fails the picture on which they appear."""

import os

from pictures import api
from rdn import engines, sanity
from rdn.engines import onnx_runtime

import numpy as np
import pytest
from PIL import Image

from helpers import assert_refused, snapshot

WRONG = {
    'nan': lambda output: output * np.float32('nan'),
    'one nan': lambda output: np.where(np.arange(output.shape[-1]) == 5, np.float32('nan'), output),
    'inf': lambda output: output + np.float32('inf'),
    '-inf': lambda output: output - np.float32('inf'),
    '0...255': lambda output: output * 255,
    '-127...128': lambda output: output * 255 - 127,
    'far below': lambda output: output - 3,
}
ONE_VALUE = {'black': lambda output: output * 0, 'white': lambda output: output * 0 + 1}


@pytest.fixture
def computes(monkeypatch):
    """Return computes(change), which makes every model repeat each pixel and apply `change` to its output."""

    def call(change):
        monkeypatch.setattr(
            onnx_runtime.OnnxRuntime, '_run', lambda self, batch: change(batch.repeat(2, 2).repeat(2, 3))
        )

    return call


@pytest.fixture
def two(upscale):
    """Make two pictures to enlarge; the second one is bright."""
    noise = np.random.RandomState(0).randint(0, 100, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(str(upscale.source / 'a.png'))
    Image.fromarray(noise + 150).save(str(upscale.source / 'b.png'))
    return upscale


@pytest.mark.parametrize('kind', [*WRONG, *ONE_VALUE])
def test_a_model_with_invalid_outputs_is_refused_before_the_first_picture(two, narrow, computes, kind):
    computes({**WRONG, **ONE_VALUE}[kind])
    assert_refused(two(), narrow[1], 'the output of this model', 'use another model')
    assert not os.path.exists(str(two.target)) or not os.listdir(str(two.target))


@pytest.mark.parametrize('kind', [*WRONG])
def test_a_picture_on_which_a_model_fails_is_named_with_the_model(two, narrow, computes, kind):
    computes(lambda output: WRONG[kind](output) if output.mean() > 0.55 else output)
    ended = two()
    assert ended.status == 1 and 'Traceback' not in ended.err
    line = next(line for line in (ended.out + ended.err).splitlines() if line.startswith('failed: '))
    assert 'b.png' in line and narrow[1] in line and 'the output of this model' in line
    assert list(snapshot(two.target)) == ['a_x2.png']


def test_a_picture_of_one_colour_is_not_blamed_on_the_model(upscale, computes):
    computes(lambda output: output)
    Image.new('RGB', (40, 40), (0, 0, 0)).save(str(upscale.source / 'a.png'))
    assert upscale().status == 0


def test_the_python_interface_and_scale_of_refuse_such_a_model_too(narrow, computes):
    computes(WRONG['0...255'])
    with pytest.raises(ValueError, match='narrow.onnx: the output of this model has values from'):
        api.Upscaler(narrow[1])
    with engines.open_model(narrow[1]) as model, pytest.raises(ValueError, match='the output of this model'):
        engines.scale_of(model, narrow[1])


@pytest.mark.parametrize('value, is_wrong', [(-0.9, False), (1.9, False), (-1.1, True), (2.1, True)])
def test_a_small_overshoot_is_valid(value, is_wrong):
    output = np.full((1, 3, 4, 4), 0.5, np.float32)
    output[0, 1, 2, 3] = value
    assert bool(sanity.wrong_reason(output)) == is_wrong
    assert bool(sanity.wrong_reason(output.astype(np.float16))) == is_wrong
