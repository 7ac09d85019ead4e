"""RDN_train.py: patches that belong together, a start at bicubic, learning, and going on where it was."""

import math
import os

from rdn import checkpoint, cli, cpu
from rdn.imaging import images
from rdn.training import patches, trainer, validation

import numpy as np
import pytest
from PIL import Image

import models
from walk import LITE, ROOT, SET5, assert_refused, run_python, weights

torch = models.torch


def interpolation(scale, seed=0):
    torch.manual_seed(seed)
    model = models.RDN(scale, 3, 8, 4, 2, 2)
    trainer.begin_as_interpolation(model)
    return model.eval()


def test_a_low_resolution_patch_is_cut_from_the_reduced_whole_picture(photos):
    pair = patches.load_pair(photos[0], 2, 24)
    lr, hr = patches.random_batch([pair], 2, 24, 8, seed=3)
    assert lr.shape == (8, 3, 24, 24) and hr.shape == (8, 3, 48, 48) and lr.dtype == hr.dtype == np.uint8
    differs_at_the_border = False
    for small, large in zip(lr, hr):
        own = np.asarray(Image.fromarray(large.transpose(1, 2, 0)).resize((24, 24), Image.BICUBIC)).transpose(2, 0, 1)
        assert np.abs(own[:, 4:-4, 4:-4].astype(int) - small[:, 4:-4, 4:-4]).max() <= 1
        differs_at_the_border |= bool((own != small).any())  # where the patch alone does not know its surroundings
    assert differs_at_the_border


@pytest.mark.parametrize('scale', cli.SCALES)
def test_patches_come_in_all_eight_symmetries(photos, scale):
    picture = images.read_rgb(photos[0]).crop((0, 0, 8 * scale, 8 * scale))  # only one place for a patch of 8
    pair = patches.Pair(np.asarray(images.bicubic_downsample(picture, scale)), np.asarray(picture))
    _, hr = patches.random_batch([pair], scale, 8, 200, seed=0)
    wanted = set()
    for turned in (np.rot90(pair.hr, k) for k in range(4)):
        wanted |= {turned.transpose(2, 0, 1).tobytes(), turned[:, ::-1].transpose(2, 0, 1).tobytes()}
    assert {patch.tobytes() for patch in hr} == wanted and len(wanted) == 8


def test_the_same_seed_gives_the_same_patches(photos):
    pairs = [patches.load_pair(path, 2, 16) for path in photos]
    first, again, other = (patches.random_batch(pairs, 2, 16, 4, [0, step]) for step in (7, 7, 8))
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
        score = validation.score_image(model, validation.fit_image(path, scale, 'centre crops'), scale)
        assert abs(score.psnr - score.bicubic_psnr) < 0.7


def test_the_average_forgets_its_beginning_first(photos):
    pairs = [patches.load_pair(photos[0], 2, 16)]
    settings = dict(scale_factor=2, patch=16, batch_size=2, learning_rate=1e-2, seed=0, minutes=None, steps=3)
    run = trainer.Trainer(interpolation(2), settings, torch.device('cpu'), False, False)
    mean, name = run.average.output.bias.clone(), 'output.bias'
    for step in range(3):
        run.learn(pairs)
        keep = (step + 1) / (step + 10.0)  # the closed form of a mean that is still young
        mean = keep * mean + (1 - keep) * dict(run.model.named_parameters())[name].detach()
        assert torch.allclose(run.average.output.bias, mean, atol=1e-7)


# In bf16 150 steps gain less; torch computes it without the instructions too, only slowly.
@pytest.mark.parametrize('precision, gain', [('fp32', 0.2), pytest.param('bf16', 0.1, marks=pytest.mark.slow)])
def test_training_learns_more_than_interpolation(train, tmp_path, image_folder, monkeypatch, precision, gain):
    if precision == 'bf16':
        if not hasattr(torch, 'autocast'):
            pytest.skip('this torch has no autocast')
        monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
    ended = train('--steps=150', '--learning-rate=5e-3', '--eval-path', image_folder)
    assert ended.status == 0, ended.err
    model = checkpoint.load_rdn(str(tmp_path / 'out.pth'))
    assert model.config == dict(
        scale_factor=2, num_channels=3, num_features=8, growth_rate=4, num_blocks=2, num_layers=2
    )
    mean = validation.evaluate(model, images.list_images(str(image_folder)), 2, 'centre crops')
    said = 'bf16, the last 10% in fp32, on cpu' if precision == 'bf16' else 'fp32 on cpu'
    assert said in ended.out and mean.psnr > mean.bicubic_psnr + gain
    last = ended.out.splitlines()[-2]
    assert 'step 150 ' in last and f'images {evaluation_of(model, image_folder):.2f} dB' in last
    assert sorted(os.listdir(str(tmp_path))) == ['images', 'out.pth']  # the checkpoint went


