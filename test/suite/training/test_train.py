"""RDN_train.py: patches, a start at bicubic, learning, and a GPU's steps, which run on the CPU here."""

import math
import os
import re

from rdn import cli, cpu, images
from rdn.data import protocols
from rdn.network import checkpoint
from rdn.training import graph, patches, steps, trainer, validation, ways

import numpy as np
import pytest
from PIL import Image

import models
from helpers import FULL, LITE, ROOT, SET5, assert_refused, run_python, weights

torch = models.torch


def interpolation(scale, shape=(8, 4, 2, 2)):
    torch.manual_seed(0)
    model = models.RDN(scale, 3, *shape)
    trainer.begin_as_interpolation(model)
    return model.eval()


needs_graphs = pytest.mark.skipif(not hasattr(torch, 'compile'), reason='this torch cannot record CUDA graphs')


def draw_on_host(pairs, scale, size, count, seed=0):
    """Draw patches with numpy: uint8 (lr, hr)."""
    return patches.HostPatches(pairs, scale, size).draw(count, seed)


def draw_on_device(pairs, scale, size, count, seed=0):
    """Draw patches with tensors, on the CPU: uint8 (lr, hr)."""
    torch.manual_seed(seed)
    drawn = patches.DevicePatches(pairs, scale, size, torch.device('cpu')).draw(count)
    assert all(part.dtype == torch.float32 for part in drawn)
    return tuple((part * 255).round().to(torch.uint8).numpy() for part in drawn)


both_ways = pytest.mark.parametrize('draw', [draw_on_host, pytest.param(draw_on_device, marks=needs_graphs)])


@both_ways
def test_a_low_resolution_patch_is_cut_from_the_reduced_whole_picture(photos, draw):
    pairs = [patches.load_pair(path, 2, 24) for path in photos]
    lr, hr = draw(pairs, 2, 24, 12)
    assert lr.shape == (12, 3, 24, 24) and hr.shape == (12, 3, 48, 48) and lr.dtype == hr.dtype == np.uint8
    differs_at_the_border = False
    for small, large in zip(lr, hr):
        own = np.asarray(Image.fromarray(large.transpose(1, 2, 0)).resize((24, 24), Image.BICUBIC)).transpose(2, 0, 1)
        assert np.abs(own[:, 4:-4, 4:-4].astype(int) - small[:, 4:-4, 4:-4]).max() <= 1
        differs_at_the_border |= bool((own != small).any())  # reduced alone, a patch lacks the pixels around it
    assert differs_at_the_border


@both_ways
@pytest.mark.parametrize('scale', cli.SCALES)
def test_patches_are_drawn_in_all_eight_symmetries(photos, scale, draw):
    picture = images.read_rgb(photos[0]).crop((0, 0, 8 * scale, 8 * scale))  # a patch of 8 has only one place in it
    pair = patches.Pair(np.asarray(images.bicubic_downsample(picture, scale)), np.asarray(picture))
    lr, hr = draw([pair], scale, 8, 200)
    for drawn, whole in ((lr, pair.lr), (hr, pair.hr)):
        wanted = set()
        for turned in (np.rot90(whole, k) for k in range(4)):
            wanted |= {turned.transpose(2, 0, 1).tobytes(), turned[:, ::-1].transpose(2, 0, 1).tobytes()}
        assert {patch.tobytes() for patch in drawn} == wanted and len(wanted) == 8


@both_ways
def test_patches_come_from_every_place_of_every_picture(draw):
    """The colour of each pixel is its picture and place; of 3000 patches, some are at each corner."""
    pairs = []
    for number, (height, width) in enumerate([(9, 11), (8, 8), (10, 8)]):
        place = np.stack(np.broadcast_arrays(np.arange(height)[:, None], np.arange(width), number), 2).astype(np.uint8)
        pairs.append(patches.Pair(place, place.repeat(2, 0).repeat(2, 1)))
    lr, hr = draw(pairs, 2, 8, 3000)
    assert (hr == lr.repeat(2, 2).repeat(2, 3)).all()  # the same patch in both sizes
    seen = {(int(patch[2].min()), int(patch[0].min()), int(patch[1].min())) for patch in lr}
    assert seen == {
        (number, top, left)
        for number, (height, width) in enumerate([(9, 11), (8, 8), (10, 8)])
        for top in range(height - 7)
        for left in range(width - 7)
    }


