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
from rdn import cli, files, run_record
from rdn.devices import chip, inference, record, tools

WEIGHTS = ('rdn_x2.pth', 'weights/rdn_x2.pth', 'weights/rdn_x2_lite.pth')
SET5 = '/root/dataset/set5'
PREPARED, INPUTS, LABELS = 'prep_dataset', './prep_dataset/data', './prep_dataset/label'
INFO = './RDN_prep_bin.info'
SIDE = inference.SIDE
TABLE = 'result/batches.md'
ROUNDS = {'benchmark': 20, 'ais_bench': 100, 'host': 20}  # of a run without data, with batches of 1


class Machine(NamedTuple):
    """What the walk runs on: the tool, the chip, the number of the device, atc's name of the chip where it converts."""

    tool: tools.Tool
    chip: chip.Chip
    device: int
    soc_version: str | None

    def describe(self, batch_sizes: Sequence[int]) -> str:
        place = "this machine's processor" if self.tool.name == 'host' else f'{self.chip.name}, device {self.device}'
        name = {'host': 'RDN_infer.py'}.get(self.tool.name, self.tool.name)
        return f'{name} on {place}, batches of {", ".join(map(str, batch_sizes))} ({self.tool.reason})'


def find_machine(wanted: str | None, device: int, soc_version: str | None, steps: str) -> Machine:
    """The Machine for inference. wanted: one of tools.NAMES; steps: of the walk, as its flag has them.

    Raises ValueError, with what to do, where a program or the chip's name is missing.
    """
    tool = tools.choose(wanted, steps != 'measure')
    atc = tools.find('atc') if wanted != 'host' and steps != 'measure' else None
    if steps == 'convert' and not atc:
        raise ValueError("no atc on PATH: it comes with the CANN toolkit; source the toolkit's set_env.sh")
    npu_smi = tools.find('npu-smi')
    found = None
    if npu_smi and (atc or tool.name != 'host'):
        try:
            found = chip.find_chip(device, npu_smi, tools.outer_environment())
        except ValueError:
            if not soc_version:
                raise
    if not found and not soc_version and tool.name == 'benchmark':
        soc_version = 'Ascend310'  # the guide's
    if atc or tool.name != 'host':
        soc_version = chip.choose_soc_version(found, soc_version)
    if tool.name == 'host':
        return Machine(tool, chip.Chip(run_record.HOST), device, soc_version if atc else None)
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
    return Machine(tool, found, device, soc_version)


def step(*command: str) -> None:
    """Show a command of the guide and run it; end as it ends where it fails, since it has said why."""
    tools.show(command)
    program = [sys.executable, *command[1:]] if command[0] == 'python3' else list(command)
    status = subprocess.run(program).returncode
    if status:
        sys.exit(status if status > 0 else 128 - status)


def result_folder(batch_size: int) -> str:
    """Where outputs, logs and records of a batch size stand."""
    return f'result/bs{batch_size}'


def is_guides_own(tool: str, batch_sizes: Sequence[int]) -> bool:
    """Whether the walk is the guide's, whose files have their places in the guide."""
    return tool in ('benchmark', 'host') and list(batch_sizes) == [1]


def export(weights: str | None) -> None:
    """Step 3.1."""
    weights = weights or next((path for path in WEIGHTS if os.path.isfile(path)), WEIGHTS[0])
    step('python3', 'RDN_pth2onnx.py', f'--input-file={weights}', f'--output-file={inference.ONNX}', '--scale=2')


def convert(batch_sizes: Sequence[int], soc_version: str) -> None:
    """Step 3.2, for each batch size."""
    for batch_size in batch_sizes:
        inference.convert(batch_size, soc_version, result_folder(batch_size))


def prepare(dataset: str | None) -> str:
    """Step 4; returns the folder of images: the given one, else Set5 where the guide has it, else five photographs."""
    if dataset is None and os.path.isdir(SET5):
        dataset = SET5
    elif dataset is None:
        dataset = './sample_images'
        step('python3', 'sample_images.py', dataset)
    step('python3', 'RDN_preprocess.py', f'--src-path={dataset}', '--save-path=./prep_dataset')
    step('python3', 'gen_dataset_info.py', 'bin', INPUTS, INFO, str(SIDE), str(SIDE))
    return dataset


