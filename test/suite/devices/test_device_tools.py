"""The vendor's programs: which one is chosen and why, how it is called, and which files remain if it fails."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from rdn import configuration, run_record
from rdn.devices import ais_bench, atc, base, benchmark, chip, choice, outputs, record, runner

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers import BARE_PATH, ROOT, snapshot


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """machine('atc', 'benchmark.x86_64'): puts dummy programs on an otherwise empty PATH; returns their folder."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', f'{folder}:{BARE_PATH}')
    monkeypatch.delenv('AIS_BENCH', raising=False)
    monkeypatch.setattr('rdn.ROOT', str(tmp_path))

    def install(*names, python_has_ais_bench=False):
        for name in names:
            (folder / name).write_text('#!/bin/sh\n')
        (folder / 'python3').write_text(f'#!/bin/sh\nexit {0 if python_has_ais_bench else 1}\n')
        for path in folder.iterdir():
            path.chmod(0o755)
        return folder

    return install


BENCHMARK = 'benchmark.' + os.uname().machine


@pytest.mark.parametrize(
    'here, ais_bench, chosen, reason',
    [
        (['atc', BENCHMARK], True, 'benchmark', 'atc and '),
        (['atc'], True, 'ais_bench', f'atc and python3 -m ais_bench are here, no {BENCHMARK}'),
        (['atc'], False, 'host', f'atc is here, but no {BENCHMARK} in this folder or on PATH, and no ais_bench in '),
        ([BENCHMARK], False, 'host', f"{BENCHMARK} is here, but no atc on PATH: source the toolkit's set_env.sh"),
        ([], True, 'host', 'ais_bench is here, but no atc'),
        ([], False, 'host', f'neither atc nor {BENCHMARK} nor ais_bench nor pyACL here'),
    ],
)
def test_the_first_installed_tool_is_chosen_with_a_reason(machine, here, ais_bench, chosen, reason):
    machine(*here, python_has_ais_bench=ais_bench)
    device, why = choice.choose(None)
    assert device.name == chosen and why.startswith(reason), why


def test_a_named_tool_is_used_or_reported_missing(machine, monkeypatch):
    folder = machine('atc', BENCHMARK, python_has_ais_bench=True)
    monkeypatch.setenv('PYTHONPATH', os.path.join(ROOT, 'test', 'standins', 'pyacl'))
    assert [choice.choose(name).device.name for name in choice.NAMES] == list(choice.NAMES)
    (folder / BENCHMARK).unlink()
    machine()
    with pytest.raises(ValueError, match=f'--with=benchmark: no {BENCHMARK}'):
        choice.choose('benchmark')
    with pytest.raises(ValueError, match='--with=ais_bench: no ais_bench in .*AIS_BENCH='):
        choice.choose('ais_bench')
    (folder / 'atc').unlink()
    with pytest.raises(ValueError, match='--with=ais_bench needs atc'):
        choice.choose('ais_bench')


def test_a_benchmark_that_is_not_executable_is_reported(machine, tmp_path):
    machine('atc')
    (tmp_path / BENCHMARK).write_text('')
    assert f'{BENCHMARK} is not executable (chmod +x {BENCHMARK})' in choice.choose(None).reason
    (tmp_path / BENCHMARK).chmod(0o755)
    assert choice.choose(None).device.command() == [f'./{BENCHMARK}']


def test_ais_bench_can_be_named_by_a_variable(machine, monkeypatch, tmp_path):
    folder = machine('atc', 'py')
    monkeypatch.setenv('AIS_BENCH', f'{folder}/py -m ais_bench')
    assert choice.choose(None).device.command() == [f'{folder}/py', '-m', 'ais_bench']
    (tmp_path / 'ab.py').write_text('')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('AIS_BENCH', f'{folder}/py ./ab.py')
    assert choice.choose(None).device.command() == [
        f'{folder}/py',
        str(tmp_path / 'ab.py'),
    ]  # absolute, because it is called from another folder
    monkeypatch.setenv('AIS_BENCH', "'py")
    with pytest.raises(ValueError, match="AIS_BENCH='py: "):
        choice.choose(None)
    monkeypatch.setenv('AIS_BENCH', '/nowhere/python3 -m ais_bench')
    with pytest.raises(ValueError, match='AIS_BENCH=/nowhere/python3 -m ais_bench: no such program'):
        choice.choose(None)


