"""Fixtures of the tests: real photographs, exported networks, and calls of scripts as by a user."""

import collections
import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys

from pictures.cluster import stores
from rdn import cli, cpu
from rdn.engines import choice

import numpy as np
import pytest
from PIL import Image

import models
import sample_images
from helpers import (
    BARE_PATH,
    FULL,
    INFER,
    LITE,
    MEMORY,
    ROOT,
    TINY,
    Ended,
    install_standin,
    listing,
    prepare,
    run_python,
)
from vendor import CANN6, vendor_source

OPEN_LOSSY = choice._open_lossy

TORCH_THREADS = models.torch.get_num_threads()  # the default of a new process


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Make tests compute in fp32 on every machine, even if another precision is faster; `lossy` undoes this."""
    monkeypatch.setattr(choice, '_open_lossy', lambda request: (None, []))


@pytest.fixture
def lossy(exact, monkeypatch):
    """Restore the default for users: the fastest engine that loses little."""
    monkeypatch.setattr(choice, '_open_lossy', OPEN_LOSSY)


@pytest.fixture
def script(capsys, monkeypatch):
    """script('RDN_preprocess', '--src-path=...') runs a script in this process; it returns (status, out, err)."""

    def call(name, *arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, 'argv', [name + '.py'] + [str(argument) for argument in arguments])
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                module = f'rdn.acceptance.{name}' if name in ('parse', 'accept', 'batches') else name
                cli.run(importlib.import_module(module).main)
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.fixture(scope='session')
def photos():
    """Paths of five real photographs."""
    return sample_images.sample_paths()


@pytest.fixture
def image_folder(tmp_path, photos):
    """A folder with the five photographs and nothing else."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for path in photos:
        shutil.copy(path, str(folder))
    return folder