@both_ways
def test_large_and_detailed_pictures_give_more_patches(draw):
    flat = np.zeros((32, 32, 3), np.uint8)  # detail 0 counts as 2
    stripes = flat.copy()
    stripes[::2] = 8  # differs by 8 between rows, by 0 between columns
    large = np.full((64, 64, 3), 1, np.uint8)
    pairs = [patches.Pair(picture[::2, ::2], picture) for picture in (flat, stripes, large)]
    lr, _ = draw(pairs, 2, 8, 6000)
    share = [float(np.mean(lr.max((1, 2, 3)) == value)) for value in (0, 8, 1)]
    assert share == pytest.approx([2 / 18, 8 / 18, 8 / 18], abs=0.03)  # areas 1, 1, 4 times details 2, 8, 2


def test_the_same_seed_gives_the_same_patches(photos):
    source = patches.HostPatches([patches.load_pair(path, 2, 16) for path in photos], 2, 16)
    first, again, other = (source.draw(4, [0, step]) for step in (7, 7, 8))
    assert all((a == b).all() for a, b in zip(first, again))
    assert not (first[1] == other[1]).all()


def test_at_half_the_size_the_picture_itself_is_reduced_first(photos):
    pair, half = (patches.load_pair(photos[0], 2, 16, factor) for factor in (1, 0.5))
    assert half.hr.shape[0] == pair.hr.shape[0] // 2 and half.lr.shape[0] == pair.lr.shape[0] // 2
    assert (half.hr == np.asarray(images.bicubic_downsample(images.read_rgb(photos[0]), 2))).all()


