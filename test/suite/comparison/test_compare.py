"""RDN_compare.py names the first stage that differs from PyTorch by more than rounding, and the kind of difference."""

import importlib.util
import itertools
import os
import re
import shutil
import sys

from rdn import cpu, engines, run_record
from rdn.comparison import measurement, sources, table
from rdn.devices import ais_bench, outputs
from rdn.network import base, exporter, rdn_architecture, taps

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from helpers import DUMP, LITE, ROOT, assert_refused, infer, prepare, run_python, save
from models import RDN

SIDE = 24
SIZES = [f'--height={SIDE}', f'--width={SIDE}']
STAGES = ['sfe1', 'sfe2', 'rdbs.0', 'rdbs.1', 'gff.0', 'gff.1', 'upscale', 'output']
OUTPUTS = ['output', *STAGES[:-1]]


def tiny():
    torch.manual_seed(1)
    return RDN(2, 3, 8, 8, 2, 2).eval()


@pytest.fixture
def network():
    return tiny()


@pytest.fixture(scope='module')
def small_set(tmp_path_factory, photos):
    """A folder with the prepared inputs of two photographs."""
    folder = tmp_path_factory.mktemp('small')
    (folder / 'images').mkdir()
    for path in photos[:2]:
        shutil.copy(path, str(folder / 'images'))
    done = run_python(
        os.path.join(ROOT, 'RDN_preprocess.py'),
        '--src-path=images',
        '--save-path=prep_dataset',
        *SIZES,
        cwd=str(folder),
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def place(small_set, tmp_path, monkeypatch, network):
    """A working folder, made the current one, with weights and the prepared inputs of two photographs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(str(small_set / 'prep_dataset'), 'prep_dataset')
    save('rdn.pth', network)
    return tmp_path


def stems():
    return sorted(name[: -len('.bin')] for name in os.listdir('prep_dataset/data'))


def read_input(stem):
    return torch.from_numpy(np.fromfile(f'prep_dataset/data/{stem}.bin', np.float32).reshape(1, 3, SIDE, SIDE))


def dump(network, change=lambda stem, stage, values, tap: tap, first=1, folder=DUMP):
    """Write, in benchmark's form, the outputs of a device whose stages differ from PyTorch's by `change`."""
    os.makedirs(folder, exist_ok=True)
    for stem in stems():
        values = {'image': read_input(stem)}
        with torch.no_grad():
            for stage in exporter.stages_of(network):
                values[stage.name] = change(stem, stage, values, stage.run(values)).float()
        for number, name in enumerate(OUTPUTS, first):
            values[name][0].numpy().tofile(f'{folder}/{stem}_{number}.bin')


def compare(script, *flags, source=f'--outputs={DUMP}'):
    return script('RDN_compare', '--weights=rdn.pth', source, *flags)


def found(ended):
    """Return (stage, kind) of the marked row, and check that the verdict names the same."""
    assert ended.status == 3, ended
    marked = [line[2:] for line in ended.out.splitlines() if line.startswith('> ')]
    assert len(marked) == 1, ended.out
    stage = marked[0].split()[0]
    verdict, following = ended.out.splitlines()[-2:]
    kind = verdict.split(f'verdict {stage} is the first stage out of line: ')[1]
    assert 'docs/accuracy.md' in following
    assert marked[0].endswith(kind)
    return stage, kind


def at(name, change):
    """Return a change of one stage's tap, for `dump`."""
    return lambda stem, stage, values, tap: change(tap) if stage.name == name else tap


# --- taps


def test_taps_are_outputs_after_the_unchanged_result(place, network):
    shape = exporter.Shape(None, 20, 14)
    exporter.export_onnx(network, shape, 9, exporter.Variant(), 'plain.onnx')
    exporter.export_onnx(network, shape, 9, exporter.Variant(with_taps=True), 'taps.onnx')
    x = np.random.RandomState(0).rand(2, 3, 20, 14).astype(np.float32)
    plain, tapped = (engines.OnnxRuntime(name, engines.Place('CPU')) for name in ('plain.onnx', 'taps.onnx'))
    assert list(tapped.outputs) == OUTPUTS
    found_taps = dict(zip(tapped.outputs, tapped.run_all(x)))
    assert np.array_equal(tapped(x), found_taps['output'])
    assert np.abs(tapped(x) - plain(x)).max() < 1e-6  # operators are fused in another way
    with torch.no_grad():
        sfe1 = network.sfe1(torch.from_numpy(x))
        first = network.rdbs[0](network.sfe2(sfe1))
        second = network.rdbs[1](first)
        fused = network.gff[0](torch.cat([first, second], 1))
        enlarged = network.upscale(network.gff[1](fused) + sfe1)
    for name, expected in {'rdbs.1': second, 'gff.0': fused, 'upscale': enlarged}.items():
        assert np.abs(found_taps[name] - expected.numpy()).max() < 1e-6, name


@pytest.mark.parametrize('flags', [['--dense=split'], ['--upsample=deconv'], ['--half'], ['--opset=11']])
def test_every_graph_can_have_taps(script, place, flags):
    ended = script('RDN_pth2onnx', '--input-file=rdn.pth', '--output-file=taps.onnx', '--taps', *SIZES, *flags)
    assert ended.status == 0 and f'outputs     {", ".join(OUTPUTS)}' in ended.out, ended
    expected = compare(script, source='--model=taps.onnx')
    assert expected.status == 0, expected.out


def test_weights_keep_their_names_in_a_model_with_taps(place, network):
    exporter.export_onnx(network, exporter.Shape(1, 20, 20), 9, exporter.Variant(with_taps=True), 'taps.onnx')
    names = {tensor.name for tensor in onnx.load('taps.onnx').graph.initializer}
    assert set(network.state_dict()) <= names


def test_a_network_that_lists_no_stages_has_only_its_result():
    class Other(rdn_architecture.Rdn):
        stages = base.Architecture.stages

    assert taps.output_names(Other().stages(torch.nn.Identity())) == ['output']


# --- rounding is accepted


@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'bf16'])
def test_a_device_that_rounds_as_its_precision_does_is_in_line(script, place, network, precision):
    if precision == 'fp32':
        dump(network)
    elif precision == 'fp16':  # real fp16 arithmetic
        dump(network, in_fp16(network))
    else:
        dump(network, in_bf16(network))
    ended = compare(script, f'--precision={precision}')
    assert ended.status == 0 and f'rounding to {precision}' in ended.out, ended
    assert [line.split()[0] for line in ended.out.splitlines()[4:12]] == STAGES


