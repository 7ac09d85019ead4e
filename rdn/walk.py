"""The walk of run.sh, test/pth2om.sh and test/eval_acc_perf.sh: each step's command, shown and run in its turn.

    python3 -m rdn.walk --dataset /root/dataset/set5 --batch-size 1,4

The guide's own walk, benchmark or RDN_infer.py with batches of 1, leaves its files where the guide has them. All others
have a folder for each batch size, result/bs4 say.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from typing import NamedTuple, Sequence

import rdn.start  # noqa: F401 - first: it answers Ctrl-C while the others load

import rdn
from rdn import cli, configuration, files, run_record
from rdn.devices import base, chip, choice, outputs, runner
from rdn.network import architectures, checkpoint

SET5 = '/root/dataset/set5'
TABLE = 'result/batches.md'


class Machine(NamedTuple):
    """What the walk runs on.

    Attributes:
        device: does the inference.
        reason: why it was chosen.
        chip: of the device.
        device_id: number of the device.
        soc_version: atc's name of the chip; None if nothing is converted.
    """

    device: base.Device
    reason: str
    chip: chip.Chip
    device_id: int
    soc_version: str | None

    def describe(self, batch_sizes: Sequence[int]) -> str:
        """Say what runs where, with which batches, and why."""
        place = f'{self.chip.name}, device {self.device_id}' if self.device.needs_chip else "this machine's processor"
        return f'{self.device.title} on {place}, batches of {", ".join(map(str, batch_sizes))} ({self.reason})'


def find_machine(wanted: str | None, device_id: int, soc_version: str | None, steps: str) -> Machine:
    """Find what the walk runs on.

    Args:
        wanted: one of choice.NAMES, or None.
        device_id: number of the device.
        soc_version: atc's name of the chip, if the user gave it.
        steps: of the walk, as its flag has them.

    Raises:
        ValueError: a program or the chip's name is missing; with what to do.
    """
    programs = runner.LOCAL
    device, reason = choice.choose(wanted, steps != 'measure', programs)
    converter = programs.find('atc') if device.needs_chip or wanted is None else None
    converter = converter if steps != 'measure' else None
    if steps == 'convert' and not converter:
        raise ValueError("no atc on PATH: it comes with the CANN toolkit; source the toolkit's set_env.sh")
    npu_smi = programs.find('npu-smi')
    found = None
    if npu_smi and (converter or device.needs_chip):
        try:
            found = chip.find_chip(device_id, npu_smi, programs)
        except ValueError:
            if not soc_version:
                raise
    if not found:
        soc_version = soc_version or device.assumed_soc_version
    if converter or device.needs_chip:
        soc_version = chip.choose_soc_version(found, soc_version)
    if not device.needs_chip:
        return Machine(device, reason, chip.Chip(run_record.HOST), device_id, soc_version if converter else None)
    named = chip.name_of(soc_version or '')
    if found is None or found.name in chip.FAMILIES:
        found = chip.Chip(named, found.card_devices if found else None)
    elif found.name != named:
        print(f'npu-smi shows {found.name}; atc converts for {soc_version}, as asked')
    chips = os.environ.get('CHIPS')
    if chips:
        if not chips.isdigit() or not int(chips):
            raise ValueError(f'CHIPS={chips}: is the number of devices on a card, from 1 on')
        found = found._replace(card_devices=int(chips))
    return Machine(device, reason, found, device_id, soc_version)


def step(*command: str) -> None:
    """Show a command of the guide and run it; end as it ends where it fails, since it has said why."""
    runner.show(command)
    program = [sys.executable, *command[1:]] if command[0] == 'python3' else list(command)
    status = subprocess.run(program).returncode
    if status:
        sys.exit(status if status > 0 else 128 - status)


def is_guides_own(device: base.Device, batch_sizes: Sequence[int]) -> bool:
    """Whether the walk is the guide's, whose files have their places in the guide."""
    return device.has_guides_places and list(batch_sizes) == [1]


def configure(weights: str | None) -> configuration.Configuration:
    """The configuration for weights, whose scale is read from them; without weights here, export says so."""
    path = configuration.find_weights(weights)
    network = checkpoint.identify(path) if os.path.isfile(path) else configuration.GUIDE
    return configuration.Configuration(path, *network)