def test_images_are_found_below_a_folder_in_order(tmp_path):
    for name in ('b/2.png', 'a.png', 'b/.hidden.png', 'b/c/3.png', '.git/x.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [os.path.relpath(path, str(tmp_path)) for path in patches.find_images(str(tmp_path))]
    assert found == ['a.png', 'b/2.png', 'b/c/3.png']


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    rates = [trainer.learning_rate(p / 1000, 1.0) for p in range(1001)]
    assert 0 < rates[0] < 0.02
    assert rates[20] == max(rates) == 1
    assert rates[510] == pytest.approx((1 + 0.01) / 2)  # half-way down
    assert rates[-1] == pytest.approx(0.01)
    assert all(a < b for a, b in zip(rates[:20], rates[1:21])) and all(a > b for a, b in zip(rates[20:], rates[21:]))
    assert trainer.learning_rate(1.5, 1.0) == pytest.approx(0.01)  # the last step may end late


@pytest.mark.parametrize('scale', cli.SCALES)
def test_a_new_network_interpolates(photos, scale):
    model = interpolation(scale)
    with torch.no_grad():
        flat = model(torch.full((1, 3, 12, 12), 0.25))
    shave = 4 * scale  # the network pads with black
    assert float((flat[..., shave:-shave, shave:-shave] - 0.25).abs().max()) < 1e-6
    for path in photos[:3]:
        score = validation.score_image(model, validation.fit_image(path, scale, protocols.CROP), scale, protocols.CROP)
        assert abs(score.psnr - score.bicubic_psnr) < 0.7


def test_the_loss_is_that_of_the_colours_plus_that_of_the_luma():
    torch.manual_seed(0)
    sr, hr = torch.rand(2, 3, 5, 7), torch.rand(2, 3, 5, 7)
    difference = (sr - hr).double().numpy()
    luma = np.einsum('nchw,c->nhw', difference, np.array([65.481, 128.553, 24.966]) / 255)
    assert float(steps.Loss()(sr, hr)) == pytest.approx(np.abs(difference).mean() + np.abs(luma).mean(), rel=1e-5)


def plain_steps(model, photos, batch_size=2, bf16=False):
    source = patches.HostPatches([patches.load_pair(photos[0], 2, 16)], 2, 16)
    return steps.PlainSteps(model, source, batch_size, 0, torch.device('cpu'), bf16)


def run_of(steps_of_run, length):
    return trainer.Trainer(steps_of_run, dict(learning_rate=1e-2, seed=0, minutes=None, steps=length, batch_size=2))


def test_the_average_forgets_its_beginning_first(photos):
    run = run_of(plain_steps(interpolation(2), photos), 3)
    mean = run.steps.average.output.bias.clone()
    for step in range(3):
        run.learn()
        keep = (step + 1) / (step + 10.0)  # the share of the old average, in closed form
        mean = keep * mean + (1 - keep) * run.steps.model.output.bias.detach()
        assert torch.allclose(run.steps.average.output.bias, mean, atol=1e-7)


def test_a_trial_does_not_change_the_run(photos):
    tried, untried = (run_of(plain_steps(interpolation(2), photos), 4) for _ in range(2))
    for _ in range(2):
        tried.learn(), untried.learn()
    assert tried.steps.trial_seconds() > 0
    for _ in range(2):
        tried.learn(), untried.learn()
    for a, b in zip(tried.steps.model.parameters(), untried.steps.model.parameters()):
        assert torch.equal(a, b)
    assert float(tried.steps.loss) == float(untried.steps.loss)


class Fixed(patches.DevicePatches, patches.HostPatches):
    """The same batches for both ways of drawing, one for each step in turn."""

    device, batches = torch.device('cpu'), 3

    def __init__(self, photos, size=16):  # does not take pictures, as its base classes do
        self.drawn = [draw_on_host([patches.load_pair(photos[0], 2, size)], 2, size, 2, n) for n in range(self.batches)]
        self.calls = 0

    def draw(self, count, seed=None):
        lr, hr = self.drawn[self.calls % self.batches]
        self.calls += 1
        if seed is not None:
            return lr, hr
        return tuple(torch.from_numpy(part).float() / 255 for part in (lr, hr))


@needs_graphs
def test_both_ways_take_the_same_steps(photos):
    """GraphSteps without its graph, in fp32, has the same clipping, Adam and averages as PlainSteps."""
    plain = steps.PlainSteps(interpolation(2), Fixed(photos), 2, 0, torch.device('cpu'), False)
    device = graph.GraphSteps(interpolation(2), Fixed(photos), 2, fp16=False, compiled=False)
    before = [tensor.detach().clone() for tensor in plain.weights]
    for step in range(10):
        plain.run(step, 1, 3e-3)
        device.run(step, 1, 3e-3)
    assert max(float((a - b.detach()).abs().max()) for a, b in zip(before, plain.weights)) > 1e-2
    for a, b in zip(plain.weights + plain.average_weights, device.weights + device.average_weights):
        assert torch.allclose(a, b, atol=1e-4)
    assert float(plain.loss) == pytest.approx(float(device.loss), rel=1e-3)


@needs_graphs
@pytest.mark.slow
def test_in_fp16_a_step_that_overflows_is_skipped(photos, monkeypatch):
    device = graph.GraphSteps(interpolation(2), Fixed(photos), 2, fp16=True, compiled=False)
    computed = []
    device.model.output.register_forward_hook(lambda module, inputs, output: computed.append(output.dtype))
    device.run(0, 3, 1e-3)
    assert computed == [torch.float16] * 3 and not device.is_failing()
    before, scale, loss = (
        [tensor.detach().clone() for tensor in device.weights],
        float(device.scale),
        float(device.loss),
    )
    moments = [device.optimizer.state[tensor]['exp_avg'].clone() for tensor in device.weights]
    counted = float(device.optimizer.state[device.weights[0]]['step'])
    whole = device.criterion.forward
    monkeypatch.setattr(device.criterion, 'forward', lambda sr, hr: whole(sr, hr) * float('inf'))
    device.run(3, 1, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, device.weights))
    assert all(torch.equal(a, device.optimizer.state[b]['exp_avg']) for a, b in zip(moments, device.weights))
    assert float(device.optimizer.state[device.weights[0]]['step']) == counted
    assert float(device.scale) == pytest.approx(scale / 2, rel=1e-5) and float(device.loss) == loss
    device.run(4, 60, 1e-3)
    assert device.is_failing()  # all steps overflow


