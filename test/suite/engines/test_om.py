"""An offline model by pyACL, with a stand-in for the module acl: outputs, freed memory, one-line errors."""

import gc
import importlib
import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

from pictures import Upscaler
from rdn import engines, run_record

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from helpers import DUMP, INFER, ROOT, assert_refused, difference, reference, run_python

PYACL = os.path.join(ROOT, 'test', 'standins', 'pyacl')
TOLD = 'failed on request'  # by the stand-in


@pytest.fixture
def acl(monkeypatch, tmp_path):
    """acl(FAIL='rt.malloc', ...): makes this process import a new module acl with these settings; returns it."""

    def install(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f'STANDIN_ACL_{name}', value)
        sys.modules.pop('acl', None)
        return importlib.import_module('acl')

    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'none'))
    monkeypatch.syspath_prepend(PYACL)
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    yield install
    sys.modules.pop('acl', None)


def save_offline(model, path):
    """Convert a model like test/standins/atc, for the stand-in's chip."""
    model.producer_version = 'Ascend310P3'
    path.write_bytes(b'IMOD' + model.SerializeToString())
    return str(path)


@pytest.fixture
def offline(narrow, tmp_path):
    """offline(4): the path of the narrow network as an offline model for batches of 4 images of 114 x 114."""

    def convert(batch=1, change=lambda model: None):
        model = onnx.load(narrow[1])
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.shape.dim[0].dim_value = batch
        change(model)
        return save_offline(model, tmp_path / f'rdn_x2_bs{batch}.om')

    return convert


@pytest.fixture(scope='module')
def expected(narrow, prepared):
    """(inputs, outputs) of five photographs, by a bare session of the exported network."""
    inputs = np.stack(list(prepared[0].values()))
    session = onnxruntime.InferenceSession(narrow[1], providers=['CPUExecutionProvider'])
    return inputs, session.run(None, {'image': inputs})[0]


def assert_all_freed(module):
    assert {kind: things for kind, things in module.live.items() if things} == {}
    assert module.counts['finalize'] == module.counts['init'] == 1


