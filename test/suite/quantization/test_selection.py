"""RDN_quantize.py's choices: the best scales, estimated errors, the layers that stay in float32, and the budget."""

import itertools
import sys
from typing import Any

import numpy as np
import pytest
import torch

from helpers import tiny_rdn

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason='Python 3.7 is refused; another test checks this')

if sys.version_info >= (3, 8):
    from rdn.network import exporter
    from rdn.quantization import budget, calibration, qdq, selection, sensitivity


def histogram_of(*arrays):
    histogram = calibration.Histogram()
    for values in arrays:
        histogram.add(np.asarray(values, np.float32))
    return histogram


def exported(path, dense):
    """Return (network, exported model) of a tiny network for inputs of 24 x 24 pixels."""
    network = tiny_rdn()
    with torch.no_grad():
        network.output.bias += 0.5  # in the middle of 0...1, so that nothing is clipped
    exporter.export_onnx(network, exporter.Shape(1, 24, 24), 13, exporter.Variant(dense=dense), str(path))
    return network, qdq.load(str(path))


@pytest.fixture(scope='module')
def images():
    random = np.random.RandomState(0)
    return [random.rand(1, 3, 24, 24).astype(np.float32) for _ in range(8)]


def test_the_scale_of_evenly_spread_values_covers_all_of_them():
    scale = histogram_of(np.linspace(-1, 3, 1 << 16)).best_scale()
    assert scale.step == pytest.approx(4 / 255, rel=0.03) and scale.zero == pytest.approx(64, abs=2)


def test_the_scale_of_many_values_clips_a_single_outlier():
    scale = histogram_of(np.linspace(0, 0.5, 1 << 20), [1]).best_scale()
    assert scale.step == pytest.approx(0.5 / 255, rel=0.05) and scale.zero == 0


def test_a_histogram_does_not_depend_on_the_order_of_its_values():
    small, large = np.linspace(-0.01, 0.01, 999), np.array([-7.5, 3, 8])
    first, second = histogram_of(small, large), histogram_of(large, small)
    assert (first.counts == second.counts).all() and first.counts.sum() == 1002
    assert (first.low, first.high, first.reach) == (-7.5, 8, 16)
    centres = (np.flatnonzero(first.counts) + 0.5) * 32 / calibration.BINS - 16
    for value in large:
        assert np.abs(centres - value).min() <= 16 / calibration.BINS


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match='not finite'):
        histogram_of([0, np.inf])
    with pytest.raises(ValueError, match='not finite'):
        histogram_of([0, np.nan])


@pytest.mark.parametrize('dense', ['concat', 'split'])
@pytest.mark.slow
def test_estimated_errors_are_those_of_rounding_one_layer_only(tmp_path, images, dense):
    network, model = exported(tmp_path / 'tiny.onnx', dense)
    scales = calibration.measure_scales(model, images)
    rounded = sensitivity.round_layers(qdq.parts_of(model, scales))
    sharing = qdq.sharing_of(model)
    errors = sensitivity.measure(network, rounded, sharing, images)
    trials = selection.Trials(model, scales, images)
    shared = set(itertools.chain.from_iterable(sharing.members.values()))
    assert len(shared) == (9 if dense == 'concat' else 0)
    for name in ('sfe1', 'sfe2', 'gff.0', 'gff.1', 'upscale.0', 'output'):
        assert errors.own[name] == pytest.approx(trials.error([name]), rel=0.8), name
    for group, names in sharing.members.items():  # their error includes the rounding that all share
        both = errors.shared[group] + errors.own[names[-1]]
        assert both == pytest.approx(trials.error(names[-1:]), rel=0.8), group


def test_the_estimate_of_an_output_layer_is_its_exact_error(images):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))
    scale = qdq.Scale(1 / 100, 0)
    with torch.no_grad():
        network[0].weight.copy_(torch.eye(3)[:, :, None, None])
    parts = {'0': [qdq.Part(network[0].weight.detach().numpy(), scale)]}
    rounded = sensitivity.round_layers(parts)
    errors = sensitivity.measure(network, rounded, qdq.Sharing({}, set()), images * 8)
    luma = np.array([64.738, 129.057, 25.064]) / 256 * 255
    exact = np.mean([np.square(np.tensordot(luma, scale.round(x[0]) - x[0], 1)) for x in images])
    assert errors.own['0'] == pytest.approx(exact, rel=0.4)