@pytest.mark.slow
@needs_graphs
def test_fp16_learns_as_well_as_fp32(photos):
    """A network that memorizes three batches reaches about the same loss in both precisions."""
    losses = []
    for fp16 in (False, True):
        device = graph.GraphSteps(interpolation(2, (16, 8, 2, 3)), Fixed(photos), 2, fp16=fp16, compiled=False)
        device.run(0, 1, 1e-3)
        first = float(device.loss)
        for step in range(1, 200):
            device.run(step, 1, 1e-3)
        losses.append(float(device.loss))
        assert losses[-1] < 0.75 * first
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_spike_of_the_loss_goes_back_to_the_last_good_weights(photos):
    run = run_of(plain_steps(interpolation(2), photos), 1000)
    run.steps.run(0, 5, 1e-3)
    assert run.check() == ''  # the first good state
    kept = [tensor.detach().clone() for tensor in run.steps.weights]
    good = float(run.steps.loss)
    run.step = trainer.CHECK_STEPS - 1
    for tensor in run.steps.weights:
        tensor.data.mul_(30)
    said = run.learn()
    assert 'the loss rose' in said and '0.5 of the learning rate' in said
    assert all(torch.equal(a, b) for a, b in zip(kept, run.steps.weights))
    assert float(run.steps.loss) == pytest.approx(good) and run.step == trainer.CHECK_STEPS
    assert run.rate() == pytest.approx(trainer.learning_rate(0.1, 1e-2) / 2)
    run.steps.loss.fill_(float('nan'))
    assert '0.25 of the learning rate' in run.check()
    assert math.isfinite(float(run.steps.loss))


def test_a_run_that_has_only_spikes_ends(photos):
    run = run_of(plain_steps(interpolation(2), photos), 1000)
    run.steps.run(0, 5, 1e-3)
    assert run.check() == ''
    with pytest.raises(ValueError, match='--learning-rate'):
        for _ in range(20):
            run.steps.loss.fill_(float('inf'))
            assert 'back to the last good weights' in run.check()


def test_the_way_to_compute_is_chosen_for_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(cpu, 'has_bf16', lambda: False)
    assert ways.choose() == ways.Way(torch.device('cpu'), 'fp32')
    with pytest.raises(ValueError, match='--precision=fp16.*fp32 only'):
        ways.choose('fp16')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    if not hasattr(torch, 'compile'):
        way = ways.choose()
        assert (way.precision, way.graph) == ('fp32', False) and 'the plain loop runs' in way.remark
        return
    monkeypatch.setattr(ways, '_missing_compiler', lambda: '')
    assert ways.choose() == ways.Way(torch.device('cuda'), 'fp16', graph=True, compiled=True)
    assert ways.choose('fp32').precision == 'fp32' and ways.choose('fp32').graph
    assert not ways.choose(may_compile=False).compiled
    with pytest.raises(ValueError, match='--precision=bf16.*fp16 or fp32 only'):
        ways.choose('bf16')
    monkeypatch.setattr(ways, '_missing_compiler', lambda: 'no C compiler here')
    way = ways.choose()
    assert way.graph and not way.compiled and 'no C compiler here' in way.remark


@needs_graphs
def test_if_a_way_fails_the_next_one_runs_and_a_line_says_why(photos, monkeypatch, capsys):
    class Refused(graph.GraphSteps):
        error: Exception = RuntimeError('inductor:\nno such kernel')

        def __init__(self, *arguments):
            raise self.error

    monkeypatch.setattr(graph, 'GraphSteps', Refused)
    way = ways.Way(torch.device('cpu'), 'fp16', graph=True, compiled=True)
    pairs = [patches.load_pair(photos[0], 2, 16)]
    begun = ways.begin(way, interpolation(2), pairs, 16, 2, 0)
    assert isinstance(begun, steps.PlainSteps) and begun.precision == 'fp32'
    said = capsys.readouterr().out
    assert said.count('inductor: no such kernel') == 2 and 'compiling the blocks failed' in said
    Refused.error = AssertionError()  # without a message
    ways.begin(way, interpolation(2), pairs, 16, 2, 0)
    assert 'AssertionError' in capsys.readouterr().out
    Refused.error = RuntimeError('CUDA out of memory. Tried to allocate 20.00 GiB')
    with pytest.raises(ValueError, match='smaller --batch-size'):
        ways.begin(way, interpolation(2), pairs, 16, 2, 0)