@pytest.mark.parametrize('batch', [1, 2, 4, 8])
@pytest.mark.parametrize('variables', [{}, {'OLD': '1'}])
def test_outputs_are_the_networks_for_any_batch_size_and_toolkit(acl, offline, expected, batch, variables):
    module = acl(**variables)
    with engines.opened(offline(batch)) as model:
        assert np.abs(model(expected[0]) - expected[1]).max() < 1e-6
        assert (model.batch, model.shape, model.streams) == (batch, [3, 114, 114], 1)
        assert (model.name, model.chip) == ('pyACL', 'NPU' if variables else '310P3')
        assert model(expected[0]).dtype == np.float32
    assert module.counts['mdl.execute'] == 2 * -(-5 // batch)
    assert module.complaints == []
    assert_all_freed(module)


def in_type(kind):
    """Return a change that gives a model's input and output another type, with Cast nodes between."""

    def change(model):
        graph = model.graph
        for node in graph.node:
            node.input[:] = ['cast' if name == graph.input[0].name else name for name in node.input]
            node.output[:] = ['computed' if name == graph.output[0].name else name for name in node.output]
        graph.node.insert(0, onnx.helper.make_node('Cast', [graph.input[0].name], ['cast'], to=onnx.TensorProto.FLOAT))
        graph.node.append(onnx.helper.make_node('Cast', ['computed'], [graph.output[0].name], to=kind))
        for value in (graph.input[0], graph.output[0]):
            value.type.tensor_type.elem_type = kind

    return change


@pytest.mark.parametrize('variables', [{}, {'OLD': '1'}])
def test_a_model_with_half_precision_inputs_and_outputs_accepts_and_returns_float32(acl, offline, expected, variables):
    module = acl(**variables)
    with engines.opened(offline(2, in_type(onnx.TensorProto.FLOAT16))) as model:
        outputs = model(expected[0])
    assert outputs.dtype == np.float32 and 0 < np.abs(outputs - expected[1]).max() < 2e-3
    assert module.complaints == []


@pytest.mark.parametrize('kind, name', [('UINT8', 'uint8'), ('INT32', 'int32')])
def test_other_types_are_refused(acl, offline, kind, name):
    module, path = acl(), offline(1, in_type(getattr(onnx.TensorProto, kind)))
    with pytest.raises(ValueError, match=f'{path}: its input is {name}: only float32 and float16'):
        engines.open_model(path)
    assert not any(module.live.values())


def free_batch(model):
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = 'N'


def with_gears(model):
    entry = model.metadata_props.add()
    entry.key, entry.value = 'gears', '1,2,4'


@pytest.mark.parametrize('change', [free_batch, with_gears])
def test_dynamic_sizes_are_refused_by_name(acl, offline, change):
    module, path = acl(), offline(4, change)
    with pytest.raises(ValueError, match=f'{path}: has dynamic sizes'):
        engines.open_model(path)
    assert not any(module.live.values()) and not module.counts['rt.malloc']


def test_inputs_of_another_size_are_refused_before_the_device_sees_them(acl, offline, expected):
    module = acl()
    with engines.opened(offline(2)) as model:
        for wrong in (expected[0][:, :, :100], expected[0][:, :1], expected[0][0]):
            with pytest.raises(ValueError, match=r'the model accepts only \(N, 3, 114, 114\)'):
                model(wrong)
    assert not module.counts['mdl.execute']


def test_an_empty_batch_gives_an_empty_array_as_in_onnx_runtime(acl, offline, narrow):
    module, nothing = acl(), np.zeros((0, 3, 114, 114), np.float32)
    session = onnxruntime.InferenceSession(narrow[1], providers=['CPUExecutionProvider'])
    exact = session.run(None, {'image': nothing})[0]
    with engines.opened(offline(4)) as model:
        outputs = model(nothing)
    assert outputs.shape == exact.shape == (0, 3, 228, 228) and outputs.dtype == exact.dtype
    assert not module.counts['mdl.execute']


def test_a_failing_run_names_the_file_first_and_once(acl, offline, narrow, expected):
    acl(FAIL='mdl.execute')
    offline_path, grey = offline(4), np.zeros((2, 1, 114, 114), np.float32)
    wrong = {offline_path: r'acl\.mdl\.execute failed with', narrow[1]: r'\[ONNXRuntimeError\]'}
    for path, rest in wrong.items():
        with engines.opened(path) as model, pytest.raises(ValueError) as raised:
            model(expected[0][:2] if path == offline_path else grey)
        channels = 3 if path == offline_path else 1
        start = re.escape(f'{path}: the model failed on an input (2, {channels}, 114, 114): ')
        assert re.match(start + rest, str(raised.value)) and str(raised.value).count(path) == 1


# Every call of a run, some for the second time. Calls by `make` return a pointer or a number without an error code.
CALLS = """init rt.set_device rt.create_context rt.set_context mdl.load_from_file mdl.get_desc mdl.get_input_dims
    mdl.get_output_dims mdl.get_dynamic_batch rt.malloc rt.malloc:2 mdl.add_dataset_buffer mdl.add_dataset_buffer:2
    rt.malloc_host rt.memcpy rt.memcpy:2 rt.memcpy:3 mdl.execute mdl.execute:2 rt.free rt.free:2 rt.free_host
    destroy_data_buffer destroy_data_buffer:2 mdl.destroy_dataset mdl.destroy_dataset:2 mdl.destroy_desc mdl.unload
    rt.destroy_context rt.reset_device finalize""".split()
POINTERS = """mdl.create_desc mdl.get_num_inputs mdl.get_num_outputs mdl.get_input_size_by_index
    mdl.get_output_size_by_index mdl.create_dataset mdl.create_dataset:2 create_data_buffer create_data_buffer:2
    util.bytes_to_ptr util.ptr_to_bytes util.ptr_to_bytes:2""".split()


@pytest.mark.parametrize('call', CALLS + POINTERS)
def test_each_failing_call_is_named_and_nothing_is_left(acl, offline, expected, call):
    module, path = acl(FAIL=call), offline(4)
    with pytest.raises(ValueError) as raised:
        with engines.opened(path) as model:
            model(expected[0])
    name, code = f'acl.{call.split(":")[0]}', 0 if call in POINTERS else module.TOLD
    assert f'{name} failed with {code}: EZ9999: Inner Error!' in str(raised.value) and TOLD in str(raised.value)
    assert '\n' not in str(raised.value) and (path in str(raised.value) or call == 'finalize')
    assert {kind: things for kind, things in module.live.items() if things} == {}
    assert module.counts['finalize'] == (call != 'init')
    assert module.complaints == []


@pytest.mark.parametrize('call', ['mdl.load_from_file', 'mdl.execute', 'rt.free'])
def test_without_the_runtimes_text_the_error_has_the_code(acl, offline, expected, call):
    acl(OLD='1', FAIL=call)
    with pytest.raises(ValueError, match=rf'acl\.{call} failed with 507899$'):
        with engines.opened(offline(4)) as model:
            model(expected[0])


def test_the_first_error_is_reported_if_freeing_fails_too(acl, offline, expected, monkeypatch):
    module = acl(FAIL='mdl.execute')
    monkeypatch.setattr(module.rt, 'free', lambda pointer: 507000)
    with pytest.raises(ValueError, match='acl.mdl.execute failed'):
        with engines.opened(offline()) as model:
            model(expected[0])
    assert list(module.live['device memory']) and module.counts['mdl.unload'] == 1  # the rest was freed


def test_an_exception_in_a_call_becomes_one_line(acl, offline, monkeypatch):
    module = acl()
    monkeypatch.setattr(module.mdl, 'create_desc', lambda: 1 / 0)
    monkeypatch.setattr(module, 'get_recent_err_msg', lambda: 1 / 0)
    with pytest.raises(ValueError, match=r'rdn_x2_bs1.om: acl.mdl.create_desc: division by zero$'):
        with engines.opened(offline()):
            pass
    assert_all_freed(module)


@pytest.mark.parametrize(
    'call', ['rt.set_device', 'rt.create_context', 'mdl.load_from_file', 'rt.malloc', 'rt.malloc_host', 'mdl.execute']
)
def test_ctrl_c_in_the_middle_of_a_call_leaves_nothing_on_the_device(acl, offline, expected, call):
    module = acl(INTERRUPT=call)
    with pytest.raises(KeyboardInterrupt):
        with engines.opened(offline()) as model:
            model(expected[0])
    assert module.counts[call] and module.complaints == []
    assert_all_freed(module)


def test_ctrl_c_while_freeing_does_not_stop_it(acl, offline, expected):
    module = acl(INTERRUPT='rt.free_host')
    with pytest.raises(KeyboardInterrupt):
        with engines.opened(offline()) as model:
            model(expected[0])
    model.close()  # waits until the memory is freed
    assert not any(module.live.values()) and module.complaints == []


def test_threads_of_the_caller_share_a_model(acl, offline, expected):
    module = acl()
    with engines.opened(offline(2)) as model, ThreadPoolExecutor(4) as executor:
        batches = [expected[0][i % 5 : i % 5 + 1] for i in range(20)]
        for i, output in enumerate(executor.map(model, batches)):
            assert np.abs(output - expected[1][i % 5 : i % 5 + 1]).max() < 1e-6
    assert module.complaints == []
    assert_all_freed(module)


def test_several_models_and_devices_are_initialised_once_and_reset_after_the_last(acl, offline, expected):
    module, path = acl(), offline(2)
    with engines.opened(path, place=engines.Place(device_id=1)) as other:
        first, second = engines.open_model(path), engines.open_model(path)
        for model in (first, other, second):
            assert np.abs(model(expected[0]) - expected[1]).max() < 1e-6
        first.close()
        first.close()
        assert np.abs(second(expected[0]) - expected[1]).max() < 1e-6
        with pytest.raises(ValueError, match='is closed'):
            first(expected[0])
        second.close()
        assert module.counts['rt.set_device'] == 2 and module.counts['rt.reset_device'] == 1
    assert module.counts['rt.reset_device'] == 2 and module.complaints == []
    assert_all_freed(module)


def test_a_missing_device_is_named(acl, offline):
    module = acl(DEVICES='1')
    with pytest.raises(ValueError, match='acl.rt.set_device failed with 107001: .*no device 3'):
        with engines.opened(offline(), place=engines.Place(device_id=3)):
            pass
    assert_all_freed(module)


def test_an_unused_model_is_freed(acl, offline, expected):
    module = acl()
    model = engines.open_model(offline())
    model(expected[0])
    del model
    gc.collect()
    assert not any(module.live.values()) and module.complaints == []


@pytest.mark.slow
def test_a_program_that_closes_nothing_frees_all_at_its_end(offline, tmp_path):
    code = (
        'import sys, numpy as np; from rdn import engines\n'
        'model = sys.modules["kept"] = engines.open_model(sys.argv[1])\n'
        'model(np.zeros((1, 3, 114, 114), np.float32))'
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([PYACL, ROOT]), STANDIN_ACL_REPORT=str(tmp_path / 'r'))
    done = run_python('-c', code, offline(), env=environment)
    report = json.loads((tmp_path / 'r').read_text())
    assert (done.returncode, done.stdout, done.stderr, report['left']) == (0, '', '', {})
    assert report['calls']['finalize'] == 1 and report['complaints'] == []


@pytest.mark.parametrize(
    'content, words',
    [(None, ['No such file', 'pth2om.sh']), (b'', ['load_from_file failed with 500002']), (b'IMOD' + bytes(99), ['5'])],
)
def test_missing_and_corrupt_files_are_one_line(script, acl, tmp_path, content, words):
    module = acl()
    if content is not None:
        (tmp_path / 'rdn_x2_bs1.om').write_bytes(content)
    assert_refused(script('RDN_infer', f'-om_path={tmp_path}/rdn_x2_bs1.om', '-round=1'), 'rdn_x2_bs1.om', *words)
    assert not any(module.live.values())


@pytest.mark.parametrize(
    'flag, word', [('-precision=fp32', 'precision'), ('-provider=CPU', 'provider'), ('-profiling=prof', 'msprof')]
)
def test_flags_of_other_engines_are_refused(script, acl, offline, flag, word):
    module = acl()
    assert_refused(script('RDN_infer', f'-om_path={offline()}', '-round=1', flag), 'rdn_x2_bs1.om', word)
    assert not module.counts


# --- the search for the module


def place_module(folder):
    folder.mkdir(parents=True)
    shutil.copy(os.path.join(PYACL, 'acl.py'), str(folder))


@pytest.fixture
def no_acl(monkeypatch, tmp_path):
    """The folder of an empty toolkit; there is no module acl on PYTHONPATH."""
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'cann'))
    monkeypatch.setattr(sys, 'dont_write_bytecode', True)
    sys.modules.pop('acl', None)
    yield tmp_path / 'cann'
    sys.modules.pop('acl', None)