def infer(machine: Machine, batch_size: int, guides_own: bool) -> inference.Run:
    """Step 5, on the prepared images and, but in the guide's own walk, without data. Leaves records of a device's runs."""
    tool, device, folder = machine.tool, machine.device, result_folder(batch_size)
    rounds = max(10, ROUNDS[tool.name] // batch_size)
    if tool.name == 'host':
        return infer_on_host(batch_size, device, max(3, ROUNDS['host'] // batch_size), None if guides_own else folder)
    model = f'{inference.model_name(batch_size)}.om'
    of_run = record.make(tool.name, machine.chip, batch_size, model, INPUTS)  # of what is there before it starts
    if tool.name == 'ais_bench':
        run = inference.run_ais_bench(tool.command, model, INPUTS, batch_size, device, rounds, folder)
    else:
        rounds, folder = (0, 'result') if guides_own else (rounds, folder)
        run = inference.run_benchmark(tool.command, model, PREPARED, INFO, batch_size, device, rounds, folder)
    for target in filter(None, run):
        run_record.write(target, of_run)
    return run


def infer_on_host(batch_size: int, device: int, rounds: int, folder: str | None) -> inference.Run:
    """Step 5 by RDN_infer.py. folder: in place of result/, and then without data, too; None for the guide's own walk."""
    model, place = inference.model_name(batch_size), folder or 'result'
    common = [f'-device_id={device}', f'-batch_size={batch_size}', f'-om_path=./{model}.onnx']
    common += [f'-result_path={folder}'] if folder else []
    size = [f'-input_width={SIDE}', f'-input_height={SIDE}']
    flags = [f'-input_text_path={INFO}', '-output_binary=False', '-useDvpp=False']
    step('python3', 'RDN_infer.py', '-model_type=vision', *common, *size, *flags)
    if folder:
        step('python3', 'RDN_infer.py', f'-round={rounds}', *common, *size)
    speed = f'{place}/perf_vision_batchsize_{batch_size}_device_{device}.txt'
    pure_speed = f'{place}/PureInfer_perf_of_{model}_in_device_{device}.txt' if folder else None
    return inference.Run(f'{place}/dumpOutput_device{device}', speed, pure_speed)


def judge(run: inference.Run, result_path: str, images: str | None) -> None:
    """Step 6. images: a folder for pictures to look at; None for none."""
    flags = [f'--width={SIDE}', f'--height={SIDE}', '--scale=2']
    if images:
        for name in os.listdir(images) if os.path.isdir(images) else []:
            if name.endswith(('_x2.png', '_sheet.png')):  # of an earlier walk
                os.remove(os.path.join(images, name))
        flags.append(f'--save-images=./{images}')
    places = [f'--pred-path=./{run.outputs}', f'--label-path={LABELS}', f'--result-path=./{result_path}']
    step('python3', 'RDN_postprocess.py', *places, *flags)


def measure(machine: Machine, batch_sizes: Sequence[int], dataset: str | None, acceptance: bool) -> list[str]:
    """Steps 4 to 7; returns lines on what was written. acceptance: the figures alone, without pictures."""
    guides_own = is_guides_own(machine.tool.name, batch_sizes)
    dataset = prepare(dataset)
    folders, figures = [], []
    for batch_size in batch_sizes:
        folder = 'result' if guides_own else result_folder(batch_size)
        run = infer(machine, batch_size, guides_own)
        if not guides_own:
            inference.remove_others(folder, run)
        result_path = 'result.json' if guides_own else f'{folder}/result.json'
        judge(run, result_path, None if acceptance else f'{folder}/images')
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
        flags = [f'--dataset={os.path.basename(os.path.abspath(dataset))}', f'--model={inference.ONNX}']
        step('python3', 'test/batches.py', *folders, *flags, f'--markdown={TABLE}')
    if acceptance:
        print_figures(figures)
    return [
        f'accuracy   {", ".join(path for path, _ in figures)}; the PSNR of each image is above',
        f'speed      {", ".join(path for _, path in figures)}; images/s (fps) are above',
        f'pictures   {", ".join(f"{folder}/images/*_sheet.png" for folder in folders)}: bicubic | RDN | original',
    ]


def check_converted(machine: Machine, batch_sizes: Sequence[int], wanted: str | None) -> None:
    """Raises ValueError where the acceptance script could not run on a device: without its tool, or a model for it."""
    if machine.tool.name == 'host':
        if wanted != 'host':
            raise ValueError(f'{machine.tool.reason}: without a device, run.sh walks the same way, or give --with=host')
        return
    for batch_size in batch_sizes:
        name = f'{inference.model_name(batch_size)}.om'
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
        return walk(args)


def walk(args: argparse.Namespace) -> None:
    """The steps that the flags ask for."""
    machine = find_machine(args.tool, args.device_id, args.soc_version, args.steps)
    if args.steps == 'measure':
        check_converted(machine, args.batch_size, args.tool)
    if args.steps != 'convert':
        print(f'inference: {machine.describe(args.batch_size)}', flush=True)
    if args.steps != 'measure':
        export(args.weights)
        if machine.soc_version:
            convert(args.batch_size, machine.soc_version)
    if args.steps == 'convert':
        print(f'{", ".join(f"{inference.model_name(size)}.om" for size in args.batch_size)} ready')
        return
    lines = measure(machine, args.batch_size, args.dataset, acceptance=args.steps == 'measure')
    if args.steps == 'all':
        print('\n' + '\n'.join([f'inference  {machine.describe(args.batch_size)}', *lines]))


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
    parser.add_argument('--weights', help='default: rdn_x2.pth here or in weights/, else the compact weights')
    parser.add_argument('--dataset', help=f'folder of images; default: {SET5} where it is, else five photographs')
    parser.add_argument(
        '--soc-version', default=os.environ.get('SOC_VERSION') or None, help='default: asked of npu-smi'
    )
    parser.add_argument('--batch-size', type=batch_sizes, default=[1], help='one or several: 1,4,8; default 1')
    parser.add_argument('--device-id', type=number, default=0)
    parser.add_argument('--with', dest='tool', choices=tools.NAMES, help='default: the first of these that is here')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # the shell script whose errors these are
    cli.run(main)