def sizes(config: configuration.Configuration) -> list[str]:
    """The flags of the input's size and the scale where they are not the guide's, which are the scripts' defaults."""
    if config.scale == configuration.GUIDE_SCALE:
        return []
    return [f'--height={config.side}', f'--width={config.side}', f'--scale={config.scale}']


def export(config: configuration.Configuration) -> None:
    """Step 3.1."""
    flags = sizes(config) or [f'--scale={config.scale}']
    step('python3', 'RDN_pth2onnx.py', f'--input-file={config.weights}', f'--output-file={config.onnx}', *flags)


def convert(
    config: configuration.Configuration, device: base.Device, batch_sizes: Sequence[int], soc_version: str
) -> None:
    """Step 3.2, for each batch size."""
    for batch_size in batch_sizes:
        device.convert(config, batch_size, soc_version)


def prepare(config: configuration.Configuration, dataset: str | None) -> str:
    """Step 4; returns the folder of images: the given one, else Set5 where the guide has it, else five photographs."""
    if dataset is None and os.path.isdir(SET5):
        dataset = SET5
    elif dataset is None:
        dataset = './sample_images'
        step('python3', 'sample_images.py', dataset)
    step('python3', 'RDN_preprocess.py', f'--src-path={dataset}', f'--save-path=./{config.prepared}', *sizes(config))
    step('python3', 'gen_dataset_info.py', 'bin', config.inputs, config.info, str(config.side), str(config.side))
    return dataset


def infer(config: configuration.Configuration, machine: Machine, batch_size: int, guides_own: bool) -> base.Run:
    """Step 5, on the prepared images and, outside of the guide's own walk, without data."""
    folder = None if guides_own else config.result_folder(batch_size)
    return machine.device.infer_and_record(base.Job(config, batch_size, machine.device_id, machine.chip, folder, step))


def judge(config: configuration.Configuration, run: base.Run, result_path: str, images: str | None) -> None:
    """Step 6. images: a folder for pictures to look at; None for none."""
    flags = [f'--width={config.side}', f'--height={config.side}', f'--scale={config.scale}', *config.caption_flags]
    if images:
        ending = (*(f'_x{scale}.png' for scale in cli.SCALES), '_sheet.png')
        for name in os.listdir(images) if os.path.isdir(images) else []:
            if name.endswith(ending):  # of an earlier walk
                os.remove(os.path.join(images, name))
        flags.append(f'--save-images=./{images}')
    places = [f'--pred-path=./{run.outputs}', f'--label-path={config.labels}', f'--result-path=./{result_path}']
    step('python3', 'RDN_postprocess.py', *places, *flags)


def measure(
    config: configuration.Configuration,
    machine: Machine,
    batch_sizes: Sequence[int],
    dataset: str | None,
    acceptance: bool,
) -> list[str]:
    """Steps 4 to 7; returns lines on what was written. acceptance: the figures alone, without pictures."""
    guides_own = is_guides_own(machine.device, batch_sizes)
    dataset = prepare(config, dataset)
    folders, figures = [], []
    for batch_size in batch_sizes:
        folder = 'result' if guides_own else config.result_folder(batch_size)
        run = infer(config, machine, batch_size, guides_own)
        if not guides_own:
            outputs.remove_others(folder, run)
        result_path = 'result.json' if guides_own else f'{folder}/result.json'
        judge(config, run, result_path, None if acceptance else f'{folder}/images')
        folders.append(folder)
        figures.append((result_path, run.pure_speed or run.speed))
    if guides_own and not acceptance:
        step('python3', 'test/parse.py', figures[0][1])
    elif not guides_own:
        if len(folders) > 1:  # whose accuracy stands in their folders: that of an earlier walk would look like theirs
            for name in ('result.json', 'result.run.json'):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(name)
        else:
            step('cp', f'{folders[0]}/result.json', f'{folders[0]}/result.run.json', '.')
        flags = [f'--dataset={os.path.basename(os.path.abspath(dataset))}', f'--model={config.onnx}']
        step('python3', 'test/batches.py', *folders, *flags, f'--markdown={TABLE}')
    if acceptance:
        print_figures(figures)
    captions = f'bicubic | {architectures.title_of(config.network)} | original'
    return [
        f'accuracy   {", ".join(path for path, _ in figures)}; the PSNR of each image is above',
        f'speed      {", ".join(path for _, path in figures)}; images/s (fps) are above',
        f'pictures   {", ".join(f"{folder}/images/*_sheet.png" for folder in folders)}: {captions}',
    ]


