"""Train RDN weights on a folder of photographs.

    python3 RDN_train.py --train-path=../shared/data/train --eval-path=../shared/data/set5 --output-file=rdn_x2.pth --minutes=4

Folders are searched with all that is below them; FOLDER@0.5 takes the pictures at half their size. The low-resolution
pictures are made by Pillow's BICUBIC of the whole picture. L1 loss, Adam, the learning rate warms up and falls along a
cosine as the minutes pass. What is written is the moving average of the weights.

Once a minute all is kept in OUTPUT.checkpoint; after an interruption the same command with --resume goes on from there,
and it begins anew where there is none. The defaults suit some minutes on two cores; for an hour or more take
--patch=36 --batch-size=16 --learning-rate=6e-4. Measure the result with python3 -m tools.evaluate.
"""

import collections
import math
import os
import re
import sys
import time

from rdn import cli
from rdn.hardware import has_bf16
from rdn.imaging import images
from rdn.training import patches, validation
from rdn.training.trainer import Signals, Training, begin_as_interpolation

import torch
from tqdm import tqdm

import models

CHECKPOINT_SECONDS = 60  # what a kill may lose


def train(training, pairs, folders, checkpoint, report_seconds):
    """Run to the end, with a line every `report_seconds`. Returns a signal's status where one came, else None.

    folders: name -> image paths to evaluate on. Raises ValueError when the loss is no number any more.
    """
    signals = Signals()
    start = time.monotonic() - training.seconds
    saved = reported = time.monotonic()
    losses = []  # since the last line
    with tqdm(total=1, disable=None, leave=False, bar_format='{percentage:3.0f}%|{bar}| {postfix}') as bar:
        while training.progress() < 1 and signals.status is None:
            losses.append(training.learn(pairs))
            if training.device.type == 'cuda' and training.step % 10 == 0:
                torch.cuda.synchronize()  # the clock must not run ahead of the work
            now = time.monotonic()
            training.seconds = now - start
            done = training.progress() >= 1
            speed = len(losses) * training.settings['batch_size'] / (now - reported)
            if not bar.disable:
                bar.set_postfix_str(describe(training, losses[-1:], speed), refresh=False)
                bar.update(min(1, training.progress()) - bar.n)
            if now - saved >= CHECKPOINT_SECONDS or done:
                check_loss(training, losses[-1:])
                training.save(checkpoint)
                saved = now
            if now - reported >= report_seconds or done:
                check_loss(training, losses)
                bar.clear()
                report(training, describe(training, losses, speed), folders)
                losses, reported = [], time.monotonic()
    signals.restore()
    if signals.status is not None:
        training.save(checkpoint)
    return signals.status


def mean(losses):
    return float(torch.stack(losses).mean())


def check_loss(training, losses):
    """Raises ValueError where the network learns no more."""
    if not math.isfinite(mean(losses)):
        raise ValueError('the loss is no number after %d steps: choose a lower --learning-rate' % training.step)


def describe(training, losses, speed):
    left = training.seconds / training.progress() - training.seconds
    return 'loss %.5f  lr %.1e  %.1f images/s  %d:%02d left' % (
        mean(losses),
        training.rate(),
        speed,
        max(0, left) // 60,
        max(0, left) % 60,
    )


def report(training, text, folders):
    """Print one line: where the run is, and the PSNR of the averaged weights on each folder."""
    line = '%5.1f min  step %d  %s' % (training.seconds / 60, training.step, text)
    scale = training.settings['scale_factor']
    for name, paths in folders.items():
        psnr = [validation.evaluate(training.average, paths, scale, key).psnr for key in validation.PROTOCOLS]
        line += '  %s %.2f dB, crops %.2f' % (name, *psnr)
    print(line, flush=True)


def load_pairs(folders, scale, size):
    """The Pairs of all pictures in FOLDER or FOLDER@FACTOR, in order. Raises ValueError as patches.load_pair does."""
    jobs = []
    for folder in folders:
        match = re.match(r'(.+)@([0-9.]+)$', folder)
        name, factor = (match.group(1), float(match.group(2))) if match else (folder, 1)
        if not 0 < factor <= 1:
            raise ValueError('%s: the factor of the size lies between 0 and 1' % folder)
        jobs += [(path, factor) for path in patches.find_images(name)]
    return [patches.load_pair(path, scale, size, factor) for path, factor in cli.progress(jobs, 'picture')]


