"""RDN_quantize.py: the standard form of eight bits, exact rounding, and the command line.

test_selection.py tests the scales and the choice of layers.
"""

import json
import os
import sys

from rdn import cpu, engines
from rdn.accuracy import metrics
from rdn.engines import openvino
from rdn.network import checkpoint, exporter

import numpy as np
import pytest

from helpers import INFER, LITE, assert_refused

pytestmark = pytest.mark.skipif(sys.version_info < (3, 8), reason='Python 3.7 is refused; another test checks this')

if sys.version_info >= (3, 8):
    from rdn.quantization import calibration, qdq

    import onnx


@pytest.fixture
def quantize(script, image_folder, tmp_path, monkeypatch):
    """quantize(model, flag, ...): to int8.onnx in the current folder, calibrated on the five photographs."""
    monkeypatch.chdir(tmp_path)

    def call(model, *flags):
        standard = ['--calibration=images', '--output-file=int8.onnx', '--images=4']
        return script('RDN_quantize', f'--input-file={model}', *standard, *flags)

    return call


@pytest.fixture(scope='module')
def trials(photos):
    from rdn.training import patches

    return patches.cut_middle([patches.load_pair(path, 2, 114) for path in photos], 114, 114)


@pytest.fixture(scope='module')
def lite(lite_onnx):
    return qdq.load(lite_onnx)


@pytest.fixture(scope='module')
def scales(lite, trials):
    return calibration.measure_scales(lite, trials[:1])


def chain(weight, bias):
    """Return a model that concatenates its input with a convolution of it, and convolves both."""
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    float32 = onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node('Conv', ['image', 'a.weight', 'a.bias'], ['y'], pads=[0] * 4),
        helper.make_node('Concat', ['image', 'y'], ['both'], axis=1),
        helper.make_node('Conv', ['both', 'b.weight', 'b.bias'], ['output'], pads=[0] * 4),
    ]
    second = np.ones((1, 2, 1, 1), np.float32)
    constants = [array(weight, 'a.weight'), array(bias, 'a.bias'), array(second, 'b.weight'), array(bias, 'b.bias')]
    shape = [1, 1, 2, 2]
    ends = [[helper.make_tensor_value_info(name, float32, shape)] for name in ('image', 'output')]
    return helper.make_model(
        helper.make_graph(nodes, 'chain', *ends, constants), opset_imports=[helper.make_opsetid('', 13)], ir_version=8
    )


def test_rounding_is_exact_on_the_scale_and_clips_outside():
    scale = qdq.Scale(0.25, 3)
    values = scale.step * (np.arange(256) - scale.zero)
    assert (scale.round(values) == values).all()
    assert scale.round(np.array([-100, 100, 0.3])).tolist() == [-0.75, 63.0, 0.25]


def test_a_convolution_in_eight_bits_equals_integer_arithmetic():
    weight, bias = np.full((1, 1, 1, 1), 0.3, np.float32), np.full(1, 0.2, np.float32)
    model = chain(weight, bias)
    scales = {'image': qdq.Scale(1 / 255, 0), 'both': qdq.Scale(1 / 100, 20)}
    image = np.array([[[[0, 0.5], [0.25, 1]]]], np.float32)
    # 'image' is read as a part of 'both': concatenated tensors share one scale
    x = scales['both'].round(image)
    a_step = 0.3 / 127
    y = np.rint(0.3 / a_step) * a_step * x + np.rint(0.2 / (a_step / 100)) * (a_step / 100)
    b_step = 1 / 127
    expected = x + scales['both'].round(y) + np.rint(0.2 / (b_step / 100)) * (b_step / 100)
    groups = qdq.Groups(model)
    assert groups.leaves == {'both': ['image', 'y']} and groups.of['image'] == 'both'
    run = qdq.open_exactly(qdq.quantize(model, scales, ['a', 'b']))
    assert np.allclose(run(image)[0], expected, atol=1e-6)


def test_a_dense_block_is_one_group_and_the_last_concatenation_another(lite):
    groups = qdq.Groups(lite)
    sizes = sorted(len(leaves) for leaves in groups.leaves.values())
    assert sizes == [1, 1, 1, 1, 1] + [5] * 6 + [6]  # image, sfe1, gff.0, upscale, output; blocks; all blocks
    for leaves in groups.leaves.values():
        assert not any('Concat' in leaf for leaf in leaves)