def check_converted(
    config: configuration.Configuration, machine: Machine, batch_sizes: Sequence[int], wanted: str | None
) -> None:
    """Raises ValueError where the acceptance script could not run on a device: without its tool, or a model for it."""
    if not machine.device.needs_chip:
        if wanted is None:
            raise ValueError(f'{machine.reason}: without a device, run.sh walks the same way, or give --with=host')
        return
    for batch_size in batch_sizes:
        name = f'{config.model(batch_size)}.om'
        if not os.path.isfile(name):
            raise ValueError(f'no {name}: bash test/pth2om.sh makes it')
        converted = run_record.read(name)  # None for one that was made elsewhere
        if converted and converted.batch_size != batch_size:
            raise ValueError(f'{name}: converted for batches of {converted.batch_size}')


def print_figures(figures: Sequence[tuple[str, str]]) -> None:
    """The two figures of each batch size, as the acceptance script prints them."""
    for result_path, speed_path in figures:
        for title, path in (('accuracy', result_path), ('performance', speed_path)):
            print(f'==== {title} ====', flush=True)
            subprocess.run([sys.executable, 'test/parse.py', path], check=True)


def main(argv=None):
    args = parse_args(argv)
    os.chdir(rdn.ROOT)
    if args.weights and not os.path.isfile(args.weights):
        raise ValueError(f'{args.weights}: no such file')
    with files.locked_at_once(rdn.ROOT, 'another walk runs in this folder, and on its device: wait for its end'):
        machine = find_machine(args.tool, args.device_id, args.soc_version, args.steps)
        config = configure(args.weights)
        if args.steps == 'measure':
            check_converted(config, machine, args.batch_size, args.tool)
        walk(args.steps, machine, config, args.batch_size, args.dataset)


def walk(
    steps: str,
    machine: Machine,
    config: configuration.Configuration,
    batch_sizes: Sequence[int],
    dataset: str | None,
) -> None:
    """The steps that the flags ask for."""
    if steps != 'convert':
        print(f'inference: {machine.describe(batch_sizes)}', flush=True)
    if steps != 'measure':
        export(config)
        if machine.soc_version:
            convert(config, machine.device, batch_sizes, machine.soc_version)
    if steps == 'convert':
        print(f'{", ".join(f"{config.model(size)}.om" for size in batch_sizes)} ready')
        return
    lines = measure(config, machine, batch_sizes, dataset, acceptance=steps == 'measure')
    if steps == 'all':
        print('\n' + '\n'.join([f'inference  {machine.describe(batch_sizes)}', *lines]))


def parse_args(argv):
    def batch_sizes(text):
        if not all(part.isdigit() and 0 < len(part) < 6 and int(part) for part in text.split(',')):
            raise argparse.ArgumentTypeError(f'{text}: whole numbers from 1 on, as in 1,4,8')
        sizes = [int(part) for part in text.split(',')]
        if len(set(sizes)) < len(sizes):
            raise argparse.ArgumentTypeError(f'{text}: a size stands in it twice')
        return sizes

    def number(text):
        if not text.isdigit():
            raise argparse.ArgumentTypeError(f'{text}: a whole number from 0 on')
        return int(text)

    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--steps', choices=['all', 'convert', 'measure'], default='all', help='of the guide: 3, or 4 to 7'
    )
    parser.add_argument('--weights', help=f'default: the first that exists of {", ".join(configuration.WEIGHTS)}')
    parser.add_argument('--dataset', help=f'folder of images; default: {SET5} where it is, else five photographs')
    parser.add_argument(
        '--soc-version', default=os.environ.get('SOC_VERSION') or None, help='default: asked of npu-smi'
    )
    parser.add_argument('--batch-size', type=batch_sizes, default=[1], help='one or several: 1,4,8; default 1')
    parser.add_argument('--device-id', type=number, default=0)
    parser.add_argument('--with', dest='tool', choices=choice.NAMES, help='default: the first of these that is here')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # the shell script whose errors these are
    cli.run(main)