@pytest.mark.parametrize(
    'place',
    ['python/site-packages', 'pyACL/python/site-packages/acl', 'latest/python/site-packages']
    + ['x86_64-linux/python/site-packages', '8.0.RC1/pyACL/python/site-packages/acl'],
)
def test_the_module_is_found_in_the_toolkit(no_acl, offline, expected, place):
    place_module(no_acl / place)
    path_before = list(sys.path)
    with engines.opened(offline()) as model:
        assert np.abs(model(expected[0]) - expected[1]).max() < 1e-6
    assert sys.modules['acl'].__file__ == str(no_acl / place / 'acl.py') and sys.path == path_before


def test_the_module_of_pythonpath_comes_first(acl, no_acl, offline):
    place_module(no_acl / 'python' / 'site-packages')
    with engines.opened(offline()):
        assert sys.modules['acl'].__file__ == os.path.join(PYACL, 'acl.py')


def test_folders_and_other_modules_of_that_name_are_ignored(no_acl, offline, expected, monkeypatch, tmp_path):
    (tmp_path / 'first' / 'acl').mkdir(parents=True)
    (tmp_path / 'second').mkdir()
    (tmp_path / 'second' / 'acl.py').write_text('def permissions(): pass\n')
    for name in ('second', 'first'):
        monkeypatch.syspath_prepend(str(tmp_path / name))
    with pytest.raises(ValueError, match=r'second/acl.py is another module acl, not pyACL: source env.sh'):
        engines.open_model(offline())
    assert 'acl' not in sys.modules
    place_module(no_acl / 'pyACL' / 'python' / 'site-packages' / 'acl')
    with engines.opened(offline()) as model:
        assert np.abs(model(expected[0]) - expected[1]).max() < 1e-6