def test_weights_lose_half_a_step_at_most_and_kept_layers_nothing(lite, scales):
    names = [qdq.name_of(conv) for conv in qdq.convolutions(lite)]
    kept = {'sfe1', 'rdbs.2.layers.1.conv', 'output'}
    result = qdq.quantize(lite, scales, set(names) - kept)
    before, after = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        for model in (lite, result)
    )
    for name in names:
        weight = before[f'{name}.weight']
        if name in kept:
            assert (after[f'{name}.weight'] == weight).all() and f'{name}.weight/q' not in after
            continue
        assert f'{name}.weight' not in after and after[f'{name}.weight/q'].dtype == np.int8
        step = after[f'{name}.weight/step'][:, None, None, None]
        assert (np.abs(after[f'{name}.weight/q'] * step - weight) <= step * 0.5001).all()
    operators = {node.op_type for node in result.graph.node} - {node.op_type for node in lite.graph.node}
    assert operators == {'QuantizeLinear', 'DequantizeLinear'}
    assert result.opset_import[0].version == 13


def test_with_no_layer_in_eight_bits_the_network_is_the_same(lite, scales, trials):
    same, exact = (qdq.open_exactly(m) for m in (qdq.quantize(lite, scales, []), lite))
    assert np.abs(same(trials[0])[0] - exact(trials[0])[0]).max() < 1e-6


def test_multiplications_are_those_of_the_weights_at_each_pixel(lite, trials):
    work = qdq.multiplications(lite, trials[0])
    assert work['sfe1'] == 3 * 32 * 9 * 114**2 and work['output'] == 32 * 3 * 9 * 228**2
    assert work['rdbs.0.lff'] == (32 + 4 * 32) * 32 * 114**2


def test_the_parts_of_a_split_layer_are_one_layer_and_as_exact_as_the_whole(lite, trials, tmp_path):
    path = str(tmp_path / 'split.onnx')
    exporter.export_onnx(checkpoint.load(LITE), exporter.Shape(1, 24, 24), 13, exporter.Variant(dense='split'), path)
    split, crop = qdq.load(path), trials[0][:, :, 30:54, 30:54]
    layers = list(dict.fromkeys(map(qdq.name_of, qdq.convolutions(split))))
    assert layers == [qdq.name_of(conv) for conv in qdq.convolutions(lite)]
    assert len(qdq.convolutions(split)) == 6 * (10 + 5) + 6 + 5
    assert qdq.multiplications(split, crop)['rdbs.0.lff'] == (32 + 4 * 32) * 32 * 24**2
    scales = calibration.measure_scales(split, [crop])
    half = qdq.quantize(split, scales, ['rdbs.0.layers.3.conv', 'rdbs.0.lff'])
    constants = {tensor.name for tensor in half.graph.initializer}
    assert 'rdbs.0.lff.weight/32-64/q' in constants and 'rdbs.1.lff.weight/32-64' in constants
    assert not {'rdbs.0.lff.weight/32-64', 'rdbs.0.layers.3.conv.weight/0-32'} & constants
    exact, eight = (qdq.open_exactly(model)(crop)[0] for model in (split, half))
    assert 0 < np.abs(exact - eight).max() < 0.01


@pytest.mark.slow
def test_eight_bits_lose_less_than_a_tenth_of_a_decibel_on_photographs(quantize, lite_onnx, trials, photos, prepared):
    ended = quantize(lite_onnx)
    assert ended.status == 0, ended.err
    assert 'of 36 layers' in ended.out and 'output' in ended.out.split('float32')[1].splitlines()[0]
    inputs, labels = prepared
    models: dict = {
        'exact': engines.OnnxRuntime(lite_onnx),
        'onnxruntime': engines.OnnxRuntime('int8.onnx', engines.Place('CPU')),
    }
    if openvino.is_installed() and cpu.has_int8():
        models['default'] = engines.open_model('int8.onnx')
        assert isinstance(models['default'], engines.OpenVino) and models['default'].precision == 'int8'
    psnr = {
        name: np.mean([metrics.sr_psnr(model(x[None])[0], labels[stem], 2) for stem, x in inputs.items()])
        for name, model in models.items()
    }
    assert all(psnr['exact'] - value < 0.1 for value in psnr.values()), psnr


def test_records_and_reports_of_outputs_name_the_precision(script, quantize, dataset, narrow):
    assert quantize(narrow[1], '--max-loss=3').status == 0
    ended = script('RDN_infer', '-om_path=int8.onnx', *INFER)
    assert ended.status == 0, ended.err
    with open('result/dumpOutput_device0.run.json') as file:
        assert json.load(file)['precision'] == 'int8'
    flags = ['--pred-path=result/dumpOutput_device0', '--label-path=prep_dataset/label', '--result-path=r.json']
    assert 'int8' in script('RDN_postprocess', *flags).out


