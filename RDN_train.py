"""Train RDN weights on a folder of photographs.

    python3 RDN_train.py --train-path=PHOTOGRAPHS --eval-path=/root/dataset/set5 --output-file=rdn_x2_mine.pth --minutes=4

Folders are searched with all that is below them; FOLDER@0.5 takes the pictures at half their size. The low-resolution
pictures are made by Pillow's BICUBIC of the whole picture. L1 loss, Adam, the learning rate warms up and falls along a
cosine as the minutes pass. What is written is the moving average of the weights.

Once a minute all is kept in OUTPUT.checkpoint; after an interruption the same command with --resume goes on from there,
and it begins anew where there is none. The defaults suit some minutes on two cores; for an hour or more take
--patch=36 --batch-size=16 --learning-rate=6e-4. Measure the result with python3 -m tools.evaluate.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
from typing import Sequence

from rdn import checkpoint, cli, cpu
from rdn.imaging import images
from rdn.training import patches, trainer, validation

import torch
from tqdm import tqdm

import models

CHECKPOINT_SECONDS = 60  # what a kill may lose
BAR_FORMAT = '{percentage:3.0f}%|{bar}| {postfix}'


class Reporter:
    """What a person sees of a run: a bar on a terminal, and a line now and then with the PSNR on folders of images."""

    def __init__(self, run: trainer.Trainer, folders: dict[str, list[str]]):
        """folders: name -> paths of its images."""
        self.run, self.folders = run, folders
        self.losses: list[torch.Tensor] = []  # since the last line
        self.since = time.monotonic()
        self.bar = tqdm(total=1, disable=None, leave=False, bar_format=BAR_FORMAT)

    def add(self, loss: torch.Tensor) -> None:
        """Show a step's loss in the bar."""
        self.losses.append(loss)
        if not self.bar.disable:
            self.bar.set_postfix_str(self._describe(self.losses[-1:]), refresh=False)
            self.bar.update(min(1, self.run.progress()) - self.bar.n)

    def check_loss(self) -> None:
        """Raises ValueError where the network learns no more."""
        if not math.isfinite(mean(self.losses or [torch.zeros(())])):
            raise ValueError(f'the loss is not a number after {self.run.step} steps: choose a lower --learning-rate')

    def write_line(self) -> None:
        """Print where the run is, and the PSNR of the averaged weights on each folder."""
        self.check_loss()
        self.bar.clear()
        line = f'{self.run.seconds / 60:5.1f} min  step {self.run.step}  {self._describe(self.losses)}'
        for name, paths in self.folders.items():
            scale = self.run.settings['scale_factor']
            whole, crops = (
                validation.evaluate(self.run.average, paths, scale, protocol).psnr for protocol in validation.PROTOCOLS
            )
            line += f'  {name} {whole:.2f} dB, crops {crops:.2f}'
        print(line, flush=True)
        self.losses, self.since = [], time.monotonic()

    def _describe(self, losses: list[torch.Tensor]) -> str:
        images_done = len(self.losses) * self.run.settings['batch_size']
        speed = images_done / (time.monotonic() - self.since)
        left = max(0, round(self.run.seconds / self.run.progress() - self.run.seconds))
        rate = (
            f'lr {self.run.rate():.1e}  {self.run.precision()}  {speed:.1f} images/s  {left // 60}:{left % 60:02} left'
        )
        return f'loss {mean(losses):.5f}  {rate}'


def mean(losses: Sequence[torch.Tensor]) -> float:
    return float(torch.stack(list(losses)).mean())


def train(
    run: trainer.Trainer,
    pairs: Sequence[patches.Pair],
    reporter: Reporter,
    checkpoint_path: str,
    report_seconds: float,
) -> int | None:
    """Run to the end, with a line every `report_seconds`. Returns a signal's status where one came, else None.

    Raises ValueError when the loss is not a number any more.
    """
    signals = trainer.Signals()
    saving, reporting = trainer.Every(CHECKPOINT_SECONDS), trainer.Every(report_seconds)
    with reporter.bar:
        while run.progress() < 1 and signals.status is None:
            started = time.monotonic()
            loss = run.learn(pairs)
            run.seconds += time.monotonic() - started  # neither reports nor checkpoints count as training
            reporter.add(loss)
            done = run.progress() >= 1
            if saving.is_due() or done:
                reporter.check_loss()
                run.save(checkpoint_path)
                saving.restart()
            if reporting.is_due() or done:
                reporter.write_line()
                reporting.restart()  # now: measuring takes its time
    signals.restore()
    if signals.status is not None:
        run.save(checkpoint_path)
    return signals.status


def load_pairs(folders: Sequence[str], scale: int, size: int) -> list[patches.Pair]:
    """The Pairs of all pictures in FOLDER or FOLDER@FACTOR, in order. Raises ValueError as patches.load_pair does."""
    jobs = []
    for folder in folders:
        match = re.match(r'(.+)@([0-9.]+)$', folder)
        name, factor = (match.group(1), float(match.group(2))) if match else (folder, 1.0)
        if not 0 < factor <= 1:
            raise ValueError(f'{folder}: the factor of the size lies between 0 and 1')
        jobs += [(path, factor) for path in patches.find_images(name)]
    return [patches.load_pair(path, scale, size, factor) for path, factor in cli.progress(jobs, 'picture')]


def new_model(**config: int) -> models.RDN:
    """A new RDN with these arguments, which computes about what bicubic upsampling does."""
    model = models.RDN(**config)
    trainer.begin_as_interpolation(model)
    return model