def test_a_module_whose_libraries_are_missing_says_what_to_do(script, no_acl, offline):
    (no_acl / 'python' / 'site-packages').mkdir(parents=True)
    text = 'raise ImportError("libascendcl.so: cannot open shared object file")\n'
    (no_acl / 'python' / 'site-packages' / 'acl.py').write_text(text)
    ended = script('RDN_infer', f'-om_path={offline()}', '-round=1')
    assert_refused(ended, 'rdn_x2_bs1.om', 'acl.py cannot be loaded', 'libascendcl.so', 'source env.sh', '.onnx')
    assert 'acl' not in sys.modules


def test_other_models_do_not_import_the_module(no_acl, narrow, monkeypatch, tmp_path):
    (tmp_path / 'acl.py').write_text('raise SystemExit("imported")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with engines.opened(narrow[1], place=engines.Place('CPU')) as model:
        assert model.spent is None and model.chip == run_record.HOST
    assert 'acl' not in sys.modules


def test_onnx_runtime_on_a_device_is_recorded_by_its_providers_name(narrow, monkeypatch):
    monkeypatch.setattr(onnxruntime.InferenceSession, 'get_providers', lambda self: ['CUDAExecutionProvider'])
    assert engines.OnnxRuntime(narrow[1]).chip == 'CUDA'


# --- the scripts, in separate processes


@pytest.fixture
def on_device(tmp_path, monkeypatch):
    """on_device('RDN_infer.py', flag, ..., FAIL=...): runs a script in a process with the module acl.

    Returns (the finished process, the stand-in's report).
    """
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'cann'))

    def call(name, *flags, **variables):
        report = tmp_path / 'acl.json'
        environment = dict(os.environ, PYTHONPATH=PYACL, STANDIN_ACL_REPORT=str(report))
        environment.update({f'STANDIN_ACL_{key}': value for key, value in variables.items()})
        done = run_python(os.path.join(ROOT, name), *flags, env=environment)
        found = json.loads(report.read_text())
        assert found['left'] == {} and found['calls']['init'] == 1 and found['calls'].get('finalize', 0) == 1
        return done, found

    return call