# In bf16, 150 steps gain less. torch computes bf16 even without the instructions, but slowly.
@pytest.mark.slow
@pytest.mark.parametrize('precision, gain', [('fp32', 0.2), pytest.param('bf16', 0.1, marks=pytest.mark.slow)])
def test_training_learns_more_than_interpolation(train, tmp_path, image_folder, monkeypatch, precision, gain):
    if precision == 'bf16':
        if not hasattr(torch, 'autocast'):
            pytest.skip('this torch has no autocast')
        monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
    ended = train('--steps=150', '--learning-rate=5e-3', '--eval-path', image_folder)
    assert ended.status == 0, ended.err
    model = checkpoint.load(str(tmp_path / 'out.pth'))
    assert model.config == dict(
        scale_factor=2, num_channels=3, num_features=8, growth_rate=4, num_blocks=2, num_layers=2
    )
    mean = validation.evaluate(model, images.list_images(str(image_folder)), 2, protocols.CROP)
    said = 'bf16, the last 10% in fp32, on this processor' if precision == 'bf16' else 'fp32 on this processor'
    assert said in ended.out and mean.psnr > mean.bicubic_psnr + gain
    whole, crops = (line.split() for line in ended.out.splitlines()[-3:-1])
    assert whole[-2:] == [f'{figure:.2f}' for figure in evaluation_of(model, image_folder)[:2]]
    assert crops == ['images', 'centre', 'crop', f'{mean.psnr:.2f}', f'{mean.bicubic_psnr:.2f}']
    assert sorted(os.listdir(str(tmp_path))) == ['images', 'out.pth']  # the checkpoint was removed


@pytest.mark.slow
def test_a_run_in_bf16_ends_in_fp32(photos):
    if not hasattr(torch, 'autocast'):
        pytest.skip('this torch has no autocast')
    run = run_of(plain_steps(interpolation(2), photos, batch_size=1, bf16=True), 20)
    computed = []
    run.steps.model.output.register_forward_hook(lambda module, inputs, output: computed.append(output.dtype))
    said = []
    for _ in range(20):
        said.append(run.precision())
        run.learn()
    assert computed == [torch.bfloat16] * 18 + [torch.float32] * 2
    assert said == ['bf16'] * 18 + ['fp32'] * 2


def test_precision_is_chosen_by_the_device_unless_it_is_given(train, monkeypatch):
    if hasattr(torch, 'autocast'):
        monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
        assert 'bf16, the last' in train('--steps=1').out
        ended = train('--steps=1', '--precision=fp32', '--overwrite')
        assert ended.status == 0 and 'fp32 on this processor' in ended.out
    monkeypatch.setattr(cpu, 'has_bf16', lambda: False)
    assert_refused(train('--steps=1', '--precision=bf16', output='other.pth'), '--precision=bf16', 'fp32 only')


def evaluation_of(model, folder):
    return validation.evaluate(model, images.list_images(str(folder)), 2, protocols.WHOLE)


@pytest.mark.slow
def test_initial_weights_determine_the_architecture(train, tmp_path, image_folder):
    ended = train('--steps=1', '--init=' + LITE, '--learning-rate=1e-9')
    assert ended.status == 0 and '648,067 parameters' in ended.out
    before, after = checkpoint.load(LITE).state_dict(), weights(tmp_path / 'out.pth')
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)


def test_half_precision_halves_the_file_and_loads_as_float32(train, tmp_path):
    assert train('--steps=1').status == train('--steps=1', '--half', output='half.pth').status == 0
    full, half = (checkpoint.load(str(tmp_path / name)) for name in ('out.pth', 'half.pth'))
    assert weights(tmp_path / 'half.pth')['output.weight'].dtype == torch.float16
    for a, b in zip(full.parameters(), half.parameters()):
        assert b.dtype == torch.float32 and torch.allclose(a, b, atol=1e-3)