def in_type(network, dtype):
    """Return a change, for `dump`: PyTorch computes each stage in another type, from inputs of that type."""
    changed = {stage.name: stage for stage in exporter.stages_of(tiny().to(dtype))}

    def change(stem, stage, values, tap):
        try:
            return changed[stage.name].run({name: value.to(dtype) for name, value in values.items()})
        except RuntimeError:
            pytest.skip('this PyTorch does not convolve in this type on a CPU')

    return change


def in_fp16(network):
    return in_type(network, torch.float16)


def in_bf16(network):
    return in_type(network, torch.bfloat16)


def test_unexpected_rounding_is_named(script, place, network):
    dump(network, in_bf16(network))
    assert found(compare(script, '--precision=fp32')) == ('sfe1', 'rounding of bf16')
    assert found(compare(script)) == ('sfe1', 'rounding of bf16')  # fp16 is expected
    dump(network, in_fp16(network))
    assert found(compare(script, '--precision=fp32')) == ('sfe1', 'rounding of fp16')


# --- each kind of difference is named


@pytest.mark.parametrize(
    'stage, change, kind',
    [
        ('rdbs.1', lambda tap: tap[:, [1, 0, 2, 3, 4, 7, 5, 6]], 'wrong layout: 5 of 8 channels in another order'),
        ('output', lambda tap: tap.flip(1), 'wrong layout: 2 of 3 channels in another order, BGR for RGB'),
        ('sfe2', lambda tap: tap.permute(0, 2, 3, 1).reshape(tap.shape), 'wrong layout: NHWC read as NCHW'),
        ('rdbs.0', lambda tap: tap.transpose(2, 3), 'wrong layout: pixels transposed'),
        ('gff.1', lambda tap: tap + 0.01, 'constant offset of 0.01'),
        ('gff.0', lambda tap: tap * 1.5, 'constant factor of 1.5'),
        ('rdbs.0', lambda tap: tap.clamp(max=float(tap.max()) / 2), 'saturation: '),
        ('rdbs.1', lambda tap: (tap * 1e6).clamp(-65504, 65504), 'saturation: '),
        ('rdbs.0', lambda tap: tap / 0, 'saturation: '),
    ],
)
def test_a_stage_that_computes_something_else_is_named_with_the_kind(script, place, network, stage, change, kind):
    dump(network, at(stage, change))
    name, words = found(compare(script))
    assert name == stage and words.startswith(kind), words


