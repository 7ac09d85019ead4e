"""A note reports a gain, an offset or a gamma of a device's outputs if they are not compared with PyTorch's."""

import os
import re

from rdn.accuracy import scoring, tone

import numpy as np
import pytest

from helpers import DUMP, judge


def note(labels, change):
    return tone.note([tone.sums_of(np.asarray(change(hr)), hr) for hr in labels.values()])


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda hr: hr ** (1 / 1.1), r'output = label\^0\.9[12]'),
        (lambda hr: hr**1.2, r'output = label\^1\.(19|20)'),
        (lambda hr: (16 + 219 * hr) / 255, r'output = 0\.859 x label \+ 0\.063, which is 16\.\.\.235 for 0\.\.\.255'),
        (lambda hr: 0.9 * hr, r'output = 0\.900 x label'),
        (lambda hr: 0.8 * hr + 0.02, r'output = 0\.800 x label \+ 0\.020'),
        (lambda hr: np.stack([hr[0], hr[1], 0.9 * hr[2]]), r'blue: output = 0\.900 x label'),
    ],
)
def test_a_changed_tone_is_named(prepared, change, said):
    found = note(prepared[1], change)
    assert found and re.search(f'{said}$', found) and found.count('output = ') == 1, found


def test_correct_enlargements_have_no_changed_tone(prepared):
    noise = np.random.RandomState(0)
    for change in (
        lambda hr: hr,
        lambda hr: scoring.bicubic_of_label(hr, 2),
        lambda hr: hr + noise.normal(0, 0.05, hr.shape),
        lambda hr: hr + 0.002,
    ):
        assert note(prepared[1], change) is None


def test_pictures_without_content_have_no_note():
    for value in (0.0, 0.5, 1.0):
        flat = np.full((3, 240, 240), value)
        assert tone.note([tone.sums_of(flat * 0.9, flat)]) is None
    assert tone.note([tone.sums_of(np.zeros((3, 5, 5)), np.zeros((3, 5, 5)))]) is None


def test_the_console_prints_the_note_before_the_average(script, dataset, prepared):
    os.makedirs(DUMP)
    for stem, hr in prepared[1].items():
        (hr ** (1 / 1.1)).astype(np.float32).tofile(f'{DUMP}/{stem}_1.bin')
    lines = judge(script).out.splitlines()
    assert lines[-1].startswith('Avg PSNR: ') and lines[-2].startswith('note: ') and 'label^0.9' in lines[-2]
