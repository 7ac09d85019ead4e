"""The walk of run.sh, test/pth2om.sh and test/eval_acc_perf.sh: show and run the command of each step.

    python3 -m rdn.walk --dataset /root/dataset/set5 --batch-size 1,4

With benchmark or RDN_infer.py and batches of 1, the walk writes the same files as the guide. All other walks have a
folder for each batch size, such as result/bs4.
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
from rdn import cli, configuration, files, images, mode_comparison, run_record, shipped_weights, walk_steps
from rdn.acceptance import reference as models_weights
from rdn.accuracy import agreement, result
from rdn.devices import choice, outputs, runner
from rdn.network import architectures, checkpoint

NO_VERDICT = 'none: the outputs were not compared with PyTorch'
NO_WEIGHTS = f'{NO_VERDICT}: the model has no record of its weights; --weights=FILE names them'


class Measured(NamedTuple):
    """The results for a batch size.

    Attributes:
        folder: the folder of the outputs and logs.
        result: the path of result.json.
        speed: the path of the log or report that contains the speed.
        postprocess: the command that wrote result.json.
        verdict: the verdict on accuracy; None if nothing was compared.
    """

    folder: str
    result: str
    speed: str
    postprocess: list[str]
    verdict: agreement.Verdict | None


def configure(path: str) -> configuration.Configuration:
    """Return the configuration for weights: their path, scale and architecture.

    If the file is missing, the scale and architecture are the guide's. Step 3.1 then reports the missing file.
    """
    network = checkpoint.identify(path) if os.path.isfile(path) else configuration.GUIDE
    return configuration.Configuration(path, *network)


def choose_reference(
    steps: str,
    config: configuration.Configuration,
    machine: choice.Machine,
    batch_sizes: Sequence[int],
    given: str | None,
) -> str | None:
    """Return the weights to compare with for the verdict; None if they are not known.

    Args:
        steps: all, convert or measure: the value of --steps.
        config: the configuration of the walk.
        machine: the machine of the walk.
        batch_sizes: the batch sizes of the models.
        given: the path in --weights; None without the flag.

    Returns:
        The weights that this walk exports, or those from which the existing models were made.
    """
    if steps == 'all':
        return config.weights
    models = [machine.device.model(config, batch_size) for batch_size in batch_sizes]
    return models_weights.choose_weights(filter(os.path.isfile, models), given)


def measure(plan: walk_steps.Plan) -> list[Measured]:
    """Run steps 4 to 7, and return the results for each batch size."""
    dataset = walk_steps.prepare(plan.config, plan.dataset)
    measured = [measure_batch(plan, batch_size) for batch_size in plan.batch_sizes]
    if not plan.is_guides_own:
        make_table(plan, measured, dataset)
    elif not plan.is_acceptance:
        walk_steps.step('python3', 'test/parse.py', measured[0].speed)
    if plan.is_acceptance:
        print_figures(measured)
    return measured


def measure_batch(plan: walk_steps.Plan, batch_size: int) -> Measured:
    """Run steps 5 and 6 for a batch size, and return its results."""
    folder = configuration.RESULTS if plan.is_guides_own else plan.config.result_folder(batch_size)
    run = walk_steps.infer(plan, batch_size)
    if not plan.is_guides_own:
        outputs.remove_others(folder, run)
    result_path = configuration.RESULT if plan.is_guides_own else f'{folder}/{configuration.RESULT}'
    command = walk_steps.judge(plan, run, result_path, None if plan.is_acceptance else f'{folder}/images')
    origin = result.read_origin(result_path)
    return Measured(folder, result_path, run.pure_speed or run.speed, command, origin.verdict if origin else None)


def make_table(plan: walk_steps.Plan, measured: Sequence[Measured], dataset: str) -> None:
    """Run step 7: write the table of batch sizes.

    With a single batch size, result.json is also copied to the project's folder. With several, it is removed there.
    """
    path = measured[0].result
    if len(measured) == 1:
        walk_steps.step('cp', path, run_record.path_of(path), '.')
    else:  # a result.json of an earlier walk would look like a result of this one
        for name in (configuration.RESULT, run_record.path_of(configuration.RESULT)):
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)
    flags = [f'--dataset={os.path.basename(os.path.abspath(dataset))}', f'--model={plan.config.onnx}']
    flags.append(f'--markdown={configuration.TABLE}')
    walk_steps.step('python3', 'test/batches.py', *[each.folder for each in measured], *flags)


def describe_end(plan: walk_steps.Plan, measured: Sequence[Measured]) -> list[str]:
    """Return the last lines of the walk: the device, the files of results, the verdict, the next command."""
    lines = []
    if not plan.is_acceptance:
        folders = [each.folder for each in measured]
        captions = f'bicubic | {architectures.title_of(plan.config.network)} | original'
        lines = [
            f'inference  {plan.machine.describe(plan.batch_sizes)}',
            f'accuracy   {", ".join(each.result for each in measured)}; the PSNR of each image is above',
            f'speed      {", ".join(each.speed for each in measured)}; images/s (fps) are above',
            f'pictures   {", ".join(f"{folder}/images/*_sheet.png" for folder in folders)}: {captions}',
        ]
    for batch_size, each in zip(plan.batch_sizes, measured):
        of = f'batches of {batch_size}: ' if len(measured) > 1 else ''
        lines.append(f'verdict    {of}{each.verdict.summarize() if each.verdict else plan.no_verdict}')
    return [*lines, *(f'next       {line}' for line in next_commands(plan, measured))]


def next_commands(plan: walk_steps.Plan, measured: Sequence[Measured]) -> list[str]:
    """Return the commands that the user should run next."""
    for each in measured:
        if each.verdict and not each.verdict.is_kept:  # the report shows where accuracy is lost
            return [runner.line_of([*each.postprocess, f'--report={each.folder}/report'])]
    photograph = [] if plan.is_acceptance else [enlarge_command(plan.config)]
    if plan.machine.device.is_accelerator:
        sizes = list(plan.batch_sizes)
        if 1 not in sizes:  # the GPU's speed is measured with batches of 1
            return [runner.line_of(['python3', 'test/accept.py', '--psnr', measured[0].result]), *photograph]
        path, speed = measured[sizes.index(1)].result, measured[sizes.index(1)].speed
        on_gpu = runner.line_of(['bash', 'test/perf_gpu.sh', plan.config.onnx])
        judged = ['python3', 'test/accept.py', '--psnr', path, '--npu', speed, '--gpu', 'RDN_bs1.log']
        return [f'{on_gpu}    (on a server with a GPU; it writes RDN_bs1.log)', runner.line_of(judged), *photograph]
    return photograph


def enlarge_command(config: configuration.Configuration) -> str:
    """Return the command that enlarges a photograph with the weights of the walk, for a new shell."""
    same = [name for name in shipped_weights.NAMED if _is_same(shipped_weights.locate(name), config.weights)]
    model = same[0] if same else config.weights
    line = runner.line_of(['python3', 'RDN_upscale.py', 'photo.jpg', *([] if model == 'lite' else ['--model', model])])
    if sys.prefix == sys.base_prefix:
        return line
    inside = os.path.relpath(sys.prefix, rdn.ROOT)
    environment = sys.prefix if inside.startswith(os.pardir) else inside
    return f'{runner.line_of(["source", os.path.join(environment, "bin", "activate")])} && {line}'


def _is_same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def check_converted(
    config: configuration.Configuration, machine: choice.Machine, batch_sizes: Sequence[int], wanted: str | None
) -> None:
    """Check that the acceptance script can run on the device: its tool is found, and the models are converted.

    Args:
        config: the configuration of the walk.
        machine: the machine of the walk.
        batch_sizes: the batch sizes to measure.
        wanted: the value of --with; None without the flag.

    Raises:
        ValueError: no device was found and --with was not given, or a model is missing or was converted for another
            batch size.
    """
    if not machine.device.is_accelerator:
        if wanted is None:
            raise ValueError(f'{machine.reason}: without a device, use run.sh, or add --with=host')
        return
    for batch_size in batch_sizes:
        name = machine.device.model(config, batch_size)
        if not os.path.isfile(name):
            raise ValueError(f'{name}: no such file: bash test/pth2om.sh writes it')
        converted = run_record.read(name)  # None for a model without a record
        if converted and converted.batch_size != batch_size:
            raise ValueError(f'{name}: converted for batches of {converted.batch_size}')


def print_figures(measured: Sequence[Measured]) -> None:
    """Print the accuracy and the speed of each batch size, as the guide's acceptance script does."""
    for each in measured:
        for title, path in (('accuracy', each.result), ('performance', each.speed)):
            print(f'==== {title} ====', flush=True)
            command = [sys.executable, 'test/parse.py', path]
            with runner.ending(subprocess.Popen(command, preexec_fn=runner.with_parent())) as process:
                walk_steps.check(process.wait())