def test_a_transposed_tile_is_named_with_its_place(script, place, network):
    def change(tap):
        tap = tap.clone()
        tap[:, :, 8:20, 4:16] = tap[:, :, 8:20, 4:16].transpose(2, 3).clone()
        return tap

    dump(network, at('rdbs.1', change))
    words = 'wrong layout: pixels transposed in rows 8 to 19, columns 4 to 15'
    assert found(compare(script)) == ('rdbs.1', words)


@pytest.mark.parametrize('stage, change', [('rdbs.0', 'sfe2'), ('rdbs.1', 'rdbs.0')])
def test_a_lost_residual_of_a_block_is_named(script, place, network, stage, change):
    dump(network, lambda stem, own, values, tap: tap - values[change] if own.name == stage else tap)
    assert found(compare(script)) == (stage, 'lost residual')


def test_a_lost_global_residual_is_named(script, place, network):
    def change(stem, stage, values, tap):
        return network.upscale(values['gff.1']) if stage.name == 'upscale' else tap

    dump(network, change)
    assert found(compare(script)) == ('upscale', 'lost residual')


def test_swapped_images_are_named(script, place, network):
    first, second = stems()[:2]
    dump(network)
    for number in range(1, 1 + len(STAGES)):
        a, b = (f'{DUMP}/{stem}_{number}.bin' for stem in (first, second))
        os.rename(a, 'kept')
        os.rename(b, a)
        os.rename('kept', b)
    assert found(compare(script)) == ('sfe1', f'swapped images: {first} and {second}')


def test_an_image_computed_twice_is_named(script, place, network):
    first, second = stems()[:2]
    dump(network)
    for number in range(1, 1 + len(STAGES)):
        shutil.copy(f'{DUMP}/{first}_{number}.bin', f'{DUMP}/{second}_{number}.bin')
    assert found(compare(script)) == ('sfe1', f'wrong image: {second} has the values of {first}')


def test_an_error_in_one_image_only_is_named_with_its_kind(script, place, network):
    odd = stems()[1]
    dump(network, lambda stem, stage, values, tap: tap + 0.5 * (stem == odd and stage.name == 'gff.0'))
    assert found(compare(script)) == ('gff.0', f'one image only: {odd}: constant offset of 0.5')


def test_outputs_in_another_order_are_named(script, place, network):
    dump(network)
    for stem in stems():
        shutil.copy(
            f'{DUMP}/{stem}_{1 + OUTPUTS.index("rdbs.1")}.bin', f'{DUMP}/{stem}_{1 + OUTPUTS.index("rdbs.0")}.bin'
        )
    assert found(compare(script)) == ('rdbs.0', 'wrong output: it has the values of rdbs.1')


@pytest.mark.parametrize(
    'key, index', [('rdbs.1.layers.0.conv.weight', (3, 2, 1, 0)), ('rdbs.0.lff.weight', (5, 9, 0, 0))]
)
def test_onnxruntime_with_one_other_weight_is_found_in_its_block(script, place, network, key, index):
    exporter.export_onnx(network, exporter.Shape(1, SIDE, SIDE), 9, exporter.Variant(with_taps=True), 'taps.onnx')
    model = onnx.load('taps.onnx')
    tensor = next(each for each in model.graph.initializer if each.name == key)
    weights = numpy_helper.to_array(tensor).copy()
    expected = weights[index]
    weights[index] += 0.05
    tensor.CopyFrom(numpy_helper.from_array(weights, key))
    onnx.save(model, 'taps.onnx')
    stage, kind = found(compare(script, source='--model=taps.onnx'))
    place_of_weight = ', '.join(map(str, index))
    assert stage == '.'.join(key.split('.')[:2])
    match = re.fullmatch(rf'changed weight: {re.escape(f"{key}[{place_of_weight}]")} is (\S+), not (\S+)', kind)
    assert match, kind
    assert np.allclose([float(match.group(1)), float(match.group(2))], [weights[index], expected], atol=1e-3)


