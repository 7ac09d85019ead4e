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
from rdn import cli, configuration, files, mode_comparison, run_record, shipped_weights, walk_steps
from rdn.acceptance import reference as models_weights
from rdn.accuracy import agreement, result
from rdn.devices import choice, outputs, runner
from rdn.network import architectures, checkpoint

NO_VERDICT = 'none: the outputs were not compared with PyTorch'
NO_WEIGHTS = f'{NO_VERDICT}: the model has no record of its weights; --weights=FILE names them'


class Measured(NamedTuple):
    """What a batch size reached.

    Attributes:
        folder: of its outputs and logs.
        result: the path of its result.json.
        speed: the path of the log or report with its speed.
        postprocess: the command that wrote the result.
        verdict: on accuracy; None where nothing was compared.
    """

    folder: str
    result: str
    speed: str
    postprocess: list[str]
    verdict: agreement.Verdict | None


def configure(path: str) -> configuration.Configuration:
    """The configuration for weights, whose scale is read from them; without weights here, export says so."""
    network = checkpoint.identify(path) if os.path.isfile(path) else configuration.GUIDE
    return configuration.Configuration(path, *network)


def choose_reference(
    steps: str,
    config: configuration.Configuration,
    machine: choice.Machine,
    batch_sizes: Sequence[int],
    given: str | None,
) -> str | None:
    """The weights for the verdict: those that are exported now, or that the models were made from; None if unknown."""
    if steps == 'all':
        return config.weights
    models = [machine.device.model(config, batch_size) for batch_size in batch_sizes]
    return models_weights.choose_weights(filter(os.path.isfile, models), given)


def measure(plan: walk_steps.Plan) -> list[Measured]:
    """Steps 4 to 7."""
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
    """Steps 5 and 6 for a batch size."""
    folder = configuration.RESULTS if plan.is_guides_own else plan.config.result_folder(batch_size)
    run = walk_steps.infer(plan, batch_size)
    if not plan.is_guides_own:
        outputs.remove_others(folder, run)
    result_path = configuration.RESULT if plan.is_guides_own else f'{folder}/{configuration.RESULT}'
    command = walk_steps.judge(plan, run, result_path, None if plan.is_acceptance else f'{folder}/images')
    origin = result.read_origin(result_path)
    return Measured(folder, result_path, run.pure_speed or run.speed, command, origin.verdict if origin else None)


def make_table(plan: walk_steps.Plan, measured: Sequence[Measured], dataset: str) -> None:
    """Step 7 for all batch sizes. The guide's result.json is that of the only one; of several there is none."""
    path = measured[0].result
    if len(measured) == 1:
        walk_steps.step('cp', path, run_record.path_of(path), '.')
    else:  # that of an earlier walk would look like theirs
        for name in (configuration.RESULT, run_record.path_of(configuration.RESULT)):
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)
    flags = [f'--dataset={os.path.basename(os.path.abspath(dataset))}', f'--model={plan.config.onnx}']
    flags.append(f'--markdown={configuration.TABLE}')
    walk_steps.step('python3', 'test/batches.py', *[each.folder for each in measured], *flags)


def describe_end(plan: walk_steps.Plan, measured: Sequence[Measured]) -> list[str]:
    """The last lines: what ran, which files say what, the verdict, the next command."""
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
    """What to do next, a command each."""
    for each in measured:
        if each.verdict and not each.verdict.is_kept:  # look where it is lost
            return [runner.line_of([*each.postprocess, f'--report={each.folder}/report'])]
    photograph = [] if plan.is_acceptance else [enlarge_command(plan.config)]
    if plan.machine.device.is_accelerator:
        sizes = list(plan.batch_sizes)
        if 1 not in sizes:  # the GPU is measured with batches of 1
            return [runner.line_of(['python3', 'test/accept.py', '--psnr', measured[0].result]), *photograph]
        path, speed = measured[sizes.index(1)].result, measured[sizes.index(1)].speed
        on_gpu = runner.line_of(['bash', 'test/perf_gpu.sh', plan.config.onnx])
        judged = ['python3', 'test/accept.py', '--psnr', path, '--npu', speed, '--gpu', 'RDN_bs1.log']
        return [f'{on_gpu}    (on a server with a GPU; it writes RDN_bs1.log)', runner.line_of(judged), *photograph]
    return photograph


def enlarge_command(config: configuration.Configuration) -> str:
    """The line that enlarges a photograph of the user's by the walk's weights, in a shell without an environment."""
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
    """Raises ValueError where the acceptance script could not run on a device: without its tool, or a model for it."""
    if not machine.device.is_accelerator:
        if wanted is None:
            raise ValueError(f'{machine.reason}: without a device, run.sh walks the same way, or give --with=host')
        return
    for batch_size in batch_sizes:
        name = machine.device.model(config, batch_size)
        if not os.path.isfile(name):
            raise ValueError(f'no {name}: bash test/pth2om.sh makes it')
        converted = run_record.read(name)  # None for one that was made elsewhere
        if converted and converted.batch_size != batch_size:
            raise ValueError(f'{name}: converted for batches of {converted.batch_size}')


def print_figures(measured: Sequence[Measured]) -> None:
    """The two figures of each batch size, as the acceptance script prints them."""
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
    with files.locked_at_once(rdn.ROOT, 'another walk runs in this folder, and on its device: wait for its end'):
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
        if args.steps != 'measure':  # which takes the models as they are
            cli.say(f'weights: {weights.path} ({weights.reason})')
        plan = walk_steps.Plan(args.steps, config, machine, args.batch_size, reference, no_verdict, args.dataset)
        return compare_modes(plan) if args.compare_modes else walk(plan)


def compare_modes(plan: walk_steps.Plan) -> int:
    """Say what runs, compare all variants of the graph in all precision modes, and return the script's status."""
    print(f'inference: {plan.machine.describe(plan.batch_sizes)}', flush=True)
    return mode_comparison.compare(plan)


def walk(plan: walk_steps.Plan) -> int:
    """Take the steps that the flags ask for, and return the script's status."""
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
    named = ' or '.join(f'{name} ({path})' for name, path in shipped_weights.NAMED.items())
    default = f'{shipped_weights.OWN} if it is there, else full for a device and lite without one'
    parser.add_argument('--weights', help=f'a file, {named}; default: {default}')
    parser.add_argument(
        '--no-reference', action='store_true', help='leave out the comparison with PyTorch, so that there is no verdict'
    )
    parser.add_argument(
        '--compare-modes',
        action='store_true',
        help='every graph in every precision mode: the fastest that keeps accuracy',
    )
    usual = f'{walk_steps.SET5} where it is, else five photographs'
    parser.add_argument('--dataset', help=f'folder of images; default: {usual}')
    parser.add_argument(
        '--soc-version', default=os.environ.get('SOC_VERSION') or None, help='default: asked of npu-smi'
    )
    parser.add_argument('--batch-size', type=batch_sizes, default=[1], help='one or several: 1,4,8; default 1')
    parser.add_argument('--device-id', type=number, default=0)
    parser.add_argument('--with', dest='tool', choices=choice.NAMES, help='default: the first of these that is here')
    args = parser.parse_args(argv)
    if args.compare_modes and (args.no_reference or args.steps != 'all' or len(args.batch_size) > 1):
        parser.error('--compare-modes goes with one batch size, and without --no-reference and --steps')
    return args


if __name__ == '__main__':
    sys.argv[0] = os.environ.get('RDN_SCRIPT', sys.argv[0])  # the shell script whose errors these are
    cli.run(main)