def main(argv=None):
    args = parse_args(argv)
    os.chdir(rdn.ROOT)
    if args.weights and not os.path.isfile(shipped_weights.locate(args.weights)):
        raise ValueError(f'{args.weights}: no such file')
    if args.dataset:
        images.list_images(args.dataset)  # raises before the export, which takes minutes
    with files.locked_at_once(rdn.ROOT, 'another walk runs in this folder: wait until it ends'):
        machine = choice.find_machine(args.tool, args.device_id, args.soc_version, args.steps)
        weights = shipped_weights.choose(args.weights, machine.device.is_accelerator)
        config = configure(weights.path)
        given = weights.path if args.weights else None
        if args.steps == 'measure':
            check_converted(config, machine, args.batch_size, args.tool)
        reference = None
        if not args.no_reference:
            reference = choose_reference(args.steps, config, machine, args.batch_size, given)
        no_verdict = NO_VERDICT if args.no_reference else NO_WEIGHTS
        if args.steps != 'measure':  # with `measure`, the models exist already
            cli.say(f'weights: {weights.path} ({weights.reason})')
        plan = walk_steps.Plan(args.steps, config, machine, args.batch_size, reference, no_verdict, args.dataset)
        return compare_modes(plan) if args.compare_modes else walk(plan)


def compare_modes(plan: walk_steps.Plan) -> int:
    """Compare all variants of the graph in all precision modes, and return the exit status."""
    print(f'inference: {plan.machine.describe(plan.batch_sizes)}', flush=True)
    return mode_comparison.compare(plan)