def list_evaluation(folders: Sequence[str], scale: int) -> dict[str, list[str]]:
    """Name -> image paths of each folder. Raises ValueError, with the file's name, for one that cannot be measured."""
    listed = {os.path.basename(os.path.abspath(folder)): images.list_images(folder) for folder in folders}
    for path in sum(listed.values(), []):  # now, not at the first report
        for protocol in validation.PROTOCOLS:
            validation.fit_image(path, scale, protocol)
    return listed


def choose_device(precision: str | None = None) -> tuple[torch.device, bool, bool]:
    """(device, whether to compute in bf16, whether compiling the network pays there).

    precision: 'bf16' or 'fp32'; None takes bf16 where the device has it. Raises ValueError for bf16 where it has not.
    """
    if torch.cuda.is_available():
        device, has_bf16, compiled = torch.device('cuda'), torch.cuda.is_bf16_supported(), hasattr(torch, 'compile')
    else:  # compiled is slower on a CPU
        device, has_bf16, compiled = torch.device('cpu'), cpu.has_bf16() and hasattr(torch, 'autocast'), False
    if precision == 'bf16' and not has_bf16:
        raise ValueError(
            f'--precision=bf16: this {device} or torch {torch.__version__} does not compute in it: take fp32'
        )
    return device, has_bf16 and precision != 'fp32', compiled


def main(argv=None):
    args = parse_args(argv)
    checkpoint_path = args.output_file + '.checkpoint'
    if os.path.exists(checkpoint_path) and not args.resume:
        raise ValueError(f'{checkpoint_path}: of an interrupted run: --resume goes on with it; remove it to begin anew')
    device, bf16, compiled = choose_device(args.precision)
    resumes = args.resume and os.path.exists(checkpoint_path)
    if os.path.exists(args.output_file) and not (args.overwrite or resumes):
        raise ValueError(f'{args.output_file}: is there already: --overwrite replaces it, once the training is done')
    torch.manual_seed(args.seed)
    model = (
        checkpoint.load_rdn(args.init)
        if args.init
        else new_model(
            scale_factor=args.scale,
            num_channels=3,
            num_features=args.num_features,
            growth_rate=args.growth_rate,
            num_blocks=args.num_blocks,
            num_layers=args.num_layers,
        )
    )
    scale = model.config['scale_factor']
    folders = list_evaluation(args.eval_path, scale)
    pairs = load_pairs(args.train_path, scale, args.patch)
    pixels = sum(pair.hr.shape[0] * pair.hr.shape[1] for pair in pairs)
    settings = dict(model.config, pictures=len(pairs), pixels=pixels)
    for name in ('init', 'patch', 'batch_size', 'learning_rate', 'seed', 'minutes', 'steps', 'precision'):
        settings[name] = getattr(args, name)
    run = trainer.Trainer(model, settings, device, bf16, compiled and not args.no_compile)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    print(f'{parameters} parameters, {len(pairs)} pictures of {pixels / 1e6:.1f} megapixels')
    print(f'{f"bf16, the last {trainer.FP32_SHARE:.0%} in fp32," if bf16 else "fp32"} on {device}')
    if resumes:
        run.load(checkpoint_path)
        print(f'resumed at step {run.step}, after {run.seconds / 60:.1f} minutes')
    sys.stdout.flush()
    report_seconds = 60 * (args.report_minutes or (args.minutes or 10) / 10)
    status = train(run, pairs, Reporter(run, folders), checkpoint_path, report_seconds)
    if status is not None:
        print(f'stopped at step {run.step}: the same command with --resume goes on', file=sys.stderr)
        return status
    run.write_weights(args.output_file, args.half)
    os.remove(checkpoint_path)
    print(f'written to {args.output_file}')


def parse_args(argv):
    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--train-path', nargs='+', required=True, help='folders of photographs; FOLDER@0.5: at half size'
    )
    parser.add_argument('--eval-path', nargs='+', default=[], help='folders of images to measure PSNR on')
    parser.add_argument('--output-file', default='rdn_x2_trained.pth', help='weights to write; default %(default)s')
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument(
        '--minutes', type=cli.positive_number, help='how long to train; the learning rate follows the clock'
    )
    length.add_argument('--steps', type=cli.positive, help='how many steps to train: the same result on every run')
    parser.add_argument('--overwrite', action='store_true', help='replace weights that are there')
    parser.add_argument('--resume', action='store_true', help='go on from OUTPUT.checkpoint if it is there')
    parser.add_argument('--init', help='weights to start from; they say the architecture')
    parser.add_argument('--scale', type=int, choices=cli.SCALES, default=2)
    parser.add_argument('--num-features', type=cli.positive, default=32)
    parser.add_argument('--growth-rate', type=cli.positive, default=32)
    parser.add_argument('--num-blocks', type=cli.positive, default=6)
    parser.add_argument('--num-layers', type=cli.positive, default=4)
    parser.add_argument('--patch', type=cli.positive, default=24, help='low-resolution pixels; default %(default)s')
    parser.add_argument('--batch-size', type=cli.positive, default=8)
    parser.add_argument(
        '--learning-rate', type=cli.positive_number, default=1.5e-3, help='the highest; default %(default)s'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--precision',
        choices=['bf16', 'fp32'],
        help='bf16 ends with a stage in fp32; default: bf16 on a device that computes in it, else fp32',
    )
    parser.add_argument('--half', action='store_true', help='write the weights in half precision')
    parser.add_argument('--no-compile', action='store_true', help='on a GPU: without torch.compile')
    parser.add_argument(
        '--report-minutes', type=cli.positive_number, help='between two lines; default a tenth of the run'
    )
    args = parser.parse_args(argv)
    if not args.init and args.num_features < 3:
        parser.error('--num-features: 3 at least, one for each colour')
    return args


if __name__ == '__main__':
    cli.run(main)