def test_a_folder_of_that_name_is_not_the_module(tmp_path, monkeypatch):
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'atc').write_text('#!/bin/sh\n')
    (tmp_path / 'bin' / 'python3').write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in ('atc', 'python3'):
        (tmp_path / 'bin' / name).chmod(0o755)
    (tmp_path / 'ais_bench').mkdir()
    (tmp_path / 'ais_bench' / 'ais_bench-0.0.2-py3-none-any.whl').write_text('')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('AIS_BENCH', raising=False)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{BARE_PATH}')
    assert choice.choose(None).device.name == 'host'


@pytest.fixture
def python_with(tmp_path, monkeypatch):
    """python_with('ais_bench/__main__.py'): makes a server whose python3 has only these modules; returns it."""
    folder, site = tmp_path / 'bin', tmp_path / 'site'
    folder.mkdir()
    (folder / 'atc').write_text('#!/bin/sh\n')
    (folder / 'python3').write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    for path in folder.iterdir():
        path.chmod(0o755)
    monkeypatch.delenv('AIS_BENCH', raising=False)
    monkeypatch.setenv('PATH', f'{folder}:{BARE_PATH}')
    monkeypatch.setattr('rdn.ROOT', str(tmp_path))

    def make(*modules):
        for name in modules:
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text('raise RuntimeError("the question imported it")\n')
        return str(folder / 'python3')

    return make


TOOL = ('ais_bench/__init__.py', 'ais_bench/__main__.py', 'ais_bench/infer/__init__.py')
NAMESAKE = ('ais_bench/benchmark/__init__.py', 'ais_bench/benchmark/cli/main.py')


@pytest.mark.parametrize('modules', [TOOL, TOOL[1:], (*TOOL, *NAMESAKE)])
def test_ais_bench_is_the_module_with_main_and_infer(python_with, monkeypatch, modules):
    python = python_with(*modules)
    assert choice.choose(None).device.command() == ['python3', '-m', 'ais_bench']
    monkeypatch.setenv('AIS_BENCH', f'{python} -m ais_bench')
    assert choice.choose(None).device.command() == [python, '-m', 'ais_bench']


@pytest.mark.parametrize('modules', [NAMESAKE, ('ais_bench/__init__.py', *NAMESAKE), TOOL[:2], TOOL[:1]])
def test_the_other_package_named_ais_bench_is_reported(python_with, monkeypatch, modules):
    python = python_with(*modules)
    words = f'the ais_bench in {python} is another package, ais-bench-benchmark .* AIS_BENCH=.* pyACL'
    with pytest.raises(ValueError, match=f'--with=ais_bench: {words}'):
        choice.choose('ais_bench')
    device, reason = choice.choose(None)
    assert device.name == 'host' and re.search(words, reason)
    monkeypatch.setenv('AIS_BENCH', f'{python} -m ais_bench')
    with pytest.raises(ValueError, match=f'AIS_BENCH={python} -m ais_bench: {words}'):
        choice.choose(None)


def test_a_python_without_ais_bench_is_named(python_with):
    python = python_with('another/__init__.py')
    with pytest.raises(ValueError, match=f'--with=ais_bench: no ais_bench in {python} '):
        choice.choose('ais_bench')


def test_without_atc_converted_models_can_be_measured(machine):
    machine(python_has_ais_bench=True)
    assert choice.choose(None, converts=False).device.name == 'ais_bench'
    assert choice.choose('ais_bench', converts=False).reason == 'as asked'


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason='this Python is not in a virtual environment')
def test_programs_run_outside_the_virtual_environment(monkeypatch):
    inner = os.path.join(sys.prefix, 'bin')
    monkeypatch.setenv('PATH', f'{inner}:/usr/bin:{inner}/:/bin')
    monkeypatch.setenv('VIRTUAL_ENV', sys.prefix)
    environment = runner.outer_environment()
    assert environment['PATH'] == '/usr/bin:/bin' and 'VIRTUAL_ENV' not in environment


