"""Train RDN weights on folders of photographs.

    python3 RDN_train.py --train-path PHOTOGRAPHS --eval-path /root/dataset/set5 --output-file=rdn_x2_mine.pth --minutes=4

The script reads all pictures below the folders; FOLDER@0.5 reads them at half their size. Pillow's BICUBIC makes the
low-resolution pictures. The loss is L1 of the colours plus L1 of the luma; Adam's learning rate warms up, then falls
along a cosine. The script measures and saves the moving average of the weights.

On an NVIDIA GPU it trains in fp16, with the pictures on the device. On a processor it trains in bf16, if the processor
has it, and the last tenth of the run in fp32; else in fp32.

OUTPUT.checkpoint is written once a minute. After an interruption, the same command with --resume continues, on a GPU or
a processor; without a checkpoint, --resume starts a new run. The defaults suit some minutes on two cores. For an hour
or more use --patch=36 --batch-size=16 --learning-rate=6e-4, on a GPU --patch=48 --batch-size=32 --learning-rate=8e-4.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from typing import Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

from rdn import cli, files
from rdn.network import checkpoint
from rdn.training import patches, plan, reporter, trainer, validation, ways

import torch

import models

# Flags that must be the same with --resume.
SETTINGS = ('init', 'patch', 'batch_size', 'learning_rate', 'seed', 'minutes', 'steps')
CHECKPOINT_SECONDS = 60  # a killed run loses at most this much training


def train(run: trainer.Trainer, progress: reporter.Reporter, checkpoint_path: str) -> int | None:
    """Train to the end, or until a signal arrives. The checkpoint is saved every CHECKPOINT_SECONDS and at the end.

    Args:
        run: the training run.
        progress: prints the progress.
        checkpoint_path: the checkpoint to write.

    Returns:
        The exit status for a signal; None if no signal arrived.

    Raises:
        ValueError: the loss keeps rising or is not a finite number, even at lower learning rates.
    """
    signals = trainer.Signals()
    saving = trainer.Every(CHECKPOINT_SECONDS)
    clock = time.monotonic() - run.seconds
    with progress.bar:
        while run.progress() < 1 and signals.status is None:
            spike = run.learn()
            run.seconds = time.monotonic() - clock
            if spike:
                progress.print(spike)
            if saving.is_due() or run.progress() >= 1:
                run.save(checkpoint_path)
                saving.restart()
            if run.progress() < 1:
                progress.show()
            run.seconds = time.monotonic() - clock  # includes checkpoints and measuring
    signals.restore()
    if signals.status is not None:
        run.save(checkpoint_path)
    elif run.step:
        spike = run.check()  # with --minutes, a run can end between two checks
        if spike:
            print(spike)
    return signals.status


def list_pictures(folders: Sequence[str]) -> list[tuple[str, float]]:
    """List all pictures below folders.

    Args:
        folders: FOLDER, or FOLDER@FACTOR to read its pictures at another size.

    Returns:
        (path, factor of the size) of each picture, in order.

    Raises:
        ValueError: a folder is missing or empty, or a factor is not between 0 and 1.
    """
    jobs = []
    for folder in folders:
        match = re.match(r'(.+)@([0-9.]+)$', folder)
        name, factor = (match.group(1), float(match.group(2))) if match else (folder, 1.0)
        if not 0 < factor <= 1:
            raise ValueError(f'{folder}: the factor after @ must be above 0 and at most 1')
        jobs += [(path, factor) for path in patches.find_images(name)]
    return jobs


def read_pictures(folders: Sequence[str], scale: int, patch: int) -> list[patches.Pair]:
    """Read the pictures that are not smaller than a patch, and print their number.

    Args:
        folders: FOLDER, or FOLDER@FACTOR to read its pictures at another size.
        scale: the scale of the network.
        patch: the side of a patch, in low-resolution pixels.

    Raises:
        ValueError: all pictures are smaller than a patch, or a file is not a picture.
    """
    started = time.monotonic()
    pairs, too_small = patches.load_pairs(list_pictures(folders), scale, patch)
    if not pairs:
        patches.load_pair(too_small[0], scale, patch)  # raises an error that names the picture and the size it needs
        raise ValueError(f'{too_small[0]}: too small for a patch at this size: choose a smaller --patch')
    pixels = sum(pair.hr.shape[0] * pair.hr.shape[1] for pair in pairs)
    skipped = f'; {len(too_small)} skipped, smaller than a patch' if too_small else ''
    noun = 'picture' if len(pairs) == 1 else 'pictures'
    print(f'{len(pairs):,} {noun}, {pixels / 1e6:.1f} megapixels, read in {time.monotonic() - started:.0f} s{skipped}')
    return pairs


def new_model(**config: int) -> models.RDN:
    """Make an RDN that starts close to bicubic upsampling; the arguments are those of models.RDN."""
    model = models.RDN(**config)
    trainer.begin_as_interpolation(model)
    return model


def main(argv=None):
    args = parse_args(argv)
    with files.reserved(
        args.output_file, 'another run of RDN_train.py writes this file: wait, or choose another --output-file'
    ):
        return train_and_write(args)


def train_and_write(args: argparse.Namespace) -> int | None:
    """Train according to the flags, and write the weights.

    Args:
        args: the flags.

    Returns:
        The exit status for a signal; None if no signal arrived.

    Raises:
        ValueError: a file already exists and no flag allows to replace or continue it, no picture can be used, or the
            loss diverges.
    """
    checkpoint_path = args.output_file + '.checkpoint'
    resumes = args.resume and os.path.exists(checkpoint_path)
    if os.path.exists(checkpoint_path) and not args.resume:
        raise ValueError(
            f'{checkpoint_path}: left by an interrupted run; continue with --resume, or remove the file to start again'
        )
    if os.path.exists(args.output_file) and not (args.overwrite or resumes):
        raise ValueError(f'{args.output_file}: already exists: --overwrite replaces it after training')
    way = ways.choose(args.precision, not args.no_compile)
    torch.manual_seed(args.seed)
    config = {name: getattr(args, name) for name in ('num_features', 'growth_rate', 'num_blocks', 'num_layers')}
    model = checkpoint.load(args.init) if args.init else new_model(scale_factor=args.scale, num_channels=3, **config)
    print(f'{sum(tensor.numel() for tensor in model.parameters()):,} parameters')
    scale = model.config['scale_factor']
    evaluation = validation.Evaluation(args.eval_path, scale)
    pairs = read_pictures(args.train_path, scale, args.patch)
    settings = dict(model.config, pictures=len(pairs), pixels=sum(pair.hr.size // 3 for pair in pairs))
    settings.update((name, getattr(args, name)) for name in SETTINGS)
    run = trainer.Trainer(ways.begin(way, model, pairs, args.patch, args.batch_size, args.seed), settings)
    print(plan.describe_way(run, way.remark))
    if resumes:
        run.load(checkpoint_path)
        print(f'resumed at step {run.step}, after {run.seconds / 60:.1f} minutes')
    with ways.memory_errors('the images of --eval-path during training: use smaller ones'):
        progress = plan.make(run, evaluation, args.report_minutes)
        status = train(run, progress, checkpoint_path)
    if status is not None:
        print(f'stopped at step {run.step}: the same command with --resume continues', file=sys.stderr)
        return status
    run.write_weights(args.output_file, args.half)
    with contextlib.suppress(FileNotFoundError):  # a short run writes no checkpoint
        os.remove(checkpoint_path)
    files.clean_up(checkpoint_path)  # including partial files of killed runs
    with ways.memory_errors('the images of --eval-path: measure with python3 -m tools.evaluate'):
        progress.print_end()
    cli.say(f'written to {args.output_file} after {cli.count(run.step, "step")}')
    return None


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--train-path', nargs='+', required=True, help='folders of photographs; FOLDER@0.5: at half size'
    )
    parser.add_argument('--eval-path', nargs='+', default=[], help='folders of images to measure PSNR on')
    parser.add_argument('--output-file', default='rdn_x2_trained.pth', help='weights to write; default %(default)s')
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument(
        '--minutes', type=cli.positive_number, help='how long to train and measure; the learning rate follows the clock'
    )
    length.add_argument(
        '--steps', type=cli.positive, help='how many steps to train; on a processor, every run has the same result'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace existing weights')
    parser.add_argument('--resume', action='store_true', help='continue from OUTPUT.checkpoint if it exists')
    parser.add_argument('--init', help='weights to start from; their architecture is kept')
    parser.add_argument('--scale', type=int, choices=cli.SCALES, default=2)
    parser.add_argument('--num-features', type=cli.positive, default=32)
    parser.add_argument('--growth-rate', type=cli.positive, default=32)
    parser.add_argument('--num-blocks', type=cli.positive, default=6)
    parser.add_argument('--num-layers', type=cli.positive, default=4)
    parser.add_argument(
        '--patch', type=cli.positive, default=24, help='side of a patch in low-resolution pixels; default %(default)s'
    )
    parser.add_argument('--batch-size', type=cli.positive, default=8)
    parser.add_argument(
        '--learning-rate', type=cli.positive_number, default=1.5e-3, help='highest learning rate; default %(default)s'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--precision',
        choices=['fp16', 'bf16', 'fp32'],
        help='default: fp16 on a GPU; on a processor with bf16, bf16 and the last tenth of the run in fp32; '
        'otherwise fp32',
    )
    parser.add_argument('--half', action='store_true', help='write the weights in half precision')
    parser.add_argument('--no-compile', action='store_true', help='on a GPU: do not compile the blocks')
    parser.add_argument(
        '--report-minutes',
        type=cli.positive_number,
        help='minutes between two progress lines; default: a tenth of the run, or more if measuring is slow',
    )
    args = parser.parse_args(argv)
    if not args.init and args.num_features < 3:
        parser.error('--num-features: must be at least 3, one for each colour')
    return args


if __name__ == '__main__':
    cli.run(main)