def test_a_run_in_bf16_ends_in_fp32(photos):
    if not hasattr(torch, 'autocast'):
        pytest.skip('this torch has no autocast')
    pairs = [patches.load_pair(photos[0], 2, 16)]
    settings = dict(scale_factor=2, patch=16, batch_size=1, learning_rate=1e-3, seed=0, minutes=None, steps=20)
    run = trainer.Trainer(interpolation(2), settings, torch.device('cpu'), True, False)
    computed = []
    run.model.output.register_forward_hook(lambda module, inputs, output: computed.append(output.dtype))
    said = []
    for _ in range(20):
        said.append(run.precision())
        run.learn(pairs)
    assert computed == [torch.bfloat16] * 18 + [torch.float32] * 2
    assert said == ['bf16'] * 18 + ['fp32'] * 2


def test_precision_is_chosen_by_the_device_unless_it_is_given(train, monkeypatch):
    if hasattr(torch, 'autocast'):
        monkeypatch.setattr(cpu, 'has_bf16', lambda: True)
        assert 'bf16, the last' in train('--steps=1').out
        ended = train('--steps=1', '--precision=fp32', '--overwrite')
        assert ended.status == 0 and 'fp32 on cpu' in ended.out
    monkeypatch.setattr(cpu, 'has_bf16', lambda: False)
    assert_refused(train('--steps=1', '--precision=bf16', output='other.pth'), '--precision=bf16', 'take fp32')


def evaluation_of(model, folder):
    return validation.evaluate(model, images.list_images(str(folder)), 2, 'whole images').psnr


def test_weights_to_start_from_say_the_architecture(train, tmp_path, image_folder):
    ended = train('--steps=1', '--init=' + LITE, '--learning-rate=1e-9')
    assert ended.status == 0 and '648067 parameters' in ended.out
    before, after = checkpoint.load_rdn(LITE).state_dict(), weights(tmp_path / 'out.pth')
    assert all(torch.allclose(before[key], after[key], atol=1e-6) for key in before)


def test_half_precision_halves_the_file_and_loads_as_float32(train, tmp_path):
    assert train('--steps=1').status == train('--steps=1', '--half', output='half.pth').status == 0
    full, half = (checkpoint.load_rdn(str(tmp_path / name)) for name in ('out.pth', 'half.pth'))
    assert weights(tmp_path / 'half.pth')['output.weight'].dtype == torch.float16
    for a, b in zip(full.parameters(), half.parameters()):
        assert b.dtype == torch.float32 and torch.allclose(a, b, atol=1e-3)


def test_other_scales_are_trained_too(train, tmp_path):
    for scale in (3, 4):
        assert train('--steps=1', f'--scale={scale}', output=f'x{scale}.pth').status == 0
        assert checkpoint.load_rdn(str(tmp_path / (f'x{scale}.pth'))).config['scale_factor'] == scale


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


def test_a_loss_that_is_no_number_ends_the_run(train, tmp_path):
    assert_refused(train('--steps=40', '--learning-rate=1e30'), '--learning-rate')
    assert os.listdir(str(tmp_path)) == ['images']


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir(SET5), reason='no Set5 here')
def test_the_cards_figures_come_out_of_its_command():
    """The table of weights/README.md, for Set5: tools.evaluate prints the very lines that stand there."""
    done = run_python('-m', 'tools.evaluate', '--weights', LITE, SET5, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    with open(os.path.join(ROOT, 'weights', 'README.md')) as file:
        card = file.read()
    rows = done.stdout.splitlines()[2:]
    assert len(rows) == 2 and all(row in card for row in rows), done.stdout


def test_evaluation_agrees_with_scikit_image(photos):
    from skimage.metrics import peak_signal_noise_ratio

    hr = validation.fit_image(photos[1], 2, 'whole images')
    score = validation.score_image(interpolation(2), hr, 2)
    enlarged = hr.resize((hr.width // 2, hr.height // 2), Image.BICUBIC).resize(hr.size, Image.BICUBIC)
    lumas = [np.asarray(x, float) @ [64.738, 129.057, 25.064] / 256 for x in (hr, enlarged)]
    inner = [x[2:-2, 2:-2] for x in lumas]
    assert score.bicubic_psnr == pytest.approx(peak_signal_noise_ratio(*inner, data_range=255), abs=1e-6)
    assert math.isfinite(score.psnr)