def dump_of(network, change):
    """Dump the outputs of a device whose input has a mistake."""
    with torch.no_grad():
        for stem in stems():
            values = taps.complete(exporter.stages_of(network), {'image': change(read_input(stem))})
            os.makedirs(DUMP, exist_ok=True)
            for number, name in enumerate(OUTPUTS, 1):
                values[name][0].numpy().tofile(f'{DUMP}/{stem}_{number}.bin')


@pytest.mark.parametrize(
    'change, kind',
    [
        (lambda image: image.flip(1), 'BGR for RGB'),
        (lambda image: image.permute(0, 2, 3, 1).reshape(image.shape), 'NHWC read as NCHW'),
        (lambda image: image * 255, 'values of 0 to 255'),
        (lambda image: (image - 0.5) / 0.5, 'values of -1 to 1'),
        (lambda image: image * 0, 'all zeros'),
    ],
)
def test_a_mistake_with_the_input_is_named(script, place, network, change, kind):
    dump_of(network, change)
    assert found(compare(script)) == ('sfe1', f'wrong input: {kind}')


# --- figures


def in_line(psnrs):
    """Return the comparison of a device in bf16 whose only stage has the error of rounding.

    psnrs: PSNR of each image; PyTorch's is 30 dB.
    """
    none = np.zeros(1, np.float32)
    error = measurement.TapError('a', 1e-2, 1e-3, 0.99999, 1e-3, 1e-3, '', none, none)
    losses = [measurement.ImageLoss('a', 30.0, [psnr]) for psnr in psnrs]
    return measurement.Comparison(['output'], 'bf16', {'output': [error]}, losses)


@pytest.mark.parametrize(
    'psnrs, costs_too_much', [([29.96, 29.96], False), ([29.94, 29.94], True), ([29.89, 30], True)]
)
def test_rounding_that_costs_more_than_the_limits_leads_to_a_finer_precision(psnrs, costs_too_much):
    measured = in_line(psnrs)
    lines = table.describe(table.rows_of(measured), measured).splitlines()
    assert lines[1].startswith('verdict no stage is out of line')
    assert (len(lines) == 3 and 'bf16 alone costs too much' in lines[2]) == costs_too_much


def test_a_result_without_a_psnr_is_not_shown_as_unchanged():
    measured = in_line([float('nan')])
    rows = table.rows_of(measured)
    assert table.format_rows(rows, 'bf16').splitlines()[1].split()[-2:] == ['nan', 'nan']
    assert 'change nan dB' in table.describe(rows, measured)


def test_an_unknown_precision_in_the_record_is_refused_with_the_flag_to_give(script, place, network):
    dump(network)
    record = run_record.Record('a tool', None, None, 'fp8', 'a chip', 1, 64 * '0', None)
    run_record.write(DUMP, record)
    assert_refused(compare(script), 'fp8', '--precision')
    assert compare(script, '--precision=fp16').status == 0


def test_a_change_that_rounds_to_zero_has_no_sign():
    rows = table.rows_of(in_line([30 - 1e-7]))
    assert table.format_rows(rows, 'bf16').split()[-2:] == ['0.0000', '0.0000']


def test_decibels_are_of_the_devices_first_stages_and_pytorchs_rest(script, place, network):
    dump(network, at('rdbs.0', lambda tap: tap + 0.05))
    lines = compare(script).out.splitlines()
    table = {line[2:].split()[0]: line[2:].split() for line in lines[4:12]}
    label = {stem: np.load(f'prep_dataset/label/{stem}.npy')[0] for stem in stems()}
    luma = np.array([64.738, 129.057, 25.064]) / 256

    def psnr(result, stem):
        difference = np.tensordot(luma, np.clip(result, 0, 1) * 255 - label[stem] * 255.0, 1)[2:-2, 2:-2]
        return 10 * np.log10(255**2 / np.mean(difference**2))

    changes = []
    for stem in stems():
        with torch.no_grad():
            reference = network(read_input(stem))[0].numpy()
        changes.append(
            psnr(np.fromfile(f'{DUMP}/{stem}_1.bin', np.float32).reshape(reference.shape), stem) - psnr(reference, stem)
        )
    assert float(table['sfe2'][6]) == 0
    for name in STAGES[2:]:
        assert abs(float(table[name][6]) - np.mean(changes)) < 2e-4, name
    assert table['rdbs.0'][7] == table['rdbs.0'][6] and abs(float(table['rdbs.1'][7])) < 2e-4