def test_the_script_does_benchmarks_job(script, on_device, dataset, narrow, offline):
    (dataset / 'cann').mkdir()
    (dataset / 'cann' / 'ascend_toolkit_install.info').write_text('version=8.1.RC1\n')
    assert script('RDN_infer', f'-om_path={narrow[1]}', *INFER).status == 0
    shutil.move(DUMP, 'host')
    flags = [flag for flag in INFER if 'batch_size' not in flag]
    slow = {'SLEEP': 'rt.memcpy:0.3'}
    done, report = on_device('RDN_infer.py', f'-om_path={offline(2)}', '-batch_size=2', *flags, **slow)
    assert (done.returncode, done.stderr, report['complaints']) == (0, '', [])
    assert sorted(os.listdir(DUMP)) == sorted(os.listdir('host'))
    for name in os.listdir('host'):
        actual, exact = (np.fromfile(os.path.join(folder, name), np.float32) for folder in (DUMP, 'host'))
        assert np.abs(actual - exact).max() < 1e-6
    with open('result/perf_vision_batchsize_2_device_0.txt') as file:
        text = file.read()
    # Three batches of two images, the last one padded. Each copy takes 300 ms, so 150 ms per image and direction.
    latency = float(re.findall(r'Interface throughputRate: [\d.]+, moduleLatency: ([\d.]+)', text)[0])
    whole = float(re.findall(r'\[e2e\] throughputRate: .*, latency: ([\d.]+)', text)[0])
    assert latency < 180 and whole > 1800 and text.count('\n') == 6
    copies = re.findall(r'([\d.]+) ms per image to the device \(H2D\), ([\d.]+) ms back \(D2H\)', done.stdout)[0]
    assert all(float(copy) >= 150 for copy in copies)
    for target in (DUMP, 'result/perf_vision_batchsize_2_device_0.txt'):
        record = run_record.read(target)
        assert record and (record.engine, record.version, record.chip) == ('pyACL', 'CANN 8.1.RC1', '310P3')
        assert record.batch_size == 2 and record.precision is None


