"""Helpers of the tests: paths, functions that run scripts and shells as a user does, and comparisons of images."""

import fnmatch
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from typing import NamedTuple

from pictures import history
from rdn.network import checkpoint

import numpy as np
import torch
from PIL import Image

import models

DIGEST, OTHER_DIGEST = '1' * 64, '2' * 64  # digests that no file has
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SET5 = os.path.join(ROOT, os.pardir, 'shared', 'data', 'set5')
BARE_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'  # without tools of this project
LITE = os.path.join(ROOT, 'weights', 'rdn_x2_lite.pth')
FULL = os.path.join(ROOT, 'weights', 'rdn_x2.pth')


class Ended(NamedTuple):
    """The exit status and the output of a script."""

    status: int
    out: str
    err: str


def accept(script, *flags):
    """Run test/accept.py. Return how it ended, with its Markdown table at the end of its output."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'table.md')
        ended = script('accept', *flags, f'--markdown={path}')
        if not os.path.exists(path):
            return ended
        with open(path) as file:
            return ended._replace(out=f'{ended.out}\n{file.read()}')


def assert_refused(ended, *words):
    """Assert that a script failed with one line on stderr that contains the words."""
    assert ended.status, ended
    assert ended.err.count('\n') == 1 and 'Traceback' not in ended.err, ended.err
    for word in words:
        assert str(word) in ended.err, ended.err


def run_python(*arguments, **kwargs):
    """Run a Python process, and return it with its output as text."""
    return subprocess.run(
        [sys.executable] + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        **kwargs,
    )


def snapshot(folder):
    """Return relative path -> content of all files below a folder, except records of results; None for folders."""
    found = {}
    for parent, folders, names in os.walk(str(folder)):
        for name in folders + [name for name in names if name != history.NAME]:
            path = os.path.join(parent, name)
            with open(path, 'rb') if name in names else open(os.devnull, 'rb') as file:
                found[os.path.relpath(path, str(folder))] = file.read() if name in names else None
    return found


def tiny_rdn(scale=2, seed=0):
    """Return a small network with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return models.RDN(scale, 3, 16, 8, 3, 2).eval()


def save(path, model):
    torch.save(model.state_dict(), str(path))
    return str(path)


def install_standin(name, path):
    """Install a stand-in for one of the vendor's programs; it runs with this Python, independent of PATH."""
    with open(str(path), 'w') as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} {os.path.join(ROOT, "test", "standins", name)} "$@"\n')
    os.chmod(str(path), 0o755)


ENV = os.path.join(ROOT, 'env.sh')


def bash(command, tmp_path, *flags, **variables):
    """Run bash with an empty home; return (status, output)."""
    environment = {'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path / 'home'), 'ENV_SH': ENV}
    environment.update(variables)
    done = subprocess.run(
        ['bash', *flags, '-c', command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=str(tmp_path),
    )
    return done.returncode, done.stdout


def shell(command, folder):
    """Run bash with this Python as its python3; return its status, output and errors."""
    environment = dict(os.environ, RDN_VENV=sys.prefix)
    environment['PATH'] = os.path.dirname(sys.executable) + os.pathsep + environment['PATH']
    done = subprocess.run(
        ['bash', '-c', command],
        cwd=str(folder),
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def reference(narrow, rgb):
    """Enlarge a whole image by PyTorch: (H, W, 3), 0...1 -> (2H, 2W, 3)."""
    return np.clip(reference_unclipped(narrow, rgb), 0, 1)


def reference_unclipped(narrow, rgb):
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(np.asarray(rgb, np.float32).transpose(2, 0, 1)))
        return checkpoint.load(narrow[0])(x[None])[0].numpy().transpose(1, 2, 0)


def opened(path):
    image = Image.open(str(path))
    image.load()
    return image


def difference(image, expected, top=255):
    return np.abs(np.asarray(image).astype(np.float64) - expected * top).max()


MEMORY = 8 << 30  # bytes of address space: enough for torch and onnxruntime, too little for any decompression bomb


class Payload:
    def __reduce__(self):
        return os.mkdir, ('payload ran',)


TINY = ['--num-features=8', '--growth-rate=4', '--num-blocks=2', '--num-layers=2', '--patch=16', '--batch-size=4']


def weights(path):
    return torch.load(str(path), map_location='cpu')


def assert_same(a, b):
    assert list(a) == list(b) and all(torch.equal(a[key], b[key]) for key in a)


# The steps of a walk in a working folder, from images/ to result.json.
DUMP = 'result/dumpOutput_device0'
INFER = ['-batch_size=1', '-input_text_path=RDN_prep_bin.info', '-output_binary=True']


def prepare(script, *flags, source='images', target='prep_dataset'):
    """Run step 4.2."""
    return script('RDN_preprocess', f'--src-path={source}', f'--save-path={target}', *flags)


def listing(script):
    """Run step 4.3."""
    return script('gen_dataset_info', 'bin', './prep_dataset/data', './RDN_prep_bin.info', '114', '114')


def infer(script, model, *flags, usual=INFER):
    """Run step 5 with RDN_infer.py; `flags` replace the `usual` flags of the same names."""
    names = {flag.split('=')[0] for flag in flags}
    return script('RDN_infer', f'-om_path={model}', *[f for f in usual if f.split('=')[0] not in names], *flags)


def judge(script, *flags, outputs=DUMP, labels='prep_dataset/label'):
    """Run step 6."""
    places = [f'--pred-path={outputs}', f'--label-path={labels}', '--result-path=result.json']
    return script('RDN_postprocess', *places, *flags)


def page_blocks(name, first='# ', stop='(?!x)x'):
    """Return the bash blocks of a page, from the line that begins with `first` to the one that begins with `stop`."""
    with open(os.path.join(ROOT, name), encoding='utf-8') as file:
        part = re.findall(rf'^{first}.*?(?=^{stop}|\Z)', file.read(), re.DOTALL | re.MULTILINE)[0]
    return re.findall(r'^```bash\n(.*?)^```$', part, re.DOTALL | re.MULTILINE)


def is_ignored(name):
    """Return whether .gitignore covers a path that a walk wrote."""
    with open(os.path.join(ROOT, '.gitignore')) as file:
        patterns = [line.strip().strip('/') for line in file if line.strip() and not line.startswith('#')]
    return any(fnmatch.fnmatch(part, pattern) for part in name.split(os.sep) for pattern in patterns)


def average(folder):
    with open(os.path.join(str(folder), 'result.json')) as file:
        return float(json.load(file)['value'][-1]['value'])


def write_png(path, header, rows, *chunks, before=b''):
    """Write a PNG by hand; `header` is (width, height, bit depth, colour type), `rows` the packed bytes of each row."""

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    width, height, depth, kind = header
    body = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, kind, 0, 0, 0))
    body += b''.join(chunk(name, data) for name, data in chunks)
    body += chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows))) + before + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + body)