@pytest.fixture(scope='session')
def lite_onnx(tmp_path_factory):
    """The compact network, exported."""
    path = tmp_path_factory.mktemp('model') / 'rdn_x2.onnx'
    done = run_python('RDN_pth2onnx.py', '--input-file=' + LITE, f'--output-file={path}', cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return str(path)


@pytest.fixture(scope='session')
def narrow(tmp_path_factory):
    """(weights, ONNX) of a network that sees 6 pixels far, so tiles that overlap by 16 equal the whole image.

    It repeats each pixel, and small random weights change the result a little.
    """
    folder = tmp_path_factory.mktemp('narrow')
    models.torch.manual_seed(0)
    network = models.RDN(2, 3, 8, 8, 1, 1)
    with models.torch.no_grad():
        for tensor in network.parameters():
            tensor.mul_(0.1)
        for channel in range(3):
            network.sfe1.weight[channel, channel, 1, 1] += 1
            network.upscale[0].weight[4 * channel : 4 * channel + 4, channel, 1, 1] += 1
            network.output.weight[channel, channel, 1, 1] += 1
    models.torch.save(network.state_dict(), str(folder / 'narrow.pth'))
    done = run_python(
        'RDN_pth2onnx.py',
        f'--input-file={folder / "narrow.pth"}',
        f'--output-file={folder / "narrow.onnx"}',
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return str(folder / 'narrow.pth'), str(folder / 'narrow.onnx')


@pytest.fixture(scope='session')
def prepared(tmp_path_factory, photos):
    """(inputs, labels) of the five photographs, by stem: float32 (3, 114, 114) and (3, 228, 228).

    They are computed with numpy and Pillow alone, as the documentation describes them.
    """
    inputs, labels = collections.OrderedDict(), collections.OrderedDict()
    for path in sorted(photos, key=os.path.basename):
        picture = np.asarray(Image.open(path).convert('RGB'))
        top, left = (picture.shape[0] - 228) // 2, (picture.shape[1] - 228) // 2
        crop = picture[top : top + 228, left : left + 228]
        small = np.asarray(Image.fromarray(crop).resize((114, 114), Image.BICUBIC))
        stem = os.path.splitext(os.path.basename(path))[0]
        labels[stem] = np.moveaxis(crop / 255.0, 2, 0).astype(np.float32)
        inputs[stem] = np.moveaxis(small / 255.0, 2, 0).astype(np.float32)
    return inputs, labels


@pytest.fixture
def dataset(tmp_path, prepared, monkeypatch):
    """The current folder, a new one with the prepared files and RDN_prep_bin.info in it."""
    monkeypatch.chdir(tmp_path)
    inputs, labels = prepared
    (tmp_path / 'prep_dataset' / 'data').mkdir(parents=True)
    (tmp_path / 'prep_dataset' / 'label').mkdir()
    lines = []
    for index, stem in enumerate(inputs):
        path = f'./prep_dataset/data/{stem}.bin'
        inputs[stem].tofile(path)
        np.save(f'./prep_dataset/label/{stem}.npy', labels[stem][np.newaxis])
        lines.append(f'{index} {path} 114 114\n')
    (tmp_path / 'RDN_prep_bin.info').write_text(''.join(lines))
    return tmp_path


@pytest.fixture
def house(tmp_path):
    """A copy of the project like a clone, without the results of a walk; the compact weights are rdn_x2.pth."""
    folder = tmp_path / 'house'
    shutil.copytree(
        ROOT,
        str(folder),
        ignore=lambda parent, names: [
            name
            for name in names
            if name.startswith('.')
            or name == '__pycache__'
            or os.path.join(parent, name) == FULL
            or parent == ROOT
            and (
                name in ('prep_dataset', 'result', 'result.json', 'sample_images')
                or name.endswith(('.onnx', '.om', '.info', '.log', '.run.json'))
            )
        ],
    )
    shutil.copy(LITE, str(folder / 'rdn_x2.pth'))
    return folder


@pytest.fixture
def server(house, tmp_path, monkeypatch):
    """A copy of the project on an Ascend server with stand-ins for atc and benchmark, and a toolkit to patch."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    install_standin('atc', tools / 'atc')
    for name in {'benchmark.x86_64', 'benchmark.' + os.uname().machine}:
        install_standin('benchmark.x86_64', house / name)
    kernel = tmp_path / 'cann' / 'latest' / CANN6
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(vendor_source())
    monkeypatch.setenv('ASCEND_TOOLKIT_HOME', str(tmp_path / 'cann'))
    monkeypatch.setenv('PATH', str(tools), prepend=os.pathsep)
    return house


@pytest.fixture
def modern(tmp_path, monkeypatch):
    """modern('300I Duo') installs stand-ins for a current toolkit and this card; it returns their folder.

    The server's own Python, with ais_bench and CANN's packages, comes first on PATH, as without an active environment.
    """
    folder = tmp_path / 'modern'

    def install(card='310P3', **variables):
        folder.mkdir(exist_ok=True)
        standins = os.path.join(ROOT, 'test', 'standins')
        site = f'PYTHONPATH={os.path.join(standins, "site")} STANDIN_NUMPY=1.24.4'
        for name, line in [
            ('atc', f'STANDIN_CANN=8 exec {sys.executable} {standins}/atc'),
            ('npu-smi', f'exec {sys.executable} {standins}/npu-smi'),
            ('python3', f'{site} exec {sys.executable}'),
        ]:
            (folder / name).write_text(f'#!/bin/sh\n{line} "$@"\n')
            (folder / name).chmod(0o755)
        monkeypatch.setenv('PATH', f'{folder}{os.pathsep}{BARE_PATH}')
        monkeypatch.setenv('STANDIN_CHIP', card)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return folder

    for name in ('AIS_BENCH', 'SOC_VERSION', 'CHIPS', 'ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH', 'CONDA_PREFIX'):
        monkeypatch.delenv(name, raising=False)
    return install


@pytest.fixture
def upscale(script, tmp_path, narrow):
    """upscale(flags...) enlarges in/ to out/ with a network that sees 6 pixels far; it returns (status, out, err)."""
    (tmp_path / 'in').mkdir()

    def call(*flags):
        given = {str(flag).split('=')[0] for flag in flags}
        standard = {'--input': tmp_path / 'in', '--output': tmp_path / 'out', '--model': narrow[1]}
        return script(
            'RDN_upscale', *[f'{name}={value}' for name, value in standard.items() if name not in given], *flags
        )

    vars(call).update(source=tmp_path / 'in', target=tmp_path / 'out')
    return call


@pytest.fixture
def photo(photos):
    """A part of a photograph, of odd size and more than one tile: PIL RGB."""
    return Image.open(photos[0]).convert('RGB').crop((100, 40, 301, 167))


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """limited('RDN_infer.py', flag, ...) runs a script in an empty folder, with at most MEMORY and a minute."""
    monkeypatch.chdir(tmp_path)

    def call(name, *arguments):
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, name)] + [str(argument) for argument in arguments],
            capture_output=True,
            text=True,
            timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def train(script, image_folder, tmp_path, monkeypatch):
    """train(flag, ...) runs RDN_train.py on the five photographs with a tiny network, in fp32 on any processor."""
    monkeypatch.setattr(cpu, 'has_bf16', lambda: False)
    models.torch.set_num_threads(TORCH_THREADS)  # earlier tests may have changed it, which changes the last bits

    def call(*flags, output='out.pth'):
        train_path = [] if any(str(flag).startswith('--train-path') for flag in flags) else [image_folder]
        arguments = [f'--output-file={tmp_path / output}'] + TINY + list(flags)
        return script('RDN_train', *(['--train-path'] + train_path if train_path else []), *arguments)

    return call


@pytest.fixture
def inferred(script, image_folder, tmp_path, narrow, monkeypatch):
    """A working folder after inference in fp32 on this machine's processor; returns (weights, ONNX)."""
    monkeypatch.chdir(tmp_path)
    assert prepare(script).status == listing(script).status == 0
    assert script('RDN_infer', f'-om_path={narrow[1]}', *INFER).status == 0
    return narrow


@pytest.fixture
def flaky(monkeypatch):
    """A store flaky://, whose next `flaky.fails` requests fail."""
    fsspec = pytest.importorskip('fsspec')
    from fsspec.implementations.memory import MemoryFileSystem

    class Flaky(MemoryFileSystem):
        protocol = 'flaky'
        store, pseudo_dirs = {}, ['']
        fails = 0

        def _open(self, *arguments, **keywords):
            if Flaky.fails:
                Flaky.fails -= 1
                raise ConnectionResetError('reset by the store')
            return super()._open(*arguments, **keywords)

        def pipe_file(self, path, value, mode='overwrite', **keywords):
            with self.open(path, 'wb') as file:
                file.write(value)

    fsspec.register_implementation('flaky', Flaky, clobber=True)
    monkeypatch.setattr(stores, 'FIRST_PAUSE_SECONDS', 0.001)
    return Flaky