def test_other_scales_are_trained_too(train, tmp_path):
    for scale in (3, 4):
        assert train('--steps=1', f'--scale={scale}', output=f'x{scale}.pth').status == 0
        assert checkpoint.load(str(tmp_path / (f'x{scale}.pth'))).config['scale_factor'] == scale


def test_unusable_data_is_named(train, tmp_path, image_folder):
    empty, small = tmp_path / 'empty', tmp_path / 'small'
    empty.mkdir(), small.mkdir()
    Image.new('RGB', (40, 31)).save(str(small / 'tiny.png'))
    assert_refused(train('--steps=1', f'--train-path={empty}'), empty, 'no images')
    assert_refused(train('--steps=1', f'--train-path={tmp_path / "gone"}'), 'gone', 'no such folder')
    assert_refused(train('--steps=1', f'--train-path={small}'), 'tiny.png', '32 x 32', '--patch')
    assert_refused(train('--steps=1', f'--train-path={image_folder}@0'), '@0', 'factor')
    assert_refused(train('--steps=1', f'--train-path={image_folder}@x'), '@x', 'no such folder')
    assert_refused(train('--steps=1', '--eval-path', small), 'tiny.png', '228')
    assert not (tmp_path / 'out.pth').exists()


def test_pictures_smaller_than_a_patch_are_skipped_and_counted(train, tmp_path, image_folder):
    Image.new('RGB', (40, 31)).save(str(image_folder / 'tiny.png'))
    ended = train('--steps=1')
    assert ended.status == 0 and '5 pictures' in ended.out and '1 skipped, smaller than a patch' in ended.out


@pytest.mark.slow
def test_a_run_first_prints_the_time_and_memory_that_it_needs(train, image_folder):
    ended = train('--steps=30', '--eval-path', image_folder)
    lines = ended.out.splitlines()
    assert ended.status == 0 and 'parameters' in lines[0] and lines[1].startswith('5 pictures, 1.3 megapixels')
    assert re.fullmatch(r'[0-9.e-]+ s a step, [0-9.]+ GiB of memory, [0-9]+ s to measure', lines[3]), lines
    assert re.fullmatch(r'30 steps; with measuring, [0-9]+:[0-9]{2} minutes', lines[4]), lines


@pytest.mark.slow
def test_a_loss_that_is_not_a_number_ends_the_run(train, tmp_path):
    assert_refused(train('--steps=40', '--learning-rate=1e30'), '--learning-rate')
    assert os.listdir(str(tmp_path)) == ['images']


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir(SET5), reason='no Set5 here')
@pytest.mark.parametrize('weights', [LITE, FULL])
def test_the_model_cards_figures_are_the_output_of_its_command(weights):
    """tools.evaluate prints the lines of weights/README.md's tables for Set5."""
    done = run_python('-m', 'tools.evaluate', '--weights', weights, SET5, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(ROOT, 'weights', 'README.md')) as file:
        card = file.read()
    rows = done.stdout.splitlines()[2:]
    assert len(rows) == 2 and all(row in card for row in rows), done.stdout


def test_evaluation_agrees_with_scikit_image(photos):
    from skimage.metrics import peak_signal_noise_ratio

    hr = validation.fit_image(photos[1], 2, protocols.WHOLE)
    score = validation.score_image(interpolation(2), hr, 2, protocols.WHOLE)
    enlarged = hr.resize((hr.width // 2, hr.height // 2), Image.BICUBIC).resize(hr.size, Image.BICUBIC)
    lumas = [np.asarray(x, float) @ [64.738, 129.057, 25.064] / 256 for x in (hr, enlarged)]
    inner = [x[2:-2, 2:-2] for x in lumas]
    assert score.bicubic_psnr == pytest.approx(peak_signal_noise_ratio(*inner, data_range=255), abs=1e-6)
    assert math.isfinite(score.psnr)