def test_the_plain_models_results_are_compared_first(script, place, network):
    dump(network)
    for stem in stems():
        os.makedirs('plain', exist_ok=True)
        shutil.copy(f'{DUMP}/{stem}_1.bin', 'plain')
    assert 'the taps change nothing' in compare(script, '--plain=plain').out
    assert 'plain   not compared: taps can change the results of a device' in compare(script).out
    changed = np.fromfile(f'plain/{stems()[0]}_1.bin', np.float32)
    changed[7] += 0.125
    changed.tofile(f'plain/{stems()[0]}_1.bin')
    ended = compare(script, '--plain=plain')
    assert ended.status == 0 and f'the taps change the result by up to 0.12 ({stems()[0]})' in ended.out, ended


# --- files


def test_every_step_reads_the_result_in_a_folder_with_taps(script, place, network):
    for first, ending in ((1, 'txt'), (0, 'bin')):
        shutil.rmtree('result', ignore_errors=True)
        dump(network, first=first)
        flags = ['--pred-path', DUMP, '--label-path=prep_dataset/label', '--result-path=result.json', *SIZES]
        ended = script('RDN_postprocess', *flags, '--allow-mismatch', '--reference=rdn.pth')
        assert ended.status == 0 and ended.out.count('+0.0000') >= len(stems()), ended
        assert compare(script).status == 0, ending


def test_rdn_infer_writes_taps_and_a_plain_run_removes_them(script, place, network):
    exporter.export_onnx(network, exporter.Shape(None, SIDE, SIDE), 9, exporter.Variant(with_taps=True), 'taps.onnx')
    exporter.export_onnx(network, exporter.Shape(None, SIDE, SIDE), 9, exporter.Variant(), 'plain.onnx')
    assert script('gen_dataset_info', 'bin', './prep_dataset/data', './RDN_prep_bin.info', SIDE, SIDE).status == 0
    ended = infer(script, 'taps.onnx', '-batch_size=2')
    assert ended.status == 0 and f'each with {len(STAGES) - 1} taps' in ended.out, ended
    assert len(os.listdir(DUMP)) == len(stems()) * len(STAGES)
    ended = compare(script)
    assert ended.status == 0 and 'fp32 rounding' in ended.out and 'RDN_infer.py' in ended.out, ended
    assert infer(script, 'plain.onnx').status == 0
    assert sorted(os.listdir(DUMP)) == [f'{stem}_1.bin' for stem in stems()]
    assert_refused(compare(script), '1 outputs', '--taps')


def offline(network, path, batch):
    """Convert the network with taps as test/standins/atc does."""
    exporter.export_onnx(network, exporter.Shape(batch, SIDE, SIDE), 9, exporter.Variant(with_taps=True), 'taps.onnx')
    model = onnx.load('taps.onnx')
    model.producer_version = 'Ascend310P3'
    with open(path, 'wb') as file:
        file.write(b'IMOD' + model.SerializeToString())


@pytest.mark.parametrize('batch', [1, 2])
def test_an_offline_model_with_taps_runs_by_pyacl(script, place, network, monkeypatch, batch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, 'test', 'standins', 'pyacl'))
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    monkeypatch.delitem(sys.modules, 'acl', raising=False)
    offline(network, 'taps.om', batch)
    ended = compare(script, source='--model=taps.om')
    module = sys.modules.pop('acl')
    assert ended.status == 0 and 'pyACL' in ended.out and 'fp16 rounding' in ended.out, ended
    assert module.complaints == [] and not any(module.live.values())


def test_the_user_names_the_precision_of_an_offline_model(script, place, network, monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(ROOT, 'test', 'standins', 'pyacl'))
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    monkeypatch.delitem(sys.modules, 'acl', raising=False)
    offline(network, 'taps.om', 1)
    ended = compare(script, '--precision=bf16', source='--model=taps.om')
    sys.modules.pop('acl')
    assert ended.status == 0 and 'bf16 rounding' in ended.out, ended