def test_a_toolkit_without_a_version_is_recorded_as_unknown(on_device, dataset, offline):
    done, _ = on_device('RDN_infer.py', f'-om_path={offline(1)}', *INFER)
    assert (done.returncode, done.stderr) == (0, '')
    with open('result/dumpOutput_device0.run.json') as file:
        assert json.load(file)['version'] is None
    record = run_record.read(DUMP)
    assert record and record.describe() == 'RDN_infer.py (pyACL) on 310P3, batches of 1'


def test_pure_inference_counts_only_the_device(on_device, offline, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [f'-om_path={offline(4)}', '-round=2', '-batch_size=4', '-device_id=1']
    done, report = on_device('RDN_infer.py', *flags, SLEEP='rt.memcpy:0.4')
    assert (done.returncode, done.stderr, report['calls']['mdl.execute']) == (0, '', 3)
    text = (tmp_path / 'result' / 'PureInfer_perf_of_rdn_x2_bs4_in_device_1.txt').read_text()
    assert text in done.stdout
    latency = float(re.findall(r'ave_latency: ([\d.]+)ms\n$', text)[0])
    assert latency < 100  # the copies alone take 200 ms per image


@pytest.mark.parametrize('call', ['rt.set_device', 'mdl.execute:2', 'rt.memcpy:6', 'rt.free', 'finalize'])
def test_a_failing_call_ends_the_script_in_one_line(on_device, dataset, offline, call):
    done, _ = on_device('RDN_infer.py', f'-om_path={offline(1)}', *INFER, FAIL=call)
    assert done.returncode == 1 and done.stderr.count('\n') == 1 and 'Traceback' not in done.stderr
    assert f'acl.{call.split(":")[0]} failed with 507899' in done.stderr
    assert os.path.isdir(DUMP) == (call in ('rt.free', 'finalize'))


def test_ctrl_c_ends_the_script_with_nothing_left(on_device, dataset, offline):
    done, report = on_device('RDN_infer.py', f'-om_path={offline(1)}', *INFER, INTERRUPT='mdl.execute')
    assert (done.returncode, done.stderr, report['complaints']) == (130, 'RDN_infer.py: interrupted\n', [])
    assert not os.path.exists(DUMP)


def test_pictures_are_enlarged_in_batches_of_the_models_size(on_device, offline, photo, narrow, tmp_path):
    photo.save(str(tmp_path / 'a.png'))  # 201 x 127 pixels: four tiles of 114 x 114
    flags = [f'--input={tmp_path}/a.png', f'--output={tmp_path}/large.png', f'--model={offline(3)}']
    done, report = on_device('RDN_upscale.py', *flags)
    assert (done.returncode, done.stderr, report['complaints']) == (0, '', [])
    assert (
        'x2 on pyACL' in done.stdout and report['calls']['mdl.execute'] == 3 + 2
    )  # one run for the scale, two for the time
    with Image.open(str(tmp_path / 'large.png')) as large:
        assert difference(large, reference(narrow, np.asarray(photo) / 255)) <= 1


@pytest.mark.parametrize('call, named', [('mdl.execute:4', 'a.png'), ('rt.reset_device', 'rdn_x2_bs4.om')])
def test_a_failing_call_ends_the_enlarging_in_one_line(on_device, offline, photo, tmp_path, call, named):
    photo.save(str(tmp_path / 'a.png'))
    flags = [f'--input={tmp_path}/a.png', f'--output={tmp_path}/large.png', f'--model={offline(4)}']
    done, _ = on_device('RDN_upscale.py', *flags, FAIL=call)
    assert done.returncode == 1 and done.stderr.count('\n') == 1 and named in done.stderr
    assert f'acl.{call.split(":")[0]} failed with 507899' in done.stderr


def test_the_python_api_accepts_an_offline_model(acl, offline, photo, narrow):
    module = acl()
    upscale = Upscaler(offline(2))
    assert difference(upscale(photo), reference(narrow, np.asarray(photo) / 255)) <= 1
    del upscale
    gc.collect()
    assert not any(module.live.values()) and module.complaints == []


def test_a_cluster_run_refuses_an_offline_model(script, offline, photo, tmp_path):
    (tmp_path / 'in').mkdir()
    photo.save(str(tmp_path / 'in' / 'a.png'))
    flags = ['--cluster', f'--input={tmp_path}/in', f'--output={tmp_path}/out', f'--model={offline()}']
    assert_refused(script('RDN_upscale', *flags), 'rdn_x2_bs1.om', '.onnx')