def walk(plan: walk_steps.Plan) -> int:
    """Run the steps that the flags name, and return the exit status."""
    if plan.steps != 'convert':
        cli.say(f'inference: {plan.machine.describe(plan.batch_sizes)}')
    if plan.steps != 'measure':
        walk_steps.export(plan.config)
        converted = walk_steps.convert(plan.config, plan.machine, plan.batch_sizes)
    if plan.steps == 'convert':
        cli.say(f'{", ".join(converted)} ready')
        return 0
    measured = measure(plan)
    print()
    for line in describe_end(plan, measured):
        cli.say(line)
    return 0 if all(each.verdict.is_kept for each in measured if each.verdict) else agreement.NOT_KEPT


def parse_args(argv):
    def batch_sizes(text):
        if not all(part.isdigit() and 0 < len(part) < 6 and int(part) for part in text.split(',')):
            raise argparse.ArgumentTypeError(f'{text}: must be whole numbers of at least 1, as in 1,4,8')
        sizes = [int(part) for part in text.split(',')]
        if len(set(sizes)) < len(sizes):
            raise argparse.ArgumentTypeError(f'{text}: contains a size twice')
        return sizes

    def number(text):
        if not text.isdigit():
            raise argparse.ArgumentTypeError(f'{text}: must be a whole number of at least 0')
        return int(text)

    parser = cli.Parser(__doc__)
    parser.add_argument(
        '--steps',
        choices=['all', 'convert', 'measure'],
        default='all',
        help='convert: only step 3 of the guide; measure: steps 4 to 7',
    )
    named = ' or '.join(f'{name} ({path})' for name, path in shipped_weights.NAMED.items())
    default = f'{shipped_weights.OWN} if it exists, else full with a device and lite without one'
    parser.add_argument('--weights', help=f'weights: a file, {named}; default: {default}')
    parser.add_argument(
        '--no-reference', action='store_true', help='do not compare with PyTorch, so there is no verdict'
    )
    parser.add_argument(
        '--compare-modes',
        action='store_true',
        help='run every graph in every precision mode, and show the fastest that keeps the accuracy',
    )
    usual = f'{walk_steps.SET5} if it exists, else five photographs'
    parser.add_argument('--dataset', help=f'folder of images; default: {usual}')
    parser.add_argument(
        '--soc-version',
        default=os.environ.get('SOC_VERSION') or None,
        help='chip for atc; default: the one that npu-smi reports',
    )
    parser.add_argument(
        '--batch-size', type=batch_sizes, default=[1], help='one or several batch sizes, as in 1,4,8; default 1'
    )
    parser.add_argument('--device-id', type=number, default=0, help='number of the device; default %(default)s')
    parser.add_argument(
        '--with',
        dest='tool',
        choices=choice.NAMES,
        help='tool for inference; default: the first of these that is installed',
    )
    args = parser.parse_args(argv)
    if args.compare_modes and (args.no_reference or args.steps != 'all' or len(args.batch_size) > 1):
        parser.error('--compare-modes needs a single batch size, and excludes --no-reference and --steps')
    return args


if __name__ == '__main__':
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # errors name the shell script that the user started
    cli.run(main)