def test_benchmarks_outputs_of_a_model_with_taps_are_compared(script, place, network):
    offline(network, 'taps.om', 2)
    assert script('gen_dataset_info', 'bin', './prep_dataset/data', './RDN_prep_bin.info', SIDE, SIDE).status == 0
    flags = f'-input_text_path=RDN_prep_bin.info -input_width={SIDE} -input_height={SIDE} -output_binary=True'
    flags += ' -model_type=vision -om_path=taps.om -batch_size=2 -useDvpp=False'
    done = run_python(os.path.join(ROOT, 'test', 'standins', 'benchmark.x86_64'), *flags.split())
    assert done.returncode == 0, done.stderr
    assert compare(script, '--precision=fp32').status == 0


def test_ais_benchs_taps_are_named_after_their_inputs(place):
    os.makedirs('work')
    for prefix, number in itertools.product(('0000000', '0000001'), range(11)):
        np.full(1, number, np.float32).tofile(f'work/{prefix}_{number}.bin')
    ais_bench._publish_outputs('work', DUMP, {'0000000': 'a.b', '0000001': 'c_1'}, 'log')
    assert len(os.listdir(DUMP)) == 22
    for name, number in {'a.b_0': 0, 'a.b_10': 10, 'c_1_1': 1}.items():
        assert np.fromfile(f'{DUMP}/{name}.bin', np.float32) == number
    assert sorted(outputs.outputs_by_result(DUMP)) == ['a.b_0.bin', 'c_1_0.bin']


@pytest.mark.slow
def test_the_compact_network_on_photographs_in_bf16_and_with_a_lost_residual(
    script, image_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert prepare(script).status == 0
    flags = ['--output-file=taps.onnx', '--taps']
    assert script('RDN_pth2onnx', f'--input-file={LITE}', *flags).status == 0
    weights = f'--weights={LITE}'
    assert script('RDN_compare', weights, '--model=taps.onnx').status == 0
    if cpu.has_bf16() and importlib.util.find_spec('openvino'):
        assert script('RDN_compare', weights, '--model=taps.onnx', '--precision=bf16').status == 0
    model = onnx.load('taps.onnx')
    outputs_of_blocks = {f'rdbs.{index}' for index in range(6)}
    residual = next(node for node in model.graph.node if node.output[0] == 'rdbs.3')
    assert residual.op_type == 'Add'
    fused = next(name for name in residual.input if name not in outputs_of_blocks)
    residual.CopyFrom(onnx.helper.make_node('Identity', [fused], ['rdbs.3']))
    onnx.save(model, 'taps.onnx')
    assert found(script('RDN_compare', weights, '--model=taps.onnx')) == ('rdbs.3', 'lost residual')


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_pytorch_computes_the_taps_of_a_weights_file(script, place, precision):
    ended = compare(script, f'--precision={precision}', '--device=cpu', source='--model=rdn.pth')
    if 'does not compute in' in ended.err:
        pytest.skip('this PyTorch does not convolve in this type on a CPU')
    assert ended.status == 0 and f'PyTorch, {precision}' in ended.out, ended


def test_a_plain_model_is_refused_with_the_remedy(script, place, network):
    exporter.export_onnx(network, exporter.Shape(None, SIDE, SIDE), 9, exporter.Variant(), 'plain.onnx')
    assert_refused(compare(script, source='--model=plain.onnx'), 'plain.onnx', '--taps')


def test_a_file_with_a_higher_number_is_not_taken_for_an_output(script, place, network):
    dump(network)
    with open(f'{DUMP}/notes_7.txt', 'w') as file:
        file.write('mine')
    assert compare(script).status == 0


def test_weights_of_another_scale_are_refused(script, place):
    torch.manual_seed(0)
    save('rdn.pth', RDN(3, 3, 8, 8, 2, 2))
    assert_refused(compare(script), 'prepared for scale 2', 'scale 3')


def test_an_engines_fallback_is_printed(script, place, network, monkeypatch):
    exporter.export_onnx(network, exporter.Shape(None, SIDE, SIDE), 9, exporter.Variant(with_taps=True), 'taps.onnx')
    monkeypatch.setattr(sources.ComputedTaps, 'notes', lambda self: [*self._engine.notes, 'fp16 overflows'])
    assert 'note    fp16 overflows\n' in compare(script, source='--model=taps.onnx').out
