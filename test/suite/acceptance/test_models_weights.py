"""Outputs are compared with PyTorch for the weights that the models were made from."""

import os

from rdn import files, run_record
from rdn.acceptance import reference

import pytest

from helpers import DIGEST


@pytest.fixture
def model(tmp_path, monkeypatch):
    """model('a.om', 'a.pth'): a model whose record names these weights; model('a.om'): a model without a record."""
    monkeypatch.chdir(tmp_path)

    def make(name, weights=None):
        with open(name, 'w') as file:
            file.write(name)
        if weights:
            with open(weights, 'w') as file:
                file.write(f'weights {weights}')
            made = run_record.Record('atc', None, None, None, '310P3', 1, DIGEST, None)
            run_record.write(name, made._replace(weights=weights, weights_digest=files.digest(weights)))
        return name

    return make


def test_the_models_own_weights_are_taken(model):
    models = [model('a_bs1.om', 'a.pth'), model('a_bs4.om')]
    assert reference.choose_weights(models, None) == 'a.pth'
    with open('copy.pth', 'w') as file:
        file.write('weights a.pth')
    assert reference.choose_weights(models, 'copy.pth') == 'copy.pth'  # the same weights under another name


def test_weights_of_another_model_are_refused(model):
    models = [model('a_bs1.om', 'a.pth'), model('b_bs4.om', 'b.pth')]
    with pytest.raises(ValueError, match='b_bs4.om: made from b.pth, not from a.pth'):
        reference.choose_weights(models, None)
    with pytest.raises(ValueError, match='a_bs1.om: made from a.pth, not from b.pth: give its weights'):
        reference.choose_weights(models[:1], 'b.pth')


def test_without_a_record_only_given_weights_count(model):
    models = [model('a_bs1.om')]
    assert reference.choose_weights(models, None) is None
    assert reference.choose_weights(models, 'mine.pth') == 'mine.pth'


def test_weights_that_were_moved_may_be_given_with_their_new_path(model, tmp_path):
    """Models are converted on one machine and measured on another."""
    models = [model('a_bs1.om', 'a.pth')]
    os.rename('a.pth', 'here.pth')
    assert reference.choose_weights(models, 'here.pth') == 'here.pth'


@pytest.mark.parametrize('change', ['gone', 'other'])
def test_the_models_weights_are_refused_if_they_are_missing_or_changed(model, tmp_path, change):
    models = [model('a_bs1.om', 'a.pth')]
    if change == 'gone':
        (tmp_path / 'a.pth').unlink()
    else:
        (tmp_path / 'a.pth').write_text('trained further')
    with pytest.raises(ValueError, match='a_bs1.om: made from a.pth, which is missing or was changed since'):
        reference.choose_weights(models, None)