def run(command, log):
    runner.LOCAL.run(runner.Call(command, log))


def test_a_failing_programs_last_lines_and_log_are_named(tmp_path, capsys):
    log = str(tmp_path / 'logs' / 'tool.log')
    with pytest.raises(ValueError, match=f'sh ended with status 3; its output is in {log}'):
        run(['sh', '-c', 'for i in $(seq 30); do echo line $i; done; echo E10001 >&2; exit 3'], log)
    out, err = capsys.readouterr()
    assert out.splitlines()[-31:] == [f'line {i}' for i in range(1, 31)] + ['E10001']
    assert err.splitlines() == [f'line {i}' for i in range(22, 31)] + ['E10001']
    with open(log) as file:
        assert file.read() == '\n'.join(out.splitlines()[-31:]) + '\n'
    with pytest.raises(ValueError, match='sh was killed by SIGKILL'):
        run(['sh', '-c', 'kill -9 $$'], log)
    with pytest.raises(ValueError, match='/nowhere cannot be run'):
        run(['/nowhere'], log)


def test_an_interrupted_walk_ends_all_its_processes(tmp_path):
    """This includes ais_bench's own processes, which their parent leaves behind."""
    code = f'from rdn import cli; from rdn.devices import runner; cli.run(lambda: runner.LOCAL.run(runner.Call({["sh", "-c", "sleep 1000 & echo $!; sleep 1000"]}, "x/log")))'
    environment = dict(os.environ, PYTHONPATH=ROOT)
    process = subprocess.Popen(
        [sys.executable, '-c', code], cwd=str(tmp_path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    lines = [process.stdout.readline() for _ in range(3)]  # the command and its output
    child = int(lines[2])
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    for _ in range(100):
        if not is_running(child):
            break
        time.sleep(0.1)
    assert not is_running(child)
    process.stdout.close()
    process.stderr.close()


def test_a_process_left_by_a_killed_tool_does_not_block_the_walk(tmp_path, monkeypatch):
    """The process keeps the tool's output open, so reading to the end of the output would wait for it."""
    monkeypatch.setattr(runner, 'SECONDS_OF_OUTPUT', 0.5)
    start = time.monotonic()
    with pytest.raises(ValueError, match='sh was killed by SIGKILL'):
        run(['sh', '-c', 'sleep 1000 & kill -9 $$'], str(tmp_path / 'x' / 'log'))
    assert time.monotonic() - start < 60


@pytest.mark.parametrize('number, status', [(signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_a_closed_terminal_or_a_kill_also_ends_the_tool(tmp_path, number, status):
    command = ['sh', '-c', 'echo $$; exec sleep 1000']
    code = f'from rdn import cli; from rdn.devices import runner; cli.run(lambda: runner.LOCAL.run(runner.Call({command}, "x/log")))'
    environment = dict(os.environ, PYTHONPATH=ROOT)
    with subprocess.Popen(
        [sys.executable, '-c', code],
        cwd=str(tmp_path),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup makes programs ignore it
    ) as process:
        assert process.stdout
        child = int([process.stdout.readline() for _ in range(3)][2])
        try:
            process.send_signal(number)
            assert process.wait(30) == status
            for _ in range(100):
                if not is_running(child):
                    break
                time.sleep(0.1)
            assert not is_running(child)
        finally:
            process.kill()


def is_running(number):
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().split()[2] != 'Z'
    except OSError:
        return False


# --- atc and ais_bench on prepared photographs


@pytest.fixture
def project(dataset, narrow, modern, monkeypatch):
    """A working folder with five inputs and rdn_x2.onnx, and current tools for a 310P3."""
    modern()
    os.symlink(narrow[1], 'rdn_x2.onnx')
    for name in ('ROUNDS', 'LEAST_ROUNDS'):
        monkeypatch.setattr(ais_bench, name, 3)
    return dataset


CONFIG = configuration.Configuration('narrow.pth', 2)


def convert(batch_size, soc_version='Ascend310P3'):
    return atc.convert(CONFIG, batch_size, soc_version)


def measure(batch_size, converted=False, prepared='prep_dataset', claimed=None, device=0):
    """Convert a model, unless it is `converted` already, and run it by ais_bench with the batch size `claimed`."""
    model = f'rdn_x2_bs{batch_size}.om' if converted else convert(batch_size)
    if claimed:
        shutil.copy(model, f'rdn_x2_bs{claimed}.om')
    config, folder = CONFIG._replace(prepared=prepared), f'result/bs{batch_size}'
    job = base.Job(config, claimed or batch_size, device, chip.Chip('310P3'), folder, step=print)
    return ais_bench.AisBench().infer(job)


def assert_outputs(folder, prepared, narrow):
    session = onnxruntime.InferenceSession(narrow[1], providers=['CPUExecutionProvider'])
    inputs, _ = prepared
    assert outputs.list_outputs(folder) == sorted(f'{stem}_0.bin' for stem in inputs)
    for stem, image in inputs.items():
        expected = session.run(None, {'image': image[np.newaxis]})[0]
        actual = np.fromfile(os.path.join(folder, f'{stem}_0.bin'), np.float32).reshape(expected.shape)
        assert np.abs(actual - expected).max() < 1e-6


@pytest.mark.parametrize('batch_size', [1, 4])
def test_ais_bench_computes_the_prepared_images(project, prepared, narrow, batch_size):
    run = measure(batch_size)
    assert run.outputs == f'result/bs{batch_size}/dumpOutput_device0'
    assert_outputs(run.outputs, prepared, narrow)
    for path, times in ((run.speed, 5 if batch_size == 1 else 2), (run.pure_speed, 3)):
        with open(path) as file:
            summary = json.load(file)
        assert summary['NPU_compute_time']['count'] == times
        rate = 1000 * batch_size / summary['NPU_compute_time']['mean']
        assert summary['throughput'] == pytest.approx(rate)
    assert not [name for name in snapshot('result') if '.partial' in name]


def test_the_offline_model_has_the_batch_size_and_the_chip_of_its_name(project):
    assert convert(4) == 'rdn_x2_bs4.om'
    with open('rdn_x2_bs4.om', 'rb') as file:
        model = onnx.load_from_string(file.read()[4:])
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4
    assert model.producer_version == 'Ascend310P3'


def test_atc_runs_in_the_servers_own_python(project, monkeypatch):
    """In the project's virtual environment, TBE would not find CANN's packages."""
    monkeypatch.setattr(runner, 'outer_environment', lambda: dict(os.environ))
    monkeypatch.setenv('PATH', os.path.dirname(sys.executable), prepend=os.pathsep)
    with pytest.raises(ValueError, match='atc ended with status 1'):
        convert(1)
    with open('result/bs1/atc.log') as file:
        assert 'Failed to import Python module' in file.read()
    assert not os.path.exists('rdn_x2_bs1.om')


def test_a_failing_atc_leaves_the_earlier_model(project, modern):
    convert(1)
    with open('rdn_x2_bs1.om', 'rb') as file:
        before = file.read()
    for body in ('exit 1', 'echo ATC run success'):
        (modern() / 'atc').write_text(f'#!/bin/sh\n{body}\n')
        with pytest.raises(ValueError, match='result/bs1/atc.log'):
            convert(1)
        with open('rdn_x2_bs1.om', 'rb') as file:
            assert file.read() == before


@pytest.mark.parametrize('spoil', ['mode of inputs', 'mode of model', 'link', 'foreign file', 'space', 'owner'])
def test_files_that_ais_bench_refuses_are_copied(project, prepared, narrow, spoil):
    model, prepared_folder = convert(4), 'prep_dataset'
    if spoil == 'mode of inputs':
        os.chmod('prep_dataset/data/coffee.bin', 0o664)
    elif spoil == 'mode of model':
        os.chmod(model, 0o666)
    elif spoil == 'link':
        os.rename('prep_dataset/data/coffee.bin', 'coffee.bin')
        os.symlink('../../coffee.bin', 'prep_dataset/data/coffee.bin')
    elif spoil == 'foreign file':
        (project / 'prep_dataset' / 'data' / 'notes.txt').write_text('of someone')
    elif spoil == 'owner' and os.geteuid() == 0:
        os.chown('prep_dataset/data/coffee.bin', 12345, 12345)
    elif spoil == 'space':
        os.rename(str(project / 'prep_dataset'), str(project / 'my prep'))
        prepared_folder = 'my prep'
    run = measure(4, True, prepared_folder)
    assert_outputs(run.outputs, prepared, narrow)


def test_in_a_folder_that_ais_bench_refuses_the_work_is_done_elsewhere(
    project, prepared, narrow, tmp_path, monkeypatch
):
    place = tmp_path / 'my own (照片)'
    place.mkdir()
    for name in ('prep_dataset', 'rdn_x2.onnx'):
        os.rename(name, str(place / name))
    monkeypatch.chdir(place)
    run = measure(4)
    assert_outputs(run.outputs, prepared, narrow)
    assert sorted(os.listdir('result/bs4')) == [
        'ais_bench.log',
        'ais_bench_pure.log',
        'atc.log',
        'dumpOutput_device0',
        'dumpOutput_device0_summary.json',
        'pure_summary.json',
    ]


@pytest.mark.slow
def test_umask_and_modes_of_earlier_folders_do_not_matter(project, prepared, narrow):
    mask = os.umask(0o002)
    try:
        os.makedirs('result/bs4')
        os.chmod('result', 0o755)
        os.chmod('result/bs4', 0o777)
        assert_outputs(measure(4).outputs, prepared, narrow)
    finally:
        os.umask(mask)


def test_images_of_one_prefix_are_refused_with_their_names_before_anything_runs(project):
    convert(1)
    os.rename('prep_dataset/data/coffee.bin', 'prep_dataset/data/rocket.2.bin')
    with pytest.raises(ValueError, match='rocket and rocket.2: ais_bench cuts names at the first dot'):
        measure(1, True)
    assert not os.path.exists('result/bs1/ais_bench.log')


def test_a_wrong_batch_size_is_detected(project):
    """ais_bench itself accepts it, and would report four times the speed."""
    with pytest.raises(ValueError, match='ran the model 5 times for 5 images: its batch size is not 4'):
        measure(1, claimed=4)
    assert not os.path.exists('result/bs1/dumpOutput_device0')


def test_a_model_for_another_chip_fails_with_the_tools_words(project, capfd):
    convert(1, 'Ascend310B4')
    with pytest.raises(ValueError, match='ais_bench ended with status 1; its output is in result/bs1/ais_bench.log'):
        measure(1, True)
    assert 'soc version of the model is Ascend310B4' in capfd.readouterr().err


@pytest.mark.slow
def test_a_killed_ais_bench_leaves_the_earlier_results(project, modern):
    measure(1)
    before = {name: content for name, content in snapshot('result').items() if not name.endswith('.log')}
    python = modern() / 'python3'
    killed = '#!/bin/sh\ncase "$*" in *--loop*) kill -9 $$ ;; esac\n'
    python.write_text(python.read_text().replace('#!/bin/sh\n', killed))
    with pytest.raises(ValueError, match='ais_bench was killed by SIGKILL'):
        measure(1, True)
    assert {name: content for name, content in snapshot('result').items() if not name.endswith('.log')} == before


@pytest.mark.slow
def test_another_device_replaces_the_earlier_results(project, modern):
    modern('300I Duo')
    runs, source = [], record.Source('ais_bench', None, chip.Chip('310P3', 2))
    for device in (0, 1):
        runs.append(measure(1, device=device))
        for target in filter(None, runs[-1]):
            run_record.write(target, record.make(source, 1, 'rdn_x2_bs1.om', None))
        outputs.remove_others('result/bs1', runs[-1])
    names = set(os.listdir('result/bs1'))
    assert 'dumpOutput_device1' in names and 'dumpOutput_device1.run.json' in names
    assert not [name for name in names if 'device0' in name]


def test_the_target_of_a_link_is_never_removed(project, tmp_path):
    run = measure(1)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'a_1.txt').write_text('1')
    os.symlink(str(tmp_path / 'mine'), 'result/bs1/dumpOutput_device7')
    outputs.remove_others('result/bs1', run)
    assert (tmp_path / 'mine' / 'a_1.txt').exists() and os.path.islink('result/bs1/dumpOutput_device7')


@pytest.mark.slow
def test_a_summary_may_be_in_the_older_place_or_missing(project, modern, tmp_path):
    python = modern() / 'python3'
    body = python.read_text()
    folder = 'd=$(echo "$*" | sed "s/.*--output \\([^ ]*\\) .*/\\1/"); '
    move = folder + 'for s in $d/*_summary.json; do f=${s%_summary.json}; '
    python.write_text(body.replace('exec ', '') + move + '[ ! -d $f ] || mv $s $f/sumary.json; done\n')
    run = measure(1)
    assert run.speed == 'result/bs1/dumpOutput_device0_summary.json' and os.path.exists(run.pure_speed)
    python.write_text(body.replace('exec ', '') + move + 'rm -f $s; done\n')
    run = measure(1)
    assert run.speed == 'result/bs1/ais_bench.log' and run.pure_speed == 'result/bs1/ais_bench_pure.log'
    assert not os.path.exists('result/bs1/pure_summary.json')  # that of the run before


# --- a remote machine


class Elsewhere(runner.Runner):
    """Runs programs like a remote machine would: on copies of the files that a Call lists."""

    def __init__(self, place):
        self.place, self.names = str(place), []

    def run(self, call):
        folder = os.path.realpath(call.folder)
        for path in (folder, *call.reads):
            copy = self.place + path
            if not os.path.exists(copy):  # for example a file in the folder
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, copy)
        command = [
            next((self.place + word for path in (folder, *call.reads) if word.startswith(path)), word)
            for word in call.command
        ]
        os.rename(folder, f'{folder}.away')  # a path that leads back here fails
        try:
            super().run(call._replace(command=command, folder=self.place + folder))
        finally:
            os.rename(f'{folder}.away', folder)
        shutil.rmtree(folder)
        shutil.copytree(self.place + folder, folder)
        shutil.rmtree(self.place)
        self.names.append(call.name or os.path.basename(call.command[0]))


@pytest.mark.parametrize('kind', [ais_bench.AisBench, benchmark.Benchmark])
def test_a_remote_runner_receives_every_file_that_a_device_needs(project, modern, prepared, narrow, tmp_path, kind):
    folder = modern()
    name = f'benchmark.{os.uname().machine}'
    standin = os.path.join(ROOT, 'test', 'standins', 'benchmark.x86_64')
    (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {standin} "$@"\n')
    (folder / name).chmod(0o755)
    with open('RDN_prep_bin.info', 'w') as file:
        lines = [benchmark.InfoLine(f'./prep_dataset/data/{stem}.bin', 114, 114) for stem in sorted(prepared[0])]
        file.write(benchmark.format_info(lines))
    programs = Elsewhere(tmp_path / 'elsewhere')
    device = kind(programs)
    assert device.convert(CONFIG, 1, 'Ascend310P3') == device.model(CONFIG, 1) == 'rdn_x2_bs1.om'
    job = base.Job(CONFIG, 1, 0, chip.Chip('310P3'), 'result/bs1', step=print)
    run = device.infer_and_record(job)
    assert len(programs.names) == 3 and programs.names[0] == 'atc'
    for stem, image in prepared[0].items():
        session = onnxruntime.InferenceSession(narrow[1], providers=['CPUExecutionProvider'])
        expected = session.run(None, {'image': image[np.newaxis]})[0]
        path = outputs.find_outputs(run.outputs, list(prepared[0]))[stem]
        assert np.abs(outputs.read_outputs(path, expected.shape) - expected).max() < 1e-5
    written = run_record.read(run.outputs)
    assert written and written.tool == device.name and written.chip == '310P3'