def test_another_precision_than_the_models_is_refused(script, quantize, dataset, narrow):
    assert quantize(narrow[1], '--max-loss=3').status == 0
    for precision in ('fp32', 'bf16'):
        assert_refused(
            script('RDN_infer', '-om_path=int8.onnx', f'-precision={precision}', *INFER), 'an eight-bit model'
        )
    assert_refused(script('RDN_infer', f'-om_path={narrow[1]}', '-precision=int8', *INFER), 'RDN_quantize.py')
    assert_refused(quantize('int8.onnx', '--output-file=again.onnx'), 'int8.onnx', 'eight bits already')


def test_eight_bits_are_rounded_the_same_on_a_processor_without_the_instructions(quantize, narrow, trials, monkeypatch):
    assert quantize(narrow[1], '--max-loss=3').status == 0
    monkeypatch.setattr(cpu, 'has_int8', lambda: False)
    model = engines.open_model('int8.onnx')
    assert isinstance(model, engines.OnnxRuntime) and model.precision == 'int8'
    exact = qdq.open_exactly(onnx.load('int8.onnx'))
    assert np.abs(model(trials[0]) - exact(trials[0])[0]).max() < 1e-6


def test_a_model_of_fixed_batches_is_refused_with_the_flag_to_leave_out(script, quantize, narrow):
    flags = [f'--input-file={narrow[0]}', '--output-file=bs4.onnx', '--batch-size=4']
    assert script('RDN_pth2onnx', *flags).status == 0
    assert_refused(quantize('bs4.onnx'), 'bs4.onnx', 'batches of 4', '--batch-size')


@pytest.mark.parametrize('flags', [['--opset=11'], ['--dense=split', '--upsample=deconv', '--height=0', '--width=0']])
def test_every_kind_of_export_can_be_quantized(script, quantize, narrow, trials, flags):
    export = script('RDN_pth2onnx', f'--input-file={narrow[0]}', '--output-file=other.onnx', *flags)
    assert export.status == 0 and quantize('other.onnx', '--max-loss=3').status == 0
    exact, eight = (qdq.open_exactly(onnx.load(name)) for name in ('other.onnx', 'int8.onnx'))
    assert 0 < np.abs(exact(trials[0])[0] - eight(trials[0])[0]).max() < 0.1


def test_photographs_that_are_too_small_are_skipped_with_a_count(quantize, narrow, image_folder, photo):
    for index in range(20):
        photo.save(str(image_folder / f'a{index}.png'))  # 201 x 127
    ended = quantize(narrow[1], '--max-loss=3')
    assert ended.status == 0, ended.err
    skipped = int(ended.out.split('the trials; ')[1].split()[0])
    assert 1 <= skipped <= 20 and 'too small' in ended.out and 'used up' not in ended.out
    refused = quantize(narrow[1], '--images=8', '--output-file=other.onnx')
    assert_refused(refused, '5 of 25 photographs', '228 x 228', '10 are needed', 'add 5 more')


def test_a_used_up_budget_is_reported_and_the_model_still_keeps_the_loss(quantize, narrow):
    ended = quantize(narrow[1], '--max-loss=0.05', '--budget=1e-9')
    assert ended.status == 0, ended.err
    assert '1e-09 s used up after 1 of 4 photographs estimated' in ended.out and 'larger --budget' in ended.out
    assert float(ended.out.split('loss ')[1].split()[0]) <= 0.05


def test_unusable_models_and_flags_are_refused_and_nothing_is_written(quantize, narrow, image_folder, tmp_path):
    (tmp_path / 'none').mkdir()
    (tmp_path / 'text.onnx').write_text('no model')
    assert_refused(quantize(narrow[1], '--images=40'), 'images', '5 of 5 photographs', '228 x 228', '50', 'add 45 more')
    assert_refused(quantize(narrow[1], '--images=3'), '--images', 'at least 4')
    assert_refused(quantize(narrow[1], '--calibration=none'), 'none: no images')
    assert_refused(quantize('text.onnx'), 'text.onnx')
    assert_refused(quantize('gone.onnx'), 'gone.onnx')
    assert_refused(quantize(LITE), 'rdn_x2_lite.pth')
    assert_refused(quantize(narrow[1], f'--output-file={narrow[1]}'), 'would overwrite')
    assert_refused(quantize(narrow[1], '--max-loss=1e-30'), '--max-loss', 'alone in eight bits')
    assert sorted(os.listdir(str(tmp_path))) == ['images', 'none', 'text.onnx']
