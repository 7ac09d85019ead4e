"""A stand-in for the vendor's ais_bench in the test suite.

Like the version of 2024, it is strict about paths, modes and owners, and does not check --batchsize. It runs the model
that test/standins/atc wrote. STANDIN_CHIP names the chip."""

import argparse
import json
import os
import re
import stat
import subprocess
import sys
import time

import numpy as np
import onnxruntime

FIT = re.compile(r'[A-Za-z0-9_/.-]+')


def refuse(message):
    print(f'[ERROR] {message}')
    sys.exit(1)


def check(path, forbidden, limit):
    """Refuse a path by ais_bench's own rules. A missing file is accepted, because it may be created later."""
    if not FIT.fullmatch(path):
        refuse(f'path:{path} contains illegal char, legal chars include A-Z a-z 0-9 _ - / .')
    if os.path.islink(path):
        refuse(f'path :{path} is a soft link, not supported, please import file(or directory) directly')
    if not os.path.exists(path):
        return
    status = os.stat(path)
    if status.st_uid != os.geteuid() and status.st_gid not in os.getgroups():
        refuse(f"current user isn't path:{path}'s owner or ownergroup")
    if status.st_mode & forbidden:
        refuse(f'The file {path} is group writable, or is others writable, permission should not be over {limit}')


parser = argparse.ArgumentParser(prog='ais_bench', allow_abbrev=False)
parser.add_argument('--model', required=True)
parser.add_argument('--input')
parser.add_argument('--output')
parser.add_argument('--output_dirname')
parser.add_argument('--outfmt', choices=['BIN', 'NPY', 'TXT'], default='BIN')
parser.add_argument('--batchsize', type=int)
parser.add_argument('--loop', type=int, default=1)
parser.add_argument('--device', default='0')
parser.add_argument('--warmup_count', type=int, default=1)
args = parser.parse_args()

for_reading = stat.S_IWGRP | stat.S_IWOTH
for path in (args.model, args.input):
    if path:
        check(path, for_reading, '0o755')
        if not os.path.exists(path):
            refuse(f'path: {path} not exist, please check if file or dir is exist')
if args.output:
    check(args.output, for_reading | stat.S_IROTH | stat.S_IXOTH, '0o750')
card = os.environ.get('STANDIN_CHIP', '310P3')
npu_smi = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, 'npu-smi')
table = subprocess.run([sys.executable, npu_smi, 'info'], stdout=subprocess.PIPE, check=True).stdout.decode()
devices = table.count('0000:01:00.0')  # once per device
if not args.device.isdigit() or int(args.device) >= devices:
    refuse(f'acl open device {args.device} failed ret:507033')

with open(args.model, 'rb') as file:
    mark, model = file.read(4), file.read()
if mark != b'IMOD':
    refuse('load model from file failed, model file is ' + args.model)
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
made_for = re.findall(rb'Ascend\w+', model)[0].decode()
of_card = {'300I Duo': '310P3', '910C': '910_9392', '950PR': '950PR_9579'}
if made_for != 'Ascend' + {**of_card, '310B': made_for[6:], '910': made_for[6:]}.get(card, card):
    refuse(f'load model from file failed: soc version of the model is {made_for}, ret:500002')
image = session.get_inputs()[0]
print(f'[INFO] try get model batchsize:{image.shape[0]}' if args.batchsize is None else '[INFO] load model success')
batch_size = args.batchsize or image.shape[0]  # not checked, like in ais_bench
names = sorted(
    os.listdir(args.input) if args.input else [],
    key=lambda name: [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r'(\d+)', name)],
)
paths = [os.path.join(args.input, name) for name in names]
for path in paths:
    if os.path.getsize(path) * image.shape[0] != 4 * np.prod(image.shape):
        refuse(f'arg0 tensorsize: {4 * np.prod(image.shape)} filesize: {os.path.getsize(path)} not match')
chunks = [paths[first : first + image.shape[0]] for first in range(0, len(paths), image.shape[0])] or [[]]

folder = None
if args.output:
    folder = os.path.join(args.output, args.output_dirname or time.strftime('%Y_%m_%d-%H_%M_%S'))
    os.makedirs(folder, 0o750, exist_ok=True)
    print(f'[INFO] output path:{folder}')
times, infos = [], {}
for number, chunk in enumerate(chunks):
    full = chunk + chunk[:1] * (image.shape[0] - len(chunk))  # padding
    batch = np.zeros(image.shape, np.float32)
    if full:
        batch[:] = [np.fromfile(path, np.float32).reshape(image.shape[1:]) for path in full]
    for _ in range(args.loop):
        start = time.time()
        computed = session.run(None, {image.name: batch})
        times.append((time.time() - start) * 1000)
    written = []
    for path, index in [(path, index) for path in chunk or ['pure_infer_data'] for index in range(len(computed))]:
        picture = computed[index][chunk.index(path) if chunk else 0]
        stem = os.path.basename(path).split('.')[0] + f'_{index}.'
        if folder and args.outfmt == 'BIN':
            picture.tofile(os.path.join(folder, stem + 'bin'))
        elif folder and args.outfmt == 'NPY':
            np.save(os.path.join(folder, stem + 'npy'), picture)
        elif folder:
            np.savetxt(os.path.join(folder, stem + 'txt'), picture.reshape(-1, picture.shape[-1]), '%f')
        written.append(os.path.join(folder or '', stem + args.outfmt.lower()))
    infos[number] = {'infiles': chunk, 'outfiles': written}

mean, labels = float(np.mean(times)), ('min', 'max', 'mean', 'median', 'percentile(99%)')
values = [float(f(times)) for f in (np.min, np.max, np.mean, np.median)] + [float(np.percentile(times, 99))]
throughput = 1000 * batch_size / mean
print('[INFO] -----------------Performance Summary------------------')
print('[INFO] NPU_compute_time (ms): ' + ', '.join(f'{name} = {value}' for name, value in zip(labels, values)))
print(f'[INFO] throughput 1000*batchsize.mean({batch_size})/NPU_compute_time.mean({mean}): {throughput}')
print('[INFO] ------------------------------------------------------')
if folder:
    summary = {'filesinfo': infos, 'args': {'--batchsize': args.batchsize, '--loop': args.loop}}
    summary['NPU_compute_time'] = dict(zip(labels, values), count=len(times))
    summary.update(npu_compute_time_list=times, throughput=throughput, pid=os.getpid())
    with open(folder + '_summary.json', 'w') as summary_file:
        json.dump(summary, summary_file)