def test_layers_move_to_float32_by_error_per_work_and_a_block_moves_if_all_of_it_pays():
    own = dict(a=8.0, b=1.0, c=0.5, d=2.0)
    work = dict(a=2, b=1, c=1, d=4)
    errors = selection.sensitivity.Errors(own, {'block': 4.5}, {'block': ['b', 'c']})
    moves = selection.order_moves(errors, work)
    assert [move.names for move in moves] == [['a'], ['b', 'c'], ['d']]
    assert [move.error for move in moves] == [8, 6, 2] and [move.work for move in moves] == [2, 2, 4]


def test_the_last_layer_of_a_block_takes_the_shared_error_with_it():
    errors = selection.sensitivity.Errors(dict(b=9.0, c=1.0), {'block': 1.0}, {'block': ['b', 'c']})
    moves = selection.order_moves(errors, dict(b=1, c=1))
    assert [(move.names, move.error) for move in moves] == [(['b'], 9), (['c'], 2)]


@pytest.mark.parametrize('factor', [0.2, 1, 3])
def test_the_search_finds_the_least_layers_in_float32_with_few_trials(factor):
    estimates = [*np.geomspace(9, 0.01, 150), 0.0]
    truth = np.array(estimates) * factor * np.linspace(1, 1.3, 151)
    search = selection.Search(estimates, 0.14)
    for number in search.numbers():
        search.tell(number, truth[number])
    assert truth[search.passes] <= 0.14 < truth[search.passes - 1] and search.fails == search.passes - 1
    assert search.error == truth[search.passes] and len(search.errors) <= 6


def test_the_search_ends_even_if_the_estimates_are_useless():
    search = selection.Search([5.0] * 150 + [0.0], 0.1)
    for number in search.numbers():
        search.tell(number, 1.0 if number < 77 else 0.01)
    assert search.passes == 77 and len(search.errors) <= selection.QUICK_TRIALS + 8


class KnownErrors:
    """A replacement for Trials: each layer in eight bits adds its known error."""

    def __init__(self, errors):
        self.errors, self.calls = errors, 0

    def error(self, names):
        self.calls += 1
        return sum(self.errors[name] for name in names)


@pytest.mark.parametrize('finished', [True, False])
def test_a_choice_keeps_the_loss_even_if_its_trials_end_early(finished):
    own = {f'layer{i}': 2.0**-i for i in range(20)}
    work = dict.fromkeys(own, 1)
    trials: Any = KnownErrors(own)
    stage = iter if finished else (lambda numbers: itertools.islice(numbers, 1))
    choice = selection.choose(trials, sensitivity.Errors(own, {}, {}), work, 0.01, stage)
    limit = 255**2 / 10**3.8 * (10**0.001 - 1)
    kept = next(k for k in range(20) if sum(list(own.values())[k:]) <= limit)
    assert (
        choice.kept == list(own)[: kept + (0 if finished else 1)]
    )  # LATE_MARGIN halves the limit, which costs one more layer
    assert choice.loss <= 0.01 and trials.calls == (3 if finished else 2)
    assert choice.share == pytest.approx(1 - len(choice.kept) / 20)


def test_no_layer_in_float32_needs_one_trial():
    search = selection.Search([1.0, 0.5, 0.0], 0.1)
    for number in search.numbers():
        search.tell(number, 0.05)
    assert search.errors == {0: 0.05} and search.passes == 0


def test_the_loss_of_an_error_and_the_error_of_a_loss_are_inverse():
    theirs = 255**2 / 10**3.8  # the mean squared error at 38 dB
    assert selection.loss_of(theirs) == pytest.approx(10 * np.log10(2))
    assert selection.error_of(selection.loss_of(0.3)) == pytest.approx(0.3)


def test_a_stage_ends_with_its_part_of_the_budget_and_notes_how_many_items_it_did():
    now = [0.0]
    limit = budget.Budget(20, 10, lambda: now[0])

    def run(name, items, **options):
        yielded = []
        for item in limit.stage(name, items, 1, **options):
            yielded.append(item)
            now[0] += 2
        return yielded

    assert run('photographs calibrated', range(15), until=0.5) == [0, 1, 2, 3, 4, 5]  # at 0, 2, ... 10 seconds
    assert run('photographs estimated', range(3), until=0.75) == [0, 1]
    assert run('trials', iter(range(9)), at_least=2) == [0, 1, 2]
    assert limit.notes == ['6 of 15 photographs calibrated', '2 of 3 photographs estimated', '3 trials']


def test_the_minimum_of_a_stage_is_done_even_after_the_budget():
    limit = budget.Budget(1e-9, 10)
    assert list(limit.stage('trials', [1, 2, 3], 1, at_least=2)) == [1, 2]