def new_model(args):
    """The RDN to start from: of --init, or a new one of the flags' shape. Returns it with its configuration."""
    if args.init:
        model = models.load_rdn(args.init)
        return model, model.config
    config = dict(
        scale_factor=args.scale,
        num_channels=3,
        num_features=args.num_features,
        growth_rate=args.growth_rate,
        num_blocks=args.num_blocks,
        num_layers=args.num_layers,
    )
    model = models.RDN(**config)
    begin_as_interpolation(model)
    return model, config


def choose_device():
    """(device, whether it computes in bf16 by itself, whether compiling the network pays there)."""
    if torch.cuda.is_available():
        return torch.device('cuda'), torch.cuda.is_bf16_supported(), hasattr(torch, 'compile')
    return torch.device('cpu'), has_bf16() and hasattr(torch, 'autocast'), False  # compiled is slower on a CPU


def main(argv=None):
    args = parse_args(argv)
    checkpoint = args.output_file + '.checkpoint'
    if os.path.exists(checkpoint) and not args.resume:
        raise ValueError('%s: of an interrupted run: --resume goes on with it; remove it to begin anew' % checkpoint)
    torch.manual_seed(args.seed)
    model, config = new_model(args)
    scale = config['scale_factor']
    folders = collections.OrderedDict((base_name(path), images.list_images(path)) for path in args.eval_path)
    for path in sum(folders.values(), []):  # now, not at the first report
        for protocol in validation.PROTOCOLS:
            validation.fit(path, scale, protocol)
    pairs = load_pairs(args.train_path, scale, args.patch)
    pixels = sum(pair.hr.shape[0] * pair.hr.shape[1] for pair in pairs)
    settings = dict(config, pictures=len(pairs), pixels=pixels)
    for name in ('init', 'patch', 'batch_size', 'learning_rate', 'seed', 'minutes', 'steps'):
        settings[name] = getattr(args, name)
    device, bf16, compiled = choose_device()
    training = Training(model, settings, device, bf16, compiled and not args.no_compile)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    print('%d parameters, %d pictures of %.1f megapixels' % (parameters, len(pairs), pixels / 1e6))
    print('%s on %s' % ('bf16' if bf16 else 'fp32', device))
    if args.resume and os.path.exists(checkpoint):
        training.load(checkpoint)
        print('resumed at step %d, after %.1f minutes' % (training.step, training.seconds / 60))
    sys.stdout.flush()
    status = train(training, pairs, folders, checkpoint, 60 * (args.report_minutes or (args.minutes or 10) / 10))
    if status is not None:
        print('stopped at step %d: the same command with --resume goes on' % training.step, file=sys.stderr)
        return status
    training.write_weights(args.output_file, args.half)
    os.remove(checkpoint)
    print('written to ' + args.output_file)


def base_name(folder):
    return os.path.basename(os.path.abspath(folder))


def parse_args(argv):
    def fraction(text):
        number = float(text)
        if not 0 < number < float('inf'):
            raise ValueError(text)
        return number

    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--train-path', nargs='+', required=True, help='folders of photographs; FOLDER@0.5: at half size'
    )
    parser.add_argument('--eval-path', nargs='+', default=[], help='folders of images to measure PSNR on')
    parser.add_argument('--output-file', default='rdn_x2_trained.pth', help='weights to write; default %(default)s')
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument('--minutes', type=fraction, help='how long to train; the learning rate follows the clock')
    length.add_argument('--steps', type=cli.positive, help='how many steps to train: the same result on every run')
    parser.add_argument('--resume', action='store_true', help='go on from OUTPUT.checkpoint if it is there')
    parser.add_argument('--init', help='weights to start from; they say the architecture')
    parser.add_argument('--scale', type=int, choices=images.SCALES, default=2)
    parser.add_argument('--num-features', type=cli.positive, default=32)
    parser.add_argument('--growth-rate', type=cli.positive, default=32)
    parser.add_argument('--num-blocks', type=cli.positive, default=6)
    parser.add_argument('--num-layers', type=cli.positive, default=4)
    parser.add_argument('--patch', type=cli.positive, default=24, help='low-resolution pixels; default %(default)s')
    parser.add_argument('--batch-size', type=cli.positive, default=8)
    parser.add_argument('--learning-rate', type=fraction, default=1.5e-3, help='the highest; default %(default)s')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--half', action='store_true', help='write the weights in half precision')
    parser.add_argument('--no-compile', action='store_true', help='on a GPU: without torch.compile')
    parser.add_argument('--report-minutes', type=fraction, help='between two lines; default a tenth of the run')
    args = parser.parse_args(argv)
    if not args.init and args.num_features < 3:
        parser.error('--num-features: 3 at least, one for each colour')
    return args


if __name__ == '__main__':
    cli.run(main)
